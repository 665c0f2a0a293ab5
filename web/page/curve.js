/**
 * The learning curve: loss of each step on a logarithmic axis, accuracy of each epoch; side by side, or stacked on a phone.
 *
 * **Invariant** The horizontal axes span the whole run from its first step on, so the curve grows and is never rescaled horizontally.
 */
import { colours, Surface } from "./canvas.js";
import { $, percent, short, tenTo, whole, write } from "./dom.js";
import { History, powers } from "./history.js";

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
/** Width below which the panels are stacked, CSS pixels. */
const NARROW = 620;
/** Minimum distance between two labels of a vertical axis, CSS pixels. */
const LABELS = 24;

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

export class Curve {
  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} readout shows the values under the pointer */
  constructor(canvas, readout) {
    this.canvas = canvas;
    this.readout = readout;
    this.hint = readout.textContent ?? "";
    this.history = new History();
    /** Step whose values are shown; 0: none. */
    this.cursor = 0;
    /** @type {Box[]} */
    this.boxes = [];
    this.surface = new Surface(canvas, (context, width, height) => this.paint(context, width, height));
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => this.read(0));
    canvas.addEventListener("blur", () => this.read(0));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** Starts a run of the given length. @param {{total_steps: number, epoch_steps: number}} position */
  start(position) {
    this.history = new History(position.total_steps, position.epoch_steps);
    write($("curve-part"), this.history.part);
    this.read(0);
    this.surface.ask();
  }

  /** @param {any[]} rows of steps and epochs */
  add(rows) {
    if (!rows.length) return;
    this.history.add(rows);
    write($("curve-part"), this.history.part);
    this.surface.ask();
  }

  /** Updates the description for screen readers; not at every step. */
  describe() {
    const { loss, epochs, part } = this.history;
    const last = epochs[epochs.length - 1];
    const test = last?.test === undefined ? "" : `, ${part} accuracy ${percent(last.test)}`;
    const text = loss.length ? `Learning curve after ${whole(loss.length)} steps: loss ${short(loss[loss.length - 1])}${test}` : "Learning curve: nothing yet";
    this.canvas.setAttribute("aria-label", text);
  }

  /** @param {PointerEvent} event */
  point(event) {
    const box = this.boxes.find(({ left, top, width, height }) => event.offsetX >= left - 8 && event.offsetX <= left + width + 8 && event.offsetY >= top - 20 && event.offsetY <= top + height + 30);
    const share = box ? (event.offsetX - box.left) / box.width : -1;
    this.read(box ? Math.max(1, Math.round(share * this.history.span)) : 0);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.history.loss.length;
    const pace = event.shiftKey ? this.history.epochSteps : 1;
    const at = this.cursor || last;
    const to = { ArrowLeft: at - pace, ArrowRight: at + pace, Home: 1, End: last, Escape: 0 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.read(to && Math.max(1, to));
  }

  /** @param {number} step */
  read(step) {
    const { loss, smooth, epochs, epochSteps, part } = this.history;
    this.cursor = loss.length ? Math.min(step, loss.length) : 0;
    const before = this.cursor && epochs.filter(({ epoch }) => epoch * epochSteps <= this.cursor).pop();
    const accuracy = before && before.test !== undefined ? ` · ${part} accuracy after epoch ${before.epoch}: ${percent(before.test)}` : "";
    const at = this.cursor - 1;
    write(this.readout, this.cursor ? `Step ${whole(this.cursor)}: loss ${short(loss[at])}, smoothed ${short(smooth[at])}${accuracy}` : this.hint);
    this.surface.ask();
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} height */
  paint(context, width, height) {
    const [left, top, bottom, right, gap] = [44, 22, 40, 12, 30];
    const narrow = width < NARROW;
    const panel = narrow ? { width: width - left - right, height: height / 2 - top - bottom } : { width: (width - 2 * (left + right) - gap) / 2, height: height - top - bottom };
    const second = narrow ? { left, top: height / 2 + top } : { left: 2 * left + right + gap + panel.width, top };
    this.boxes = [{ left, top, ...panel }, { ...second, ...panel }];
    context.font = FONT;
    context.lineJoin = "round";
    this.losses(context, this.boxes[0]);
    this.accuracies(context, this.boxes[1]);
  }

  /** @param {CanvasRenderingContext2D} context @param {Box} box */
  losses(context, box) {
    const { span, loss, smooth, decades } = this.history;
    const [low, high] = decades;
    const x = (/** @type {number} */ step) => box.left + (box.width * step) / span;
    const y = (/** @type {number} */ value) => box.top + box.height * (1 - (Math.log10(Math.max(value, 1e-9)) - low) / (high - low));
    const ticks = powers(low, high, box.height / LABELS).map((power) => ({ at: y(10 ** power), text: Math.abs(power) > 3 ? tenTo(power) : String(+(10 ** power).toFixed(8)) }));
    frame(context, box, ticks, marks(span).map((step) => ({ at: x(step), text: whole(step) })), "loss", "step");
    context.save();
    context.beginPath();
    context.rect(box.left, box.top - 4, box.width + 6, box.height + 4);
    context.clip();
    const clear = context.globalAlpha;
    context.globalAlpha = 0.4;
    line(context, loss, x, y, colours().accent, 1, box.width);
    context.globalAlpha = clear;
    line(context, smooth, x, y, colours().accent, 2.25, box.width);
    context.restore();
    if (this.cursor) reader(context, box, x(this.cursor), y(smooth[this.cursor - 1]), colours().accent);
  }

  /** @param {CanvasRenderingContext2D} context @param {Box} box */
  accuracies(context, box) {
    const { span, epochs, epochSteps, floor } = this.history;
    const total = span / epochSteps;
    const x = (/** @type {number} */ epoch) => box.left + (box.width * epoch) / total;
    const y = (/** @type {number} */ share) => box.top + box.height * (1 - (share - floor) / (1 - floor));
    const ticks = [];
    const pace = floor < 0.5 ? 0.2 : 0.1;
    for (let share = 1; share >= floor - 1e-9; share -= pace) ticks.push({ at: y(share), text: percent(share, 0) });
    frame(context, box, ticks, marks(total).map((epoch) => ({ at: x(epoch), text: whole(epoch) })), "accuracy", "epoch");
    for (const [name, colour, wide] of /** @type {["train" | "test", string, number][]} */ ([["train", "train", 1.5], ["test", "accent", 2.25]])) {
      const known = epochs.filter((epoch) => epoch[name] !== undefined);
      context.strokeStyle = context.fillStyle = colours()[colour];
      context.lineWidth = wide;
      context.beginPath();
      for (const epoch of known) context.lineTo(x(epoch.epoch), y(/** @type {number} */ (epoch[name])));
      context.stroke();
      if (known.length > box.width / 8) continue;
      context.beginPath();
      for (const epoch of known) {
        const [px, py] = [x(epoch.epoch), y(/** @type {number} */ (epoch[name]))];
        context.moveTo(px + 3, py);
        context.arc(px, py, wide + 0.75, 0, 7);
      }
      context.fill();
    }
    const read = this.cursor && epochs.filter(({ epoch, test }) => test !== undefined && epoch * epochSteps <= this.cursor).pop();
    if (read) reader(context, box, x(read.epoch), y(read.test ?? 0), colours().accent);
  }
}

/**
 * Axes, grid and labels.
 * @param {CanvasRenderingContext2D} context @param {Box} box
 * @param {{at: number, text: string}[]} rows @param {{at: number, text: string}[]} columns
 * @param {string} vertical @param {string} horizontal
 */
function frame(context, { left, top, width, height }, rows, columns, vertical, horizontal) {
  const { muted, line: grid, ink } = colours();
  context.lineWidth = 1;
  context.strokeStyle = grid;
  context.beginPath();
  for (const { at } of rows) lineAt(context, left, Math.round(at) + 0.5, left + width, Math.round(at) + 0.5);
  for (const { at } of columns) lineAt(context, Math.round(at) + 0.5, top, Math.round(at) + 0.5, top + height);
  context.stroke();
  context.strokeStyle = muted;
  context.beginPath();
  lineAt(context, left, top + height + 0.5, left + width, top + height + 0.5);
  context.stroke();
  context.fillStyle = muted;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const { at, text } of rows) context.fillText(text, left - 7, at);
  context.textAlign = "center";
  for (const { at, text } of columns) context.fillText(text, at, top + height + 14);
  context.fillText(horizontal, left + width / 2, top + height + 31);
  context.textAlign = "left";
  context.fillStyle = ink;
  context.fillText(vertical, left, top - 13);
}

/** @param {CanvasRenderingContext2D} context @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 */
function lineAt(context, x0, y0, x1, y1) {
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
}

/**
 * A line through the values of steps 1, 2, …; where several share a pixel, through their minimum and maximum.
 * @param {CanvasRenderingContext2D} context @param {number[]} values
 * @param {(step: number) => number} x @param {(value: number) => number} y
 * @param {string} colour @param {number} wide @param {number} pixels
 */
function line(context, values, x, y, colour, wide, pixels) {
  context.strokeStyle = colour;
  context.lineWidth = wide;
  context.beginPath();
  const each = Math.max(1, Math.floor(values.length / pixels));
  for (let from = 0; from < values.length; from += each) {
    let [least, most] = [Infinity, -Infinity];
    for (let at = from; at < Math.min(from + each, values.length); at++) {
      if (values[at] < least) least = values[at];
      if (values[at] > most) most = values[at];
    }
    if (!Number.isFinite(least)) continue;
    context.lineTo(x(from + 1), y(most));
    if (least < most) context.lineTo(x(from + 1), y(least));
  }
  context.stroke();
}

/** The line and dot at the cursor. @param {CanvasRenderingContext2D} context @param {Box} box @param {number} x @param {number} y @param {string} colour */
function reader(context, box, x, y, colour) {
  context.strokeStyle = colours().muted;
  context.lineWidth = 1;
  context.beginPath();
  lineAt(context, Math.round(x) + 0.5, box.top, Math.round(x) + 0.5, box.top + box.height);
  context.stroke();
  context.fillStyle = colour;
  context.strokeStyle = colours().surface;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, Math.min(y, box.top + box.height), 5, 0, 7);
  context.fill();
  context.stroke();
}

/** About five round numbers from 0 to the end. @param {number} end @returns {number[]} */
function marks(end) {
  const rough = Math.max(end / 5, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const pace = power * (/** @type {number} */ ([1, 2, 5, 10].find((times) => times * power >= rough * 0.999)));
  return Array.from({ length: Math.floor(end / pace + 1e-9) + 1 }, (_, at) => at * pace);
}
