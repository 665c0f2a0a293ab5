/**
 * Shared parts of the profile views: SVG elements, numbers with units, the phases of a step, the tooltip.
 */
import { make, percent, whole } from "./dom.js";

/** @typedef {Record<string, any>} Launch one of a profile's `launches` */

const SVG = "http://www.w3.org/2000/svg";

/**
 * A new SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function mark(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(typeof value === "number" ? +value.toFixed(2) : value));
  element.append(...children);
  return element;
}

/** The phases of a step in order, with display names and marks. @type {Record<string, {name: string, shape: string}>} */
export const PHASES = {
  forward: { name: "forward", shape: "circle" },
  pack: { name: "pack: codes and signs", shape: "fall" },
  statistics: { name: "batch statistics", shape: "diamond" },
  dx: { name: "dx: gradients of activations", shape: "rise" },
  dw: { name: "dw: gradients of weights", shape: "square" },
  update: { name: "update", shape: "cross" },
  data: { name: "data: loss and accuracy", shape: "bar" },
};

/** The outlines of marks of area 1 around 0, 0. @type {Record<string, [number, number][]>} */
const OUTLINES = {
  square: [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]],
  diamond: [[0, -0.75], [0.66, 0], [0, 0.75], [-0.66, 0]],
  rise: [[0, -0.86], [0.76, 0.45], [-0.76, 0.45]],
  fall: [[0, 0.86], [0.76, -0.45], [-0.76, -0.45]],
  cross: [[-0.22, -0.67], [0.22, -0.67], [0.22, -0.22], [0.67, -0.22], [0.67, 0.22], [0.22, 0.22], [0.22, 0.67], [-0.22, 0.67], [-0.22, 0.22], [-0.67, 0.22], [-0.67, -0.22], [-0.22, -0.22]],
  bar: [[-0.8, -0.31], [0.8, -0.31], [0.8, 0.31], [-0.8, 0.31]],
};

/** A phase's mark: its colour and shape. @param {string} phase @param {number} x @param {number} y @param {number} area in square pixels */
export function phaseMark(phase, x, y, area) {
  const side = Math.sqrt(area);
  const outline = OUTLINES[PHASES[phase]?.shape];
  if (!outline) return mark("circle", { cx: x, cy: y, r: side / Math.sqrt(Math.PI), class: `phase-${phase}` });
  const points = outline.map(([dx, dy]) => `${(x + side * dx).toFixed(1)},${(y + side * dy).toFixed(1)}`);
  return mark("polygon", { points: points.join(" "), class: `phase-${phase}` });
}

/** A list of phases with their marks. @param {Map<string, string>} phases text for each */
export function legend(phases) {
  const entries = Object.keys(PHASES).filter((phase) => phases.has(phase)).map((phase) => {
    const swatch = mark("svg", { viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" }, phaseMark(phase, 0, 0, 90));
    return make("li", {}, swatch, make("span", {}, PHASES[phase].name), make("span", { className: "quiet" }, phases.get(phase) ?? ""));
  });
  return make("ul", { className: "phases" }, ...entries);
}

/** Total time of launches by phase, as text. @param {Launch[]} launches @returns {Map<string, string>} */
export function byPhase(launches) {
  const sums = /** @type {Map<string, number>} */ (new Map());
  for (const { phase, median_ns: ns } of launches) sums.set(phase, (sums.get(phase) ?? 0) + (ns ?? 0));
  const total = [...sums.values()].reduce((sum, ns) => sum + ns, 0) || 1;
  return new Map([...sums].map(([phase, ns]) => [phase, `${duration(ns)}, ${percent(ns / total, ns < 0.01 * total ? 1 : 0)}`]));
}

/** Three digits. @param {number} value */
export const digits = (value) => (value >= 100 ? whole(value) : value >= 10 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value > 0 ? value.toPrecision(2) : "0");

/** The unit for displaying a duration. @param {number} ns @returns {[number, string]} */
const unitOf = (ns) => /** @type {[number, string][]} */ ([[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]).find(([unit]) => ns >= unit) ?? [1, "ns"];

/** A duration with its unit. @param {number} ns */
export function duration(ns) {
  const [unit, name] = unitOf(ns);
  return `${digits(ns / unit)}\u00a0${name}`;
}

/** From one duration to a longer one, in its unit. @param {number} from @param {number} to */
export const durations = (from, to) => `${digits(from / unitOf(to)[0])} – ${duration(to)}`;

/** Something per second with its unit. @param {number} rate @param {string} unit */
export function persecond(rate, unit) {
  const [scale, prefix] = /** @type {[number, string][]} */ ([[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]).find(([scale]) => rate >= scale) ?? [1, ""];
  return `${digits(rate / scale)}\u00a0${prefix}${unit}/s`;
}

/** Why a measured peak is unreliable, as in `Ceiling::doubt`. @param {{value: number, spread: number, doubling: number}} ceiling */
export function doubt({ value, spread, doubling }) {
  if (!(value > 0)) return "nothing was measured";
  const doubts = [
    spread >= 0 && spread <= 0.25 ? "" : `repetitions scatter by ${(100 * spread).toFixed(0)}%`,
    doubling >= 1.8 && doubling <= 2.2 ? "" : `twice the work took ${doubling?.toFixed(2) ?? "no"} times as long`,
  ];
  return doubts.filter(Boolean).join(", ");
}

/** A measured peak as text, marked if it is unreliable. @param {any} ceiling @param {string} unit */
export const ceilingOf = (ceiling, unit) => `${persecond(ceiling.value, unit)}${doubt(ceiling) ? " (doubtful)" : ""}`;

/** Bytes or operations per second of a launch; undefined if its time is not known. @param {Launch} launch @param {number} amount */
export const rate = ({ median_ns: ns }, amount) => (ns ? (amount / ns) * 1e9 : undefined);

export const BOUNDS = /** @type {Record<string, string>} */ ({
  memory: "memory",
  arithmetic: "arithmetic",
  bit_arithmetic: "bit arithmetic",
  packed_dot: "packed dot",
  matrix_arithmetic: "matrix arithmetic",
  launch_overhead: "launch overhead",
});

/** A launch's layer, or a text for launches without one. @param {Launch} launch */
export const layerOf = ({ layer }) => layer || "the whole step";

/** Description of a launch, in lines. @param {Launch} launch @param {number} total sum of all launches' times */
export function about(launch, total) {
  const { kernel, phase, median_ns: ns, p10_ns, p90_ns, bytes, float_ops, bit_ops, dot_ops, bound, fraction_of_bound: fraction } = launch;
  const said = (/** @type {number} */ amount, /** @type {string} */ unit) => (amount && ns ? [persecond((amount / ns) * 1e9, unit)] : []);
  return [
    `${kernel} · ${layerOf(launch)}`,
    PHASES[phase]?.name ?? phase,
    ns ? `${duration(ns)} (${durations(p10_ns, p90_ns)}), ${((100 * ns) / total).toFixed(1)}% of all launches` : "too short for this clock",
    [...said(bytes, "B"), ...said(float_ops, "FLOP"), ...said(bit_ops, "bitop"), ...said(dot_ops, "op")].join(" · "),
    ...(bound ? [`bound by ${BOUNDS[bound] ?? bound}${fraction == null ? "" : `: ${(100 * fraction).toFixed(0)}% of the measured peak`}`] : []),
  ].filter(Boolean);
}

/**
 * A figure that is redrawn whenever its width changes, and on an event "redraw".
 * @param {string} label description for screen readers
 * @param {(svg: any, width: number) => number} draw fills the picture, returns its height
 */
export function picture(label, draw) {
  const svg = mark("svg", { role: "group", "aria-label": label });
  const host = make("div", { className: "picture" }, svg);
  let [drawn, width] = [0, 0];
  const redraw = () => {
    if (!width || width === drawn) return;
    drawn = width;
    svg.replaceChildren();
    const height = Math.ceil(draw(svg, width));
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) svg.setAttribute(name, String(value));
  };
  // In a separate frame: an observed element must not change during the observation.
  new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width);
    requestAnimationFrame(redraw);
  }).observe(host);
  host.addEventListener("redraw", () => {
    drawn = 0;
    redraw();
  });
  return host;
}

/** The tooltip for the element under the pointer or with the keyboard focus. */
export class Tip {
  /** @param {HTMLElement} host contains all elements with tooltips; the arrow keys move between them */
  constructor(host) {
    this.host = host;
    this.box = make("div", { className: "tip", hidden: true });
    this.box.setAttribute("aria-hidden", "true"); // elements have the same text as their label
    host.append(this.box);
    host.addEventListener("pointerover", ({ target }) => this.point(/** @type {any} */ (target)));
    host.addEventListener("pointerleave", () => this.hide());
    host.addEventListener("focusin", ({ target }) => this.point(/** @type {any} */ (target)));
    host.addEventListener("focusout", () => this.hide());
    host.addEventListener("keydown", (event) => this.press(event));
    /** @type {WeakMap<Element, string[]>} */
    this.lines = new WeakMap();
  }

  /** Sets the lines of an element's tooltip; the first element of each picture is reachable with the Tab key. @param {any} element @param {string[]} lines */
  on(element, lines) {
    this.lines.set(element, lines);
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", lines.join(", "));
    element.setAttribute("tabindex", "-1");
    element.classList.add("told");
    return element;
  }

  /** Makes the picture reachable with the Tab key. @param {any} svg */
  reach(svg) {
    svg.querySelector(".told")?.setAttribute("tabindex", "0");
  }

  /** @param {Element} element */
  point(element) {
    const lines = this.lines.get(element);
    if (!lines) return this.hide();
    const [title, ...rest] = lines;
    this.box.replaceChildren(make("b", {}, title), ...rest.map((line) => make("span", {}, line)));
    this.box.hidden = false;
    const [host, at, own] = [this.host, element, this.box].map((part) => part.getBoundingClientRect());
    const left = Math.max(0, Math.min((at.left + at.right) / 2 - host.left - own.width / 2, host.width - own.width));
    const above = at.top - host.top - own.height - 8;
    this.box.style.left = `${left}px`;
    this.box.style.top = `${above >= 0 ? above : at.bottom - host.top + 8}px`;
  }

  hide() {
    this.box.hidden = true;
  }

  /** @param {any} event */
  press(event) {
    const pace = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[/** @type {string} */ (event.key)];
    if (event.key === "Escape") this.hide();
    if (!pace || !this.lines.has(event.target)) return;
    const all = [...event.target.ownerSVGElement.querySelectorAll(".told")];
    const next = all[all.indexOf(event.target) + pace];
    if (!next) return;
    event.preventDefault();
    event.target.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus({ preventScroll: true });
  }
}
