/**
 * Converts a drawing to an image like those of the data set: 8×8 counts of 0 to 16.
 *
 * The digits were taken from forms that NIST's software had cut out and normalised, and the network was trained on these only. So a
 * drawing is processed in the same way: scaled to a box 20 wide and 32 high, its stroke thickened or thinned to a usual share of ink, sheared
 * until top and bottom start at the same column, centred; then the ink in each block of 4×4 pixels is counted.
 *
 * **Invariant** An empty drawing gives an empty image; any other drawing touches the first and the last row.
 */

/** Width and height of the bitmap, pixels. */
export const SIDE = 32;
const BOX_WIDTH = 20;
/** Maximum ratio of horizontal to vertical stretching of a narrow drawing, so that a plain stroke stays a stroke. */
const MOST_STRETCH = 1.3;
/** Average number of black pixels in the data set's images: 30% of all. */
const INK = 310;
/** Maximum thinning and thickening of strokes, pixels on each side. */
const THINNED = -2;
const GROWN = 2.5;

/**
 * @param {Uint8Array} bitmap 32×32, 1 for ink
 * @returns {Uint8Array} 8×8 counts, 0..16
 */
export function normalise(bitmap) {
  const box = bounds(bitmap);
  return box ? count(shear(reweigh(scale(bitmap, box)))) : new Uint8Array(64);
}

/**
 * The smallest box around the ink; ends are exclusive.
 * @param {Uint8Array} bitmap
 * @returns {{left: number, right: number, top: number, bottom: number} | null}
 */
function bounds(bitmap) {
  let [left, right, top, bottom] = [SIDE, 0, SIDE, 0];
  bitmap.forEach((ink, at) => {
    if (!ink) return;
    const [x, y] = [at % SIDE, Math.floor(at / SIDE)];
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x + 1), Math.min(top, y), Math.max(bottom, y + 1)];
  });
  return right ? { left, right, top, bottom } : null;
}

/**
 * The box stretched to the full height and up to 20 pixels of width, centred.
 * @param {Uint8Array} bitmap
 * @param {{left: number, right: number, top: number, bottom: number}} box
 */
function scale(bitmap, { left, right, top, bottom }) {
  const byHeight = SIDE / (bottom - top);
  const byWidth = Math.min(BOX_WIDTH / (right - left), byHeight * MOST_STRETCH);
  const [middle, out] = [(left + right) / 2, new Uint8Array(SIDE * SIDE)];
  for (let at = 0; at < out.length; at++) {
    const x = middle + ((at % SIDE) + 0.5 - SIDE / 2) / byWidth;
    const y = top + (Math.floor(at / SIDE) + 0.5) / byHeight;
    out[at] = Number(sample(bitmap, x, Math.min(Math.max(y, top + 0.5), bottom - 0.5)) >= 0.5);
  }
  return out;
}

/** Ink at a point, interpolated between the four pixels around it. @param {Uint8Array} bitmap @param {number} x @param {number} y */
function sample(bitmap, x, y) {
  const [column, row] = [Math.floor(x - 0.5), Math.floor(y - 0.5)];
  const [right, down] = [x - 0.5 - column, y - 0.5 - row];
  const pixel = (/** @type {number} */ c, /** @type {number} */ r) => (c < 0 || r < 0 || c >= SIDE || r >= SIDE ? 0 : bitmap[r * SIDE + c]);
  const upper = pixel(column, row) * (1 - right) + pixel(column + 1, row) * right;
  const lower = pixel(column, row + 1) * (1 - right) + pixel(column + 1, row + 1) * right;
  return upper * (1 - down) + lower * down;
}

/**
 * Thickens or thins strokes until about 30% of the pixels are ink.
 * @param {Uint8Array} bitmap
 */
function reweigh(bitmap) {
  const outside = distances(bitmap, 1);
  const inside = distances(bitmap, 0);
  const signed = outside.map((far, at) => (bitmap[at] ? 1 - inside[at] : far));
  let best = bitmap;
  let error = Infinity;
  for (let grow = THINNED; grow <= GROWN; grow += 0.25) {
    const out = new Uint8Array(signed.length);
    let ink = 0;
    signed.forEach((far, at) => (ink += out[at] = Number(far <= grow)));
    // larger changes are penalised, so that ties keep strokes as drawn
    const miss = Math.abs(ink - INK) + 3 * Math.abs(grow);
    if (ink && miss < error) [best, error] = [out, miss];
  }
  return best;
}

/**
 * Distance of each pixel to the nearest one of that value: two passes over the neighbours already computed.
 * @param {Uint8Array} bitmap
 * @param {number} value
 */
function distances(bitmap, value) {
  const far = Float32Array.from(bitmap, (ink) => (ink === value ? 0 : 1e3));
  const relax = (/** @type {number} */ at, /** @type {number} */ x, /** @type {number} */ sign) => {
    for (const [dx, dy, length] of [[-1, 0, 1], [0, -1, 1], [-1, -1, 1.414], [1, -1, 1.414]]) {
      const column = x + sign * dx;
      const from = at + sign * (dx + dy * SIDE);
      if (column >= 0 && column < SIDE && from >= 0 && from < far.length) far[at] = Math.min(far[at], far[from] + length);
    }
  };
  for (let at = 0; at < far.length; at++) relax(at, at % SIDE, 1);
  for (let at = far.length - 1; at >= 0; at--) relax(at, at % SIDE, -1);
  return far;
}

/**
 * Shifts rows in proportion until the first and the last start at the same column, and centres the result.
 * @param {Uint8Array} bitmap
 */
function shear(bitmap) {
  const first = (/** @type {number} */ row) => bitmap.subarray(row * SIDE, (row + 1) * SIDE).indexOf(1);
  const rows = [...Array(SIDE).keys()].filter((row) => first(row) >= 0);
  const [top, bottom] = [rows[0], rows[rows.length - 1]];
  const slope = bottom > top ? (first(bottom) - first(top)) / (bottom - top) : 0;
  const lean = (/** @type {number} */ row) => slope * (row - (top + bottom) / 2);
  let [left, right] = [SIDE, 0];
  bitmap.forEach((ink, at) => {
    const x = (at % SIDE) - lean(Math.floor(at / SIDE));
    if (ink) [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
  });
  const centre = (left + right) / 2 - SIDE / 2;
  const out = new Uint8Array(bitmap.length);
  for (let row = 0; row < SIDE; row++) {
    const shift = Math.round(lean(row) + centre);
    for (let x = 0; x < SIDE; x++) {
      const from = x + shift;
      if (from >= 0 && from < SIDE) out[row * SIDE + x] = bitmap[row * SIDE + from];
    }
  }
  return out;
}

/** Amount of ink in each block of 4×4. @param {Uint8Array} bitmap */
function count(bitmap) {
  const counts = new Uint8Array(64);
  bitmap.forEach((ink, at) => (counts[Math.floor(at / SIDE / 4) * 8 + Math.floor((at % SIDE) / 4)] += ink));
  return counts;
}
