/**
 * `<halfwave-network src="…">`: shows a packed network at work. Networks with small grey images are drawn for; others take a picture,
 * chosen or dropped.
 *
 * Attributes: `src`, the address of a packed file or a share link (`#network=…` suffices); `label`, an accessible name.
 * Properties: `network`, the loaded `Network`, which can also be set.
 * Events: "load" once the network is ready, "answer" with `detail` {class, name, probabilities}, "error" with `detail`, the error.
 * Custom properties: `--halfwave-accent`, `-ink`, `-muted`, `-line`, `-surface`, `-sunken`, `-bad`, `-font`.
 *
 * Nothing is uploaded: images stay in the page, and only `src` is loaded.
 */
import { problem } from "./error.js";
import { load } from "./index.js";
import { STYLE } from "./look.js";
import { normalise, SIDE } from "./normalise.js";
import { Strokes } from "./strokes.js";

/** Largest side of an input that is drawn. */
const DRAWN = 64;
/** Side of the bitmap for a drawing, at least, and the brush's radius as a share of it. */
const FINE = 96;
const BRUSH = 0.045;
/** Maximum number of classes listed. */
const LISTED = 10;
/** Side of the canvas, its own pixels. */
const PIXELS = 640;

/** Name and properties of an element, with its children. @param {string} tag @param {Record<string, any>} properties @param {...(Node | string)} children */
function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return /** @type {any} */ (element);
}

/** Whether a network's images are those of halfwave's digits, for which drawings are prepared as the data set was. @param {any} network */
const digits = ({ input: { width, height, channels }, maxPixel }) => width === 8 && height === 8 && channels === 1 && maxPixel === 16;

export class HalfwaveNetwork extends HTMLElement {
  static observedAttributes = ["src", "label"];
  /** @type {any} */
  #network;
  /** @type {Strokes | undefined} */
  #strokes;
  /** Number of loads so far; an earlier one that ends late is ignored. */
  #loads = 0;
  #root = this.attachShadow({ mode: "open" });
  #status = make("p", { className: "status", role: "status" }, "No network is given.");
  #parts = make("div", { className: "parts", hidden: true });
  /** @type {any} */
  #pad;
  #name = make("b", {}, "–");
  #sure = make("span", {});
  #list = make("ol", { "aria-label": "Probability of each class" });

  constructor() {
    super();
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.#root.adoptedStyleSheets = [sheet];
    this.#root.append(this.#status, this.#parts);
    this.addEventListener("dragover", (event) => this.#dragged(event, true));
    this.addEventListener("dragleave", (event) => this.#dragged(event, false));
    this.addEventListener("drop", (event) => {
      this.#dragged(event, false);
      const [file] = event.dataTransfer?.files ?? [];
      if (file && this.#network && !this.#strokes) this.#picture(file);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  attributeChangedCallback(/** @type {string} */ name, /** @type {string | null} */ before, /** @type {string | null} */ now) {
    if (name === "label") return this.#parts.setAttribute("aria-label", now ?? "");
    if (now && now !== before) this.open(now);
  }

  get network() {
    return this.#network;
  }

  set network(network) {
    this.#loads += 1;
    this.#show(network);
  }

  /** Whether the network is drawn for; if not, it takes pictures. */
  get draws() {
    return this.#strokes !== undefined;
  }

  /** Loads another network; problems are shown, and are the event "error". @param {any} source as `load` takes it */
  async open(source) {
    const own = (this.#loads += 1);
    [this.#parts.hidden, this.#status.hidden, this.#status.className] = [true, false, "status"];
    this.#status.textContent = "Loading the network …";
    try {
      const network = await load(source);
      if (own === this.#loads) this.#show(network);
      else network.free();
    } catch (error) {
      if (own === this.#loads) this.#fail(error);
    }
  }

  /** @param {any} error */
  #fail(error) {
    [this.#status.hidden, this.#status.className] = [false, "status bad"];
    this.#status.textContent = error.message;
    this.dispatchEvent(new CustomEvent("error", { detail: error }));
  }

  /** @param {any} network */
  #show(network) {
    this.#network?.free();
    this.#network = network;
    const { width, height, channels } = network.input;
    const drawn = channels === 1 && Math.max(width, height) <= DRAWN;
    this.#pad = make("canvas", { className: drawn ? "pad" : "pad picture", width: PIXELS, height: PIXELS });
    this.#strokes = undefined;
    this.#parts.setAttribute("role", "group");
    this.#parts.setAttribute("aria-label", this.getAttribute("label") ?? "A neural network");
    const left = make("div", {}, this.#pad, ...(drawn ? this.#drawing() : this.#choosing()));
    this.#parts.replaceChildren(left, make("div", {}, make("p", { className: "best", "aria-live": "polite" }, this.#name, this.#sure), this.#list));
    this.#list.replaceChildren(...Array.from({ length: Math.min(network.classes.length, LISTED) }, () =>
      make("li", {}, make("span", { className: "name" }), make("span", { className: "track" }, make("i", {})), make("span", { className: "value" }))));
    [this.#parts.hidden, this.#status.hidden] = [false, true];
    this.#answer(null);
    this.#paint();
    this.dispatchEvent(new Event("load"));
  }

  #drawing() {
    const fine = digits(this.#network);
    const side = fine ? SIDE : FINE;
    const strokes = new Strokes(this.#pad, side, fine ? 1.6 : side * BRUSH);
    this.#strokes = strokes;
    for (const [name, value] of [["tabindex", "0"], ["role", "application"], ["aria-label", "Drawing pad"], ["aria-describedby", "help"]]) this.#pad.setAttribute(name, value);
    strokes.addEventListener("look", () => this.#paint());
    strokes.addEventListener("change", () => this.#classify(() => (strokes.empty ? null : this.#drawn())));
    const clear = make("button", { type: "button" }, "Clear");
    clear.addEventListener("click", () => strokes.clear());
    const keys = ["Mouse, finger or pen. Keyboard: arrows move, ", make("kbd", {}, "Space"), " paints, ", make("kbd", {}, "X"), " erases, ", make("kbd", {}, "Esc"), " clears."];
    return [make("div", { className: "buttons" }, clear), make("p", { className: "hint", id: "help" }, ...keys)];
  }

  #choosing() {
    const { width, height, channels } = this.#network.input;
    const file = make("input", { type: "file", accept: "image/*", className: "file", id: "file" });
    file.addEventListener("change", () => {
      if (file.files[0]) this.#picture(file.files[0]);
      file.value = "";
    });
    for (const [name, value] of [["role", "img"], ["aria-label", "No picture yet"]]) this.#pad.setAttribute(name, value);
    const text = `Or drop one here. It is scaled to ${width} × ${height} pixels${channels === 1 ? " of grey" : ""} and stays on this computer.`;
    return [make("div", { className: "buttons" }, file, make("label", { htmlFor: "file" }, "Choose a picture")), make("p", { className: "hint" }, text)];
  }

  /** The drawing as the network's input: bright ink on black. */
  #drawn() {
    const { bitmap, side } = /** @type {Strokes} */ (this.#strokes);
    if (digits(this.#network)) return normalise(bitmap);
    const data = new Uint8ClampedArray(4 * bitmap.length);
    bitmap.forEach((ink, at) => data.set([255 * ink, 255 * ink, 255 * ink, 255], 4 * at));
    return { width: side, height: side, data };
  }

  /** @param {File} file */
  async #picture(file) {
    const network = this.#network;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch (error) {
      return this.#fail(problem("image", `${file.name} is not a picture that this browser can read.`, error));
    }
    if (network !== this.#network) return bitmap.close();
    const unit = PIXELS / Math.max(bitmap.width, bitmap.height);
    [this.#pad.width, this.#pad.height] = [bitmap.width, bitmap.height].map((length) => Math.max(1, Math.round(length * unit)));
    this.#pad.getContext("2d").drawImage(bitmap, 0, 0, this.#pad.width, this.#pad.height);
    this.#pad.setAttribute("aria-label", file.name);
    this.#status.hidden = true;
    this.#classify(() => bitmap);
    bitmap.close();
  }

  /** @param {() => any} image what to classify; null for nothing */
  #classify(image) {
    try {
      const shown = image();
      const answer = shown && this.#network.classify(shown);
      this.#answer(answer);
      if (answer) this.dispatchEvent(new CustomEvent("answer", { detail: answer }));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {any} answer */
  #answer(answer) {
    const { classes } = this.#network;
    const order = [...classes.keys()];
    if (classes.length > LISTED && answer) order.sort((a, b) => answer.probabilities[b] - answer.probabilities[a]);
    const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(1)}%`;
    [...this.#list.children].forEach((item, at) => {
      const [name, track, value] = item.children;
      const share = answer?.probabilities[order[at]] ?? 0;
      name.textContent = classes[order[at]];
      track.firstChild.style.transform = `scaleX(${share})`;
      value.textContent = answer ? percent(share) : "";
      item.className = answer && order[at] === answer.class ? "first" : "";
    });
    this.#name.textContent = answer?.name ?? "–";
    this.#name.className = (answer?.name ?? "").length > 2 ? "word" : "";
    this.#sure.textContent = answer ? `${percent(answer.probabilities[answer.class])} sure` : this.#strokes ? "Draw something." : "Choose a picture.";
  }

  #paint() {
    const strokes = this.#strokes;
    if (!strokes) return;
    const { bitmap, side, cursor, radius } = strokes;
    const context = this.#pad.getContext("2d");
    const { color, caretColor, borderTopColor } = getComputedStyle(this.#pad);
    const cell = PIXELS / side;
    context.clearRect(0, 0, PIXELS, PIXELS);
    context.fillStyle = color;
    bitmap.forEach((ink, at) => {
      const [x, y] = [at % side, Math.floor(at / side)];
      const [left, top] = [Math.round(x * cell), Math.round(y * cell)];
      if (ink) context.fillRect(left, top, Math.round((x + 1) * cell) - left, Math.round((y + 1) * cell) - top);
    });
    if (strokes.empty && !cursor) {
      context.strokeStyle = borderTopColor;
      context.lineWidth = 2;
      context.setLineDash([12, 10]);
      context.strokeRect(PIXELS * 0.3, PIXELS * 0.15, PIXELS * 0.4, PIXELS * 0.7);
      context.setLineDash([]);
    }
    if (cursor) {
      context.strokeStyle = caretColor;
      context.lineWidth = 4;
      context.beginPath();
      context.arc(cursor[0] * cell, cursor[1] * cell, radius * cell, 0, 7);
      context.stroke();
    }
  }

  /** @param {DragEvent} event @param {boolean} over */
  #dragged(event, over) {
    if (!this.#network || this.#strokes || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    this.#parts.classList.toggle("over", over);
  }
}

if (!customElements.get("halfwave-network")) customElements.define("halfwave-network", HalfwaveNetwork);
