/**
 * Drawing on a bitmap: mouse, finger, pen or keyboard.
 *
 * Fires "change" when the bitmap has changed, and "look" when the picture of it has, at most once per frame. How it is painted is up to
 * the user of this class.
 */

/** Directions of the arrow keys. */
const WAYS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });

export class Strokes extends EventTarget {
  /**
   * @param {HTMLCanvasElement} canvas that shows the bitmap
   * @param {number} side of the bitmap, pixels
   * @param {number} brush its radius, pixels of the bitmap
   */
  constructor(canvas, side, brush) {
    super();
    this.canvas = canvas;
    this.side = side;
    this.radius = brush;
    this.bitmap = new Uint8Array(side * side);
    /** Position of the keyboard's brush, or null while it is not used. @type {[number, number] | null} */
    this.cursor = null;
    /** The pressed key that paints or erases. */
    this.brush = "";
    /** Why drawing is disabled; "" if it is enabled. */
    this.blocked = "";
    /** @type {[number, number] | null} */
    this.last = null;
    /** Events to fire in the next frame. @type {Set<string>} */
    this.due = new Set();
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.last = null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("keyup", (event) => {
      if (event.key.toLowerCase() === this.brush) this.brush = "";
    });
    canvas.addEventListener("blur", () => {
      [this.cursor, this.brush] = [null, ""];
      this.later("look");
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
    this.later("look");
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

  /** Fires an event in the next frame. @param {string} event */
  later(event) {
    if (!this.due.size) {
      requestAnimationFrame(() => {
        const due = [...this.due];
        this.due.clear();
        for (const name of due) this.dispatchEvent(new Event(name));
      });
    }
    this.due.add(event);
  }

  touched() {
    this.later("look");
    this.later("change");
  }

  /** Pixel of the bitmap under the pointer. @param {PointerEvent} event @returns {[number, number]} */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.side, ((event.clientY - box.top) / box.height) * this.side];
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
    const from = this.cursor ?? [this.side / 2, this.side / 2];
    if (way) {
      const pace = event.shiftKey ? 4 : 1;
      const reach = (/** @type {number} */ value) => Math.min(Math.max(value, 0.5), this.side - 0.5);
      this.cursor = [reach(from[0] + way[0] * pace), reach(from[1] + way[1] * pace)];
    } else if (key === " " || key === "x") {
      this.brush = key;
      this.cursor = /** @type {[number, number]} */ (from);
    } else if (key === "escape" || key === "delete" || key === "backspace") this.clear();
    else return;
    event.preventDefault();
    if (this.brush) this.stroke(/** @type {[number, number]} */ (from), this.cursor ?? [0, 0], this.brush === " " ? 1 : 0);
    this.later("look");
  }

  /** Sets or clears ink on all pixels near the line. @param {[number, number]} from @param {[number, number]} to @param {number} ink */
  stroke(from, to, ink) {
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const length = dx * dx + dy * dy;
    for (let at = 0; at < this.bitmap.length; at++) {
      const [x, y] = [(at % this.side) + 0.5 - from[0], Math.floor(at / this.side) + 0.5 - from[1]];
      const along = length ? Math.min(Math.max((x * dx + y * dy) / length, 0), 1) : 0;
      if (Math.hypot(x - along * dx, y - along * dy) <= this.radius) this.bitmap[at] = ink;
    }
    this.touched();
  }
}
