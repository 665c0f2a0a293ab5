/**
 * Converts a photo or scan of a digit to a drawing: ink differs from the paper, and the paper is the median of the border.
 */
import { SIDE } from "./pkg/infer/normalise.js";
import { grey, rgba } from "./pixels.js";

/** Side of the square to which the picture is scaled, pixels. */
const FINE = 160;
/** Fraction of the distance between paper and darkest ink above which a pixel counts as ink. */
const THRESHOLD = 0.5;

/**
 * @param {Blob} file
 * @returns {Promise<Uint8Array>} bitmap of 32×32, 1 for ink
 */
export async function scan(file) {
  const square = await read(file);
  const border = [...square.keys()].filter((at) => at % FINE === 0 || at % FINE === FINE - 1 || at < FINE || at >= FINE * (FINE - 1));
  const paper = median(border.map((at) => square[at]));
  const distance = square.map((value) => Math.abs(value - paper));
  // the few most different pixels may be dirt
  const most = [...distance].sort((a, b) => b - a)[Math.round(distance.length * 0.01)];
  const ink = Array.from(distance, (value) => Number(value > Math.max(most * THRESHOLD, 16)));
  return shrink(ink);
}

/** The picture centred in a square, as grey values. @param {Blob} file @returns {Promise<Float32Array>} */
async function read(file) {
  const bitmap = await createImageBitmap(file);
  const unit = FINE / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [Math.max(1, Math.round(bitmap.width * unit)), Math.max(1, Math.round(bitmap.height * unit))];
  const pixels = rgba(bitmap, width, height);
  const value = (/** @type {number} */ at) => grey(pixels[4 * at], pixels[4 * at + 1], pixels[4 * at + 2]);
  const edge = [];
  for (let at = 0; at < width * height; at++) if (at % width === 0 || at % width === width - 1 || at < width || at >= width * (height - 1)) edge.push(value(at));
  const square = new Float32Array(FINE * FINE).fill(median(edge));
  const [left, top] = [Math.floor((FINE - width) / 2), Math.floor((FINE - height) / 2)];
  for (let at = 0; at < width * height; at++) square[(top + Math.floor(at / width)) * FINE + left + (at % width)] = value(at);
  return square;
}

/** @param {number[]} values */
function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 255;
}

/** The bounding box of the ink, fitted into the bitmap with a margin. @param {number[]} ink */
function shrink(ink) {
  const places = [...ink.keys()].filter((at) => ink[at]);
  const bitmap = new Uint8Array(SIDE * SIDE);
  if (!places.length) return bitmap;
  const [xs, ys] = [places.map((at) => at % FINE), places.map((at) => Math.floor(at / FINE))];
  const least = (/** @type {number[]} */ of) => of.reduce((a, b) => Math.min(a, b));
  const largest = (/** @type {number[]} */ of) => of.reduce((a, b) => Math.max(a, b));
  const [left, top, right, bottom] = [least(xs), least(ys), largest(xs) + 1, largest(ys) + 1];
  const unit = Math.max(right - left, bottom - top) / (SIDE - 6);
  for (let at = 0; at < bitmap.length; at++) {
    const x = (left + right) / 2 + ((at % SIDE) - SIDE / 2) * unit;
    const y = (top + bottom) / 2 + (Math.floor(at / SIDE) - SIDE / 2) * unit;
    bitmap[at] = Number(share(ink, x, y, Math.max(unit, 1)) >= 0.4);
  }
  return bitmap;
}

/** Share of ink in a square. @param {number[]} ink @param {number} x @param {number} y @param {number} side */
function share(ink, x, y, side) {
  let [sum, count] = [0, 0];
  for (let row = Math.floor(y); row < y + side; row++) {
    for (let column = Math.floor(x); column < x + side; column++) {
      count += 1;
      if (row >= 0 && column >= 0 && row < FINE && column < FINE) sum += ink[row * FINE + column];
    }
  }
  return sum / count;
}
