/**
 * The user's files: data sets, checkpoints and pictures, chosen or dropped on the page.
 *
 * Paths keep their folders, which name the images' classes.
 */
import { $, counted, make, write } from "./dom.js";
import { attempt } from "./fault.js";
import { recipeFor } from "./template.js";

/** Number of skipped files that are named. */
const NAMED = 3;

/** @typedef {{path: string, file: File}} Entry */

export class Own extends EventTarget {
  /** @param {any} engine */
  constructor(engine) {
    super();
    this.engine = engine;
    /** @type {any} */
    this.data = null;
    for (const id of ["files", "folder"]) {
      $(id).addEventListener("change", (/** @type {any} */ event) => {
        this.take([...event.target.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
        event.target.value = "";
      });
    }
    $("data-recipe").addEventListener("click", () => this.dispatchEvent(new CustomEvent("recipe", { detail: recipeFor(this.data) })));
    this.listen();
  }

  /** Handles the given files: a checkpoint, a picture to classify, or a data set. @param {Entry[]} entries */
  async take(entries) {
    if (!entries.length) return;
    const [{ file }] = entries;
    if (entries.length === 1 && file.name.endsWith(".safetensors")) return this.dispatchEvent(new CustomEvent("checkpoint", { detail: file }));
    const loose = entries.length === 1 && file.type.startsWith("image/") && !entries[0].path.includes("/");
    if (loose) return this.dispatchEvent(new CustomEvent("picture", { detail: file }));
    const out = $("data-summary");
    out.className = "verdict";
    write(out, `Reading ${counted(entries.length, "file")} …`);
    const data = await attempt(() => this.engine.files(entries));
    if (!data) return write(out, this.data ? "Nothing was loaded; the previous files are kept." : "Nothing was loaded.");
    this.loaded(data);
  }

  /** Describes the images that the engine has. @param {any} data summary of a data set */
  loaded(data) {
    const out = $("data-summary");
    this.data = data;
    out.className = "verdict good";
    const { classes, train_len, test_len, skipped = [] } = data;
    const names = classes.length <= 10 ? ` (${classes.join(", ")})` : "";
    const parts = [`${counted(train_len, "image")} to train on and ${test_len} to test on, ${counted(classes.length, "class", "classes")}${names}.`];
    if (skipped.length) parts.push(`Skipped ${counted(skipped.length, "file")}: ${skipped.slice(0, NAMED).map((/** @type {any} */ { path, why }) => `${path} – ${why}`).join("; ")}${skipped.length > NAMED ? "; …" : "."}`);
    write(out, parts.join(" "));
    $("data-recipe").hidden = false;
  }

  /** Handles files dropped anywhere on the page; those dropped on an element with the attribute `data-files` are given to it, in an event of that name. */
  listen() {
    const veil = $("drop");
    let depth = 0;
    const holds = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
    const show = (/** @type {number} */ change) => {
      depth = Math.max(0, depth + change);
      veil.hidden = !depth;
      if (!depth) over(null);
    };
    const over = (/** @type {Element | null} */ place) => {
      for (const other of document.querySelectorAll(".over")) if (other !== place) other.classList.remove("over");
      place?.classList.add("over");
    };
    window.addEventListener("dragenter", (event) => holds(event) && show(1));
    window.addEventListener("dragleave", (event) => holds(event) && show(-1));
    window.addEventListener("dragover", (event) => {
      if (!holds(event)) return;
      event.preventDefault();
      const target = /** @type {Element} */ (event.target);
      veil.hidden = !depth || !!target.closest("[data-veil=off]");
      over(target.closest("[data-files]"));
    });
    window.addEventListener("drop", async (event) => {
      if (!holds(event) || !event.dataTransfer) return;
      event.preventDefault();
      show(-depth);
      const place = /** @type {Element} */ (event.target).closest("[data-files]");
      // the list of items is gone after the first wait
      const found = [...event.dataTransfer.items].map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
      const entries = await attempt(() => Promise.all(found.map(({ entry, file }) => (entry?.isDirectory ? walk(entry, "") : file ? [{ path: file.name, file }] : []))));
      if (!entries) return;
      if (place) place.dispatchEvent(new CustomEvent("files", { detail: entries.flat() }));
      else await this.take(entries.flat());
    });
  }
}

/** All files below a folder. @param {any} entry @param {string} above @returns {Promise<Entry[]>} */
async function walk(entry, above) {
  const path = above + entry.name;
  if (entry.isFile) return [{ path, file: await new Promise((done, failed) => entry.file(done, failed)) }];
  const reader = entry.createReader();
  const inside = [];
  // a reader gives at most a hundred entries at a time
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) break;
    inside.push(...some);
  }
  const lists = [];
  for (const each of inside) lists.push(...(await walk(each, `${path}/`)));
  return lists;
}

/** Offers a file for download. @param {Uint8Array} bytes @param {string} name @returns {string} its name */
export function save(bytes, name) {
  const link = make("a", { href: URL.createObjectURL(new Blob([/** @type {any} */ (bytes)])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return name;
}

/** The checkpoint's buttons. */
export class Checkpoint extends EventTarget {
  /** @param {any} engine */
  constructor(engine) {
    super();
    $("checkpoint-upload").addEventListener("change", (/** @type {any} */ event) => {
      const [file] = event.target.files;
      if (file) this.dispatchEvent(new CustomEvent("upload", { detail: file }));
      event.target.value = "";
    });
    $("checkpoint-download").addEventListener("click", async () => {
      const bytes = await attempt(() => engine.checkpoint());
      if (!bytes) return;
      this.say(`Downloaded ${save(bytes, `halfwave-step-${$("step").dataset.value}.safetensors`)}.`);
    });
  }

  /** @param {string} text */
  say(text) {
    write($("checkpoint-text"), text);
  }
}
