/**
 * The page: it wires the engine's events to the pictures, and the people's wishes to the engine.
 */
import { Confusion } from "./confusion.js";
import { Curve } from "./curve.js";
import { Device } from "./device.js";
import { $, percent, whole, write } from "./dom.js";
import { Draw } from "./draw.js";
import { Engine } from "./engine.js";
import { attempt, fault } from "./fault.js";
import { Histograms } from "./histogram.js";
import { Checkpoint, Own } from "./own.js";
import { Profile } from "./profile-panel.js";
import { Recipe } from "./recipe.js";
import { Run } from "./run.js";
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

/** Bits of each quantiser of a resolved recipe, which writes a layer's name before them. @param {string} resolved */
function bitsOf(resolved) {
  const found = resolved.matchAll(/^name = "(.*)"$[^[]*?^bits = (\d)/gm);
  return new Map([...found].map(([, name, bits]) => [name, Number(bits)]));
}

/** Pictures of a run that has not begun. @param {any} opened */
function blank(opened) {
  const layers = opened.summary.layers.filter((/** @type {any} */ { kind }) => kind === "hwgq");
  const bits = bitsOf(opened.summary.resolved);
  codes.start(layers.map((/** @type {any} */ { name }) => ({ layer: name, bits: bits.get(name) ?? 2 })));
  weights.clear();
  confusion.start(opened.classes);
  curve.start(opened.position);
}

run.addEventListener("opened", (/** @type {any} */ { detail: { opened, request } }) => {
  blank(opened);
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

/** The confusion matrix of a run that goes on from a saved state. */
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

recipe.addEventListener("use", () => run.open(recipe.request));
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

/** Goes on from a checkpoint file, with the recipe that it holds. @param {File} file */
async function upload(file) {
  const bytes = await attempt(async () => new Uint8Array(await file.arrayBuffer()));
  if (!bytes || !(await run.open({ checkpoint: bytes }))) return checkpoint.say(`${file.name} was not loaded; the run is as it was.`);
  checkpoint.say(`Loaded ${file.name}, step ${whole(run.position.step)}.`);
}

/** Offers the saved run: the answer opens it, or a new one. @param {any} saved */
function offer(saved) {
  const banner = $("resume-banner");
  const answer = (/** @type {() => Promise<unknown>} */ act) => async () => {
    [banner.hidden, run.instead] = [true, null];
    await act();
  };
  const resume = answer(async () => {
    if ((await run.open({ saved: true })) && !run.position.over) await run.train();
  });
  const anew = answer(async () => {
    await attempt(() => engine.forget());
    await run.open(recipe.request);
  });
  write($("resume-text"), sentence(saved));
  $("resume-run").onclick = resume;
  $("resume-discard").onclick = anew;
  [banner.hidden, run.instead] = [false, resume];
  run.turn({ state: "waiting", message: "A run is saved in this browser." });
}

/** @param {any} saved */
function sentence({ step, epoch, total_steps: total, when, recipe_name: name, rows }) {
  const date = new Date(when).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
  const each = rows.filter((/** @type {any} */ row) => row.kind === "step" && row.epoch === 1).length;
  const epochs = epoch && each ? Math.ceil(total / each) : 0;
  const at = epochs ? `epoch ${epoch} of ${epochs}` : `step ${whole(step)} of ${whole(total)}, epoch ${epoch}`;
  return `A run${name && name !== "recipe" ? ` of “${name}”` : ""} from ${date} stopped at ${at} (${percent(total ? step / total : 0, 0)}).`;
}

/** Opens what there is to open. @param {any} begun what Engine.start gave */
async function begin({ saved }) {
  if (saved) offer(saved);
  else await run.open(recipe.request);
}

async function start() {
  const begun = await attempt(() => engine.start());
  if (!begun) return run.turn({ state: "closed", message: "The engine could not be loaded. Reload the page; an old browser may need an update." });
  write($("version"), begun.version);
  recipe.start([...begun.recipes].sort((a, b) => Number(b.name === "digits") - Number(a.name === "digits")));
  if (begun.webgpu) return begin(begun);
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
