/**
 * Use of the trained network elsewhere: files, a link with the network in it, a snippet for other pages.
 */
import { $, whole, write } from "./dom.js";
import { attempt } from "./fault.js";
import { save } from "./own.js";
import { encode } from "./pkg/infer/link.js";

/** Longest link that is offered, and the length above which programs may cut it, characters. */
const MOST = 200_000;
const LONG = 20_000;

export class Use {
  /** @param {any} engine @param {any} run */
  constructor(engine, run) {
    this.engine = engine;
    this.run = run;
    /** The step of what is shown. @type {number | undefined} */
    this.step = undefined;
    $("use-packed").addEventListener("click", () => this.download("packed.safetensors", () => engine.packed({ recipe: true })));
    $("use-onnx").addEventListener("click", () => this.download("onnx", () => engine.onnx()));
    $("use-checkpoint").addEventListener("click", () => $("checkpoint-download").click());
    $("share").addEventListener("click", () => this.share());
    $("embed").addEventListener("click", () => this.embed());
    for (const id of ["share-link", "embed-code"]) $(id).addEventListener("focus", () => $(id).select());
    for (const event of ["opened", "reset", "state"]) run.addEventListener(event, () => this.update());
    engine.addEventListener("progress", () => this.update());
  }

  /** Allows what the run allows; a link of an earlier step is removed. */
  update() {
    const { state, position, opened } = this.run;
    const usable = !!opened && position?.step > 0 && !["opening", "lost", "missing", "closed"].includes(state);
    for (const id of ["use-packed", "use-onnx", "use-checkpoint", "share", "embed"]) $(id).disabled = !usable;
    if (!usable || position.step !== this.step) this.forget();
    if (!usable) write($("share-text"), "Train first.");
    else if ($("share-text").textContent === "Train first.") write($("share-text"), "");
  }

  forget() {
    if (this.step === undefined) return;
    this.step = undefined;
    for (const id of ["share-link", "share-open", "embed-code"]) $(id).hidden = true;
    for (const id of ["share-text", "embed-text", "use-downloaded"]) write($(id), "");
  }

  /** @param {string} extension @param {() => Promise<Uint8Array>} make */
  async download(extension, make) {
    const { step } = this.run.position;
    const bytes = await attempt(make);
    if (!bytes) return;
    const name = save(bytes, `halfwave-step-${step}.${extension}`);
    write($("use-downloaded"), `Downloaded ${name}, ${whole(bytes.length)} bytes.`);
    this.step = step;
  }

  /** The network as the end of a link; undefined if there is a fault. The recipe is left out: it is as long as a small network. */
  async mark() {
    const { step } = this.run.position;
    const mark = await attempt(async () => encode(await this.engine.packed({ recipe: false })));
    if (mark) this.step = step;
    return mark;
  }

  async share() {
    const mark = await this.mark();
    if (!mark) return;
    const link = new URL(`./${mark}`, location.href.split("#")[0]).href;
    if (link.length > MOST) return write($("share-text"), `This network is too large for a link: it would have ${whole(link.length)} characters. Download the packed network instead.`);
    const field = $("share-link");
    [field.value, field.hidden] = [link, false];
    [$("share-open").href, $("share-open").hidden] = [link, false];
    const length = `${whole(link.length)} characters${link.length > LONG ? "; some programs cut links as long as this" : ""}`;
    write($("share-text"), (await copied(link, field)) ? `Copied: ${length}.` : `Press Ctrl+C to copy: ${length}.`);
  }

  async embed() {
    const mark = await this.mark();
    if (!mark) return;
    const field = $("embed-code");
    const script = new URL("pkg/infer/element.js", location.href.split("#")[0]).href;
    field.value = `<script type="module" src="${script}"></script>\n<halfwave-network src="${mark}"></halfwave-network>\n`;
    field.hidden = false;
    const text = "The element is loaded from this page’s server; to host it yourself, copy the folder pkg/infer. src can also name a downloaded packed network.";
    write($("embed-text"), `${(await copied(field.value, field)) ? "Copied" : "Press Ctrl+C to copy"}. ${text}`);
  }
}

/** Copies a text; where that is not allowed, selects it in its field. @param {string} text @param {any} field */
export async function copied(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field.focus();
    field.select();
    return false;
  }
}
