/**
 * Drawing, test images and picture files: the input shown to the network, and when it is classified.
 *
 * **Invariant** One classification runs at a time; of requests that arrive meanwhile, the last one runs next. After each epoch the
 * last one is repeated, so the prediction follows the training.
 */
import { Answers } from "./answer.js";
import { $, write } from "./dom.js";
import { attempt, fault } from "./fault.js";
import { normalise } from "./pkg/infer/normalise.js";
import { Pad } from "./pad.js";
import { Planes } from "./planes.js";
import { scan } from "./scan.js";

/** Test images of the embedded digits. */
const DIGITS = 360;

export class Draw {
  /** @param {any} engine */
  constructor(engine) {
    this.engine = engine;
    this.answers = new Answers();
    this.planes = new Planes($("planes"));
    this.pad = new Pad($("pad"));
    this.images = 0;
    this.drawable = false;
    /** @type {{ask: any, source: string} | null} */
    this.subject = null;
    this.busy = false;
    this.again = false;
    this.pad.addEventListener("change", () => this.drawn());
    $("pad-clear").addEventListener("click", () => this.pad.clear());
    $("pad-random").addEventListener("click", () => this.random());
    $("classify").addEventListener("change", (/** @type {any} */ event) => {
      const [file] = event.target.files;
      if (file) this.file(file);
      event.target.value = "";
    });
  }

  /** @param {any} opened result of Engine.open @param {number} [own] test images of the chosen files */
  start(opened, own = 1) {
    const [channels, rows, columns] = opened.summary.input;
    this.drawable = channels === 1 && rows === 8 && columns === 8;
    this.images = opened.summary.set === "digits" ? DIGITS : own;
    this.pad.block(this.drawable ? "" : `This network takes ${columns} × ${rows} ${channels === 3 ? "colour " : ""}images.\nTake a test image,\nor choose a picture.`);
    for (const id of ["draw-text", "pad-help"]) $(id).hidden = !this.drawable;
    for (const id of ["pad-clear", "pad-random"]) $(id).disabled = id === "pad-clear" && !this.drawable;
    this.answers.start(opened.classes, this.drawable ? "Draw something." : "Take a test image or choose a picture.");
    this.planes.clear();
    if (this.subject && (!this.drawable || !this.subject.ask.pixels)) this.subject = null;
    this.ask();
  }

  drawn() {
    if (!this.drawable) return;
    const blank = this.pad.empty;
    if (blank && this.subject && !this.subject.ask.pixels) return;
    this.subject = blank ? null : { ask: { pixels: normalise(this.pad.bitmap) }, source: "" };
    if (blank) this.forget();
    else this.ask();
  }

  forget() {
    this.answers.show(null);
    this.planes.clear();
  }

  random() {
    const test = Math.floor(Math.random() * this.images);
    this.subject = { ask: { test }, source: `Test image ${test}: ` };
    this.pad.clear();
    this.ask();
  }

  /** @param {File} file */
  async file(file) {
    $("draw").scrollIntoView();
    const bitmap = this.drawable ? await scan(file).catch(() => null) : null;
    if (bitmap?.includes(1)) return this.pad.set(bitmap);
    if (bitmap) return fault({ kind: "data", message: `The picture ${file.name} is blank: nothing in it differs from the paper. Choose a picture of a digit.` });
    // the engine reads it, or reports why it cannot
    this.subject = { ask: { file }, source: `${file.name}: ` };
    this.pad.clear();
    this.ask();
  }

  /** Classifies the subject, now or after the running classification. */
  async ask() {
    this.again = true;
    if (this.busy) return;
    this.busy = true;
    while (this.again) {
      this.again = false;
      const subject = this.subject;
      if (!subject) break;
      const answer = await attempt(() => this.engine.classify(subject.ask));
      if (!answer || this.subject !== subject) {
        if (!answer && this.subject === subject) this.subject = null;
        continue;
      }
      this.answers.show(answer, subject.source);
      this.planes.show(answer.activations);
    }
    this.busy = false;
  }
}
