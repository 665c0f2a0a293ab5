/**
 * Reading values of a chart and zooming into it, with the pointer and with the keyboard.
 */
import { mark } from "./profile-draw.js";
import { number, told } from "./report-scale.js";
import { nearest } from "./report-series.js";
import { colour } from "./report-view.js";

/** @typedef {import("./report-view.js").View} View */
/** @typedef {import("./report-hover.js").Hover} Hover */

/** Number of pixels that make a click a drag. */
const DRAG = 5;
/** Number of lines in a tooltip. */
const LINES = 14;

export class Pointer {
  /** Start of a drag, in pixels. @type {number | undefined} */
  start;
  /** The position that is read, and the height of the pointer if there is one. @type {number | undefined} */
  x;
  /** @type {number | undefined} */
  y;

  /** @param {HTMLElement} host the picture @param {any} chart @param {View} view @param {Hover} hover */
  constructor(host, chart, view, hover) {
    this.host = host;
    this.chart = chart;
    this.view = view;
    this.hover = hover;
    this.places = [...new Set(chart.lines.flatMap((/** @type {any} */ { points }) => points.map((/** @type {number[]} */ [x]) => x)))].sort((a, b) => a - b).map((x) => [x]);
    // Separate from the lines, which would otherwise be painted again whenever the pointer moves.
    this.cursor = mark("svg", { class: "cursor", "aria-hidden": "true" });
    host.append(this.cursor);
    host.classList.add("field");
    host.tabIndex = 0;
    host.setAttribute("role", "img");
    host.setAttribute("aria-label", `Values of ${chart.title}: arrow keys read them, + and − zoom, 0 shows all`);
    const on = (/** @type {string} */ type, /** @type {(event: any) => void} */ act) => host.addEventListener(type, act);
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.release(event));
    on("pointercancel", () => this.hide());
    // A finger that is lifted leaves the values to be read.
    on("pointerleave", ({ pointerType }) => this.start === undefined && pointerType !== "touch" && this.hide());
    on("dblclick", () => view.reset(chart.x_name));
    on("focus", () => host.matches(":focus-visible") && this.read(this.visible().at(-1)?.[0]));
    on("blur", () => this.hide());
    on("keydown", (event) => this.key(event));
  }

  /** After each drawing. @param {any} frame what was drawn, and its geometry */
  drawn(frame) {
    this.frame = frame;
    this.cursor.replaceChildren();
    if (this.x !== undefined) this.read(this.x);
  }

  /** The positions in the visible range. */
  visible() {
    const [first, last] = this.frame.x;
    return this.places.filter(([x]) => x >= first && x <= last);
  }

  /** A position of the pointer in pixels of the picture, within the plot. @param {PointerEvent} event */
  across({ clientX }) {
    const { left, right } = this.frame;
    return Math.min(Math.max(clientX - this.host.getBoundingClientRect().left, left), right);
  }

  /** The value of x at a pixel. @param {number} pixel */
  valueAt(pixel) {
    const { left, right, x: [first, last] } = this.frame;
    return first + ((last - first) * (pixel - left)) / (right - left);
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button !== 0) return;
    this.start = this.across(event);
    this.host.setPointerCapture(event.pointerId);
    this.move(event);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const pixel = this.across(event);
    this.y = event.clientY - this.host.getBoundingClientRect().top;
    if (this.start === undefined || Math.abs(pixel - this.start) < DRAG) return this.read(this.valueAt(pixel));
    const [from, to] = [this.start, pixel].sort((a, b) => a - b);
    const { top, bottom } = this.frame;
    this.cursor.replaceChildren(mark("rect", { class: "range", x: from, y: top, width: to - from, height: bottom - top }));
    const [first, last] = [from, to].map((at) => number(Math.round(this.valueAt(at))));
    this.hover.show(event.clientX, event.clientY, `${this.chart.x_name} ${first} – ${last}`, []);
  }

  /** @param {PointerEvent} event */
  release(event) {
    const [start, end] = [this.start, this.across(event)];
    this.start = undefined;
    if (start === undefined || Math.abs(end - start) < DRAG) return;
    this.hide();
    const [first, last] = [start, end].map((pixel) => this.valueAt(pixel)).sort((a, b) => a - b);
    this.view.show(this.chart.x_name, first, last);
  }

  hide() {
    [this.start, this.x, this.y] = [undefined, undefined, undefined];
    this.cursor.replaceChildren();
    this.hover.hide();
  }

  /** Shows the values at the measured position nearest to x. @param {number | undefined} x */
  read(x) {
    const places = this.visible();
    if (x === undefined || !places.length) return this.hide();
    const at = places[nearest(places, x)][0];
    this.x = at;
    const { top, bottom, px, py, log, lines } = this.frame;
    const values = lines.filter((/** @type {any} */ { run, points }) => !this.view.hidden.has(run) && at >= points[0][0] && at <= points[points.length - 1][0]).map((/** @type {any} */ line) => {
      const index = nearest(line.points, at);
      return { ...line, raw: line.points[index][1], value: line.smooth[index][1] };
    });
    const near = closest(values, ({ value }) => Math.abs(py(value) - (this.y ?? top)));
    const marked = near.filter(({ value }) => !log || value > 0);
    this.cursor.replaceChildren(mark("line", { x1: px(at), x2: px(at), y1: top, y2: bottom }), ...marked.map(({ value, colour: place }) => mark("circle", { class: colour(place), cx: px(at), cy: py(value), r: 4 })));
    const smooth = near.some(({ smooth, points }) => smooth !== points);
    const rows = near.map(({ name, colour: place, dash, value, raw }) => [`swatch dash-${dash} ${colour(place)}`, name, ...(smooth ? [value, raw] : [raw]).map((value) => told(this.chart, value, true))]);
    const more = values.length - near.length;
    const box = this.host.getBoundingClientRect();
    this.hover.show(box.left + px(at), box.top + (top + bottom) / 2, `${this.chart.x_name} ${number(at)}`, more ? [...rows, ["", `and ${more} more`]] : rows, smooth ? ["smoothed", "raw"] : []);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [name, [first, last]] = [this.chart.x_name, this.frame.x];
    const middle = this.x ?? (first + last) / 2;
    const zoom = (/** @type {number} */ by) => this.view.show(name, middle - (by * (last - first)) / 2, middle + (by * (last - first)) / 2);
    const acts = /** @type {Record<string, () => void>} */ ({
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      "+": () => zoom(0.5),
      "=": () => zoom(0.5),
      "-": () => zoom(2),
      "0": () => this.view.reset(name),
      Escape: () => this.hide(),
    });
    if (!acts[event.key]) return;
    event.preventDefault();
    this.y = undefined;
    acts[event.key]();
  }

  /** Reads the next position; the visible range follows. @param {number} by */
  step(by) {
    const [first, last] = this.frame.x;
    const at = nearest(this.places, this.x ?? last);
    const next = this.places[Math.min(Math.max(at + by, 0), this.places.length - 1)][0];
    this.x = next;
    const beyond = Math.max(next - last, 0) + Math.min(next - first, 0);
    if (beyond) this.view.show(this.chart.x_name, first + beyond, last + beyond);
    else this.read(next);
  }
}

/** The lines with the least distance, in their order. @param {any[]} lines @param {(line: any) => number} distance */
function closest(lines, distance) {
  if (lines.length <= LINES) return lines;
  const kept = new Set([...lines].sort((a, b) => distance(a) - distance(b)).slice(0, LINES));
  return lines.filter((line) => kept.has(line));
}
