/**
 * Time by layer in the network's order, each bar divided by phase.
 */
import { make, percent } from "./dom.js";
import { PHASES, Tip, byPhase, duration, layerOf, legend, mark, picture } from "./profile-draw.js";

const ROW = 26;
const BAR = 18;

/** @param {any} profile */
export function layers({ launches, launches_ns: total }) {
  /** @type {Map<string, Map<string, {ns: number, count: number}>>} */
  const byLayer = new Map();
  for (const launch of launches) {
    const layer = layerOf(launch);
    const phases = byLayer.get(layer) ?? new Map();
    const sum = phases.get(launch.phase) ?? { ns: 0, count: 0 };
    phases.set(launch.phase, { ns: sum.ns + (launch.median_ns ?? 0), count: sum.count + 1 });
    byLayer.set(layer, phases);
  }
  const rows = [...byLayer].map(([layer, phases]) => {
    const parts = Object.keys(PHASES).filter((phase) => phases.has(phase)).map((phase) => ({ phase, .../** @type {any} */ (phases.get(phase)) }));
    return { layer, parts, ns: parts.reduce((sum, { ns }) => sum + ns, 0) };
  });
  const host = make("figure", {});
  const tip = new Tip(host);
  host.append(legend(byPhase(launches)), picture("Time of each layer's launches, by phase", (svg, width) => draw(svg, width, rows, total || 1, tip)));
  return host;
}

/** @param {any} svg @param {number} width @param {any[]} rows @param {number} total @param {Tip} tip */
function draw(svg, width, rows, total, tip) {
  const longest = Math.max(...rows.map(({ layer }) => layer.length));
  const left = Math.min(8 * longest + 10, Math.max(70, width * 0.28));
  const right = width < 480 ? 66 : 120;
  const most = Math.max(...rows.map(({ ns }) => ns), 1);
  rows.forEach(({ layer, parts, ns }, at) => {
    const y = at * ROW;
    const fits = Math.floor((left - 10) / 7);
    svg.append(mark("text", { class: "name", x: left - 8, y: y + 17, "text-anchor": "end" }, layer.length > fits ? `${layer.slice(0, fits - 1)}…` : layer));
    let x = left;
    for (const { phase, ns: part, count } of parts) {
      const wide = ((width - left - right) * part) / most;
      if (wide <= 0) continue;
      const bar = mark("rect", { class: `phase-${phase} piece`, x, y: y + (ROW - BAR) / 2, width: wide, height: BAR });
      const lines = [`${layer} · ${PHASES[phase].name}`, `${duration(part)}, ${percent(part / total)} of all launches`, count > 1 ? `${count} launches` : "one launch"];
      svg.append(tip.on(bar, lines));
      x += wide;
    }
    const text = width < 480 ? duration(ns) : `${duration(ns)} · ${percent(ns / total)}`;
    svg.append(mark("text", { class: "value", x: x + 8, y: y + 17 }, text));
  });
  tip.reach(svg);
  return rows.length * ROW;
}
