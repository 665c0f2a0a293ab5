/**
 * Tables of a report: the runs, the differences between their recipes, their devices, and their predictions on the test images.
 */
import { Confusion } from "./confusion.js";
import { make, percent, size, whole } from "./dom.js";
import { colour } from "./report-view.js";

const NONE = "–";

/** @param {any} share */
const share = (share) => (share == null ? NONE : percent(share));

/** A time as text. @param {number | null} seconds */
function time(seconds) {
  if (seconds == null) return NONE;
  const all = Math.round(seconds);
  if (all < 60) return `${seconds.toFixed(1)}\u00a0s`;
  return all < 3600 ? `${Math.floor(all / 60)}\u00a0min ${all % 60}\u00a0s` : `${Math.floor(all / 3600)}\u00a0h ${Math.floor(all / 60) % 60}\u00a0min`;
}

/** A run's name with its colour. @param {any[]} runs @param {number} at */
export const named = (runs, at) => make("span", { className: "run" }, make("i", { className: `swatch ${colour(at)}` }), runs[at].name);

/** A table of rows under heads; columns whose head starts with # hold numbers. @param {string[]} heads @param {(Node | string)[][]} rows @param {string} caption */
function table(heads, rows, caption) {
  const kind = (/** @type {number} */ at) => (heads[at].startsWith("#") ? "number" : "");
  const head = make("tr", {}, ...heads.map((head, at) => make("th", { scope: "col", className: kind(at) }, head.replace("#", ""))));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, at) => make(at ? "td" : "th", { className: kind(at), ...(at ? {} : { scope: "row" }) }, cell))));
  return make("div", { className: "scroll" }, make("table", { className: "plain-table" }, make("caption", { className: "hidden" }, caption), make("thead", {}, head), make("tbody", {}, ...body)));
}

/** The runs with their results. Validation images alone decide which is the best one, and only if every run has some. @param {any[]} runs */
export function overview(runs) {
  const validated = runs.some((run) => run.best_accuracy != null);
  const most = runs.length > 1 && runs.every((run) => run.best_accuracy != null) ? Math.max(...runs.map((run) => run.best_accuracy)) : null;
  const best = (/** @type {any} */ { best_accuracy: accuracy, best_epoch: epoch }) =>
    accuracy == null ? NONE : make("span", { className: accuracy === most ? "winner" : "" }, percent(accuracy), make("span", { className: "hint" }, ` epoch ${whole(epoch)}`));
  const state = ({ state }) => make("span", { className: /^diverged/.test(state) ? "bad" : "" }, state);
  const columns = /** @type {[string, (run: any) => any][]} */ ([
    ["State", state],
    ...(validated ? [["#Best validation accuracy", best]] : []),
    ["#Test accuracy, last state", (run) => share(run.tested ?? run.test_accuracy)],
    ["#Epochs", (run) => whole(run.epochs)],
    ["#Steps", (run) => whole(run.steps)],
    ["#Images/s", (run) => (run.images_per_s == null ? NONE : whole(run.images_per_s))],
    ["#Training time", (run) => time(run.seconds)],
  ]);
  const rows = runs.map((run, at) => [named(runs, at), ...columns.map(([, value]) => value(run))]);
  return table(["Run", ...columns.map(([head]) => head)], rows, "The runs");
}

/** What a network takes once it is exported, and what an image costs. @param {any[]} runs */
export function sizes(runs) {
  const ratio = (/** @type {any} */ { packed_bytes, float_bytes }) => `1/${(float_bytes / Math.max(packed_bytes, 1)).toFixed(1)}`;
  const rows = runs.map((run, at) => [named(runs, at), whole(run.parameters), percent(run.low_bit), size(run.packed_bytes), size(run.float_bytes), ratio(run), whole(run.multiply_adds), percent(run.bit_multiply_adds / Math.max(run.multiply_adds, 1))]);
  return table(["Run", "#Parameters", "#Low-bit", "#Packed", "#In f32", "#Ratio", "#Multiply-adds per image", "#On bits"], rows, "Sizes of the networks");
}

/** @param {any[]} runs */
export function devices(runs) {
  const device = (/** @type {any} */ { adapter, backend, kind, ranks }) => (backend === "cpu" ? "the CPU backend" : [adapter, backend, kind].join(" · ")) + (ranks ? `, ${whole(ranks)} ranks` : "");
  const rows = runs.map((run, at) => [named(runs, at), device(run), run.driver || NONE, run.device_class, whole(run.batch), size(run.peak_bytes), run.images_per_s == null ? NONE : whole(run.images_per_s), run.halfwave, run.started.replace("T", " ").replace("Z", " UTC")]);
  return table(["Run", "Device", "Driver", "Device class", "#Batch", "#Memory of a step", "#Images/s", "halfwave", "Started"], rows, "Devices");
}

/** Keys that differ, under a head for each layer. @param {any[]} runs @param {any[]} differences */
export function recipes(runs, differences) {
  const value = (/** @type {string | null} */ text) => (text == null ? make("span", { className: "hint" }, "not set") : make("code", {}, text));
  const short = (/** @type {any} */ { key, layer }) => (layer ? key.replace(`model.layers.${layer}.`, "") : key);
  const rows = differences.map((difference) => [make("code", {}, short(difference)), ...difference.values.map(value)]);
  const made = table(["Key", ...runs.map(({ name }) => name)], rows, "Differences between the recipes");
  made.querySelectorAll("thead th").forEach((/** @type {Element} */ head, /** @type {number} */ at) => at && head.replaceChildren(named(runs, at - 1)));
  made.querySelectorAll("tbody tr").forEach((/** @type {Element} */ row, /** @type {number} */ at) => {
    const { layer } = differences[at];
    if (!layer) return;
    row.classList.add("in-layer");
    if (layer !== differences[at - 1]?.layer) row.before(make("tr", { className: "layer" }, make("th", { scope: "colgroup", colSpan: runs.length + 1 }, "layer ", make("code", {}, layer))));
  });
  made.classList.add("tall");
  return made;
}

/** A run's confusion matrix. @param {any[]} runs @param {any} matrix */
export function confusion(runs, { run, classes, counts, loss }) {
  const images = counts.flat().reduce((/** @type {number} */ sum, /** @type {number} */ count) => sum + count, 0);
  const right = counts.reduce((/** @type {number} */ sum, /** @type {number[]} */ row, /** @type {number} */ at) => sum + row[at], 0);
  const readout = make("p", { className: "hint readout" }, "Rows: true class; columns: predicted class. Point at a cell.");
  const host = make("div", { className: "confusion" });
  const matrix = new Confusion(host, readout);
  matrix.start(classes);
  matrix.show(counts);
  const text = `${percent(right / Math.max(images, 1))}, ${whole(right)} of ${whole(images)}${loss == null ? "" : ` · loss ${loss.toFixed(4)}`}`;
  return make("div", { className: "card", "data-run": run }, make("h3", {}, named(runs, run)), make("p", { className: "hint" }, text), host, readout);
}

/** The accuracy on each class, by run. @param {any[]} runs @param {any[]} confusion */
export function byClass(runs, confusion) {
  const most = Math.max(...confusion.map(({ classes }) => classes.length));
  const { classes } = confusion.find((matrix) => matrix.classes.length === most);
  const bar = (/** @type {any} */ { counts, run }, /** @type {number} */ at) => {
    const images = counts[at]?.reduce((/** @type {number} */ sum, /** @type {number} */ count) => sum + count, 0) ?? 0;
    if (!images) return NONE;
    const part = counts[at][at] / images;
    const fill = make("i", { className: colour(run) });
    fill.style.width = `${100 * part}%`;
    return make("span", { className: "bar-cell" }, make("span", { className: "track" }, fill), make("b", {}, percent(part)), make("span", { className: "hint" }, ` ${whole(counts[at][at])} of ${whole(images)}`));
  };
  const rows = classes.map((/** @type {string} */ name, /** @type {number} */ at) => [name, ...confusion.map((matrix) => bar(matrix, at))]);
  const made = table(["Class", ...confusion.map(({ run }) => runs[run].name)], rows, "Accuracy on each class");
  made.querySelectorAll("thead th").forEach((/** @type {Element} */ head, /** @type {number} */ at) => at && head.replaceChildren(named(runs, confusion[at - 1].run)));
  made.classList.add("tall");
  return make("div", { className: confusion.length === 1 ? "card" : "card whole" }, make("h3", {}, "Accuracy by class"), made);
}
