/**
 * The run: its main button, its numbers, and the engine's states as text.
 */
import { takesDrawings } from "./about.js";
import { $, percent, short, whole, write } from "./dom.js";
import { attempt } from "./fault.js";
import { redraw } from "./frame.js";

/** Label of the button, by state. */
const LABELS = /** @type {Record<string, string>} */ ({ training: "Pause", paused: "Resume", profiling: "Profiling …", finished: "Train again", diverged: "Try again", lost: "Try again" });

/** The loss counts as diverging, rather than noisy, if it exceeds GROWN times the first loss plus one for IN_A_ROW steps in a row. */
const GROWN = 10;
const IN_A_ROW = 5;

const CLOSED = { state: "closed", message: "No run is open. Use a recipe below, or reload the page." };

export class Run extends EventTarget {
  /** @param {any} engine */
  constructor(engine) {
    super();
    this.engine = engine;
    this.state = "opening";
    this.message = "";
    /** The adapter; undefined for the engine's default. @type {"cpu" | "gpu" | undefined} */
    this.adapter = undefined;
    /** The action of the button while a saved run is offered. @type {(() => void) | null} */
    this.instead = null;
    /** Whether the button was pressed before the engine was ready. */
    this.eager = false;
    /** Whether the last state was set here, not by the engine. */
    this.own = true;
    /** @type {any} */
    this.opened = null;
    /** @type {any} */
    this.position = null;
    /** @type {{loss?: number, test?: number, rate?: number}} */
    this.latest = {};
    /** The loss of the first step, and for how many of the last steps it was far exceeded. */
    this.growth = { first: NaN, steps: 0 };
    this.draw = () => this.paint();
    this.button = $("train");
    this.button.addEventListener("click", () => this.press());
    $("reset").addEventListener("click", () => this.reset());
    engine.addEventListener("state", (/** @type {any} */ { detail }) => {
      this.own = false;
      // the engine reports "missing" if it has no session; the fault gives the reason
      this.turn(detail.state === "missing" ? CLOSED : detail);
    });
    engine.addEventListener("progress", (/** @type {any} */ { detail }) => this.progress(detail));
    /** The step at which the tab was hidden. */
    this.left = 0;
    document.addEventListener("visibilitychange", () => this.hidden(document.hidden));
  }

  /** Reports progress made while the tab was hidden. @param {boolean} hidden */
  hidden(hidden) {
    const step = this.position?.step ?? 0;
    if (hidden) this.left = step;
    if (hidden || this.state !== "training") return;
    const done = step - this.left;
    const message = done > 0 ? `Training continued for ${whole(done)} ${done === 1 ? "step" : "steps"} while this tab was hidden.` : "The browser suspended training while this tab was hidden; it continues now.";
    this.message = message;
    redraw(this.draw);
    setTimeout(() => {
      if (this.message === message) this.message = "";
      redraw(this.draw);
    }, 8000);
  }

  /** Opens a run: a recipe, a checkpoint or the saved one. @param {any} request as Engine.open takes it @returns {Promise<boolean>} whether it is open */
  async open(request) {
    const before = { state: this.state, message: this.message };
    this.turn({ state: "opening" });
    this.own = true;
    const opened = await attempt(() => this.engine.open({ ...request, adapter: this.adapter }));
    if (!opened) {
      // the engine has reported what is open now, unless it changed nothing
      if (this.own) this.turn(before.state === "opening" ? CLOSED : before);
      return false;
    }
    this.opened = opened;
    this.instead = null;
    [this.latest, this.growth] = [{}, { first: NaN, steps: 0 }];
    this.position = opened.position;
    this.eager &&= this.state === "opening" || this.state === "ready";
    this.dispatchEvent(new CustomEvent("opened", { detail: { opened, request } }));
    this.rows(opened.rows ?? []);
    redraw(this.draw);
    if (this.eager) this.train();
    return true;
  }

  async press() {
    if (this.instead) return this.instead();
    if (this.state === "opening") {
      this.eager = !this.eager;
      return redraw(this.draw);
    }
    if (this.state === "training") return attempt(() => this.engine.pause());
    if (this.state === "finished") await this.reset();
    return this.train();
  }

  async train() {
    this.eager = false;
    await attempt(() => this.engine.train());
  }

  async reset() {
    await attempt(async () => {
      const opened = await this.engine.reset();
      [this.latest, this.growth] = [{}, { first: NaN, steps: 0 }];
      [this.opened, this.position] = [opened, opened.position];
      this.dispatchEvent(new Event("reset"));
      redraw(this.draw);
    });
  }

  /** @param {{state: string, message?: string}} detail */
  turn({ state, message = "" }) {
    [this.state, this.message] = [state, message];
    redraw(this.draw);
    this.dispatchEvent(new Event("state"));
  }

  /** Sets a test accuracy that is not in any row. @param {number} accuracy */
  measured(accuracy) {
    this.latest.test ??= accuracy;
    redraw(this.draw);
  }

  /** Shows a run that is not open. @param {any} position @param {any[]} rows */
  preview(position, rows) {
    this.position = position;
    this.rows(rows);
  }

  /** Sets the rows of a run that was reset to a saved state. @param {any} detail */
  rewound({ position, rows }) {
    [this.position, this.latest, this.growth] = [position, { rate: this.latest.rate }, { first: NaN, steps: 0 }];
    this.rows(rows);
    redraw(this.draw);
  }

  /** @param {any} detail */
  progress({ rows, position, images_per_s }) {
    if (position) this.position = position;
    if (images_per_s) this.latest.rate = images_per_s;
    this.rows(rows ?? []);
    redraw(this.draw);
  }

  /** @param {any[]} rows */
  rows(rows) {
    for (const row of rows) {
      if (row.loss !== undefined) this.loss(row.loss ?? NaN);
      if (row.test_accuracy != null) this.latest.test = row.test_accuracy;
      if (row.images_per_s != null && !this.latest.rate) this.latest.rate = row.images_per_s;
    }
    if (rows.length) this.dispatchEvent(new CustomEvent("rows", { detail: rows }));
  }

  /** @param {number} loss of a step; NaN if the engine has none */
  loss(loss) {
    const { growth } = this;
    this.latest.loss = loss;
    if (Number.isNaN(growth.first)) growth.first = loss;
    growth.steps = loss <= GROWN * (growth.first + 1) ? 0 : growth.steps + 1;
  }

  /** Whether the loss increases instead of decreasing. */
  get diverges() {
    return this.growth.steps >= IN_A_ROW;
  }

  /** A sentence that describes the state. */
  said() {
    const where = this.opened ? ` on ${this.opened.adapter.name || "your GPU"}` : "";
    if (this.message) return this.message;
    if (this.diverges && this.state !== "opening") return "Training diverges: the loss increases instead of decreasing. Use the recipe again with a lower lr.";
    switch (this.state) {
      case "opening":
        return this.eager ? "Preparing the kernels; training starts right after …" : "Preparing the kernels …";
      case "ready":
        return `Ready${where}.`;
      case "waiting":
        return "A run is saved in this browser.";
      case "training":
        return `Training${where}.`;
      case "paused":
        return "Paused. Nothing is lost.";
      case "profiling":
        return "Measuring a step, kernel by kernel. The run is paused and not changed.";
      case "finished": {
        const result = this.latest.test === undefined ? "" : ` ${percent(this.latest.test)} of the test images are classified correctly.`;
        // A saved run that is over is reported as finished before it is open here.
        const next = this.opened ? ` ${takesDrawings(this.opened.summary) ? "Draw a digit" : "Show it an image"} below.` : "";
        return `${this.ended()}${result}${next}`;
      }
      case "lost":
        return "The GPU was lost. Close other programs that use it, and try again.";
      case "missing":
        return "No GPU is accessible; see below.";
      default:
        return "";
    }
  }

  /** How the run ended. */
  ended() {
    const { step, epoch, total_steps: total } = this.position;
    return step < total ? `Stopped after epoch ${whole(epoch)}: no improvement for as many epochs as the recipe’s patience.` : "Done.";
  }

  paint() {
    const { position, latest, state, button } = this;
    const idle = state === "missing" || state === "closed";
    button.disabled = (idle || state === "profiling") && !this.instead;
    const label = this.instead ? "Resume" : this.eager ? "Starting …" : (LABELS[state] ?? "Train");
    write(button, label);
    button.dataset.state = state;
    $("reset").disabled = !this.opened || !position?.step || state === "opening";
    write($("status"), this.said());
    $("status").dataset.state = this.diverges || state === "diverged" ? "diverged" : state;
    $("checkpoint-download").disabled = !this.opened || state === "opening" || state === "lost";
    if (!position) return;
    const { step, epoch, total_steps: total, epoch_steps: each } = position;
    number("epoch", epoch, whole);
    number("step", step, whole);
    number("loss", latest.loss, short);
    number("test-accuracy", latest.test, percent);
    number("images-per-second", latest.rate, whole);
    write($("epochs"), ` / ${whole(Math.ceil(total / each))}`);
    write($("steps"), ` / ${whole(total)}`);
    const done = total ? Math.min(step / total, 1) : 0;
    const bar = $("progress");
    bar.firstElementChild.style.transform = `scaleX(${done})`;
    bar.setAttribute("aria-valuenow", String(Math.round(100 * done)));
  }
}

/** Number of characters that fit into a number's box at full size. */
const ROOM = 7;

/** @param {string} id @param {number | undefined} value @param {(value: number) => string} say */
function number(id, value, say) {
  const element = $(id);
  element.dataset.value = value === undefined ? "" : String(value);
  const text = value === undefined ? "–" : Number.isFinite(value) ? say(value) : "NaN";
  element.classList.toggle("long", text.length > ROOM);
  write(element, text);
}
