/**
 * Histograms of the quantisers' codes, with the ideal distribution.
 *
 * HWGQ maps x ≤ 0 to 0 and other x to the nearest of the levels Δ, 2Δ, …; its Δ is optimal for normally distributed x,
 * which the batch normalisation before it provides. The ideal share of a code is that distribution's mass in its bin.
 */
import { make, percent, write } from "./dom.js";
import { redraw } from "./frame.js";

/** Δ for 1 to 4 bits. */
const STEPS = [0.7978846, 0.538, 0.3217, 0.18424334];
/** Share at the top of the bars. */
const TOP = 0.75;

/** @typedef {{layer: string, bits: number, shares: number[]}} Codes */

export class Histograms {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    this.empty = host.firstElementChild;
    /** @type {Map<string, {bars: HTMLElement[], values: HTMLElement[], shares: number[]}>} */
    this.layers = new Map();
    /** @type {Codes[]} */
    this.codes = [];
    this.draw = () => this.paint();
  }

  /** Creates the layers' histograms, before there are any codes. @param {{layer: string, bits: number}[]} layers */
  start(layers) {
    this.layers.clear();
    if (layers !== this.codes) this.codes = [];
    this.host.replaceChildren(...(layers.length || !this.empty ? [] : [this.empty]));
    for (const { layer, bits } of layers) this.build(layer, bits);
  }

  /** @param {Codes[]} codes */
  show(codes) {
    this.codes = codes;
    redraw(this.draw);
  }

  paint() {
    const fits = this.codes.every(({ layer, shares }) => this.layers.get(layer)?.bars.length === shares.length);
    if (!fits) this.start(this.codes);
    for (const { layer, shares } of this.codes) {
      const known = this.layers.get(layer);
      shares.forEach((share, code) => {
        if (!known || known.shares[code] === share) return;
        known.shares[code] = share;
        known.bars[code].style.transform = `scaleY(${Math.min(share / TOP, 1)})`;
        write(known.values[code], percent(share));
      });
    }
  }

  /** @param {string} layer @param {number} bits */
  build(layer, bits) {
    const bars = [];
    const values = [];
    const row = make("ol", { className: `histogram bits-${bits}` });
    for (const [code, share] of ideal(bits).entries()) {
      const bar = make("i", { className: "bar" });
      const mark = make("i", { className: "mark", title: `ideal: ${percent(share)}` });
      mark.style.bottom = `${(100 * share) / TOP}%`;
      const value = make("span", { className: "value" }, "–");
      row.append(make("li", {}, value, make("span", { className: "column" }, bar, mark), make("span", { className: "code" }, make("b", {}, code.toString(2).padStart(bits, "0")), make("small", {}, level(bits, code)))));
      bars.push(bar);
      values.push(value);
    }
    this.host.append(make("figure", {}, make("figcaption", {}, make("b", {}, layer), ` ${bits} bit${bits > 1 ? "s" : ""}`), row));
    this.layers.set(layer, { bars, values, shares: [] });
  }
}

/** The value that a code represents. @param {number} bits @param {number} code */
function level(bits, code) {
  return code ? `= ${(code * STEPS[bits - 1]).toFixed(2)}` : "= 0";
}

/** Shares of the codes for x normally distributed. @param {number} bits @returns {number[]} */
function ideal(bits) {
  const count = 2 ** bits;
  const step = STEPS[bits - 1] ?? STEPS[1];
  // code i starts at t_i: t_1 = 0, t_i = (i − ½)·Δ
  const below = (/** @type {number} */ code) => (code === 0 ? 0 : code === 1 ? 0.5 : code >= count ? 1 : normal((code - 0.5) * step));
  return Array.from({ length: count }, (_, code) => below(code + 1) - below(code));
}

/** Share of a normal distribution below x ≥ 0: Simpson's rule, 64 intervals. @param {number} x */
function normal(x) {
  const pieces = 64;
  const wide = x / pieces;
  let sum = 0;
  for (let at = 0; at <= pieces; at++) sum += (at === 0 || at === pieces ? 1 : at % 2 ? 4 : 2) * Math.exp(-0.5 * (at * wide) ** 2);
  return 0.5 + (sum * wide) / 3 / Math.sqrt(2 * Math.PI);
}
