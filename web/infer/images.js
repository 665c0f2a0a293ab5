/**
 * Pictures as a network's input.
 *
 * **Invariant** A picture of the network's size with pixels of 0 to 255 gives the bytes that the native program gives for that picture.
 */
import { problem } from "./error.js";

/** @typedef {{width: number, height: number, data: ArrayLike<number>}} Picture red, green, blue, opacity of each pixel */
/** @typedef {{height: number, width: number, channels: number}} Input */

/**
 * @param {any} image bytes of the network's input, or a picture
 * @param {Input} input @param {number} largest value of a pixel
 * @param {{invert?: boolean}} [options]
 * @returns {Uint8Array}
 */
export function bytesOf(image, input, largest, { invert = false } = {}) {
  if (image instanceof Uint8Array) return invert ? image.map((value) => largest - value) : image;
  const picture = pictureOf(image);
  const bands = bandsOf(picture, input.channels);
  const scaled = scale(bands, picture, input);
  return Uint8Array.from(scaled, (value) => Math.floor((Math.round(invert ? 255 - value : value) * largest + 127) / 255));
}

/** @param {any} image @returns {Picture} */
function pictureOf(image) {
  if (typeof image?.data?.length === "number" && image.width > 0 && image.height > 0) {
    if (image.data.length !== 4 * image.width * image.height) throw problem("image", `${image.data.length} values are not a picture of ${image.width} × ${image.height} pixels with four values each.`);
    return image;
  }
  const [width, height] = [image?.naturalWidth || image?.width, image?.naturalHeight || image?.height];
  if (!(width > 0 && height > 0) || typeof OffscreenCanvas === "undefined") {
    throw problem("image", "An image is ImageData, a canvas, an ImageBitmap, a loaded image element, or the network's input as a Uint8Array.");
  }
  // A canvas may have a context of another kind, so it is copied.
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** The picture on white, with one band of grey (Rec. 709) or three of colour. @param {Picture} picture @param {number} channels */
function bandsOf({ data, width, height }, channels) {
  if (channels !== 1 && channels !== 3) throw problem("image", `The network has ${channels} channels, so pictures do not fit it; give it its input as a Uint8Array.`);
  const bands = new Float64Array(width * height * channels);
  for (let at = 0; at < width * height; at++) {
    const opacity = data[4 * at + 3] / 255;
    const [red, green, blue] = [0, 1, 2].map((band) => data[4 * at + band] * opacity + 255 * (1 - opacity));
    if (channels === 1) bands[at] = Math.floor((2126 * red + 7152 * green + 722 * blue) / 10_000);
    else bands.set([red, green, blue], 3 * at);
  }
  return bands;
}

/** For each of `count` places, the pixels of `length` that it covers, with their shares. @param {number} length @param {number} count */
function shares(length, count) {
  const unit = length / count;
  return Array.from({ length: count }, (_, place) => {
    const [from, to] = [place * unit, Math.min((place + 1) * unit, length)];
    const first = Math.min(Math.floor(from), length - 1);
    const covered = Array.from({ length: Math.max(1, Math.ceil(to) - first) }, (_, at) => Math.max(Math.min(to, first + at + 1) - Math.max(from, first + at), 0));
    return { first, covered: covered.map((part) => part / unit) };
  });
}

/** Scales by area average, rows first. @param {Float64Array} bands @param {Picture} from @param {Input} to */
function scale(bands, from, { width, height, channels }) {
  if (from.width === width && from.height === height) return bands;
  const row = from.width * channels;
  const rows = new Float64Array(height * row);
  shares(from.height, height).forEach(({ first, covered }, y) => {
    covered.forEach((part, at) => {
      for (let x = 0; x < row; x++) rows[y * row + x] += part * bands[(first + at) * row + x];
    });
  });
  const out = new Float64Array(height * width * channels);
  shares(from.width, width).forEach(({ first, covered }, x) => {
    for (let y = 0; y < height; y++) {
      for (let band = 0; band < channels; band++) {
        let sum = 0;
        covered.forEach((part, at) => (sum += part * rows[y * row + (first + at) * channels + band]));
        out[(y * width + x) * channels + band] = sum;
      }
    }
  });
  return out;
}
