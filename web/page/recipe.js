/**
 * The recipe editor: a textarea with line numbers, checked during typing, with errors shown at the line and as text.
 */
import { $, counted, make, percent, whole, write } from "./dom.js";
import { attempt } from "./fault.js";
import { recipeLink } from "./recipe-link.js";
import { copied } from "./use.js";

/** Pause in typing after which the text is checked. */
const PAUSE_MS = 250;
const OWN = "your own";

export class Recipe extends EventTarget {
  /** @param {any} engine */
  constructor(engine) {
    super();
    this.engine = engine;
    /** @type {HTMLTextAreaElement} */
    this.area = $("recipe");
    this.lines = $("recipe-lines");
    this.band = $("recipe-band");
    this.choice = $("recipe-choice");
    /** @type {Map<string, string>} */
    this.texts = new Map();
    /** Line of the error; 0 if there is none. */
    this.line = 0;
    /** Number of lines with line numbers. */
    this.count = 0;
    this.timer = 0;
    this.opening = false;
    /** The text with which the run was opened. */
    this.used = "";
    this.area.addEventListener("input", () => this.typed());
    this.area.addEventListener("scroll", () => this.scrolled());
    this.choice.addEventListener("change", () => this.write(this.texts.get(this.choice.value) ?? ""));
    $("recipe-use").addEventListener("click", () => this.dispatchEvent(new Event("use")));
    $("recipe-copy").addEventListener("click", () => this.link());
    $("recipe-link").addEventListener("focus", () => $("recipe-link").select());
  }

  get text() {
    return this.area.value;
  }

  /** The request for Engine.open to start this recipe. */
  get request() {
    return { recipe: this.text, name: this.choice.value || OWN };
  }

  /** The text of a built-in recipe. @param {string} name @returns {string | undefined} */
  named(name) {
    return name === OWN ? undefined : this.texts.get(name);
  }

  /** @param {{name: string, text: string}[]} recipes */
  start(recipes) {
    for (const { name, text } of recipes) this.texts.set(name, text);
    this.offer();
    if (recipes.length) this.write(recipes[0].text);
  }

  /** Copies a link that opens this recipe. */
  async link() {
    const link = await recipeLink(this.text, [...this.texts].find(([name, text]) => name !== OWN && text === this.text)?.[0]);
    const field = $("recipe-link");
    [field.value, field.hidden] = [link, false];
    const length = `${whole(link.length)} characters, with the recipe in it`;
    write($("recipe-link-text"), (await copied(link, field)) ? `Copied: ${length}.` : `Press Ctrl+C to copy: ${length}.`);
  }

  /** A link belongs to the text that it was made of. */
  unlink() {
    $("recipe-link").hidden = true;
    write($("recipe-link-text"), "");
  }

  /** Fills the selection, and selects the entry that matches the text. */
  offer() {
    const names = [...this.texts.keys()];
    if (this.choice.children.length !== names.length) this.choice.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    const found = names.find((name) => this.texts.get(name) === this.text);
    if (found) this.choice.value = found;
  }

  /** Replaces the text. @param {string} text */
  write(text) {
    this.unlink();
    this.area.value = text;
    this.area.scrollTop = 0;
    if (![...this.texts.values()].includes(text)) this.texts.set(OWN, text);
    this.number();
    this.offer();
    this.check();
  }

  /** Shows beside the button that a recipe is being opened, and the result. @param {Promise<boolean>} opening */
  async during(opening) {
    const [button, state] = [$("recipe-use"), $("recipe-state")];
    this.opening = true;
    [button.disabled, button.ariaBusy] = [true, "true"];
    write(button, "Opening …");
    state.replaceChildren("Compiling the kernels for this device …");
    const opened = await opening;
    this.opening = false;
    button.ariaBusy = "false";
    if (opened) state.replaceChildren("It is open: ", make("a", { href: "#main" }, "train it above"), ".");
    else state.replaceChildren("It was not opened; see the message for the reason.");
    this.check();
  }

  /** Records that the run was opened with this text. @param {string} text */
  opened(text) {
    this.used = text;
    if (this.text !== text) this.write(text);
    else this.check();
  }

  typed() {
    this.unlink();
    $("recipe-state").replaceChildren();
    this.texts.set(OWN, this.text);
    this.offer();
    this.number();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.check(), PAUSE_MS);
  }

  number() {
    const count = this.text.split("\n").length;
    if (count === this.count) return;
    this.count = count;
    this.lines.textContent = Array.from({ length: count }, (_, at) => at + 1).join("\n");
  }

  scrolled() {
    this.lines.scrollTop = this.area.scrollTop;
    this.band.style.transform = `translateY(calc(${this.line - 1} * var(--line-height) - ${this.area.scrollTop}px))`;
  }

  async check() {
    clearTimeout(this.timer);
    const text = this.text;
    const found = await attempt(() => this.engine.check(text));
    if (!found || text !== this.text) return;
    const { error, summary } = /** @type {any} */ (found);
    const out = $("recipe-error");
    this.line = error?.line ?? 0;
    out.dataset.line = error?.line ? String(error.line) : "";
    out.className = `verdict ${error ? "bad" : "good"}`;
    write(out, error ? `${error.line ? `Line ${error.line}: ` : ""}${error.message}` : said(summary));
    this.area.setAttribute("aria-invalid", String(!!error));
    this.band.hidden = !this.line;
    this.scrolled();
    if (this.opening) return;
    $("recipe-use").disabled = !!error;
    write($("recipe-use"), text === this.used && !error ? "Start this recipe again" : "Use this recipe");
  }
}

/** @param {any} summary */
function said({ input, classes, layers, weights, batch, epochs, steps, multiply_adds, binary_multiply_adds }) {
  const long = epochs ? counted(epochs, "epoch") : steps ? counted(steps, "step") : "";
  return [`${input.join(" × ")} to ${counted(classes, "class", "classes")}`, counted(layers.length, "layer"), `${whole(weights)} weights`, `${percent(multiply_adds ? binary_multiply_adds / multiply_adds : 0, 0)} of the multiply-adds with 1-bit weights`, `batch ${whole(batch)}`, long].filter(Boolean).join(" · ");
}
