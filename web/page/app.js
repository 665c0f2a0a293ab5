/**
 * The page: connects the engine's events to the pictures, and user input to the engine.
 */
import { about, bitsOf } from "./about.js";
import { Classes } from "./classes.js";
import { Confusion } from "./confusion.js";
import { Curve } from "./curve.js";
import { Device } from "./device.js";
import { $, percent, whole, write } from "./dom.js";
import { Draw } from "./draw.js";
import { Engine } from "./engine.js";
import { attempt, fault } from "./fault.js";
import { Histograms } from "./histogram.js";
import { Next } from "./next.js";
import { Checkpoint, Own } from "./own.js";
import { Profile } from "./profile-panel.js";
import { Recipe } from "./recipe.js";
import { linkedRecipe } from "./recipe-link.js";
import { Run } from "./run.js";
import { Software } from "./software.js";
import { Use } from "./use.js";
import { Weights } from "./weights.js";

const engine = new Engine();
const run = new Run(engine);
const curve = new Curve($("curve"), $("curve-readout"));
const codes = new Histograms($("codes"));
const weights = new Weights($("weights"));
const confusion = new Confusion($("confusion"), $("confusion-text"));
const draw = new Draw(engine);
const recipe = new Recipe(engine);
const own = new Own(engine);
const checkpoint = new Checkpoint(engine);
const device = new Device();
const profile = new Profile(engine, run);
const software = new Software(run);
new Classes(engine, run, own);
new Next(run, recipe);
new Use(engine, run);

/** Resets the pictures for a run that has not started. @param {any} opened */
function blank(opened) {
  const layers = opened.summary.layers.filter((/** @type {any} */ { kind }) => kind === "hwgq");
  const bits = bitsOf(opened.summary.resolved);
  codes.start(layers.map((/** @type {any} */ { name }) => ({ layer: name, bits: bits.get(name) ?? 2 })));
  weights.clear();
  confusion.start(opened.classes);
  curve.start(opened.position);
}

/** The slot of this tab's saved run in the browser, kept for reloads. @param {number} [slot] to keep */
function ownSlot(slot) {
  try {
    if (slot !== undefined) sessionStorage.setItem("halfwave-slot", String(slot));
    const known = sessionStorage.getItem("halfwave-slot");
    return known === null ? undefined : Number(known);
  } catch {
    return undefined; // storage is not allowed
  }
}

run.addEventListener("opened", (/** @type {any} */ { detail: { opened, request } }) => {
  $("resume-banner").hidden = true;
  blank(opened);
  about(opened, { planes: draw.planes.empty, weights: weights.empty, codes: codes.empty });
  software.opened(opened.adapter);
  draw.start(opened, own.data?.test_len);
  device.start(opened);
  profile.allow();
  recipe.opened(request.recipe ?? recipe.named(opened.name) ?? opened.summary.resolved);
  if (opened.position.step) measure();
});
run.addEventListener("reset", () => {
  blank(run.opened);
  draw.ask();
});
run.addEventListener("rows", (/** @type {any} */ { detail }) => curve.add(detail));
run.addEventListener("state", () => {
  if (run.state === "paused" || run.state === "finished") draw.ask();
  curve.describe();
});

/** Computes the confusion matrix of a run that was resumed. */
async function measure() {
  const evaluation = await attempt(() => engine.evaluate());
  if (!evaluation) return;
  confusion.show(evaluation.confusion);
  run.measured(evaluation.accuracy);
}

engine.addEventListener("progress", (/** @type {any} */ { detail }) => {
  if (detail.codes) codes.show(detail.codes);
  if (detail.weights) weights.show(detail.weights);
  if (detail.evaluation) {
    confusion.show(detail.evaluation.confusion);
    draw.ask();
    curve.describe();
  }
  device.update(detail.timing);
});
engine.addEventListener("rewound", (/** @type {any} */ { detail }) => {
  curve.start(detail.position);
  run.rewound(detail);
});
engine.addEventListener("fault", (/** @type {any} */ { detail }) => fault(detail));
engine.addEventListener("saved", (/** @type {any} */ { detail }) => checkpoint.say(`Saved in this browser at step ${whole(detail.step)}.`));

recipe.addEventListener("use", () => recipe.during(run.open(recipe.request)));
own.addEventListener("recipe", (/** @type {any} */ { detail }) => {
  recipe.write(detail);
  recipe.typed();
  $("recipe").focus();
  $("recipe").setSelectionRange(0, 0);
  $("recipe").scrollTop = 0;
});
own.addEventListener("picture", (/** @type {any} */ { detail }) => draw.file(detail));
for (const [from, name] of /** @type {[EventTarget, string][]} */ ([[own, "checkpoint"], [checkpoint, "upload"]])) {
  from.addEventListener(name, (/** @type {any} */ { detail }) => upload(detail));
}

/** Resumes from a checkpoint file, with the recipe in it. @param {File} file */
async function upload(file) {
  const bytes = await attempt(async () => new Uint8Array(await file.arrayBuffer()));
  if (!bytes || !(await run.open({ checkpoint: bytes }))) return checkpoint.say(`${file.name} was not loaded; the run is unchanged.`);
  checkpoint.say(`Loaded ${file.name}, step ${whole(run.position.step)}.`);
}

/** Puts the recipe of the address into the editor. @returns {Promise<boolean>} whether there is one */
async function linked() {
  const text = await attempt(() => linkedRecipe(location.hash, (name) => recipe.named(name)));
  if (text !== undefined) recipe.write(text);
  return text !== undefined;
}

// A link that is pasted into this tab: its recipe is opened, unless a run would be lost.
addEventListener("hashchange", async () => {
  if (!(await linked())) return;
  if (!run.instead && !run.position?.step) return recipe.during(run.open(recipe.request));
  write($("recipe-state"), "This recipe is from the link. Use it to replace the run.");
  $("own").scrollIntoView();
});

/** Offers to resume the saved run; depending on the answer, it or a new run is opened. @param {any} saved @param {boolean} [link] whether the address has a recipe */
function offer(saved, link = false) {
  const banner = $("resume-banner");
  const answer = (/** @type {() => Promise<unknown>} */ act) => async () => {
    [banner.hidden, run.instead] = [true, null];
    await act();
  };
  run.instead = answer(async () => {
    if (!(await run.open({ saved: true }))) return offer(saved, link); // its images may have to be chosen first
    if (!run.position.over) await run.train();
  });
  $("resume-discard").onclick = answer(async () => {
    const next = await attempt(() => engine.forget());
    ownSlot(next?.slot);
    curve.start({ total_steps: 1, epoch_steps: 1 });
    if (next?.saved) offer(next.saved);
    else await run.open(recipe.request);
  });
  write($("resume-text"), `${sentence(saved)}${link ? " The recipe of the link waits in the editor." : ""}`);
  banner.hidden = false;
  Object.assign(banner.dataset, { when: saved.when, step: saved.step });
  const { rows, step, epoch, total_steps, epoch_steps = Math.max(1, rows.filter((/** @type {any} */ row) => row.kind === "step" && row.epoch === 1).length) } = saved;
  const position = { step, epoch, batch: 0, total_steps, epoch_steps, over: step >= total_steps };
  curve.start(position);
  run.preview(position, rows);
  run.turn({ state: "waiting", message: "A run is saved in this browser." });
}

/** @param {any} saved */
function sentence({ step, epoch, total_steps: total, epoch_steps: each, when, recipe_name: name }) {
  const date = new Date(when).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
  const at = epoch && each ? `epoch ${epoch} of ${Math.ceil(total / each)}` : `step ${whole(step)} of ${whole(total)}`;
  return `A run${name && name !== "recipe" ? ` of “${name}”` : ""} from ${date} stopped at ${at} (${percent(total ? step / total : 0, 0)}).`;
}

/** Opens the saved run or a new one. @param {any} begun result of Engine.start, and whether the address has a recipe */
async function begin({ saved, link }) {
  if (saved) offer(saved, link);
  else await run.open(recipe.request);
}

async function start() {
  const begun = await attempt(() => engine.start(ownSlot()));
  if (!begun) return run.turn({ state: "closed", message: "The engine could not be loaded. Reload the page; an old browser may need an update." });
  write($("version"), begun.version);
  recipe.start([...begun.recipes].sort((a, b) => Number(b.name === "digits") - Number(a.name === "digits")));
  begun.link = await linked();
  ownSlot(begun.slot);
  if (begun.others && begun.slot !== undefined) checkpoint.say("Another tab of this page has a separate run; this tab’s run is saved as well.");
  if (begun.others && begun.slot === undefined) checkpoint.say("Other tabs of this page use all slots for saved runs: this tab’s run is not saved. Download its checkpoint to keep it.");
  run.adapter = software.found(begun.software);
  if (begun.webgpu || run.adapter === "cpu") return begin(begun);
  run.turn({ state: "missing" });
  $("webgpu-missing").hidden = false;
  write($("missing-reason"), begun.reason ?? "");
  $("train-cpu").onclick = async () => {
    $("webgpu-missing").hidden = true;
    run.adapter = "cpu";
    run.eager = !begun.saved;
    await begin(begun);
  };
}

start();
