/**
 * The roofline: each launch by its operations per byte moved, and its speed, compared with the measured peaks of the device. One panel for float
 * operations, one for bit operations, because their peaks differ.
 */
import { counted, make, size, widthOf } from "./dom.js";
import { Tip, about, byPhase, ceilingOf, digits, doubt, legend, mark, persecond, phaseMark, picture, rate } from "./profile-draw.js";

/** @typedef {{name: string, unit: string, amount: (launch: any) => number, roofs: (ceilings: any) => [string, any, string][]}} Panel */

/** @type {Panel[]} */
const PANELS = [
  {
    name: "Float operations",
    unit: "FLOP",
    amount: ({ float_ops }) => float_ops,
    roofs: ({ float, half, matrix }) => [["f32 multiply-add", float, "FLOP"], ["f16 multiply-add", half, "FLOP"], ["f16 matrices", matrix, "FLOP"]],
  },
  {
    name: "Bit operations",
    unit: "bitop",
    amount: ({ bit_ops, dot_ops }) => bit_ops || dot_ops,
    roofs: ({ bit, dot }) => [["and + popcount", bit, "bitop"], ["packed 8-bit dot", dot, "op"]],
  },
];

const HEIGHT = 380;
const EDGE = { left: 62, right: 18, top: 16, bottom: 44 };
/** Areas of marks in square pixels: of a launch that takes the whole step, and of a negligible one. */
const AREA = { most: 5200, least: 34 };

/** Whole powers of ten around values, at least two decades apart. @param {number[]} values @returns {[number, number]} */
function decades(values) {
  const logs = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  const low = Math.floor(Math.min(...logs));
  return [low, Math.max(Math.ceil(Math.max(...logs) + 0.15), low + 2)];
}

/** A power of ten as text. @param {number} power */
const ten = (power) => (power >= 0 && power < 4 ? String(10 ** power) : power < 0 && power > -4 ? (10 ** power).toFixed(-power) : mark("tspan", {}, "10", mark("tspan", { dy: -5, "font-size": 9 }, String(power))));

/** A power of ten with a unit's prefix. @param {number} power */
const prefixed = (power) => `${10 ** (((power % 3) + 3) % 3)}\u00a0${["n", "µ", "m", "", "k", "M", "G", "T", "P"][Math.floor(power / 3) + 3] ?? ""}`.trim();

/** @param {any} profile */
export function roofline({ launches, launches_ns: total, ceilings }) {
  const section = make("div", { className: "panels" });
  const tip = new Tip(section);
  for (const panel of PANELS) {
    const points = launches.filter((/** @type {any} */ launch) => panel.amount(launch) && launch.bytes && launch.median_ns);
    if (points.length === 0) continue;
    // The small ones are drawn on top.
    points.sort((/** @type {any} */ a, /** @type {any} */ b) => b.median_ns - a.median_ns);
    const label = `${panel.name}: ${counted(points.length, "launch", "launches")}, operations per byte against operations per second`;
    section.append(make("figure", {}, make("h4", {}, panel.name), picture(label, (svg, width) => draw(svg, width, panel, points, ceilings, total, tip)), roofs(panel, ceilings)));
  }
  const timed = launches.filter((/** @type {any} */ { median_ns }) => median_ns);
  const idle = timed.filter((/** @type {any} */ launch) => !PANELS.some(({ amount }) => amount(launch))).length;
  const blind = launches.length - timed.length;
  const said = [
    ceilings
      ? "The slope is the measured memory bandwidth for working sets larger than the caches; thin slopes are for smaller ones that fit into caches. Flat roofs are peaks of arithmetic. Unreliable roofs are dotted. A mark’s area is its share of all launches’ time."
      : "No measured peaks: the limits of this device were not measured, so there is no roof to compare the launches with. A mark’s area is its share of all launches’ time.",
    idle ? `${counted(idle, "launch computes", "launches compute")} nothing that is counted and ${idle === 1 ? "is" : "are"} only listed in the table below.` : "",
    blind ? `${counted(blind, "launch was", "launches were")} too short for this clock, and ${blind === 1 ? "is" : "are"} not drawn.` : "",
  ];
  return [legend(byPhase(launches)), section, make("p", { className: "quiet" }, said.filter(Boolean).join(" "))];
}

/** The panel's measured peaks as text. @param {Panel} panel @param {any} ceilings */
function roofs(panel, ceilings) {
  if (!ceilings) return "";
  const flat = panel.roofs(ceilings).filter(([, ceiling]) => ceiling).map(([name, ceiling, unit]) => `${name} ${ceilingOf(ceiling, unit)}`);
  const slopes = ceilings.copy.map((/** @type {any} */ copy) => `${ceilingOf(copy, "B")} for ${size(copy.working_set_bytes)}`);
  return make("figcaption", { className: "quiet" }, `Measured: ${flat.join(", ")}; memory ${slopes.join(", ")}.`);
}

/**
 * @param {any} svg @param {number} width @param {Panel} panel @param {any[]} points
 * @param {any} ceilings @param {number} total @param {Tip} tip
 */
function draw(svg, width, panel, points, ceilings, total, tip) {
  const flat = ceilings ? panel.roofs(ceilings).filter(([, ceiling]) => ceiling?.value > 0) : [];
  const slopes = ceilings?.copy ?? [];
  const memory = slopes.at(-1)?.value;
  const steepest = Math.max(...slopes.map((/** @type {any} */ { value }) => value));
  const best = Math.max(...flat.map(([, { value }]) => value), 0);
  const speeds = points.map((launch) => rate(launch, panel.amount(launch)) ?? 0);
  const intensities = points.map((launch) => panel.amount(launch) / launch.bytes);
  const [left, right] = decades([...intensities, ...(memory && best ? [best / memory] : [])]);
  const [low, high] = decades([...speeds, ...flat.map(([, { value }]) => value)]);
  const box = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const x = (/** @type {number} */ value) => EDGE.left + (box.width * (Math.log10(value) - left)) / (right - left);
  const y = (/** @type {number} */ value) => EDGE.top + box.height * (1 - (Math.log10(value) - low) / (high - low));
  const [end, floor] = [EDGE.left + box.width, EDGE.top + box.height];

  for (let power = left; power <= right; power++) {
    svg.append(mark("line", { class: "grid", x1: x(10 ** power), x2: x(10 ** power), y1: EDGE.top, y2: floor }));
    svg.append(mark("text", { x: x(10 ** power), y: floor + 16, "text-anchor": "middle" }, ten(power)));
  }
  for (let power = low; power <= high; power++) {
    svg.append(mark("line", { class: "grid", x1: EDGE.left, x2: end, y1: y(10 ** power), y2: y(10 ** power) }));
    svg.append(mark("text", { x: EDGE.left - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, prefixed(power)));
  }
  svg.append(mark("text", { x: EDGE.left + box.width / 2, y: floor + 36, "text-anchor": "middle" }, `${panel.unit} per byte moved`));
  svg.append(mark("text", { x: 12, y: EDGE.top + box.height / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${EDGE.top + box.height / 2})` }, `${panel.unit} per second`));

  /** Drawn over the marks, with a halo. @type {any[]} */
  const names = [];
  slopes.forEach((/** @type {any} */ slope, /** @type {number} */ at) => {
    const { value, working_set_bytes: bytes } = slope;
    const last = at === slopes.length - 1;
    // From where it enters the picture to where it meets the highest roof.
    const [from, to] = [Math.max(10 ** left, 10 ** low / value), Math.min(10 ** right, (best || 10 ** high) / value)];
    if (from >= to) return;
    svg.append(mark("line", { class: `roof${last ? "" : " thin"}${doubt(slope) ? " doubtful" : ""}`, x1: x(from), y1: y(from * value), x2: x(to), y2: y(to * value) }));
    if (!last) return;
    // Beside the slope, on the side that no launch reaches, if there is room; in two lines, which fit a phone.
    const lines = [`memory, ${size(bytes)}${doubt(slope) ? " (doubtful)" : ""}:`, persecond(value, "B")];
    const [upper, lower] = [y(to * value), y(from * value)];
    const py = upper + 28;
    const beside = x(to) - ((x(to) - x(from)) * (py + 20 - upper)) / Math.max(lower - upper, 1) - 8;
    const px = Math.max(beside, EDGE.left + 6 + Math.max(...lines.map(widthOf)));
    names.push(mark("text", { class: "name halo", "text-anchor": "end" }, ...lines.map((line, at) => mark("tspan", { x: px, y: py + 15 * at }, line))));
  });
  flat.forEach(([name, ceiling, unit], at) => {
    const { value } = ceiling;
    // Below the roof if the label above it would collide with another roof's.
    const below = flat.some(([, other], index) => index !== at && y(value) > y(other.value) && y(value) - y(other.value) < 32);
    const from = memory ? Math.max(10 ** left, Math.min(value / steepest, 10 ** right)) : 10 ** left;
    svg.append(mark("line", { class: `roof${doubt(ceiling) ? " doubtful" : ""}`, x1: x(from), x2: end, y1: y(value), y2: y(value) }));
    names.push(mark("text", { class: "name halo", x: end, y: y(value) + (below ? 15 : -8), "text-anchor": "end" }, `${name}${doubt(ceiling) ? " (doubtful)" : ""}: ${persecond(value, unit)}`));
  });

  points.forEach((launch, at) => {
    const area = Math.max(AREA.least, (AREA.most * launch.median_ns) / total);
    const point = phaseMark(launch.phase, x(intensities[at]), y(speeds[at]), area);
    point.classList.add("point");
    const [title, phase, ...rest] = about(launch, total);
    svg.append(tip.on(point, [title, phase, `${digits(intensities[at])} ${panel.unit} per byte`, ...rest]));
  });
  svg.append(...names);
  tip.reach(svg);
  return HEIGHT;
}
