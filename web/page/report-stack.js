/**
 * The codes of a quantiser, epoch by epoch: shares stacked from the lowest code up, beside the ideal shares for normally distributed inputs.
 */
import { make, percent, widthOf } from "./dom.js";
import { mark, picture } from "./profile-draw.js";
import { Hover } from "./report-hover.js";
import { colour } from "./report-view.js";

/** The codes of a run's layer as a figure. @param {any} codes @param {string[]} runs their names */
export function stack(codes, runs) {
  const { title, run, shares, ideal } = codes;
  const levels = shares[0].length;
  const name = title.split(" · ")[0];
  const who = runs.length > 1 ? [make("span", { className: `swatch ${colour(run)}` }), make("span", { className: "hint" }, runs[run])] : [];
  const host = make("figure", { className: "chart small card", "data-run": run });
  host.append(make("figcaption", {}, make("b", {}, name), ...who, make("span", { className: "hint levels" }, `${levels} codes`)));
  const hover = new Hover(host);
  host.append(picture(`Shares of the codes of ${title} by epoch${ideal.length ? ", and their ideal" : ""}`, (svg, width) => draw(svg, width, codes, hover)));
  return host;
}

/** Intensity of a code's colour. @param {number} code @param {number} levels */
export const strength = (code, levels) => (code ? `${Math.round(30 + (70 * (code - 1)) / Math.max(levels - 2, 1))}%` : "0%");

/** @param {any} svg @param {number} width @param {any} codes @param {Hover} hover */
function draw(svg, width, { epochs, shares, ideal }, hover) {
  const [left, top, bottom, height] = [Math.ceil(12 + widthOf("100%")), 10, 150, 172];
  const beside = ideal.length ? 46 : 0;
  const wide = (width - left - beside - 4) / epochs.length;
  const py = (/** @type {number} */ share) => bottom - (bottom - top) * share;
  for (const share of [0, 0.5, 1]) svg.append(mark("text", { x: left - 6, y: py(share) + 4, "text-anchor": "end" }, `${100 * share}%`));
  const column = (/** @type {number[]} */ parts, /** @type {number} */ x, /** @type {number} */ across, /** @type {string} */ what) => {
    const group = mark("g", { class: "column", tabindex: -1, role: "img", "aria-label": `${what}: ${parts.map((share) => percent(share)).join(", ")}` });
    let low = 0;
    parts.forEach((share, code) => {
      const block = mark("rect", { class: "code", x, y: py(low + share), width: Math.max(across, 0.5), height: Math.max(py(low) - py(low + share), 0) });
      block.style.setProperty("--strength", strength(code, parts.length));
      group.append(block);
      low += share;
    });
    group.addEventListener("pointerenter", () => {
      const box = group.getBoundingClientRect();
      const rows = parts.map((share, code) => /** @type {[string, string, string]} */ (["", `code ${code}`, ideal.length && parts !== ideal ? `${percent(share)} (ideal ${percent(ideal[code])})` : percent(share)]));
      hover.show(box.right, box.top + box.height / 2, what, rows.reverse());
    });
    group.addEventListener("pointerleave", () => hover.hide());
    svg.append(group);
  };
  const gap = wide > 6 ? 1.5 : wide > 3 ? 0.5 : 0;
  shares.forEach((/** @type {number[]} */ parts, /** @type {number} */ at) => column(parts, left + wide * at, wide - gap, `epoch ${epochs[at]}`));
  const apart = Math.ceil(epochs.length / Math.max((width - left - beside) / 34, 1));
  epochs.forEach((/** @type {number} */ epoch, /** @type {number} */ at) => at % apart === 0 && svg.append(mark("text", { x: left + wide * (at + 0.5), y: bottom + 17, "text-anchor": "middle" }, String(epoch))));
  if (ideal.length) {
    column(ideal, width - 36, 32, "ideal");
    svg.append(mark("text", { x: width - 20, y: bottom + 17, "text-anchor": "middle" }, "ideal"));
    let limit = 0;
    for (const share of ideal.slice(0, -1)) {
      limit += share;
      svg.append(mark("line", { class: "ideal", x1: left, x2: width - 4, y1: py(limit), y2: py(limit) }));
    }
  }
  return height;
}
