/**
 * The page written by `halfwave report`: runs side by side.
 */
import { counted, make } from "./dom.js";
import { figure } from "./report-chart.js";
import { stack, strength } from "./report-stack.js";
import { byClass, confusion, devices, named, overview, recipes, sizes } from "./report-tables.js";
import { View, controls } from "./report-view.js";

/** Shows a report. @param {HTMLElement} container its contents are replaced @param {any} report as written by `src/report/runs.rs` */
export function render(container, report) {
  const { runs, differences } = report;
  const view = new View();
  const names = runs.map((/** @type {any} */ { name }) => name);
  container.classList.add("report");
  const parts = [
    part("Runs", deciding(runs), make("div", { className: "card flush" }, overview(runs)), make("div", { className: "card flush" }, sizes(runs))),
    part("Learning", "Point at a curve to read its values; drag across a chart to zoom in, double-click to show everything.", make("div", { className: "grid" }, ...report.learning.map((/** @type {any} */ chart) => figure(chart, names, view)))),
    ...(runs.length > 1 ? [part("Recipes", differences.length ? `${counted(differences.length, "key differs", "keys differ")}; all others are the same.` : "The resolved recipes are the same.", ...(differences.length ? [make("div", { className: "card flush" }, recipes(runs, differences))] : []))] : []),
    ...tested(report),
    ...codes(report, names),
    ...layers(report, names, view),
    ...pictures(report),
    part("Device and speed", "", make("div", { className: "card flush" }, devices(runs)), make("div", { className: "grid" }, figure(report.speed, names, view))),
  ];
  container.replaceChildren(
    make("header", {}, make("p", { className: "hint" }, `halfwave ${report.halfwave} · report`), make("h1", {}, names.length > 1 ? `${names.length} runs compared` : names[0])),
    bar(container, runs, parts, view),
    ...parts,
  );
}

/** What decides which epoch and which run is the best. @param {any[]} runs */
function deciding(runs) {
  const time = "Training time is that of all epochs with their evaluations, without starting, saving and drawing.";
  const held = runs.filter((run) => run.best_accuracy != null).length;
  const epoch = "The best epoch is the one with the highest accuracy on the validation images; the test accuracy is that of the last state.";
  const last = "Without validation images the last epoch counts.";
  return `${held ? epoch : ""} ${held < runs.length ? last : ""} The test images decide nothing. ${time}`.trim();
}

/** @param {string} title @param {string} text @param {...(Node | string)} content */
function part(title, text, ...content) {
  const id = title.toLowerCase().replaceAll(" ", "-");
  return make("section", { className: "part", id }, make("h2", {}, title), ...(text ? [make("p", { className: "hint" }, text)] : []), ...content);
}

/** The bar that stays visible: the runs, which can be hidden, links to the sections, and controls of all charts. @param {HTMLElement} container @param {any[]} runs @param {HTMLElement[]} parts @param {View} view */
function bar(container, runs, parts, view) {
  const sheet = document.head.appendChild(document.createElement("style")).sheet;
  const chips = runs.map((_, run) => {
    sheet?.insertRule(`.report.hide-${run} [data-run="${run}"] { display: none; }`);
    const chip = make("button", { className: "chip", type: "button", title: "Hide or show the run" }, named(runs, run));
    chip.setAttribute("aria-pressed", "true");
    chip.addEventListener("click", () => chip.setAttribute("aria-pressed", String(!container.classList.toggle(`hide-${run}`, view.toggle(run)))));
    return chip;
  });
  const links = parts.map(({ id, firstElementChild: head }) => make("a", { href: `#${id}` }, head?.textContent ?? ""));
  return make("div", { className: "bar" }, make("div", { className: "chips" }, ...(runs.length > 1 ? chips : [])), make("nav", { "aria-label": "Parts of the report" }, ...links), controls(view));
}

/** @param {any} report */
function tested({ runs, confusion: matrices }) {
  const missing = runs.map((/** @type {any} */ { untested }, /** @type {number} */ run) => [untested, run]).filter(([why]) => why);
  const notes = missing.map(([why, run]) => make("p", { className: "note", "data-run": run }, named(runs, run), ` is not measured here: ${why}`));
  if (!matrices.length && !notes.length) return [];
  const content = matrices.length ? [make("div", { className: "grid" }, ...matrices.map((/** @type {any} */ matrix) => confusion(runs, matrix)), byClass(runs, matrices))] : [];
  return [part("Test images", "Results of each run’s last state (checkpoint.safetensors), as measured by halfwave eval.", ...notes, ...content)];
}

/** @param {any} report @param {string[]} names */
function codes({ codes }, names) {
  if (!codes.length) return [];
  const most = Math.max(...codes.map((/** @type {any} */ { shares }) => shares[0].length));
  const shades = Array.from({ length: most }, (_, code) => {
    const shade = make("i", { className: "code" });
    shade.style.setProperty("--strength", strength(code, most));
    return make("li", {}, shade, code === 0 ? "code 0" : String(code));
  });
  const text = "Share of a quantiser’s inputs with each code, epoch by epoch. Dashed lines: the shares for inputs from the standard normal distribution, for which the thresholds are designed.";
  return [part("Codes", text, make("ul", { className: "legend shades" }, ...shades), make("div", { className: "grid small" }, ...codes.map((/** @type {any} */ one) => stack(one, names))))];
}

/** @param {any} report @param {string[]} names @param {View} view */
function layers({ layers }, names, view) {
  const groups = layers.map((/** @type {any} */ { title, text, charts }) =>
    make("div", { className: "group" }, make("h3", {}, title), make("p", { className: "hint" }, text), make("div", { className: "grid small" }, ...charts.map((/** @type {any} */ chart) => figure(chart, names, view, true)))));
  return groups.length ? [part("Layers", "", ...groups)] : [];
}

/** @param {any} report */
function pictures({ runs, filters, maps }) {
  const sheet = (/** @type {any} */ { run, layer, text, width, image }) => {
    const shown = make("img", { src: image, alt: `${layer}: ${text}`, className: "sheet" });
    shown.style.width = `${width}px`;
    return make("figure", { className: "card", "data-run": run }, make("figcaption", {}, named(runs, run), make("b", {}, layer), make("span", { className: "hint" }, text)), make("div", { className: "scroll" }, shown));
  };
  const made = [];
  if (filters.length) made.push(part("Filters", "Weights of the first convolution. Each filter is scaled to its largest weight; zero is medium grey.", make("div", { className: "grid" }, ...filters.map(sheet))));
  // Runs side by side, layer by layer.
  const order = [...new Set(maps.map((/** @type {any} */ { layer }) => layer))];
  const sorted = order.flatMap((layer) => maps.filter((/** @type {any} */ map) => map.layer === layer));
  const text = "The quantisers’ codes for some test images: an image first, then its channels, black for the lowest code and white for the highest.";
  if (maps.length) made.push(part("Feature maps", text, make("div", { className: "grid" }, ...sorted.map(sheet))));
  return made;
}
