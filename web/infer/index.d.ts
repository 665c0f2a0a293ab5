/// <reference lib="esnext.disposable" />
/** Thrown by every function of halfwave/infer. */
export interface HalfwaveError extends Error {
  name: "HalfwaveError";
  /**
   * "file": the bytes are not a complete packed network, or cannot be loaded; "network": its layers do not fit together, or it is too
   * large; "image": an image of the wrong size or kind; "link": a share link is damaged; "runtime": the WebAssembly module cannot be
   * loaded, or is out of memory.
   */
  kind: "file" | "network" | "image" | "link" | "runtime";
}

/** Red, green, blue and opacity of each pixel, 0 to 255; `ImageData` is one. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: ArrayLike<number>;
}

/**
 * What can be classified: a picture of any size, or the network's own input as a `Uint8Array`: bytes by rows, columns and channels, from
 * 0 to `maxPixel`.
 */
export type Image = Uint8Array | Picture | CanvasImageSource;

export interface ImageOptions {
  /** Dark becomes bright: for dark drawings on white paper where the network expects bright ones on black. */
  invert?: boolean;
}

export interface Answer {
  /** The most probable class, counted from 0. */
  class: number;
  /** Its name. */
  name: string;
  /** The probabilities of all classes. */
  probabilities: number[];
}

/** A network that is ready to classify images. */
export class Network {
  /** `bytes` is a packed file; `start()` must have been awaited. `load` does both. */
  constructor(bytes: Uint8Array);
  /** Size of the network's input. */
  readonly input: { height: number; width: number; channels: number };
  /** The class names. */
  readonly classes: string[];
  /** What is known about the network: data set, steps, … */
  readonly card: Record<string, string>;
  /** Number of bits that the network's numbers take. */
  readonly bits: number;
  /** The largest value of a pixel: a picture's 0 to 255 becomes 0 to this number. 16 for the digits, else 255. */
  readonly maxPixel: number;
  /**
   * The network's input for an image. A picture is scaled to the network's size (area average, its whole area), placed on white where it
   * is transparent, and converted to grey for networks with one channel.
   */
  prepare(image: Image, options?: ImageOptions): Uint8Array;
  /** The logits of an image: those of halfwave's CPU backend, bit for bit. */
  logits(image: Image, options?: ImageOptions): Float32Array;
  /** Classifies an image. */
  classify(image: Image, options?: ImageOptions): Answer;
  /** Frees the network's memory in the WebAssembly module. */
  free(): void;
  [Symbol.dispose](): void;
}

/**
 * Loads a packed network: from its bytes, from an address, or from a share link (which is not fetched, because the network is in it). In
 * Node.js a string that is not an address, or a file's URL, names a file.
 */
export function load(source: string | URL | Response | Blob | ArrayBuffer | Uint8Array): Promise<Network>;

/** Loads the WebAssembly module, once; `load` does it by itself. `module`: its bytes, where it cannot be fetched from beside this file. */
export function start(module?: BufferSource | WebAssembly.Module): Promise<unknown>;

/** A packed file as the end of a link: `#network=` and the compressed bytes as base64url. */
export function encode(bytes: Uint8Array): Promise<string>;

/** The packed file in a link. */
export function decode(link: string): Promise<Uint8Array>;
