/**
 * Conversion of pictures to pixels, in the page and in its worker.
 */

/** Brightness of a colour (Rec. 709). @param {number} r @param {number} g @param {number} b */
export const grey = (r, g, b) => 0.2126 * r + 0.7152 * g + 0.0722 * b;

/**
 * The whole picture, scaled; white behind transparent parts. The bitmap is consumed.
 * @param {ImageBitmap} bitmap @param {number} width @param {number} height
 * @returns {Uint8ClampedArray} red, green, blue, 255 for each pixel
 */
export function rgba(bitmap, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height).data;
}
