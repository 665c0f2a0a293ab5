/**
 * The values of each layer for one image, as stored in memory: bit planes of the codes, a picture per channel and plane, and sums.
 */
import { Cells, word } from "./canvas.js";
import { make, whole } from "./dom.js";
import { redraw } from "./frame.js";

/** Number of channels shown per layer, limited for readability. */
const CHANNELS = matchMedia("(max-width: 620px)").matches ? 8 : 16;

/**
 * @typedef {{layer: string, op: string, what: "codes" | "sums" | "signs", shape: number[], bits: number, values: Int32Array, words: Uint32Array, hash: string}} Activation
 * @typedef {{channels: number, height: number, width: number, all: number}} Tiles
 */

export class Planes {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    this.empty = host.firstElementChild;
    /** @type {Figure[]} */
    this.figures = [];
    /** @type {Activation[]} */
    this.activations = [];
    this.draw = () => this.paint();
  }

  clear() {
    for (const figure of this.figures) figure.remove();
    [this.figures, this.activations] = [[], []];
    this.host.replaceChildren(...(this.empty ? [this.empty] : []));
  }

  /** @param {Activation[]} activations of one image */
  show(activations) {
    // the signs of the weights are shown separately
    this.activations = activations.filter(({ what }) => what !== "signs");
    redraw(this.draw);
  }

  paint() {
    const key = (/** @type {Activation} */ { layer, what, shape, bits }) => `${layer} ${what} ${shape} ${bits}`;
    const same = this.figures.length === this.activations.length && this.activations.every((activation, at) => key(activation) === this.figures[at].key);
    if (!same) {
      const activations = this.activations;
      this.clear();
      this.activations = activations;
      if (activations.length) this.host.replaceChildren();
      this.figures = activations.map((activation) => new Figure(this.host, activation, key(activation)));
    }
    this.activations.forEach((activation, at) => this.figures[at].update(activation));
  }
}

/** A row of a figure: a name, and the colour of a value. @typedef {{name: string, colour: (value: number) => number}} Row */

class Figure {
  /** @param {HTMLElement} host @param {Activation} activation @param {string} key */
  constructor(host, activation, key) {
    this.key = key;
    this.tiles = tiles(activation.shape);
    this.values = activation.values;
    this.most = 1;
    const { channels, all, height, width } = this.tiles;
    const of = channels < all ? `${channels} of ${whole(all)}` : whole(all);
    const title = make("figcaption", {}, make("b", {}, activation.layer), ` ${named(activation)} · ${of} channels of ${height} × ${width}`);
    this.title = title;
    const figure = make("figure", {}, title);
    this.rows = this.describe(activation).map((row) => {
      const box = make("div", { className: "fit" });
      figure.append(make("div", { className: "plane" }, make("span", {}, row.name), box));
      const [across, down] = [channels * (width + 1) - 1, height];
      const cells = new Cells(box, across, down, Math.max(2, Math.min(12, 48 / width)), () => this.paint(cells, row, across));
      cells.canvas.setAttribute("role", "img");
      cells.canvas.setAttribute("aria-label", `${activation.layer}, ${row.name}`);
      return cells;
    });
    host.append(figure);
  }

  /** @param {Activation} activation @returns {Row[]} */
  describe({ what, bits }) {
    if (what === "sums") return [{ name: "sum", colour: (value) => word("minus", value < 0 ? "flip" : "accent", Math.min(1, Math.abs(value) / this.most)) }];
    const plane = (/** @type {number} */ bit) => ({ name: `bit ${bit}`, colour: (/** @type {number} */ value) => word((value >> bit) & 1 ? "plus" : "minus") });
    const planes = Array.from({ length: bits }, (_, at) => plane(bits - 1 - at));
    const code = { name: "code", colour: (/** @type {number} */ value) => word("minus", "accent", value / (2 ** bits - 1)) };
    return bits > 1 ? [...planes, code] : planes;
  }

  /** @param {Activation} activation */
  update({ values, hash }) {
    this.values = values;
    this.most = 1;
    for (const value of values) this.most = Math.max(this.most, Math.abs(value));
    this.title.title = `hash of the packed words, the same on every device: ${hash}`;
    for (const cells of this.rows) cells.ask();
  }

  /** @param {Cells} cells @param {Row} row @param {number} across */
  paint(cells, row, across) {
    const { channels, height, width, all } = this.tiles;
    /** @type {Map<number, number>} */
    const shades = new Map();
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const value = this.values[(y * width + x) * all + channel];
          let shade = shades.get(value);
          if (shade === undefined) shades.set(value, (shade = row.colour(value)));
          cells.words[y * across + channel * (width + 1) + x] = shade;
        }
      }
    }
  }

  remove() {
    for (const cells of this.rows) cells.remove();
  }
}

/** The picture's layout, from a shape of 1, height, width, channels, or of 1 and channels. @param {number[]} shape @returns {Tiles} */
function tiles(shape) {
  const all = shape[shape.length - 1];
  const [height, width] = shape.length === 4 ? shape.slice(1, 3) : [1, 1];
  return { channels: Math.min(all, CHANNELS), height, width, all };
}

/** @param {Activation} activation */
function named({ what, bits }) {
  return what === "codes" ? `${bits}-bit codes` : "popcount sums";
}
