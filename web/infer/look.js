/**
 * The style of `<halfwave-network>`. Colours and font are set by custom properties, and follow the page's light or dark scheme. Names with
 * an underscore are internal: a page's own `--ink` must not be changed by the element.
 */
export const STYLE = `
:host {
  --_ink: var(--halfwave-ink, #16191d);
  --_muted: var(--halfwave-muted, #5a616b);
  --_line: var(--halfwave-line, #d4d4ce);
  --_surface: var(--halfwave-surface, #ffffff);
  --_sunken: var(--halfwave-sunken, #f2f2ee);
  --_accent: var(--halfwave-accent, #0b65a8);
  --_bad: var(--halfwave-bad, #b3261e);
  display: block;
  max-width: 680px;
  color: var(--_ink);
  font: var(--halfwave-font, 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
  container-type: inline-size;
}
@supports (color: light-dark(red, red)) {
  :host {
    --_ink: var(--halfwave-ink, light-dark(#16191d, #e9ebee));
    --_muted: var(--halfwave-muted, light-dark(#5a616b, #9da6b1));
    --_line: var(--halfwave-line, light-dark(#d4d4ce, #3a414b));
    --_surface: var(--halfwave-surface, light-dark(#ffffff, #181b20));
    --_sunken: var(--halfwave-sunken, light-dark(#f2f2ee, #21252b));
    --_accent: var(--halfwave-accent, light-dark(#0b65a8, #63b3ed));
    --_bad: var(--halfwave-bad, light-dark(#b3261e, #ff8a80));
  }
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
.parts { display: grid; grid-template-columns: minmax(0, 280px) minmax(0, 1fr); gap: 16px 32px; align-items: start; }
@container (max-width: 480px) { .parts { grid-template-columns: minmax(0, 1fr); } .pad { max-width: 320px; } }
.pad {
  display: block; width: 100%; aspect-ratio: 1; border: 1px solid var(--_line); border-radius: 10px;
  background: var(--_sunken); color: var(--_ink); caret-color: var(--_accent); cursor: crosshair; touch-action: none;
}
.pad.picture { cursor: default; touch-action: auto; object-fit: contain; }
.over .pad { border-color: var(--_accent); }
:focus-visible, .file:focus-visible + label { outline: 3px solid var(--_accent); outline-offset: 2px; }
.buttons { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 10px; }
button, label {
  display: inline-flex; align-items: center; min-height: 40px; padding: 0 16px; border: 1px solid var(--_line); border-radius: 9px;
  background: var(--_surface); color: var(--_ink); font: inherit; font-weight: 560; cursor: pointer;
}
button:hover, label:hover { border-color: var(--_muted); }
.file { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.hint { margin-top: 10px; color: var(--_muted); font-size: 14px; text-wrap: pretty; }
kbd { padding: 0 5px; border: 1px solid var(--_line); border-radius: 4px; background: var(--_sunken); font: 12px ui-monospace, Menlo, Consolas, monospace; }
.best { display: flex; align-items: baseline; gap: 14px; min-height: 72px; color: var(--_muted); }
.best b { min-width: 40px; color: var(--_accent); font-size: 56px; font-weight: 680; line-height: 72px; letter-spacing: -0.03em; }
.best b.word { font-size: 26px; overflow-wrap: anywhere; }
ol { display: grid; grid-template-columns: minmax(18px, max-content) minmax(0, 1fr) 58px; gap: 5px 10px; padding: 0; list-style: none; font-size: 14px; font-variant-numeric: tabular-nums; }
li { display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; align-items: center; }
.name { max-width: 140px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.track { height: 14px; overflow: hidden; border-radius: 4px; background: var(--_sunken); }
.track i { display: block; height: 100%; border-radius: 4px; background: var(--_accent); opacity: 0.45; transform: scaleX(0); transform-origin: left; transition: transform 0.18s ease-out; }
.first .track i { opacity: 1; }
.first .name, .first .value { color: var(--_ink); font-weight: 650; }
.value { color: var(--_muted); text-align: right; }
.status { color: var(--_muted); }
.status.bad { color: var(--_bad); }
@media (prefers-reduced-motion: reduce) { .track i { transition: none; } }
`;
