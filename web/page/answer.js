/**
 * The network's input and prediction for an image: the picture with its numbers, the class, and the probabilities of the classes.
 */
import { bytes, colours, Surface } from "./canvas.js";
import { $, make, percent, write } from "./dom.js";
import { redraw } from "./frame.js";

/** Maximum number of classes listed; if there are more, the most probable. */
const LISTED = 12;

/** @typedef {{class: number, probabilities: number[], pixels: Uint8Array, full: number, input: number[], label?: number}} Answer */

/** The probabilities of the classes as a list of bars. */
export class Bars {
  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
    /** @type {string[]} */
    this.classes = [];
    /** @type {{name: HTMLElement, bar: HTMLElement, value: HTMLElement, item: HTMLElement}[]} */
    this.items = [];
  }

  /** @param {string[]} classes */
  start(classes) {
    this.classes = classes;
    const item = () => {
      const [name, bar, value] = [make("span", { className: "name" }), make("i"), make("span", { className: "value" })];
      return { name, bar, value, item: make("li", {}, name, make("span", { className: "track" }, bar), value) };
    };
    this.items = Array.from({ length: Math.min(classes.length, LISTED) }, item);
    this.list.replaceChildren(...this.items.map(({ item }) => item));
    this.show(null);
  }

  /** @param {{class: number, probabilities: number[]} | null} answer */
  show(answer) {
    const { classes } = this;
    const order = [...classes.keys()];
    if (classes.length > LISTED && answer) order.sort((a, b) => answer.probabilities[b] - answer.probabilities[a]);
    this.items.forEach(({ name, bar, value, item }, at) => {
      const share = answer?.probabilities[order[at]] ?? 0;
      write(name, classes[order[at]]);
      write(value, answer ? percent(share) : "");
      bar.style.transform = `scaleX(${share})`;
      item.className = answer && order[at] === answer.class ? "best" : "";
    });
  }
}

export class Answers {
  constructor() {
    /** @type {Answer | null} */
    this.answer = null;
    /** @type {string[]} */
    this.classes = [];
    this.bars = new Bars($("probabilities"));
    this.hint = "Draw something.";
    this.seen = new Surface($("seen"), (context, width) => this.picture(context, width));
    this.draw = () => this.paint();
  }

  /** @param {string[]} classes @param {string} hint how to get a prediction */
  start(classes, hint) {
    [this.classes, this.hint] = [classes, hint];
    this.bars.start(classes);
    this.show(null);
  }

  /** @param {Answer | null} answer @param {string} [source] origin of the image */
  show(answer, source = "") {
    this.answer = answer;
    this.source = source;
    this.seen.ask();
    redraw(this.draw);
  }

  /** @param {number} at */
  name(at) {
    return this.classes[at] ?? String(at);
  }

  paint() {
    const { answer } = this;
    this.bars.show(answer);
    const box = $("prediction");
    box.dataset.class = answer ? String(answer.class) : "";
    const [digit, text] = box.children;
    write(digit, answer ? this.name(answer.class) : "–");
    digit.className = this.name(answer?.class ?? 0).length > 2 ? "word" : "";
    const right = answer?.label === undefined ? "" : answer.label === answer.class ? " – right" : ` – wrong, it is “${this.name(answer.label)}”`;
    write(text, answer ? `${percent(answer.probabilities[answer.class])} sure${right}` : this.hint);
    const input = answer ? answer.input : null;
    write($("seen-text"), input ? `${this.source}${input[1]} × ${input[2]}${input[0] > 1 ? " in colour" : " counts"}` : "8 × 8 counts, 0 to 16");
    $("seen").setAttribute("aria-label", answer ? "The image as the network sees it" : "No image yet");
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width */
  picture(context, width) {
    const { answer } = this;
    const [channels, rows, columns] = answer?.input ?? [1, 8, 8];
    const cell = width / columns;
    const [paper, ink] = [bytes("sunken"), bytes("ink")];
    for (let at = 0; at < rows * columns; at++) {
      const [x, y] = [at % columns, Math.floor(at / columns)];
      const [left, top] = [Math.round(x * cell), Math.round(y * cell)];
      const [right, bottom] = [Math.round((x + 1) * cell), Math.round((y + 1) * cell)];
      const gap = columns <= 8 ? 1 : 0;
      const values = answer ? Array.from(answer.pixels.subarray(at * channels, (at + 1) * channels)) : [0];
      const share = values[0] / (answer?.full ?? 16);
      const colour = channels === 3 ? values : paper.map((from, band) => from + (ink[band] - from) * share);
      context.fillStyle = `rgb(${colour.map(Math.round).join(" ")})`;
      context.fillRect(left, top, right - left - gap, bottom - top - gap);
      if (columns > 8 || !values[0]) continue;
      context.fillStyle = share > 0.5 ? colours().surface : colours().ink;
      context.font = `${Math.round(cell * 0.42)}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(String(values[0]), (left + right) / 2, (top + bottom) / 2 + 0.5);
    }
  }
}
