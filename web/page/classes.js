/**
 * The user's own classes: pictures of each are collected from the camera or from files, a small network is trained on them, and tried
 * on the camera's picture.
 */
import { Bars } from "./answer.js";
import { Camera } from "./camera.js";
import { Collected } from "./collect.js";
import { $, counted, make, percent, whole, write } from "./dom.js";
import { attempt } from "./fault.js";
import { save } from "./own.js";
import { recipeForClasses } from "./template.js";
import { zip } from "./zip.js";

/** Name of runs on these classes. */
export const NAME = "your own classes";

const CLASSES = [2, 6];
/** Pictures of a class that are needed: the fifth is held out. */
const LEAST = 5;
/** Number of held-out pictures below which their accuracy says little. */
const TELLING = 20;
/** Pause between two classified frames, and while training, which they slow down. */
const PAUSE_MS = 120;
const TRAINING_PAUSE_MS = 600;

export class Classes {
  /** @type {Collected[]} */
  list = [];
  /** The recipe with which the network was trained here. */
  recipe = "";
  /** Whether the open run is of that recipe. */
  ours = false;
  /** Number of held-out pictures of that run. */
  held = 0;
  busy = false;
  looping = false;

  /** @param {any} engine @param {any} run @param {any} own */
  constructor(engine, run, own) {
    this.engine = engine;
    this.run = run;
    this.own = own;
    this.camera = new Camera();
    this.bars = new Bars($("try-bars"));
    $("class-add").addEventListener("click", () => this.add().field.select());
    $("classes-train").addEventListener("click", () => this.train());
    $("classes-save").addEventListener("click", () => this.save());
    $("try-file").addEventListener("change", (/** @type {any} */ event) => {
      const [file] = event.target.files;
      if (file) this.file(file);
      event.target.value = "";
    });
    this.camera.addEventListener("change", () => {
      $("camera-off").hidden = this.camera.on || !$("tried").hidden;
      if (this.camera.on) $("tried").hidden = true;
      else if ($("tried").hidden) this.show(null);
      this.look();
    });
    run.addEventListener("opened", (/** @type {any} */ { detail: { opened, request } }) => {
      if (request.recipe || request.checkpoint || request.saved) this.ours = !!this.recipe && request.recipe === this.recipe;
      this.bars.start(opened.summary.set === "digits" ? [] : opened.classes);
      this.show(null);
    });
    for (const event of ["opened", "reset", "state"]) run.addEventListener(event, () => this.update());
    engine.addEventListener("progress", () => this.update());
    while (this.list.length < CLASSES[0]) this.add();
  }

  add() {
    const free = Array.from({ length: CLASSES[1] }, (_, at) => at + 1).find((number) => this.list.every(({ fallback }) => fallback !== `Class ${number}`)) ?? 1;
    const added = new Collected(free, this.camera);
    added.addEventListener("change", () => this.update());
    added.addEventListener("remove", () => {
      const at = this.list.indexOf(added);
      this.list.splice(at, 1);
      added.element.remove();
      this.list[Math.min(at, this.list.length - 1)].field.focus();
      this.update();
    });
    this.list.push(added);
    $("class-list").append(added.element);
    this.update();
    return added;
  }

  /** What is missing before a network can be trained; "" if nothing is. */
  missing() {
    const names = this.list.map(({ name }) => name);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice) return `Two classes are named “${twice}”. Give one of them another name.`;
    const few = this.list.filter(({ pictures }) => pictures.length < LEAST).map(({ name, pictures }) => `${LEAST - pictures.length} of “${name}”`);
    return few.length ? `Still missing, with at least ${LEAST} pictures for each class: ${few.join(", ")}.` : "";
  }

  /** Whether the open network can be shown pictures. */
  get usable() {
    const { state, opened, position } = this.run;
    return opened && opened.summary.set !== "digits" && position?.step > 0 && !["opening", "lost", "missing", "closed"].includes(state);
  }

  update() {
    const { list, run } = this;
    const missing = this.missing();
    for (const { close } of list) close.hidden = list.length <= CLASSES[0];
    $("class-add").hidden = list.length >= CLASSES[1];
    const pictures = list.reduce((sum, { pictures }) => sum + pictures.length, 0);
    $("classes-save").disabled = !pictures;
    const training = this.ours && run.state === "training";
    $("classes-train").disabled = !!missing || this.busy || training;
    write($("classes-train"), this.busy ? "Preparing …" : training ? "Training …" : this.ours && run.position?.step ? "Train again" : "Train on these pictures");
    const out = $("classes-text");
    const said = missing || this.said() || `${counted(pictures, "picture")} of ${counted(list.length, "class", "classes")}. Every fifth is held out to measure the accuracy.`;
    write(out, said);
    out.classList.toggle("good", !missing && this.ours && run.state === "finished");
    const { step = 0, total_steps: total = 0 } = this.ours ? (run.position ?? {}) : {};
    $("classes-progress").hidden = !step;
    $("classes-progress").firstElementChild.style.transform = `scaleX(${total ? Math.min(step / total, 1) : 0})`;
    $("classes-next").hidden = !(this.ours && run.state === "finished");
    write($("try-hint"), this.usable ? (this.camera.on || !$("tried").hidden ? "" : "Start the camera or try a picture.") : "Train first.");
    $("try-file").disabled = !this.usable;
    this.look();
  }

  /** How the run is getting on; "" if it is not of these classes. */
  said() {
    const { run } = this;
    if (!this.ours || !["training", "paused", "finished"].includes(run.state)) return "";
    const { epoch, total_steps: total, epoch_steps: each } = run.position;
    const where = run.state === "finished" ? "Done" : `Epoch ${whole(epoch)} of ${whole(Math.ceil(total / each))}`;
    const { test } = run.latest;
    if (test === undefined) return `${where}.`;
    const few = run.state === "finished" && this.held < TELLING ? " That is too few to rely on this number: collect more pictures." : "";
    return `${where}: ${percent(test, 0)} of the ${whole(this.held)} held-out pictures are classified correctly.${few}`;
  }

  async train() {
    this.busy = true;
    this.update();
    const classes = this.list.map(({ name, pictures }) => ({ name, pictures: pictures.map(({ file }) => file) }));
    const data = await attempt(() => this.engine.collected(classes));
    if (data) {
      this.own.loaded(data);
      // Without a GPU, this small network is trained on the CPU.
      if (!$("webgpu-missing").hidden) [this.run.adapter, $("webgpu-missing").hidden] = ["cpu", true];
      [this.recipe, this.held] = [recipeForClasses(data), data.test_len];
      if (await this.run.open({ recipe: this.recipe, name: NAME })) await this.run.train();
    }
    this.busy = false;
    this.update();
  }

  /** Classifies frames of the camera as long as it is on and there is a network for them. */
  async look() {
    if (this.looping) return;
    this.looping = true;
    while (this.camera.on && this.usable) {
      const frame = document.hidden ? null : this.camera.frame();
      const answer = frame && (await this.classify(frame).catch(() => null));
      if (answer && this.camera.on) this.show(answer);
      await new Promise((wait) => setTimeout(wait, this.run.state === "training" ? TRAINING_PAUSE_MS : PAUSE_MS));
    }
    this.looping = false;
  }

  /** @param {ImageBitmapSource} picture */
  async classify(picture) {
    return this.engine.classify({ file: await createImageBitmap(picture), brief: true });
  }

  /** Tries a picture's file, in place of the camera's picture. @param {File} file */
  async file(file) {
    const answer = await attempt(() => this.engine.classify({ file, brief: true }));
    if (!answer) return;
    const bitmap = await createImageBitmap(file);
    const canvas = $("tried");
    [canvas.width, canvas.height, canvas.hidden] = [bitmap.width, bitmap.height, false];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    canvas.setAttribute("aria-label", file.name);
    bitmap.close();
    this.camera.stop();
    this.show(answer);
    this.update();
  }

  /** @param {any} answer */
  show(answer) {
    const [name, sure] = $("try-answer").children;
    const known = answer && this.bars.classes[answer.class];
    $("try-answer").dataset.class = known ?? "";
    write(name, known ?? "–");
    write(sure, known ? `${percent(answer.probabilities[answer.class], 0)} sure` : "");
    this.bars.show(answer);
  }

  /** The pictures as a folder for each class, as the native program and this page read them. */
  async save() {
    const all = this.list.flatMap(({ name, pictures }) => pictures.map(({ file }, at) => ({ path: `pictures/${folder(name)}/${String(at).padStart(3, "0")}.${extension(file)}`, file })));
    const bytes = await attempt(async () => zip(await Promise.all(all.map(async ({ path, file }) => ({ path, file: await encoded(file) })))));
    if (bytes) save(bytes, "pictures.zip");
  }
}

/** A name as that of a folder. @param {string} name */
const folder = (name) => name.replace(/[\\/:*?"<>|\p{Cc}]/gu, "-").replace(/^\.+/, "");

/** @param {File | ImageData} file */
const extension = (file) => (file instanceof File && file.name.split(".").at(-1)) || "png";

/** @param {File | ImageData} file @returns {Blob | Promise<Blob>} */
function encoded(file) {
  if (file instanceof File) return file;
  const canvas = new OffscreenCanvas(file.width, file.height);
  canvas.getContext("2d")?.putImageData(file, 0, 0);
  return canvas.convertToBlob();
}
