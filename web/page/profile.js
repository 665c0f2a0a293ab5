/**
 * The profile view: time and memory of a training step. Used in the page and in the output of `halfwave profile --html`.
 *
 * **Invariant** Times with and without instrumentation are always labelled: the step's time is without, everything about single launches with.
 */
import { counted, make } from "./dom.js";
import { ceilingOf, doubt, duration } from "./profile-draw.js";
import { layers } from "./profile-layers.js";
import { memory } from "./profile-memory.js";
import { roofline } from "./profile-roofline.js";
import { table } from "./profile-table.js";

/** Shows a profile. @param {HTMLElement} container its contents are replaced @param {any} profile as written by `halfwave profile --json` */
export function render(container, profile) {
  container.classList.add("profile");
  container.replaceChildren(
    ...header(profile),
    part("Roofline", "Instrumented: each launch separately.", ...roofline(profile)),
    part("Time by layer", "Instrumented: sums of the launches’ medians, in the network’s order.", layers(profile)),
    part("Memory over the step", "From the plan, which determines it before anything runs.", ...memory(profile)),
    part("Launches", `Instrumented: ${counted(profile.launches.length, "launch", "launches")}. Click a column’s head to sort.`, table(profile)),
  );
}

/** @param {string} title @param {string} text @param {...(Node | string)} content */
const part = (title, text, ...content) => make("section", { className: "part" }, make("h3", {}, title), make("p", { className: "quiet" }, text), ...content);

/** @param {any} profile @returns {Node[]} */
function header(profile) {
  const { recipe, batch, device, timer, steps, step_ns, wall_ns, instrumented_ns, launches_ns, launches, ceilings, plan, halfwave } = profile;
  const where = [device.adapter, device.backend.replace("BrowserWebGpu", "WebGPU in a browser"), device.kind].filter((word, at, all) => word && all.indexOf(word) === at);
  const rows = [
    ["Device", where.join(" · ")],
    ["Driver", device.driver || "not reported"],
    ["Clock", device.backend === "cpu" ? own(timer) : clock(timer)],
    ["Measured peaks", ceilings ? limits(ceilings) : "not measured"],
    ["Measured", `${counted(steps, "step")}: all times are medians. halfwave ${halfwave}, plan ${plan}`],
  ];
  const submitted = device.backend !== "cpu" && (timer.quality === "zero" || timer.quality === "absent");
  const repeated = launches.filter((/** @type {any} */ { repeats }) => repeats > 1).length;
  const times = [
    group("Without instrumentation", [
      ["A step", step_ns, step_ns === wall_ns ? "by the host’s clock, the only one available" : "by the device’s clock"],
      ["A step in flight", wall_ns, "by the host’s clock, several in flight, as training does it"],
    ]),
    group("With instrumentation", [
      ["All launches", launches_ns, `the sum of ${launches.length} medians: ${times_of(launches_ns, step_ns)} the uninstrumented step${submitted ? "; each includes a submission" : ""}`],
      ["A step", instrumented_ns, `${times_of(instrumented_ns, wall_ns)} the step in flight: the cost of instrumentation${repeated ? `, with ${counted(repeated, "launch", "launches")} repeated` : ""}`],
    ]),
  ];
  return [
    make("h2", {}, `${recipe}, batch ${batch}`),
    make("dl", { className: "pairs" }, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    make("div", { className: "times" }, ...times),
  ];
}

/** @param {number} a @param {number} b */
const times_of = (a, b) => (b ? (a < 2 * b ? `${((100 * a) / b).toFixed(0)}% of` : `${(a / b).toFixed(1)} times`) : "–");

/** @param {string} title @param {[string, number, string][]} tiles */
const group = (title, tiles) =>
  make("div", { className: "group" }, make("h4", {}, title), make("div", { className: "tiles" }, ...tiles.map(([name, ns, text]) =>
    make("div", {}, make("span", { className: "quiet" }, name), make("b", {}, duration(ns)), make("span", { className: "quiet" }, text)))));

/** The clock of the CPU backend. @param {{quantum_ns: number}} timer */
const own = ({ quantum_ns: quantum }) => `the CPU’s${quantum > 1000 ? `, with a resolution of ${duration(quantum)}; shorter launches were repeated` : ""}`;

/** Description of the quality of the device's clock. @param {{quality: string, quantum_ns: number}} timer */
function clock({ quality, quantum_ns: quantum }) {
  const host = `launches are timed by the host’s clock, one submission each, which includes the cost of a submission: ${duration(quantum)}`;
  switch (quality) {
    case "exact":
      return `exact: the device’s clock, with a resolution of ${duration(Math.max(quantum, 1))}`;
    case "quantised":
      return `quantised: this clock has a resolution of ${duration(quantum)}; short launches were repeated until they span enough of its steps`;
    case "zero":
      return `unusable: the device’s timestamps do not advance; ${host}`;
    default:
      return `absent: the device has no timestamps; ${host}`;
  }
}

/** @param {any} ceilings */
function limits({ copy, float, half, bit, dot, workgroup, launch }) {
  const all = /** @type {[string, any, string][]} */ ([
    ["memory", copy.at(-1), "B"],
    ["f32", float, "FLOP"],
    ["f16", half, "FLOP"],
    ["popcount", bit, "bitop"],
    ["packed dot", dot, "op"],
    ["workgroup memory", workgroup, "B"],
  ]).filter(([, ceiling]) => ceiling);
  const said = all.map(([name, ceiling, unit]) => `${name} ${ceilingOf(ceiling, unit)}`);
  const doubts = [...all, ["launch", launch]].filter(([, ceiling]) => doubt(ceiling)).map(([name, ceiling]) => `${name}: ${doubt(ceiling)}`);
  return `${said.join(", ")}; an empty dispatch ${duration(launch.value)}.${doubts.length ? ` Unreliable, as on a busy machine: ${doubts.join("; ")}.` : ""}`;
}
