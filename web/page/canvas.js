/**
 * A canvas whose backing store matches the screen's pixels, and the page's colours for drawing on it.
 */
import { redraw } from "./frame.js";

const NAMES = ["ink", "muted", "line", "surface", "sunken", "accent", "train", "flip", "plus", "minus"];
/** @type {Record<string, string> | null} */
let palette = null;
/** @type {Set<() => void>} */
const watchers = new Set();

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  palette = null;
  for (const draw of watchers) redraw(draw);
});

/** The theme's colours by name. @returns {Record<string, string>} */
export function colours() {
  if (!palette) {
    const style = getComputedStyle(document.documentElement);
    palette = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return palette;
}

/** A colour of the theme as bytes. @param {string} name @returns {[number, number, number]} */
export function bytes(name) {
  const hex = colours()[name].replace("#", "");
  const band = (/** @type {number} */ at) => parseInt(hex.slice(at, at + 2), 16);
  return [band(0), band(2), band(4)];
}

/** Calls `draw` in a frame when the theme changes. @param {() => void} draw */
export function onTheme(draw) {
  watchers.add(draw);
}

/** A canvas that fills the box given by the style sheet. */
export class Surface {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(context: CanvasRenderingContext2D, width: number, height: number) => void} paint in CSS pixels
   */
  constructor(canvas, paint) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.draw = () => {
      const unit = devicePixelRatio;
      const [width, height] = [this.width, this.height];
      if (!width || !height) return;
      const [across, down] = [Math.round(width * unit), Math.round(height * unit)];
      if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
      this.context.setTransform(unit, 0, 0, unit, 0, 0);
      this.context.clearRect(0, 0, width, height);
      paint(this.context, width, height);
    };
    this.width = 0;
    this.height = 0;
    new ResizeObserver(([entry]) => {
      this.width = entry.contentRect.width;
      this.height = entry.contentRect.height;
      this.ask();
    }).observe(canvas);
    onTheme(this.draw);
  }

  /** Draws in the next frame. */
  ask() {
    redraw(this.draw);
  }
}

/**
 * A canvas with one pixel per cell. Cells are shown as a whole number of screen pixels, to fill the width of the parent.
 * The style sheet scales without smoothing.
 */
export class Cells {
  /**
   * @param {HTMLElement} parent
   * @param {number} across cells
   * @param {number} down cells
   * @param {number} largest maximum size of a cell, CSS pixels
   * @param {() => void} paint fills `image`; also called when the theme changes
   */
  constructor(parent, across, down, largest, paint) {
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [across, down];
    this.canvas.className = "cells";
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    this.image = context.createImageData(across, down);
    /** The cells as 32-bit words, opaque or 0. */
    this.words = new Uint32Array(this.image.data.buffer);
    this.draw = () => {
      paint();
      context.putImageData(this.image, 0, 0);
    };
    new ResizeObserver(([entry]) => {
      const room = Math.min(largest, entry.contentRect.width / across) * devicePixelRatio;
      const cell = (room >= 1 ? Math.floor(room) : room) / devicePixelRatio;
      this.canvas.style.width = `${cell * across}px`;
      this.canvas.style.height = `${cell * down}px`;
    }).observe(parent);
    parent.append(this.canvas);
    onTheme(this.draw);
    redraw(this.draw);
  }

  /** Draws in the next frame. */
  ask() {
    redraw(this.draw);
  }

  /** Removes the canvas. */
  remove() {
    watchers.delete(this.draw);
    this.canvas.remove();
  }
}

/** A colour as a word of image data, between two colours of the theme. @param {string} from @param {string} [to] @param {number} [share] */
export function word(from, to = from, share = 0) {
  const [a, b] = [bytes(from), bytes(to)];
  const [red, green, blue] = a.map((value, at) => Math.round(value + (b[at] - value) * share));
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}
