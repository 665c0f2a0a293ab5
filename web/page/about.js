/**
 * What is written about the open network and device: in the heading, beside the pad, and in empty pictures.
 */
import { $, counted, percent, write } from "./dom.js";

/** Bits of each layer of codes in a resolved recipe, where a layer's name comes before its bits. @param {string} resolved */
export function bitsOf(resolved) {
  const found = resolved.matchAll(/^name = "(.*)"$[^[]*?^bits = (\d)/gm);
  return new Map([...found].map(([, name, bits]) => [name, Number(bits)]));
}

/** Whether a drawing of a digit is a valid input of this network. @param {any} summary */
export const takesDrawings = ({ input: [channels, rows, columns] }) => channels === 1 && rows === 8 && columns === 8;

/** Where the network runs, to follow "on". @param {any} adapter */
export function place({ backend, software, name }) {
  if (backend === "cpu") return "your computer’s CPU";
  return software ? `a GPU that the CPU emulates (${name})` : "your own GPU";
}

/** @param {any} summary */
function precision({ multiply_adds: all, binary_multiply_adds: binary, layers, resolved }) {
  const quantisers = layers.filter((/** @type {any} */ { kind }) => kind === "hwgq");
  const bits = new Set([...bitsOf(resolved)].filter(([name]) => quantisers.some((/** @type {any} */ layer) => layer.name === name)).map(([, bits]) => bits));
  const activations = bits.size === 1 ? `, its activations have ${counted([...bits][0], "bit")}` : "";
  if (binary) return `${percent(binary / all, 0)} of this network’s multiply-adds use 1-bit weights${activations}.`;
  return activations ? `This network’s weights are floats${activations}.` : "";
}

/** @param {any} opened */
function task({ summary: { set }, classes }) {
  if (set === "digits") return "It learns to recognise handwritten digits";
  return set === "cifar10" ? "It learns to classify CIFAR-10’s images" : `It learns to tell ${counted(classes.length, "class", "classes")} of your own images apart`;
}

/**
 * Writes the texts that depend on the recipe and the device.
 * @param {any} opened result of Engine.open @param {{planes: any, weights: any, codes: any}} empty placeholders of pictures that are not there yet
 */
export function about(opened, empty) {
  const { summary, adapter } = opened;
  const binary = summary.binary_multiply_adds > 0;
  const digits = summary.set === "digits";
  write($("title"), binary ? "Watch a 1-bit network learn" : "Watch a network learn");
  write($("lead"), `${precision(summary)} ${task(opened)} here, in this tab, on ${place(adapter)}. Nothing leaves your computer.`.trim());
  write($("draw-title"), digits ? "Draw a digit" : takesDrawings(summary) ? "Draw or show an image" : "Show it an image");
  write(empty.planes, takesDrawings(summary) ? `Draw ${digits ? "a digit" : "something"} or take a test image to look inside.` : "Take a test image or choose a picture to look inside.");
  write(empty.weights, summary.layers.some((/** @type {any} */ { binary }) => binary) ? "The weights show up with the first steps." : "This network has no binary weights.");
  write(empty.codes, summary.layers.some((/** @type {any} */ { codes }) => codes) ? "The codes show up with the first steps." : "This network has no layers of codes.");
}
