/**
 * A 32×32 bitmap to draw on: mouse, finger, pen or keyboard.
 *
 * Fires "change" when the bitmap has changed, at most once per frame.
 */
import { colours, Surface } from "./canvas.js";
import { redraw } from "./frame.js";
import { SIDE } from "./normalise.js";

/** Radius of the brush, pixels of the bitmap. */
const BRUSH = 1.6;
/** Directions of the arrow keys. */
const WAYS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });

export class Pad extends EventTarget {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.bitmap = new Uint8Array(SIDE * SIDE);
    /** Position of the keyboard's brush, or null while it is not used. @type {[number, number] | null} */
    this.cursor = null;
    /** The pressed key that paints or erases. */
    this.brush = "";
    /** Why drawing is disabled; "" if it is enabled. */
    this.blocked = "";
    /** @type {[number, number] | null} */
    this.last = null;
    this.changed = () => {
      this.dispatchEvent(new Event("change"));
    };
    this.surface = new Surface(canvas, (context, width) => this.paint(context, width));
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.last = null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("keyup", (event) => {
      if (event.key.toLowerCase() === this.brush) this.brush = "";
    });
    canvas.addEventListener("blur", () => {
      [this.cursor, this.brush] = [null, ""];
      this.surface.ask();
    });
  }

  get empty() {
    return !this.bitmap.includes(1);
  }

  /** Disables drawing with a reason; "" enables it again. @param {string} why */
  block(why) {
    this.blocked = why;
    this.canvas.setAttribute("aria-disabled", String(!!why));
    if (why) this.bitmap.fill(0);
    this.surface.ask();
  }

  /** Shows another bitmap. @param {Uint8Array} bitmap */
  set(bitmap) {
    this.bitmap.set(bitmap);
    this.touched();
  }

  /** Clears the bitmap. */
  clear() {
    this.bitmap.fill(0);
    this.touched();
  }

  touched() {
    this.surface.ask();
    redraw(this.changed);
  }

  /** Pixel of the bitmap under the pointer. @param {PointerEvent} event @returns {[number, number]} */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (this.blocked || (event.button > 0 && event.button !== 5)) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor = null;
    this.last = this.at(event);
    this.stroke(this.last, this.last, event.button === 5 ? 0 : 1);
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (!this.last) return;
    const points = event.getCoalescedEvents?.() ?? [];
    for (const each of points.length ? points : [event]) {
      const to = this.at(each);
      // bit 5: a pen's eraser
      this.stroke(this.last, to, event.buttons & 32 ? 0 : 1);
      this.last = to;
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (this.blocked || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const way = WAYS[event.key];
    const from = this.cursor ?? [SIDE / 2, SIDE / 2];
    if (way) {
      const pace = event.shiftKey ? 4 : 1;
      const reach = (/** @type {number} */ value) => Math.min(Math.max(value, 0.5), SIDE - 0.5);
      this.cursor = [reach(from[0] + way[0] * pace), reach(from[1] + way[1] * pace)];
    } else if (key === " " || key === "x") {
      this.brush = key;
      this.cursor = /** @type {[number, number]} */ (from);
    } else if (key === "escape" || key === "delete" || key === "backspace") this.clear();
    else return;
    event.preventDefault();
    if (this.brush) this.stroke(/** @type {[number, number]} */ (from), this.cursor ?? [0, 0], this.brush === " " ? 1 : 0);
    this.surface.ask();
  }

  /** Sets or clears ink on all pixels near the line. @param {[number, number]} from @param {[number, number]} to @param {number} ink */
  stroke(from, to, ink) {
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const length = dx * dx + dy * dy;
    for (let at = 0; at < this.bitmap.length; at++) {
      const [x, y] = [(at % SIDE) + 0.5 - from[0], Math.floor(at / SIDE) + 0.5 - from[1]];
      const along = length ? Math.min(Math.max((x * dx + y * dy) / length, 0), 1) : 0;
      if (Math.hypot(x - along * dx, y - along * dy) <= BRUSH) this.bitmap[at] = ink;
    }
    this.touched();
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width */
  paint(context, width) {
    const { ink, line, accent, muted } = colours();
    const cell = width / SIDE;
    context.strokeStyle = line;
    context.lineWidth = 1;
    context.beginPath();
    for (let at = 4; at < SIDE; at += 4) {
      const place = Math.round(at * cell) + 0.5;
      context.moveTo(place, 0);
      context.lineTo(place, width);
      context.moveTo(0, place);
      context.lineTo(width, place);
    }
    context.stroke();
    context.fillStyle = ink;
    this.bitmap.forEach((value, at) => {
      if (!value) return;
      const [x, y] = [at % SIDE, Math.floor(at / SIDE)];
      const [left, top] = [Math.round(x * cell), Math.round(y * cell)];
      context.fillRect(left, top, Math.round((x + 1) * cell) - left, Math.round((y + 1) * cell) - top);
    });
    if (this.empty && !this.cursor) {
      context.fillStyle = muted;
      context.font = '15px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
      context.textAlign = "center";
      context.textBaseline = "middle";
      const lines = (this.blocked || "draw here").split("\n");
      lines.forEach((text, at) => context.fillText(text, width / 2, width / 2 + 22 * (at - (lines.length - 1) / 2), width - 16));
    }
    if (this.cursor) {
      context.strokeStyle = accent;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(this.cursor[0] * cell, this.cursor[1] * cell, BRUSH * cell, 0, 7);
      context.stroke();
    }
  }
}
