/**
 * The confusion matrix as a table: numbers, shading, and a sentence for the cell under the pointer or with the focus.
 */
import { make, percent, whole, write } from "./dom.js";
import { redraw } from "./frame.js";

/** With more classes than this, cells are shaded without numbers. */
const NUMBERED = 16;

export class Confusion {
  /** @param {HTMLElement} host @param {HTMLElement} readout */
  constructor(host, readout) {
    this.host = host;
    this.readout = readout;
    this.hint = readout.textContent ?? "";
    this.empty = host.firstElementChild;
    /** @type {string[]} */
    this.classes = [];
    /** @type {number[][]} */
    this.counts = [];
    /** @type {HTMLElement[][]} */
    this.fields = [];
    this.draw = () => this.paint();
  }

  /** @param {string[]} classes */
  start(classes) {
    this.classes = classes;
    this.counts = [];
    this.fields = [];
    write(this.readout, this.hint);
    this.host.replaceChildren(...(this.empty ? [this.empty] : []));
  }

  /** @param {number[][]} counts rows: true class, columns: predicted class */
  show(counts) {
    this.counts = counts;
    redraw(this.draw);
  }

  paint() {
    if (!this.counts.length) return;
    if (this.fields.length !== this.counts.length) this.build();
    this.counts.forEach((row, truth) => {
      const images = row.reduce((sum, count) => sum + count, 0) || 1;
      row.forEach((count, answer) => {
        const field = this.fields[truth][answer];
        if (field.dataset.count === String(count)) return;
        field.dataset.count = String(count);
        if (this.counts.length <= NUMBERED) write(field, count ? String(count) : "·");
        // the square root makes single errors visible beside full rows
        field.style.setProperty("--share", `${Math.round(100 * Math.sqrt(count / images))}%`);
        field.className = !count ? "none" : truth === answer ? (count / images > 0.45 ? "right dark" : "right") : "wrong";
      });
    });
  }

  build() {
    const { classes, counts } = this;
    const name = (/** @type {number} */ at) => classes[at] ?? String(at);
    const short = (/** @type {number} */ at) => (counts.length <= NUMBERED ? name(at).slice(0, 4) : "");
    this.fields = counts.map((row, truth) => row.map((_, answer) => make("td", { tabIndex: truth || answer ? -1 : 0 })));
    const head = make("tr", {}, make("th", { scope: "col", "aria-label": "truth" }), ...counts.map((_, at) => make("th", { scope: "col", title: name(at) }, short(at))));
    const body = this.fields.map((fields, at) => make("tr", {}, make("th", { scope: "row", title: name(at) }, short(at)), ...fields));
    const table = make("table", { className: counts.length > NUMBERED ? "dense" : "" }, make("caption", { className: "hidden" }, "Confusion matrix of the test images"), make("thead", {}, head), make("tbody", {}, ...body));
    table.addEventListener("pointerover", (/** @type {Event} */ event) => this.say(event.target));
    table.addEventListener("pointerleave", () => write(this.readout, this.hint));
    table.addEventListener("focusin", (/** @type {Event} */ event) => this.say(event.target));
    table.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    this.host.replaceChildren(table);
  }

  /** The row and column of a cell. @param {EventTarget | null} target @returns {[number, number] | null} */
  find(target) {
    for (const [truth, fields] of this.fields.entries()) {
      const answer = fields.indexOf(/** @type {HTMLElement} */ (target));
      if (answer >= 0) return [truth, answer];
    }
    return null;
  }

  /** @param {EventTarget | null} target */
  say(target) {
    const at = this.find(target);
    if (!at) return;
    const [truth, answer] = at;
    const count = this.counts[truth][answer];
    const all = this.counts[truth].reduce((sum, one) => sum + one, 0);
    const [is, says] = [this.classes[truth] ?? truth, this.classes[answer] ?? answer];
    const share = all ? ` (${percent(count / all)})` : "";
    write(this.readout, truth === answer ? `“${is}”: ${whole(count)} of ${whole(all)} classified correctly${share}.` : `“${is}” classified as “${says}”: ${whole(count)} of ${whole(all)}${share}.`);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const at = this.find(event.target);
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!at || !way) return;
    event.preventDefault();
    const next = this.fields[at[0] + way[0]]?.[at[1] + way[1]];
    if (!next) return;
    this.fields[at[0]][at[1]].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
