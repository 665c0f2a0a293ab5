/**
 * One of the user's own classes: its name, and pictures that were captured or chosen, each of which can be deleted.
 *
 * Fires "change" when the name or the pictures have changed, and "remove" when the class is to be removed.
 */
import { counted, make, write } from "./dom.js";

/** Time between two captured frames. */
const CAPTURE_MS = 120;
/** Maximum number of pictures of a class. */
const MOST = 300;
/** Side of a thumbnail, its own pixels. */
const THUMB = 64;

/**
 * A file, or the pixels of a captured frame: browsers encode pictures when they are idle, which would make capturing slow.
 * @typedef {{file: File | ImageData, thumb: HTMLButtonElement}} Picture
 */

/** A square of a picture's middle. @param {HTMLCanvasElement | ImageBitmap} picture */
function small(picture) {
  const canvas = make("canvas", { width: THUMB, height: THUMB });
  const side = Math.min(picture.width, picture.height);
  canvas.getContext("2d").drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side, 0, 0, THUMB, THUMB);
  return canvas;
}

export class Collected extends EventTarget {
  static #made = 0;
  /** @type {Picture[]} */
  pictures = [];
  /** Number of runs of capturing, so that one that is waiting for the camera ends when its button is released. */
  #held = 0;

  /** @param {number} number of the class, for its first name @param {import("./camera.js").Camera} camera */
  constructor(number, camera) {
    super();
    this.camera = camera;
    this.fallback = `Class ${number}`;
    const id = `class-${(Collected.#made += 1)}`;
    this.field = make("input", { className: "class-name", type: "text", value: this.fallback, placeholder: this.fallback, maxLength: 40, autocomplete: "off", spellcheck: false, "aria-label": "Name of the class" });
    this.close = make("button", { type: "button", className: "close" }, "×");
    this.capture = make("button", { type: "button", className: "plain small capture" }, "Hold to capture");
    const files = make("input", { type: "file", className: "file", id, multiple: true, accept: "image/*" });
    this.count = make("p", { className: "hint", role: "status" });
    this.strip = make("div", { className: "thumbs", role: "group", hidden: true });
    this.text = make("p", { className: "verdict bad", role: "status", hidden: true });
    const head = make("div", { className: "class-head" }, this.field, this.close);
    const buttons = make("div", { className: "buttons" }, this.capture, files, make("label", { className: "plain small", htmlFor: id }, "Choose pictures"));
    this.element = make("section", { className: "class" }, head, buttons, this.count, this.strip, this.text);
    this.element.dataset.files = "";
    this.field.addEventListener("input", () => this.#changed());
    this.close.addEventListener("click", () => this.dispatchEvent(new Event("remove")));
    files.addEventListener("change", () => {
      this.add([...files.files]);
      files.value = "";
    });
    this.element.addEventListener("files", (/** @type {any} */ { detail }) => this.add(detail.map((/** @type {{file: File}} */ { file }) => file)));
    this.strip.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.#holds();
    this.#changed();
  }

  get name() {
    return this.field.value.trim() || this.fallback;
  }

  /** Captures while the button is held: by pointer, or by Space or Enter. */
  #holds() {
    const { capture } = this;
    capture.addEventListener("pointerdown", (/** @type {PointerEvent} */ { button }) => button === 0 && this.#hold());
    capture.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) this.#hold();
    });
    for (const end of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) capture.addEventListener(end, () => this.#release());
    capture.addEventListener("contextmenu", (/** @type {Event} */ event) => event.preventDefault());
    // Assistive programs click without a pointer.
    capture.addEventListener("click", async (/** @type {PointerEvent} */ { detail, pointerType }) => {
      if (!detail && !pointerType && (await this.camera.start())) this.#take();
    });
  }

  async #hold() {
    const own = (this.#held += 1);
    const held = () => own === this.#held;
    if (!(await this.camera.start())) return;
    if (held()) write(this.capture, "Capturing …");
    this.capture.classList.toggle("held", held());
    while (held() && this.#take()) await new Promise((wait) => setTimeout(wait, CAPTURE_MS));
  }

  #release() {
    this.#held += 1;
    write(this.capture, "Hold to capture");
    this.capture.classList.remove("held");
  }

  /** Adds the current frame. @returns {boolean} whether another one can follow */
  #take() {
    if (this.#full()) return false;
    const frame = this.camera.frame();
    if (!frame) return this.camera.on; // the first frame is on its way
    const context = /** @type {CanvasRenderingContext2D} */ (frame.getContext("2d"));
    this.#put(context.getImageData(0, 0, frame.width, frame.height), small(frame));
    return true;
  }

  #full() {
    const full = this.pictures.length >= MOST;
    if (full) this.say(`A class has at most ${MOST} pictures.`);
    return full;
  }

  /** Adds picture files. @param {File[]} files */
  async add(files) {
    this.say("");
    const bad = [];
    for (const file of files) {
      const bitmap = await createImageBitmap(file).catch(() => null);
      if (!bitmap) {
        bad.push(file.name);
        continue;
      }
      if (this.#full()) break;
      this.#put(file, small(bitmap));
      bitmap.close();
    }
    if (bad.length) this.say(`${bad.slice(0, 3).join(", ")}${bad.length > 3 ? ", …" : ""}: not ${bad.length > 1 ? "pictures" : "a picture"} that this browser can read. Choose PNG, JPEG, WebP, GIF or BMP files.`);
  }

  /** @param {File | ImageData} file @param {HTMLCanvasElement} canvas */
  #put(file, canvas) {
    const thumb = make("button", { type: "button", title: "Delete this picture" }, canvas);
    thumb.addEventListener("click", () => this.delete(picture));
    const picture = { file, thumb };
    this.pictures.push(picture);
    this.strip.append(thumb);
    this.#changed();
    this.strip.scrollTop = this.strip.scrollHeight;
  }

  /** @param {Picture} picture */
  delete(picture) {
    const at = this.pictures.indexOf(picture);
    const focused = picture.thumb === document.activeElement;
    this.pictures.splice(at, 1);
    picture.thumb.remove();
    this.say("");
    this.#changed();
    if (focused) (this.pictures[Math.min(at, this.pictures.length - 1)]?.thumb ?? this.capture).focus();
  }

  /** The thumbnails are one stop of the Tab key; arrow keys move between them. @param {KeyboardEvent} event */
  #key(event) {
    const at = this.pictures.findIndex(({ thumb }) => thumb === event.target);
    const way = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1, Home: -at, End: this.pictures.length - 1 - at })[event.key];
    if (at < 0 || (way === undefined && event.key !== "Delete")) return;
    event.preventDefault();
    if (way === undefined) return this.delete(this.pictures[at]);
    const next = this.pictures[at + way];
    if (!next) return;
    [this.pictures[at].thumb.tabIndex, next.thumb.tabIndex] = [-1, 0];
    next.thumb.focus();
  }

  #changed() {
    const { pictures, name } = this;
    write(this.count, pictures.length ? counted(pictures.length, "picture") : "No pictures yet. Capture or choose some, or drop them here.");
    this.strip.hidden = !pictures.length;
    this.strip.setAttribute("aria-label", `Pictures of ${name}; Delete removes one`);
    this.close.setAttribute("aria-label", `Remove ${name}`);
    this.capture.setAttribute("aria-label", `Hold to capture ${name}`);
    const current = pictures.find(({ thumb }) => thumb.tabIndex === 0 && thumb.dataset.at) ?? pictures[0];
    pictures.forEach((picture, at) => {
      picture.thumb.dataset.at = String(at);
      picture.thumb.tabIndex = picture === current ? 0 : -1;
      picture.thumb.setAttribute("aria-label", `Delete picture ${at + 1} of ${name}`);
    });
    this.dispatchEvent(new Event("change"));
  }

  /** @param {string} text */
  say(text) {
    this.text.hidden = !text;
    write(this.text, text);
  }
}
