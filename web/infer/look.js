/** The style of `<halfwave-network>`. Colours and font are set by custom properties, and follow the page's light or dark scheme. */
export const STYLE = `
:host {
  --ink: var(--halfwave-ink, #16191d);
  --muted: var(--halfwave-muted, #5a616b);
  --line: var(--halfwave-line, #d4d4ce);
  --surface: var(--halfwave-surface, #ffffff);
  --sunken: var(--halfwave-sunken, #f2f2ee);
  --accent: var(--halfwave-accent, #0b65a8);
  --bad: var(--halfwave-bad, #b3261e);
  display: block;
  max-width: 680px;
  color: var(--ink);
  font: var(--halfwave-font, 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
  container-type: inline-size;
}
@supports (color: light-dark(red, red)) {
  :host {
    --ink: var(--halfwave-ink, light-dark(#16191d, #e9ebee));
    --muted: var(--halfwave-muted, light-dark(#5a616b, #9da6b1));
    --line: var(--halfwave-line, light-dark(#d4d4ce, #3a414b));
    --surface: var(--halfwave-surface, light-dark(#ffffff, #181b20));
    --sunken: var(--halfwave-sunken, light-dark(#f2f2ee, #21252b));
    --accent: var(--halfwave-accent, light-dark(#0b65a8, #63b3ed));
    --bad: var(--halfwave-bad, light-dark(#b3261e, #ff8a80));
  }
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
.parts { display: grid; grid-template-columns: minmax(0, 280px) minmax(0, 1fr); gap: 16px 32px; align-items: start; }
@container (max-width: 480px) { .parts { grid-template-columns: minmax(0, 1fr); } .pad { max-width: 320px; } }
.pad {
  display: block; width: 100%; aspect-ratio: 1; border: 1px solid var(--line); border-radius: 10px;
  background: var(--sunken); color: var(--ink); caret-color: var(--accent); cursor: crosshair; touch-action: none;
}
.pad.picture { cursor: default; touch-action: auto; object-fit: contain; }
.over .pad { border-color: var(--accent); }
:focus-visible, .file:focus-visible + label { outline: 3px solid var(--accent); outline-offset: 2px; }
.buttons { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 10px; }
button, label {
  display: inline-flex; align-items: center; min-height: 40px; padding: 0 16px; border: 1px solid var(--line); border-radius: 9px;
  background: var(--surface); color: var(--ink); font: inherit; font-weight: 560; cursor: pointer;
}
button:hover, label:hover { border-color: var(--muted); }
.file { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.hint { margin-top: 10px; color: var(--muted); font-size: 14px; text-wrap: pretty; }
kbd { padding: 0 5px; border: 1px solid var(--line); border-radius: 4px; background: var(--sunken); font: 12px ui-monospace, Menlo, Consolas, monospace; }
.best { display: flex; align-items: baseline; gap: 14px; min-height: 72px; color: var(--muted); }
.best b { min-width: 40px; color: var(--accent); font-size: 56px; font-weight: 680; line-height: 72px; letter-spacing: -0.03em; }
.best b.word { font-size: 26px; overflow-wrap: anywhere; }
ol { display: grid; grid-template-columns: minmax(18px, max-content) minmax(0, 1fr) 58px; gap: 5px 10px; padding: 0; list-style: none; font-size: 14px; font-variant-numeric: tabular-nums; }
li { display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; align-items: center; }
.name { max-width: 140px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.track { height: 14px; overflow: hidden; border-radius: 4px; background: var(--sunken); }
.track i { display: block; height: 100%; border-radius: 4px; background: var(--accent); opacity: 0.45; transform: scaleX(0); transform-origin: left; transition: transform 0.18s ease-out; }
.first .track i { opacity: 1; }
.first .name, .first .value { color: var(--ink); font-weight: 650; }
.value { color: var(--muted); text-align: right; }
.status { color: var(--muted); }
.status.bad { color: var(--bad); }
@media (prefers-reduced-motion: reduce) { .track i { transition: none; } }
`;
