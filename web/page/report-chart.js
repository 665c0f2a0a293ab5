/**
 * Lines over steps or epochs: several runs in one chart, with their values at the pointer.
 *
 * Colours are classes `c0` to `c7`; elements of a run have `data-run`, so that they can be hidden.
 */
import { make, whole } from "./dom.js";
import { mark, picture } from "./profile-draw.js";

/** Height of a legend in pixels. */
const LEGEND = 26;
/** Number of colours in the palette. */
export const COLOURS = 8;

/** @param {number} place */
export const colour = (place) => `c${place % COLOURS}`;

/** A number with at most four digits. @param {number} value */
export function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(1).replace("e+", "e").replace("-", "−");
  if (size >= 1000) return whole(value);
  return String(+value.toPrecision(4)).replace("-", "−");
}

/** A value of a chart with its unit. @param {any} chart @param {number} value @param {boolean} [exact] */
const told = ({ unit }, value, exact) => (unit === "percent" ? `${exact ? value.toFixed(value >= 10 ? 1 : 2) : number(+value.toFixed(3))}%` : number(value));

/** About `count` round numbers from low to high. @param {number} low @param {number} high @param {number} count @param {number} [least] minimum distance */
function ticks(low, high, count, least = 0) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, (/** @type {number} */ ([1, 2, 5, 10].find((by) => by * power >= rough * 0.999))) * power);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at++) found.push(at * step);
  return found;
}

/** Round numbers of a logarithmic axis. @param {number} low @param {number} high @param {number} count */
function powers(low, high, count) {
  const decades = Math.log10(high / low);
  const by = decades > count ? [1] : decades > count / 3 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let at = Math.floor(Math.log10(low)); at <= Math.log10(high); at++) found.push(...by.map((digit) => digit * 10 ** at));
  return found.filter((value) => value >= low && value <= high);
}

/** The tooltip at the pointer. */
export class Hover {
  /** @param {HTMLElement} host contains the tooltip */
  constructor(host) {
    this.host = host;
    this.box = make("div", { className: "tip", hidden: true });
    host.append(this.box);
  }

  /** @param {number} x in pixels of the window @param {number} y @param {string} title @param {[string, string, string][]} lines class of the swatch, name, value */
  show(x, y, title, lines) {
    const rows = lines.map(([swatch, name, value]) => make("div", {}, make("i", { className: swatch }), make("span", {}, name), make("b", {}, value)));
    this.box.replaceChildren(make("strong", {}, title), ...rows);
    this.box.hidden = false;
    const [host, own] = [this.host.getBoundingClientRect(), this.box.getBoundingClientRect()];
    const right = x - host.left + 16;
    const left = right + own.width <= host.width ? right : x - host.left - own.width - 16;
    this.box.style.left = `${Math.max(0, Math.min(left, host.width - own.width))}px`;
    // Below a small figure, which it would otherwise hide.
    this.box.style.top = `${this.host.classList.contains("small") ? host.height + 4 : Math.max(0, y - host.top - own.height / 2)}px`;
  }

  hide() {
    this.box.hidden = true;
  }
}

/** A chart as a figure. @param {any} chart @param {string[]} runs their names @param {boolean} [small] one of many */
export function figure(chart, runs, small = false) {
  const host = make("figure", { className: small ? "chart small card" : "chart card" });
  const by = `${chart.y_name === chart.title.toLowerCase() ? "" : `${chart.y_name} `}by ${chart.x_name}${chart.log ? ", logarithmic" : ""}`;
  const dashes = legend(chart, runs);
  host.append(make("figcaption", {}, make("b", {}, chart.title), ...(small ? [] : [make("span", { className: "hint" }, by)])), ...dashes);
  if (!chart.lines.length) {
    host.append(make("p", { className: "empty" }, chart.notice));
    return host;
  }
  const hover = new Hover(host);
  // Without a legend the plot is taller, so that neighbouring figures have the same height.
  const height = small ? 150 : dashes.length ? 270 : 270 + LEGEND;
  host.append(picture(`${chart.title}: ${by}`, (svg, width) => draw(svg, width, height, chart, hover)));
  for (const { run, text } of chart.broken ?? []) host.append(make("p", { className: "hint broken", "data-run": run }, text));
  return host;
}

/** The meaning of dashes, or of colours if there is only one run. @param {any} chart @param {string[]} runs */
function legend({ lines }, runs) {
  const parts = new Map(lines.filter((/** @type {any} */ { part }) => part).map((/** @type {any} */ line) => [line.part, line]));
  if (parts.size < 2) return [];
  const entries = [...parts].map(([part, { dash, colour: place }]) => {
    const line = mark("line", { x1: 0, y1: 5, x2: 26, y2: 5, class: `line dash-${dash} ${runs.length > 1 ? "neutral" : colour(place)}` });
    return make("li", {}, mark("svg", { width: 26, height: 10, "aria-hidden": "true" }, line), part);
  });
  return [make("ul", { className: "legend" }, ...entries)];
}

/** @param {any} svg @param {number} width @param {number} height @param {any} chart @param {Hover} hover */
function draw(svg, width, height, chart, hover) {
  const { x_name, log, x: [first, last], y: [low, high], lines } = chart;
  const across = Math.max(3, Math.floor(width / 75));
  const [xs, ys] = [ticks(Math.max(first, 0), last, across, 1), log ? powers(low, high, height / 45) : ticks(low, high, height / 45)];
  const labels = ys.map((value) => told(chart, value));
  const [top, bottom, right] = [8, height - 24, width - 10];
  const left = Math.ceil(10 + 6.8 * Math.max(...labels.map((label) => label.length), 2));
  const scale = (/** @type {number} */ value) => (log ? Math.log(value) : value);
  const px = (/** @type {number} */ value) => left + ((right - left) * (value - first)) / (last - first);
  const py = (/** @type {number} */ value) => bottom - ((bottom - top) * (scale(value) - scale(low))) / (scale(high) - scale(low));
  ys.forEach((value, at) => svg.append(mark("line", { class: "grid", x1: left, x2: right, y1: py(value), y2: py(value) }), mark("text", { x: left - 8, y: py(value) + 4, "text-anchor": "end" }, labels[at])));
  for (const value of xs) svg.append(mark("text", { x: px(value), y: bottom + 18, "text-anchor": "middle" }, number(value)));
  svg.append(mark("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  const path = (/** @type {number[][]} */ points) => points.map(([x, y], at) => `${at ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
  for (const { run, colour: place, dash, points, raw = [], band = [] } of [...lines].reverse()) {
    const group = mark("g", { class: colour(place), "data-run": run });
    if (band.length) group.append(mark("path", { class: "band", d: `${path(band)}${path(band.map((/** @type {number[]} */ [x, , most]) => [x, most]).reverse()).replace("M", "L")}Z` }));
    if (raw.length) group.append(mark("path", { class: "line raw", d: path(raw) }));
    group.append(mark("path", { class: `line dash-${dash}`, d: path(points) }));
    if (points.length <= 40) for (const [x, y] of points) group.append(mark("circle", { cx: px(x), cy: py(y), r: points.length > 20 ? 1.5 : 2.5 }));
    svg.append(group);
  }
  for (const { run, step } of chart.broken ?? []) svg.append(mark("line", { class: `line broken dash-1 ${colour(run)}`, "data-run": run, x1: px(step), x2: px(step), y1: top, y2: bottom }));
  point(svg, chart, hover, { left, right, top, bottom, px, py, x_name });
  return height;
}

/** Shows values at the mouse pointer, or at a position chosen with the arrow keys. @param {any} svg @param {any} chart @param {Hover} hover @param {any} frame */
function point(svg, chart, hover, { left, right, top, bottom, px, py, x_name }) {
  const cursor = mark("g", { class: "cursor" });
  const field = mark("rect", { class: "field", x: left, y: top, width: Math.max(right - left, 1), height: bottom - top, tabindex: 0, role: "img", "aria-label": `Values of ${chart.title}: use the arrow keys to read them` });
  svg.append(cursor, field);
  const places = [...new Set(chart.lines.flatMap((/** @type {any} */ { points }) => points.map((/** @type {number[]} */ [x]) => x)))].sort((a, b) => a - b);
  let at = places.length - 1;
  const hide = () => {
    cursor.replaceChildren();
    hover.hide();
  };
  const show = () => {
    const x = places[at];
    const seen = chart.lines.filter((/** @type {any} */ { run }) => !svg.closest(`.hide-${run}`));
    const values = seen.map((/** @type {any} */ line) => ({ ...line, near: nearest(line.points, x) })).filter((/** @type {any} */ { near, points }) => near && x >= points[0][0] && x <= points[points.length - 1][0]);
    cursor.replaceChildren(mark("line", { x1: px(x), x2: px(x), y1: top, y2: bottom }), ...values.map((/** @type {any} */ { near, colour: place }) => mark("circle", { class: colour(place), cx: px(x), cy: py(near[1]), r: 4 })));
    const box = field.getBoundingClientRect();
    const lines = values.map((/** @type {any} */ { near, name, colour: place, dash }) => [`swatch dash-${dash} ${colour(place)}`, name, told(chart, near[1], true)]);
    hover.show(box.left + px(x) - left, box.top + box.height / 2, `${x_name} ${whole(x)}`, lines);
  };
  field.addEventListener("pointermove", (/** @type {PointerEvent} */ { clientX }) => {
    const value = clientX - field.getBoundingClientRect().left + left;
    at = places.reduce((best, place, index) => (Math.abs(px(place) - value) < Math.abs(px(places[best]) - value) ? index : best), 0);
    show();
  });
  field.addEventListener("pointerleave", hide);
  field.addEventListener("focus", () => field.matches(":focus-visible") && show());
  field.addEventListener("blur", hide);
  field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const pace = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!pace) return;
    event.preventDefault();
    at = Math.min(Math.max(at + pace, 0), places.length - 1);
    show();
  });
}

/** The point of a line nearest to x; points are ordered. @param {number[][]} points @param {number} x */
function nearest(points, x) {
  let [from, to] = [0, points.length - 1];
  while (to - from > 1) {
    const middle = (from + to) >> 1;
    if (points[middle][0] <= x) from = middle;
    else to = middle;
  }
  return Math.abs(points[to][0] - x) < Math.abs(points[from][0] - x) ? points[to] : points[from];
}
