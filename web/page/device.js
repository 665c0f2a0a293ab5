/**
 * The device panel: the adapter and its limits, the device class that kernels are chosen for, the plan's memory compared with f32, and the duration of submissions.
 */
import { $, make, size, whole, write } from "./dom.js";

const CLASSES = /** @type {Record<string, string>} */ ({
  gpu: "for GPUs: operands in shared memory",
  software: "for software drivers: operands in registers",
});
const TIMERS = /** @type {Record<string, string>} */ ({
  timestamps: "timestamps on the device",
  completion: "when the browser reports completion",
  none: "not measured: this device has no clock",
});

export class Device {
  constructor() {
    this.host = $("device");
    /** @type {Record<string, HTMLElement>} */
    this.live = {};
  }

  /** @param {{adapter: any, plan: any}} opened result of Engine.open */
  start({ adapter, plan }) {
    const cpu = adapter.backend === "cpu";
    this.live = { longest: make("span", {}, "–"), submissions: make("span", {}, "–"), timer: make("span", {}, "–") };
    // the CPU has no limits to show
    const about = list([
      ["Adapter", adapter.name || "not named by the browser"],
      ["Backend", cpu ? "WebAssembly, no GPU" : adapter.backend],
      ["Kind", adapter.kind === "software" ? "software: the CPU emulates the GPU" : adapter.kind],
      ["Kernels", cpu ? "Rust, as WebAssembly" : (CLASSES[adapter.device_class] ?? adapter.device_class)],
      ["Features", adapter.features?.length ? adapter.features.join(", ") : "none needed"],
      ...(cpu ? [] : limits(adapter)),
    ]);
    const work = list([
      ["A step", `${whole(plan.dispatches)} dispatches of ${whole(plan.kernels)} kernels`],
      ["Plan", make("code", {}, plan.hash)],
      ["Longest submission", this.live.longest],
      ["Submissions", this.live.submissions],
      ["Measured by", this.live.timer],
    ]);
    const memory = make("div", { className: "memory" });
    memory.append(...bars("Saved for the backward pass", plan.saved_bytes, plan.saved_f32_bytes), ...bars("Peak", plan.peak_bytes, plan.peak_f32_bytes));
    const printed = plan.printed ? [make("details", {}, make("summary", {}, "The plan, kernel by kernel"), make("pre", { tabIndex: 0 }, plan.printed))] : [];
    this.host.replaceChildren(
      make("div", { className: "card" }, make("h3", {}, "Device"), about),
      make("div", { className: "card" }, make("h3", {}, "Memory of a step"), memory, make("p", { className: "hint" }, `Weights and optimiser state: ${size(plan.state_bytes)}.`), make("h3", {}, "Work"), work, ...printed),
    );
  }

  /** Shows the duration of submissions. @param {any} timing from Session.timing; none on the CPU */
  update(timing) {
    if (!timing || !this.live.longest) return;
    const over = timing.over_budget ? `, ${whole(timing.over_budget)} of them over ${whole(timing.budget_ms)} ms` : "";
    write(this.live.longest, timing.submissions ? `${timing.longest_ms.toFixed(1)} ms, of the last 64` : "–");
    write(this.live.submissions, `${whole(timing.submissions)}${over}`);
    write(this.live.timer, TIMERS[timing.timer] ?? timing.timer ?? "–");
  }
}

/** @param {any} adapter @returns {[string, string][]} */
function limits(adapter) {
  return [
    ["Largest binding", known(adapter.max_binding_bytes, size)],
    ["Largest buffer", known(adapter.max_buffer_bytes, size)],
    ["Storage buffers", known(adapter.storage_buffers, (value) => `${value} per kernel`)],
    ["Workgroup", `${known(adapter.workgroup_threads, (value) => `${value} threads`)}, ${known(adapter.workgroup_bytes, size)}`],
  ];
}

/** @param {[string, string | Node][]} rows */
function list(rows) {
  return make("dl", { className: "facts" }, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** @param {number | undefined} value @param {(value: number) => string} say */
const known = (value, say) => (value ? say(value) : "–");

/** Two bars: memory of the packed plan and of f32. @param {string} title @param {number} packed @param {number} float */
function bars(title, packed, float) {
  const most = Math.max(packed, float, 1);
  const bar = (/** @type {string} */ name, /** @type {number} */ bytes, /** @type {string} */ className) => {
    const fill = make("i", { className });
    fill.style.transform = `scaleX(${bytes / most})`;
    return make("li", {}, make("span", { className: "name" }, name), make("span", { className: "track" }, fill), make("span", { className: "value" }, size(bytes)));
  };
  const times = packed ? ` – ${(float / packed).toFixed(1)} times less than f32` : "";
  return [make("p", { className: "title" }, title, make("span", {}, times)), make("ol", { className: "bars" }, bar("packed", packed, "own"), bar("f32", float, "other"))];
}
