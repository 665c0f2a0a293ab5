/**
 * Binary weights as bit pictures: a dot per weight; signs that flipped are highlighted and fade.
 *
 * Columns are filters, rows input channels; each cell is the filter's r × s kernel. Of large layers only the first filters and channels are shown.
 */
import { Cells, word } from "./canvas.js";
import { make, percent, whole, write } from "./dom.js";

/** Number of filters and channels shown per layer, limited for readability. */
const [FILTERS, CHANNELS] = matchMedia("(max-width: 620px)").matches ? [32, 16] : [64, 32];
/** Factor by which the highlight of a flipped sign fades per update. */
const FADE = 0.72;

/** @typedef {{layer: string, shape: number[], signs: Uint8Array, flips?: number}} Layer */

export class Weights {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    this.empty = host.firstElementChild;
    /** @type {Map<string, Picture>} */
    this.pictures = new Map();
  }

  /** Removes all pictures. */
  clear() {
    for (const picture of this.pictures.values()) picture.cells.remove();
    this.pictures.clear();
    this.host.replaceChildren(...(this.empty ? [this.empty] : []));
  }

  /** @param {Layer[]} layers */
  show(layers) {
    for (const layer of layers) {
      const known = this.pictures.get(layer.layer);
      if (known && known.length === layer.signs.length) known.update(layer);
      else {
        if (!this.pictures.size) this.host.replaceChildren();
        this.pictures.set(layer.layer, new Picture(this.host, layer));
      }
    }
  }
}

/** The picture of one layer. */
class Picture {
  /** @param {HTMLElement} host @param {Layer} layer */
  constructor(host, layer) {
    const [filters, channels, rows = 1, columns = 1] = layer.shape;
    this.filters = Math.min(filters, FILTERS);
    this.channels = Math.min(channels, CHANNELS);
    this.rows = rows;
    this.columns = columns;
    this.length = layer.signs.length;
    this.stride = channels * rows * columns;
    /** @type {Uint8Array} */
    this.signs = layer.signs;
    this.heat = new Float32Array(this.filters * this.channels * rows * columns);
    const part = this.filters < filters || this.channels < channels ? `, of which ${this.filters} × ${this.channels} are shown` : "";
    this.flips = make("span", { className: "flips" }, "");
    const box = make("div", { className: "fit" });
    const title = make("figcaption", {}, make("b", {}, layer.layer), ` ${whole(filters)} filters × ${whole(channels)} channels${part}`, this.flips);
    host.append(make("figure", {}, title, box));
    const gap = rows * columns > 1 ? 1 : 0;
    const [across, down] = [this.filters * (columns + gap) - gap, this.channels * (rows + gap) - gap];
    this.cells = new Cells(box, across, down, 5, () => this.paint(across, gap));
    this.cells.canvas.setAttribute("role", "img");
    this.update(layer);
  }

  /** @param {Layer} layer */
  update({ layer, signs, flips }) {
    const { heat } = this;
    this.each((at, cell) => {
      heat[cell] = signs[at] === this.signs[at] ? heat[cell] * FADE : 1;
    });
    this.signs = signs;
    let positive = 0;
    for (let at = 0; at < signs.length; at++) positive += signs[at];
    write(this.flips, flips === undefined ? "" : `${percent(flips, 2)} flipped`);
    this.cells.canvas.setAttribute("aria-label", `${layer}: ${whole(signs.length)} binary weights, ${percent(positive / signs.length)} of them +1`);
    this.cells.ask();
  }

  /** Calls `visit` with the index of each shown weight among all and among the shown ones. @param {(at: number, cell: number) => void} visit */
  each(visit) {
    const kernel = this.rows * this.columns;
    let cell = 0;
    for (let filter = 0; filter < this.filters; filter++) {
      for (let channel = 0; channel < this.channels; channel++) {
        const from = filter * this.stride + channel * kernel;
        for (let at = from; at < from + kernel; at++) visit(at, cell++);
      }
    }
  }

  /** @param {number} across cells @param {number} gap */
  paint(across, gap) {
    const { rows, columns, channels, heat, signs, cells } = this;
    const shades = ["minus", "plus"].map((name) => Array.from({ length: 17 }, (_, at) => word(name, "flip", at / 16)));
    const kernel = rows * columns;
    this.each((at, cell) => {
      const inside = cell % kernel;
      const block = Math.floor(cell / kernel);
      const x = Math.floor(block / channels) * (columns + gap) + (inside % columns);
      const y = (block % channels) * (rows + gap) + Math.floor(inside / columns);
      cells.words[y * across + x] = shades[signs[at]][Math.round(heat[cell] * 16)];
    });
  }
}
