/**
 * The engine in its Worker: one session, its training loop, its storage, and its recovery from a lost device.
 *
 * Answers the calls of `engine.js`, and sends it events:
 * - "progress" `{rows, position, images_per_s, codes?, weights?, evaluation?}`: at most ten per second
 * - "state" `{state, message?}`: opening, ready, training, paused, profiling, finished, diverged, lost, missing
 * - "profiled" `{done, steps}`: number of measured steps of a profile; none while the device's peaks are measured
 * - "rewound" `{position, rows}`: the run was reset to an earlier step
 * - "saved" `{step, when}`: the run was saved in the browser's storage
 * - "fault" `{kind, message, line?, recoverable}`: a message for the user; if recoverable, the engine has recovered
 */
import init, { Session, ceilings, readRecipe, recipeOf, recipes, version } from "./pkg/halfwave.js";
import { Files, dataset, picture } from "./data.js";
import { adapterOf, gpu } from "./gpu.js";
import * as storage from "./storage.js";

/** @typedef {import("./pkg/halfwave.js").Event} Row */
/** @typedef {import("./pkg/halfwave.js").HalfwaveError} HalfwaveError */

/** Minimum time between two inspections of the network, absolute and as a multiple of the duration of one. */
const LOOK_MS = 700;
const LOOK_SHARE = 12;
/** Time between two reports. */
const REPORT_MS = 100;
/** Minimum time between two saves at the ends of epochs. */
const SAVE_MS = 3000;
/** Number of test images whose codes are counted. */
const COUNTED = 64;
/** Number of steps over which a profile takes medians. */
const PROFILED = 10;
/** Maximum number of consecutive attempts to reopen a lost device. */
const ATTEMPTS = 3;

/** @typedef {{session: Session, data: import("./pkg/halfwave.js").Dataset, name: string, adapter: "gpu" | "cpu", summary: import("./pkg/halfwave.js").RecipeSummary, recipe: string}} Open */
/** @type {Open | undefined} */
let open;
/** @type {Files | undefined} */
let files;
/** @type {Row[]} */
let rows = [];
/** The last checkpoint taken. @type {Uint8Array | undefined} */
let kept;
/** Whether the rows go beyond the session's position: it was reset to a checkpoint, and they stay visible until training continues. */
let ahead = false;
/** @type {Promise<void> | undefined} */
let loop;
let training = false;
let attempts = 0;
let storable = true;

/** @param {string} event @param {any} detail */
const send = (event, detail) => postMessage({ event, detail });
/** @param {string} state @param {string} [message] */
const tell = (state, message) => send("state", { state, message });
/** @param {any} error */
const plain = ({ kind = "engine", message, line }) => ({ kind, message, line });
/** @param {any} error @param {boolean} [recoverable] */
const fault = (error, recoverable = false) => send("fault", { ...plain(error), recoverable });
/** @param {string} kind @param {string} message */
const problem = (kind, message) => Object.assign(new Error(message), { kind });

/** Runs `work` once the current call has been answered; it may fail. @param {() => Promise<void>} work */
const later = (work) => {
  const done = breathe().then(() => (open ? work() : undefined)).catch(() => undefined);
  reading.add(done);
  done.finally(() => reading.delete(done));
};

/** Yields to incoming messages; a timer would wait longer, especially in a hidden tab. */
const breathe = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(0);
  });

function current() {
  if (!open) throw problem("usage", "No run is open yet. Resume the saved one, or use a recipe.");
  return open;
}

/** Checks a recipe and loads its data, before a device is opened. @param {string} recipe */
async function prepare(recipe) {
  const summary = readRecipe(recipe);
  const { data, skipped } = await dataset(summary, files);
  if (skipped.length > 0) {
    const first = skipped.slice(0, 3).map(({ path }) => path.split("/").at(-1));
    const message = `${skipped.length} of the files could not be read as pictures and are left out: ${first.join(", ")}${skipped.length > 3 ? ", …" : ""}.`;
    fault(problem("data", message), true);
  }
  return { recipe, summary, data };
}

/**
 * @param {Awaited<ReturnType<typeof prepare>>} prepared @param {string} name @param {"gpu" | "cpu"} adapter
 * @returns {Promise<Open>}
 */
async function make({ recipe, summary, data }, name, adapter) {
  return { session: await Session.open(recipe, data, { adapter }), data, name, adapter, summary, recipe };
}

/** Rows of a run up to a position, without those of steps still to be repeated. @param {Row[]} all */
function upTo(all, { step, epoch, over }) {
  return all.filter((row) => (row.kind === "step" ? row.step <= step : row.epoch <= epoch + (over ? 1 : 0)));
}

async function describe() {
  const { session, data, summary, name } = current();
  return {
    adapter: await adapterOf(current()),
    summary,
    plan: session.plan,
    position: session.position,
    rows,
    classes: data.classes,
    name,
  };
}

/** Opens another run, or, if only an adapter is given, the same run on it; if that fails, the previous run is reopened. */
async function replace({ recipe, name, checkpoint, saved, adapter = open?.adapter ?? "gpu" }) {
  /** @type {Row[]} */
  let before = [];
  if (recipe === undefined && !checkpoint && !saved) {
    await halt();
    ({ recipe, name } = current());
    [checkpoint, before] = [ahead ? kept : await current().session.checkpoint(), rows];
  } else if (saved) {
    const run = await storage.load();
    if (!run) throw problem("usage", "There is no longer a run in this browser's storage. Start a new one.");
    ({ recipe, name, rows: before } = run.header);
    checkpoint = run.checkpoint;
  } else if (checkpoint) {
    recipe = recipeOf(checkpoint);
  }
  const prepared = await prepare(recipe); // errors are found before anything is closed
  if (checkpoint) prepared.data = prepared.data.matching(checkpoint); // classes by name, in the network's order
  await halt();
  const old = open;
  const back = old && (await old.session.checkpoint().catch(() => kept));
  tell("opening");
  open = undefined;
  await release(old?.session);
  try {
    open = await make(prepared, name ?? "recipe", adapter);
    if (checkpoint) await open.session.restore(checkpoint);
  } catch (error) {
    await release(open?.session);
    open = old && (await make(old, old.name, old.adapter));
    if (open && back) await open.session.restore(back);
    tell(!open ? "missing" : open.session.position.over ? "finished" : rows.length ? "paused" : "ready");
    throw error;
  }
  rows = upTo(before, open.session.position);
  kept = checkpoint;
  ahead = false;
  attempts = 0;
  const { over, step } = open.session.position;
  tell(over ? "finished" : step > 0 ? "paused" : "ready");
  return describe();
}

/** Sends the network's codes and weights while it is not training. */
async function show() {
  const { session } = current();
  send("progress", { rows: [], position: session.position, images_per_s: 0, timing: session.timing, ...(await new Inside().look()) });
}

async function save() {
  const { session, name, summary } = current();
  kept = await session.checkpoint();
  if (!storable) return;
  const { step, epoch, total_steps, epoch_steps } = session.position;
  try {
    const when = await storage.save({ name, recipe: summary.resolved, step, epoch, total_steps, epoch_steps, rows }, kept);
    send("saved", { step, when });
  } catch (error) {
    storable = false; // reported once
    fault(Object.assign(/** @type {Error} */ (error), { kind: "storage" }), true);
  }
}

/** Codes and signs, for pictures of the network's inside. */
class Inside {
  /** @type {Map<string, Uint8Array>} */
  #before = new Map();

  async look() {
    const { session, data } = current();
    const pixels = data.pixels("test", 0, Math.min(COUNTED, data.testLength));
    const activations = await session.inspect(pixels);
    const codes = activations.filter(({ what }) => what === "codes").map(({ layer, bits, shares }) => ({ layer, bits, shares }));
    const weights = (await session.signs()).map(({ layer, shape, signs }) => {
      const old = this.#before.get(layer) ?? signs;
      this.#before.set(layer, signs);
      return { layer, shape, signs, flips: signs.reduce((sum, sign, at) => sum + Number(sign !== old[at]), 0) / signs.length };
    });
    return { codes, weights };
  }
}

async function train() {
  const inside = new Inside();
  let next_look = performance.now() + LOOK_MS; // the first step is shown first
  let reported = 0;
  let saved = performance.now();
  let fresh = [];
  let extra = {};
  const rate = { images: 0, ms: 0 };
  const report = () => {
    const { position, timing } = current().session;
    const images_per_s = (1000 * rate.images) / Math.max(rate.ms, 1);
    send("progress", { rows: fresh, position, images_per_s, timing, ...extra });
    [fresh, extra, rate.images, rate.ms, reported] = [[], {}, 0, 0, performance.now()];
  };
  try {
    while (training) {
      const { session, summary } = current();
      const asked = performance.now();
      const events = await session.advance();
      rate.ms += performance.now() - asked;
      rate.images += summary.batch * events.filter(({ kind }) => kind === "step").length;
      attempts = 0;
      rows.push(...events);
      fresh.push(...events);
      const over = session.position.over;
      const ended = events.some(({ kind }) => kind === "epoch");
      if (ended || over) extra = { ...extra, evaluation: session.evaluation };
      const begun = performance.now();
      if (over || begun > next_look) {
        extra = { ...extra, ...(await inside.look()) };
        const took = performance.now() - begun;
        next_look = begun + Math.max(LOOK_MS, LOOK_SHARE * took);
      }
      if (over || performance.now() - reported > REPORT_MS) report();
      if (over || (ended && performance.now() - saved > SAVE_MS)) {
        await save();
        saved = performance.now();
      }
      if (over) {
        training = false;
        tell("finished");
      }
      await breathe();
    }
  } finally {
    if (fresh.length > 0) report();
  }
}

/** Trains until stopped, and reopens a lost device. */
async function run() {
  tell("training");
  while (training) {
    try {
      await train();
    } catch (error) {
      await recover(/** @type {HalfwaveError} */ (error));
    }
  }
}

/** @param {HalfwaveError} error */
async function recover(error) {
  if (error.kind === "diverged") return goBack(error);
  if (error.kind !== "device" || !open || attempts === ATTEMPTS) {
    training = false;
    fault(error);
    tell(["device", "memory"].includes(error.kind) ? "lost" : "paused");
    return;
  }
  attempts += 1;
  tell("opening");
  const lost = open;
  const at = lost.session.position.step;
  open = undefined;
  await release(lost.session);
  try {
    await new Promise((resolve) => setTimeout(resolve, 300 * attempts)); // a driver may have to restart first
    await reopen(lost);
  } catch (failure) {
    closed = lost;
    training = false;
    fault(failure);
    tell("lost", error.message);
    return;
  }
  const from = current().session.position.step;
  const where = from ? `step ${from}, the last save` : "the beginning";
  fault(problem("device", `The GPU was lost at step ${at}. It was reopened, and training continues from ${where}.`), true);
  tell(training ? "training" : "paused");
}

/**
 * A diverged run is reset to its last checkpoint, or to the beginning: that network can be used and downloaded. The saved
 * run is kept.
 * @param {HalfwaveError} error
 */
async function goBack(error) {
  training = false;
  const { session } = current();
  if (kept) await session.restore(kept);
  else await session.reset();
  ahead = true;
  const { step } = session.position;
  const first = rows.find((row) => row.kind === "step" && row.fault);
  const where = first?.kind === "step" ? `: found NaN or infinity ${first.fault}, at step ${first.step}` : "";
  fault(error);
  send("progress", { rows: [], position: session.position, images_per_s: 0 });
  tell("diverged", `Training diverged${where}. The network was reset ${step ? `to the one saved at step ${step}` : "to its initial weights"}; a lower lr in the recipe helps.`);
}

/** The run whose device was lost and could not be reopened. @type {Open | undefined} */
let closed;

/** Reopens a run from the last checkpoint. @param {Open} lost */
async function reopen(lost) {
  const made = await make(lost, lost.name, lost.adapter);
  if (kept) await made.session.restore(kept);
  [open, closed] = [made, undefined];
  rows = upTo(rows, made.session.position);
  send("rewound", { position: made.session.position, rows });
}

/** Running calls that use the session without changing it. @type {Set<Promise<void>>} */
const reading = new Set();

/** Frees a session's memory once no call reads from it any more. @param {Session | undefined} session */
async function release(session) {
  await Promise.all(reading);
  session?.free();
}

/** The GPU's peaks, measured once; undefined on a device where the measurement fails. @type {Promise<import("./pkg/halfwave.js").DevicePeaks | void> | undefined} */
let limits;

/** Profiles a step of the open run. @param {Open} open */
async function measure({ session, name, adapter }) {
  const progress = (/** @type {number} */ done) => send("profiled", { done, steps: PROFILED });
  tell("profiling");
  progress(0);
  if (adapter === "gpu") limits ??= ceilings().catch((error) => void fault(error, true));
  const profile = await session.profile({ steps: PROFILED, recipe: name, ceilings: (adapter === "gpu" && (await limits)) || undefined }, progress);
  if (adapter === "gpu") profile.device.adapter = (await adapterOf(current())).name;
  return profile;
}

/** Stops after the current step. */
async function halt() {
  training = false;
  await loop;
  loop = undefined;
}

/** @type {Record<string, (argument: any) => any>} */
const calls = {
  async start(before) {
    await init().catch((/** @type {unknown} */ error) => {
      // The module's SIMD instructions are the only feature that a browser may lack.
      if (!(error instanceof WebAssembly.CompileError)) throw error;
      throw new Error("The engine cannot be compiled: this browser is too old (it needs Chrome or Edge 91, Firefox 89, Safari 16.4 or newer), or the file is damaged.", { cause: error });
    });
    const { reason, name, software } = await gpu();
    const { slot, others } = await storage.claim(before);
    return { webgpu: !reason, reason, software: software && name, version: version(), recipes: recipes(), slot, others, saved: await saved() };
  },

  check(recipe) {
    try {
      return { summary: readRecipe(recipe) };
    } catch (error) {
      return { error: plain(error) };
    }
  },

  async files(list) {
    files = await Files.read(list);
    return files.summary;
  },

  collected(classes) {
    files = Files.collected(classes);
    return files.summary;
  },

  async open(what) {
    const opened = await replace(what);
    // A trained network is shown at once, without waiting for it.
    if (opened.position.step > 0) later(show);
    return opened;
  },

  async train() {
    if (training) return;
    if (!open && closed) {
      tell("opening");
      await reopen(closed);
    }
    if (current().session.position.over) throw problem("usage", "This run is finished. Reset it to train again.");
    if (ahead) {
      ahead = false;
      rows = upTo(rows, current().session.position);
      send("rewound", { position: current().session.position, rows });
    }
    training = true;
    loop = run();
  },

  async pause() {
    if (!training) return;
    await halt();
    if (!open) return;
    try {
      await save();
      tell(open.session.position.over ? "finished" : "paused");
    } catch (error) {
      await recover(/** @type {HalfwaveError} */ (error));
    }
  },

  async reset() {
    await halt();
    await current().session.reset();
    [rows, kept, ahead] = [[], undefined, false];
    await storage.forget();
    tell("ready");
    return describe();
  },

  async profile() {
    const going = training;
    await halt();
    try {
      return await measure(current());
    } catch (error) {
      if (/** @type {HalfwaveError} */ (error).kind !== "device") throw error;
      await recover(/** @type {HalfwaveError} */ (error)); // which reports it
    } finally {
      if (open) {
        const { over, step } = open.session.position;
        training = going && !over;
        if (training) loop = run();
        else tell(over ? "finished" : step > 0 ? "paused" : "ready");
      }
    }
  },

  evaluate: () => current().session.evaluate(),

  async classify({ pixels, file, test, brief }) {
    const { session, data, summary } = current();
    const full = summary.set === "digits" ? 16 : 255;
    const label = test === undefined ? undefined : data.label("test", test % data.testLength);
    if (test !== undefined) pixels = data.pixels("test", test % data.testLength, 1);
    if (file) pixels = await picture(file, summary.input, full);
    const [prediction] = await session.predict(pixels);
    return { ...prediction, pixels, full, input: summary.input, label, activations: brief ? [] : await session.inspect(pixels) };
  },

  checkpoint: () => current().session.checkpoint(),

  onnx: () => current().session.exportOnnx(),

  async packed({ recipe }) {
    const { session, data } = current();
    const known = session.position.batch === 0 && !ahead ? session.evaluation : undefined;
    const evaluation = known ?? (data.testLength ? await session.evaluate() : undefined);
    return session.exportPacked({ recipe, facts: evaluation && { "test accuracy": evaluation.accuracy.toFixed(4) } });
  },

  async forget() {
    await storage.forget();
    const { slot } = await storage.claim();
    return { slot, saved: await saved() };
  },
};

/** Summary of the saved run in this tab's slot. */
async function saved() {
  const run = await storage.load();
  if (!run) return undefined;
  const { step, epoch, total_steps, epoch_steps, when, name, rows } = run.header;
  return { step, epoch, total_steps, epoch_steps, when, recipe_name: name, rows };
}

/** Calls that change the open run wait for each other; others may run in between. */
const CHANGES = new Set(["open", "train", "pause", "reset", "profile"]);
let turn = Promise.resolve();

onmessage = async ({ data: { id, name, argument } }) => {
  const call = CHANGES.has(name) ? turn.then(() => calls[name](argument)) : (async () => calls[name](argument))();
  const settled = call.then(
    (value) => postMessage({ id, value }),
    (error) => postMessage({ id, error: plain(error) }),
  );
  if (CHANGES.has(name)) {
    turn = settled;
  } else {
    reading.add(settled);
    settled.then(() => reading.delete(settled));
  }
};
