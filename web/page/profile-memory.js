/**
 * Memory over a step. Nothing is allocated during it: slots persist, tensors in them change. Slots are lanes, tensors the boxes in them.
 */
import { counted, make, size } from "./dom.js";
import { Tip, layerOf, mark, picture } from "./profile-draw.js";

const LISTED = 10;
/** Heights of the sum above the lanes, of all lanes together, and of the thinnest lane. */
const SUM = 84;
const LANES = 420;
const THIN = 4;
const EDGE = { left: 100, right: 8, top: 18, bottom: 34 };

const TENANCIES = /** @type {[string, string][]} */ ([["transient", "transient"], ["port", "inputs, outputs"], ["state", "state"]]);

/** @param {{layer: string, stem: string}} tenant */
const nameOf = ({ layer, stem }) => (layer && !stem.startsWith(layer) ? `${layer} · ${stem}` : stem);

/** @param {any} profile @returns {Node[]} */
export function memory(profile) {
  const account = profile.memory;
  const host = make("figure", {});
  const tip = new Tip(host);
  const lanes = picture("Memory over the step: every buffer with its tensors", (svg, width) => draw(svg, width, profile, tip));
  const text =
    "Above, the bytes in use at each step; below, every buffer as a lane, with its tensors from the step that writes them to the last that reads them, in the colour of the phase that writes them. A lane’s height grows with the square root of its bytes.";
  host.append(lanes, make("figcaption", { className: "quiet" }, text));
  return [facts(account), host, make("div", { className: "columns" }, alive(profile), saved(account))];
}

/** @param {any} account */
function facts({ state_bytes, port_bytes, transient_bytes, peak_bytes, peak_f32_bytes, alive_bytes, allocator_bytes }) {
  const rows = [
    ["All buffers", `${size(peak_bytes)}; with every saved activation in f32 ${size(peak_f32_bytes)}, ${(peak_f32_bytes / Math.max(peak_bytes, 1)).toFixed(2)} times as much`],
    ["State", `${size(state_bytes)}: weights, optimiser, running statistics`],
    ["Transient", `${size(transient_bytes)}: values that exist only within a step`],
    ["Inputs and outputs", size(port_bytes)],
    ["Alive at the peak", `${size(alive_bytes)}; the rest is unused space in buffers larger than their tensors, or free`],
    ["The backend’s allocator", allocator_bytes == null ? "not reported" : `${size(allocator_bytes)}, including all plans and staging buffers`],
  ];
  return make("dl", { className: "pairs" }, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** The tensors in use at the peak. @param {any} profile */
function alive({ memory: { slots, peak_step: step } }) {
  const all = slots.flatMap((/** @type {any} */ { tenants }) => tenants).filter((/** @type {any} */ { from, to }) => from <= step && step < to);
  all.sort((/** @type {any} */ a, /** @type {any} */ b) => b.bytes - a.bytes);
  const rest = all.slice(LISTED).reduce((/** @type {number} */ sum, /** @type {any} */ { bytes }) => sum + bytes, 0);
  const rows = all.slice(0, LISTED).map((/** @type {any} */ tenant) =>
    make("tr", {}, make("td", {}, nameOf(tenant)), make("td", {}, make("code", {}, tenant.type)), make("td", { className: "number" }, size(tenant.bytes))));
  if (all.length > LISTED) rows.push(make("tr", {}, make("td", { colSpan: 2 }, `and ${all.length - LISTED} more`), make("td", { className: "number" }, size(rest))));
  return make("div", {}, make("h4", {}, `Alive at the peak, step ${step}`), make("div", { className: "scroll" }, make("table", {}, make("tbody", {}, ...rows))));
}

/** Memory kept for the backward pass, compared with f32. @param {any} account */
function saved({ saved: list }) {
  const sum = (/** @type {string} */ field) => list.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one[field], 0);
  const [bytes, float] = [sum("bytes"), sum("f32_bytes")];
  const most = Math.max(...list.map((/** @type {any} */ { f32_bytes }) => f32_bytes), 1);
  const host = make("div", {}, make("h4", {}, "Kept for the backward pass"));
  const ratio = bytes ? `, ${(float / bytes).toFixed(1)} times less than the ${size(float)} of f32` : "";
  host.append(make("p", { className: "quiet" }, `${counted(list.length, "tensor")}, ${size(bytes)}${ratio}. Each as stored, above the same in f32.`));
  host.append(picture("Bytes kept for the backward pass, by layer, compared with f32", (svg, width) => bars(svg, width, list, most)));
  return host;
}

/** @param {any} svg @param {number} width @param {any[]} list @param {number} most */
function bars(svg, width, list, most) {
  const [left, right, row] = [76, 74, 32];
  const span = width - left - right;
  list.forEach((one, at) => {
    const y = at * row;
    const title = mark("title", {}, `${nameOf(one)}, ${one.type}: ${size(one.bytes)}, in f32 ${size(one.f32_bytes)}`);
    const text = `${size(one.bytes)}`;
    const wide = Math.max(1, (span * one.bytes) / most);
    const group = mark("g", {}, title,
      mark("text", { class: "name", x: left - 8, y: y + 18, "text-anchor": "end" }, one.layer.length > 10 ? `${one.layer.slice(0, 9)}…` : one.layer || one.stem),
      mark("rect", { class: "kept", x: left, y: y + 4, width: wide, height: 11 }),
      mark("rect", { class: "float", x: left, y: y + 17, width: Math.max(1, (span * one.f32_bytes) / most), height: 6 }),
      mark("text", { class: "value", x: left + wide + 6, y: y + 14, "font-size": 11 }, text));
    svg.append(group);
  });
  return list.length * row;
}

/** @param {any} svg @param {number} width @param {any} profile @param {Tip} tip */
function draw(svg, width, { launches, memory: account }, tip) {
  const { slots, peak_step: peak, alive_bytes: alive, peak_bytes: all } = account;
  const phases = new Map(launches.map((/** @type {any} */ { step, phase }) => [step, phase]));
  const end = Math.max(...slots.flatMap((/** @type {any} */ { tenants }) => tenants.map((/** @type {any} */ { to }) => to)), 1);
  const span = width - EDGE.left - EDGE.right;
  const x = (/** @type {number} */ step) => EDGE.left + (span * step) / end;

  // the sum, on a linear scale up to all slots
  const sums = new Array(end).fill(0);
  for (const { tenants } of slots) for (const { from, to, bytes } of tenants) for (let step = from; step < to; step++) sums[step] += bytes;
  const y = (/** @type {number} */ bytes) => EDGE.top + SUM * (1 - bytes / Math.max(all, alive, 1));
  const steps = sums.map((bytes, step) => `L${x(step).toFixed(1)} ${y(bytes).toFixed(1)}L${x(step + 1).toFixed(1)} ${y(bytes).toFixed(1)}`);
  svg.append(mark("path", { class: "sum", d: `M${x(0)} ${y(0)}${steps.join("")}L${x(end)} ${y(0)}Z` }));
  svg.append(mark("line", { class: "bound", x1: x(0), x2: x(end), y1: y(all), y2: y(all) }));
  svg.append(mark("text", { x: EDGE.left - 8, y: y(all) + 4, "text-anchor": "end" }, size(all)));
  svg.append(mark("text", { x: EDGE.left - 8, y: y(0) + 2, "text-anchor": "end" }, "0"));
  svg.append(mark("text", { x: x(end), y: y(all) - 5, "text-anchor": "end" }, "all buffers"));

  // the lanes, by tenancy, the largest first
  const largest = Math.max(...slots.map((/** @type {any} */ { bytes }) => bytes), 1);
  const roots = slots.reduce((/** @type {number} */ sum, /** @type {any} */ { bytes }) => sum + Math.sqrt(bytes), 0);
  const scale = Math.min(44 / Math.sqrt(largest), LANES / Math.max(roots, 1));
  let top = EDGE.top + SUM + 16;
  for (const [tenancy, name] of TENANCIES) {
    const group = slots.filter((/** @type {any} */ slot) => slot.tenancy === tenancy).sort((/** @type {any} */ a, /** @type {any} */ b) => b.bytes - a.bytes);
    if (group.length === 0) continue;
    const begin = top;
    for (const slot of group) {
      const height = Math.max(THIN, scale * Math.sqrt(slot.bytes));
      svg.append(mark("rect", { class: "lane", x: x(0), y: top, width: span, height }));
      for (const tenant of slot.tenants) svg.append(tip.on(box(tenant, slot, phases, x, top, height), said(tenant, slot)));
      for (const tenant of slot.tenants) label(svg, tenant, x, top, height);
      top += height + 2;
    }
    const bytes = group.reduce((/** @type {number} */ sum, /** @type {any} */ slot) => sum + slot.bytes, 0);
    const text = mark("text", { x: EDGE.left - 8, y: begin + 10, "text-anchor": "end" }, name);
    if (top - begin > 26) text.append(mark("tspan", { x: EDGE.left - 8, dy: 15 }, size(bytes)));
    svg.append(text);
    top += 8;
  }

  // the peak, and the axis
  const middle = (x(peak) + x(peak + 1)) / 2;
  svg.append(mark("line", { class: "peak", x1: middle, x2: middle, y1: EDGE.top, y2: top }));
  const text = `peak: step ${peak}, ${size(alive)} alive`;
  svg.append(mark("text", { class: "name halo", x: Math.min(middle + 6, x(end) - 6.4 * text.length), y: EDGE.top + SUM - 8 }, text));
  const pace = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((pace) => (span * pace) / end >= 44) ?? 1000;
  for (let step = 0; step < end; step += pace) svg.append(mark("text", { x: x(step), y: top + 14, "text-anchor": "middle" }, String(step)));
  svg.append(mark("text", { x: x(end), y: top + 30, "text-anchor": "end" }, "step of the plan"));
  tip.reach(svg);
  return top + EDGE.bottom;
}

/** @param {any} tenant @param {any} slot @param {Map<number, string>} phases @param {(step: number) => number} x @param {number} y @param {number} height */
function box({ from, to }, { tenancy }, phases, x, y, height) {
  const made = tenancy === "transient" ? `phase-${phases.get(from) ?? "data"}` : tenancy;
  return mark("rect", { class: `${made} tenant`, x: x(from), y, width: Math.max(x(to) - x(from), 1.5), height });
}

/** @param {any} tenant @param {any} slot */
function said(tenant, slot) {
  const room = tenant.bytes < slot.bytes ? ` in a slot of ${size(slot.bytes)}` : "";
  return [nameOf(tenant), `${tenant.type}, ${size(tenant.bytes)}${room}`, `steps ${tenant.from} to ${tenant.to - 1}, ${layerOf(tenant)}`];
}

/** Writes a tensor's name if there is room. @param {any} svg @param {any} tenant @param {(step: number) => number} x @param {number} y @param {number} height */
function label(svg, tenant, x, y, height) {
  const name = nameOf(tenant);
  if (height < 13 || x(tenant.to) - x(tenant.from) < 6.4 * name.length + 8) return;
  svg.append(mark("text", { class: "inside", x: x(tenant.from) + 5, y: y + height / 2 + 4 }, name));
}
