/**
 * The difference between two profiles, layer by layer: the page written by `halfwave profile --diff A B --html FILE`.
 */
import { counted, make } from "./dom.js";
import { PHASES, duration, layerOf } from "./profile-draw.js";

/** @param {number | null} ns */
const time = (ns) => (ns == null ? "–" : duration(ns));

/** A difference with its sign. @param {number} ns */
const signed = (ns) => `${ns < 0 ? "−" : "+"}${duration(Math.abs(ns))}`;

/** Verdicts that are not noise. @type {Record<string, string>} */
const VERDICTS = { slower: "slower", faster: "faster", new: "only in the second", gone: "only in the first" };

/** Those of launches that did not change, or were not compared. @type {Record<string, string>} */
const OTHERS = { same: "within the noise", other_work: "different work", other_device: "other device" };

/** The phase of a launch in a word. @param {string} phase */
const phaseOf = (phase) => PHASES[phase]?.name.split(":")[0] ?? phase;

/** Which of the two profiles it is. @param {any} side */
const about = ({ name, device, steps, measured }) =>
  [name, device, counted(steps, "step"), measured?.replace("T", " ").replace("Z", " UTC")].filter(Boolean).join(" · ");

/** Shows a comparison. @param {HTMLElement} container its contents are replaced @param {any} comparison as written by `src/report/profile.rs` */
export function render(container, comparison) {
  const { sides: [first, second], conclusion, judged, recipe, batch, machine, step_ns: [before, after], notes, layers } = comparison;
  container.classList.add("profile", "comparison");
  const ratio = (/** @type {number} */ value) => `${value.toFixed(2)} times`;
  const rows = [
    ["Before", about(first)],
    ["After", about(second)],
    ["A step without instrumentation", `${duration(before)} before, ${duration(after)} after: ${ratio(after / Math.max(before, 1))}`],
    ...(judged ? [["Most launches took", `${ratio(machine)} as long, which all differences below leave out`]] : []),
    ...conclusion.split("\n").map((/** @type {string} */ line) => ["Result", line[0].toUpperCase() + line.slice(1)]),
    ...notes.map((/** @type {string} */ note) => ["Note", note]),
  ];
  container.replaceChildren(
    make("h2", {}, `${recipe}, batch ${batch}: two profiles`),
    make("dl", { className: "pairs" }, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    make("section", { className: "part" }, make("h3", {}, "Differences by layer"), make("p", { className: "quiet" }, "Sums of the launches’ medians, the largest difference first. Open a layer to see its launches."), table(layers, machine)),
  );
}

/** The layers, each followed by its launches, which are hidden at first. @param {any[]} layers @param {number} machine */
function table(layers, machine) {
  const without = (/** @type {any} */ { median_ns: [before, after] }) => (after ?? 0) - (before ?? 0) * machine;
  const largest = Math.max(...layers.flatMap(({ difference_ns: ns, launches }) => [ns, ...launches.map(without)]).map(Math.abs), 1);
  const heads = ["Layer", "Phases", "#Before", "#After", "#Difference", "", "Result"];
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col", className: text.startsWith("#") ? "number" : "" }, text.replace("#", ""))));
  const bodies = layers.map((layer) => {
    const changed = layer.launches.filter((/** @type {any} */ { verdict }) => verdict in VERDICTS).length;
    const others = [...new Set(layer.launches.map((/** @type {any} */ { verdict }) => OTHERS[verdict]))];
    const text = changed ? `${changed} of ${counted(layer.launches.length, "launch", "launches")} changed` : others.join(", ");
    const phases = [...new Set(layer.launches.map((/** @type {any} */ { phase }) => phaseOf(phase)))].join(", ");
    const button = make("button", { type: "button" }, layerOf(layer));
    const first = line(make("th", { scope: "row" }, button), phases, layer.ns, layer.difference_ns, largest, text, changed > 0);
    const launches = layer.launches.map((/** @type {any} */ launch) => {
      const { kernel, phase, median_ns: ns, ratio, noise, verdict } = launch;
      const measured = ["slower", "faster"].includes(verdict) ? `${VERDICTS[verdict]}: ${ratio.toFixed(2)} times, noise up to ${noise.toFixed(2)}` : VERDICTS[verdict];
      const row = line(make("td", { className: "kernel" }, kernel), phaseOf(phase), ns, without(launch), largest, measured ?? OTHERS[verdict], verdict in VERDICTS);
      row.hidden = true;
      return row;
    });
    const open = (/** @type {boolean} */ wanted) => {
      button.setAttribute("aria-expanded", String(wanted));
      for (const row of launches) row.hidden = !wanted;
    };
    button.addEventListener("click", () => open(button.getAttribute("aria-expanded") !== "true"));
    open(false);
    return make("tbody", {}, first, ...launches);
  });
  return make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Differences by layer" }, make("table", { className: "launches" }, make("thead", {}, head), ...bodies));
}

/** @param {Node} name @param {string} phase @param {(number | null)[]} ns @param {number} difference @param {number} largest @param {string} text @param {boolean} changed */
function line(name, phase, [before, after], difference, largest, text, changed) {
  const bar = make("i", { className: `${difference < 0 ? "less" : "more"}${changed ? "" : " noise"}` });
  bar.style.width = `${(50 * Math.abs(difference)) / largest}%`;
  const number = (/** @type {string} */ text) => make("td", { className: "number" }, text);
  return make("tr", {}, name, make("td", {}, phase), number(time(before)), number(time(after)), number(signed(difference)), make("td", { className: "bars" }, bar), make("td", { className: changed ? "" : "quiet" }, text));
}
