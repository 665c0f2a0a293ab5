/**
 * halfwave/infer: classifies images with a packed network of halfwave, in a page or in Node.js, without the engine and without a GPU.
 *
 * Integers and population counts in WebAssembly; the logits are those of halfwave's CPU backend, bit for bit.
 * Errors are of the class `HalfwaveError`, with a `kind`: "file" (the bytes are not a complete packed network, or cannot be loaded),
 * "network" (its layers do not fit together, or it is too large), "image" (an image of the wrong size or kind), "link" (a share link is
 * damaged), "runtime" (the WebAssembly module cannot be loaded, or ran out of memory).
 */
import init, { Network as Runtime } from "./halfwave_infer.js";
import { problem } from "./error.js";
import { bytesOf } from "./images.js";
import { decode, isLink } from "./link.js";

export { encode, decode } from "./link.js";

/** Number of bits of a byte. */
const BITS = 8;
/** Maximum size of a file that is loaded, bytes. */
const MOST_BYTES = 1 << 28;

/** @type {Promise<unknown> | undefined} */
let started;

/**
 * Loads the WebAssembly module, once; `load` does it by itself.
 * @param {BufferSource | WebAssembly.Module} [module] its bytes, where it cannot be fetched from beside this file
 */
export function start(module) {
  started ??= init(module && { module_or_path: module }).catch((/** @type {any} */ error) => {
    started = undefined;
    throw problem("runtime", `The runtime's WebAssembly module could not be loaded (${error.message}). It needs Chrome or Edge 91, Firefox 89, Safari 16.4, Node.js 20 or newer.`, error);
  });
  return started;
}

/**
 * Loads a packed network: from its bytes, from an address, or from a share link (which is not fetched, because the network is in it).
 * @param {string | URL | Response | Blob | ArrayBuffer | Uint8Array} source
 */
export async function load(source) {
  const bytes = await read(source);
  await start();
  return new Network(bytes);
}

/** @param {any} source @returns {Promise<Uint8Array>} */
async function read(source) {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (typeof source === "string" || source instanceof URL) {
    if (isLink(String(source))) return decode(String(source));
    try {
      source = await fetch(source);
    } catch (error) {
      throw problem("file", `The network could not be loaded from ${source} (${/** @type {any} */ (error).message}).`, error);
    }
    if (!source.ok) throw problem("file", `The network could not be loaded from ${source.url}: the server answered ${source.status}.`);
  }
  if (typeof source?.arrayBuffer !== "function") throw problem("file", "A network is loaded from an address, a share link, or bytes.");
  if (Number(source.size ?? source.headers?.get("content-length")) > MOST_BYTES) throw problem("file", "The file is larger than 256 MiB.");
  return new Uint8Array(await source.arrayBuffer());
}

/** Runs `work` in the module; a trap becomes an error. @template T @param {() => T} work @returns {T} */
function guarded(work) {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    throw problem("runtime", "The network takes more memory than is available.", error);
  }
}

/** A network that is ready to classify images. */
export class Network {
  #runtime;

  /** @param {Uint8Array} bytes of a packed file; `start` must have been awaited */
  constructor(bytes) {
    this.#runtime = guarded(() => new Runtime(bytes));
    const [height, width, channels] = this.#runtime.input;
    /** Size of the network's input. */
    this.input = { height, width, channels };
    /** The class names. @type {string[]} */
    this.classes = this.#runtime.classes;
    const card = this.#runtime.card;
    /** What is known about the network: data set, steps, … @type {Record<string, string>} */
    this.card = Object.fromEntries(Array.from({ length: card.length / 2 }, (_, at) => [card[2 * at], card[2 * at + 1]]));
    /** Number of bits that the network's numbers take. */
    this.bits = BITS * this.#runtime.stored;
    /** The largest value of a pixel: a picture's 0 to 255 becomes 0 to this number. */
    this.maxPixel = Number(this.card["max pixel"]) || 255;
  }

  /**
   * The network's input for an image: its bytes by rows, columns and channels. A picture is scaled to the network's size (area average,
   * its whole area), placed on white where it is transparent, and converted to grey for networks with one channel.
   * @param {any} image see `classify` @param {{invert?: boolean}} [options]
   * @returns {Uint8Array}
   */
  prepare(image, options) {
    return bytesOf(image, this.input, this.maxPixel, options);
  }

  /** The logits of an image. @param {any} image see `classify` @param {{invert?: boolean}} [options] @returns {Float32Array} */
  logits(image, options) {
    const bytes = this.prepare(image, options);
    return guarded(() => this.#runtime.logits(bytes));
  }

  /**
   * Classifies an image: `ImageData` or an object with its fields, a canvas, an `ImageBitmap`, an `HTMLImageElement`; or the network's own
   * input as a `Uint8Array`, from 0 to `maxPixel`.
   * @param {any} image
   * @param {{invert?: boolean}} [options] `invert`: dark becomes bright, for dark drawings on white paper where the network expects
   *   bright ones on black
   */
  classify(image, options) {
    const logits = this.logits(image, options);
    const best = logits.reduce((best, logit, at) => (logit > logits[best] ? at : best), 0);
    const powers = Array.from(logits, (logit) => Math.exp(logit - logits[best]));
    const sum = powers.reduce((a, b) => a + b);
    return { class: best, name: this.classes[best], probabilities: powers.map((power) => power / sum) };
  }

  /** Frees the network's memory in the module. */
  free() {
    this.#runtime.free();
  }

  [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() {
    this.free();
  }
}
