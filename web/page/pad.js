/**
 * The page's drawing pad: a 32×32 bitmap with the grid of the blocks in which ink is counted.
 */
import { colours, Surface } from "./canvas.js";
import { SIDE } from "./pkg/infer/normalise.js";
import { Strokes } from "./pkg/infer/strokes.js";

/** Radius of the brush, pixels of the bitmap. */
const BRUSH = 1.6;

export class Pad extends Strokes {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    super(canvas, SIDE, BRUSH);
    const surface = new Surface(canvas, (context, width) => this.paint(context, width));
    this.addEventListener("look", () => surface.ask());
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
      context.arc(this.cursor[0] * cell, this.cursor[1] * cell, this.radius * cell, 0, 7);
      context.stroke();
    }
  }
}
