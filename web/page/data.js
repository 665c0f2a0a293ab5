/**
 * The user's files as data sets and images, for the worker: CIFAR-10's binary files; pictures in class folders or collected in the
 * page, which the browser decodes. Without test images, every fifth readable picture of a class, in the order of names, is used for testing.
 */
import { Dataset, arrange, isSystem } from "./pkg/halfwave.js";
import { grey, rgba } from "./pixels.js";

/** @typedef {{path: string, file: File}} Picked */
/** @typedef {{classes: string[], pictures: {path: string, file: Blob | ImageData, label: number, test: boolean | undefined}[]}} Folder */
/** @typedef {{kind: "cifar10" | "folder", classes: string[], train_len: number, test_len: number, skipped: {path: string, why: string}[]}} Summary */

const PICTURE = /\.(png|jpe?g|webp|gif|bmp|avif)$/i;
const EVERY = 5;

/** @param {string} message */
function wrong(message) {
  return Object.assign(new Error(message), { kind: "data" });
}

/** The chosen files, by kind. */
export class Files {
  /** @type {Summary} */ summary;
  /** @type {Dataset | undefined} */ cifar10;
  /** @type {Folder | undefined} */ folder;

  /** @param {Summary} summary */
  constructor(summary) {
    this.summary = summary;
  }

  /** @param {Picked[]} list */
  static async read(list) {
    return list.some(({ path }) => /_batch(_\d)?\.bin$/i.test(path)) ? Files.#readCifar10(list) : Files.#readFolder(list);
  }

  /** @param {Picked[]} list */
  static async #readCifar10(list) {
    const wanted = list.filter(({ path }) => /\.bin$/i.test(path));
    const files = [];
    for (const { path, file } of wanted) {
      files.push({ name: path.split("/").at(-1) ?? path, bytes: new Uint8Array(await file.arrayBuffer()) });
    }
    const cifar10 = Dataset.cifar10(files);
    const { classes, trainLength: train_len, testLength: test_len } = cifar10;
    const made = new Files({ kind: "cifar10", classes, train_len, test_len, skipped: [] });
    made.cifar10 = cifar10;
    return made;
  }

  /** @param {Picked[]} list */
  static async #readFolder(list) {
    const skipped = [];
    /** @type {Picked[]} */
    const pictures = [];
    // The chosen or dropped folder is not part of the tree.
    const top = `${(list[0]?.path ?? "").split("/")[0]}/`;
    const root = list.every(({ path }) => path.startsWith(top)) ? top.length : 0;
    for (const each of list) {
      if (isSystem(each.path.slice(root))) continue;
      if (PICTURE.test(each.path)) pictures.push(each);
      else skipped.push({ path: each.path, why: "not a picture that browsers can read" });
    }
    pictures.sort((a, b) => (a.path < b.path ? -1 : 1));
    const { classes, places } = arrange(pictures.map(({ path }) => path.slice(root)));
    const folders = new Set(pictures.map(({ path }) => path.split("/").slice(0, -1).at(-1)));
    const [only] = folders.size === 1 ? folders : classes;
    if (classes.length < 2 && only) throw wrong(`All pictures are of one class, in the folder “${only}”. Choose the folder above it, which holds one folder of pictures for each class, at least two.`);
    if (classes.length === 0) {
      throw wrong("No pictures in class folders and no CIFAR-10 files were found. Choose a folder that holds one folder of pictures for each class, or data_batch_1.bin to data_batch_5.bin with test_batch.bin.");
    }
    /** @type {Folder} */
    const folder = { classes, pictures: [] };
    pictures.forEach(({ path, file }, at) => {
      const { class: label, part, why } = places[at];
      if (label === undefined) skipped.push({ path, why: why ?? "" });
      else if (part === "validation") skipped.push({ path, why: "for validation, which is not used if there are test images" });
      else folder.pictures.push({ path, file, label, test: part && part === "test" });
    });
    return Files.#of(folder, skipped);
  }

  /** Pictures collected for each class. @param {{name: string, pictures: (Blob | ImageData)[]}[]} classes */
  static collected(classes) {
    const pictures = classes.flatMap(({ name, pictures }, label) => pictures.map((file, at) => ({ path: `${name}/${at}`, file, label, test: undefined })));
    return Files.#of({ classes: classes.map(({ name }) => name), pictures }, []);
  }

  /** @param {Folder} folder @param {Summary["skipped"]} skipped */
  static #of(folder, skipped) {
    const { classes, pictures } = folder;
    const counts = classes.map(() => 0);
    const test_len = pictures.filter(({ label, test }) => test ?? ++counts[label] % EVERY === 0).length;
    const made = new Files({ kind: "folder", classes, train_len: pictures.length - test_len, test_len, skipped });
    made.folder = folder;
    return made;
  }
}

/**
 * The data set that a recipe asks for.
 * @param {import("./pkg/halfwave.js").RecipeSummary} summary
 * @param {Files | undefined} files
 * @returns {Promise<{data: Dataset, skipped: {path: string, why: string}[]}>}
 */
export async function dataset(summary, files) {
  if (summary.set === "digits") return { data: Dataset.digits(), skipped: [] };
  if (!["cifar10", "folder"].includes(summary.set)) throw wrong(`This recipe trains on "${summary.set}", which only the native program can read; write set = "cifar10" or "folder" in its [data].`);
  if (files?.summary.kind !== summary.set) {
    const what = summary.set === "cifar10" ? "CIFAR-10: choose the six .bin files of its binary version" : "pictures of your own: collect them at “Your own classes”, or choose a folder with one folder of pictures for each class";
    throw wrong(`This recipe trains on ${what} (at “Your own images”), then use the recipe again.`);
  }
  if (files.cifar10) return { data: files.cifar10, skipped: [] };
  const { classes, pictures } = /** @type {Folder} */ (files.folder);
  /** @type {{path: string, why: string}[]} */
  const skipped = [];
  const image_bytes = summary.input.reduce((product, length) => product * length, 1);
  const split = () => ({ pixels: new Uint8Array(pictures.length * image_bytes), labels: /** @type {number[]} */ ([]) });
  const [train, test] = [split(), split()];
  const counts = classes.map(() => 0);
  for (const { path, file, label, test: chosen } of pictures) {
    try {
      const pixels = await picture(file, summary.input, 255);
      const into = chosen ?? ++counts[label] % EVERY === 0 ? test : train;
      into.pixels.set(pixels, into.labels.length * image_bytes);
      into.labels.push(label);
    } catch (error) {
      skipped.push({ path, why: error instanceof Error ? error.message : String(error) });
    }
  }
  const whole = (/** @type {ReturnType<typeof split>} */ { pixels, labels }) => ({ pixels: pixels.subarray(0, labels.length * image_bytes), labels: Uint8Array.from(labels) });
  return { data: Dataset.images(classes, summary.input, whole(train), whole(test)), skipped };
}

/**
 * A picture as the network's input: resized, grey or in colour, from 0 to `full`.
 * @param {Blob | ImageBitmap | ImageData} file
 * @param {number[]} input channels, height, width
 * @param {number} full
 */
export async function picture(file, [channels, height, width], full) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw wrong("The browser cannot read this file as a picture. Choose a PNG, JPEG, WebP, GIF or BMP file.");
  }
  if (channels !== 1 && channels !== 3) throw wrong(`Pictures have 1 or 3 channels; this network takes ${channels}.`);
  const values = rgba(bitmap, width, height);
  const out = new Uint8Array(width * height * channels);
  for (let at = 0; at < width * height; at++) {
    const [r, g, b] = values.subarray(4 * at, 4 * at + 3);
    const seen = channels === 3 ? [r, g, b] : [grey(r, g, b)];
    seen.forEach((value, c) => (out[at * channels + c] = Math.round((value * full) / 255)));
  }
  return out;
}
