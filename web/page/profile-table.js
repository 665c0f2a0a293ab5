/**
 * The launches as a table, sorted by the column whose head is clicked.
 */
import { make, percent } from "./dom.js";
import { BOUNDS, digits, duration, durations, layerOf, rate } from "./profile-draw.js";

/** @typedef {{name: string, value: (launch: any, total: number) => any, said?: (value: any, launch: any) => string, title?: string}} Column */

const giga = (/** @type {any} */ launch, /** @type {number} */ amount) => (amount ? rate(launch, amount / 1e9) : undefined);

/** A column of numbers has a formatter; a column of words is shown as is. @type {Column[]} */
const COLUMNS = [
  { name: "#", value: ({ step }) => step, said: String, title: "Step of the plan: the order of execution" },
  { name: "Kernel", value: ({ kernel }) => kernel },
  { name: "Layer", value: layerOf },
  { name: "Phase", value: ({ phase }) => phase },
  { name: "Time", value: ({ median_ns: ns }) => ns ?? undefined, said: duration, title: "Median of the measured steps, with instrumentation" },
  { name: "Of bound", value: ({ fraction_of_bound: fraction }) => fraction ?? undefined, said: (value) => percent(value, 0), title: "Time at the bound alone, divided by the measured time; above 100% if caches help" },
  { name: "Bound by", value: ({ bound }) => (bound ? (BOUNDS[bound] ?? bound) : "") },
  { name: "p10 – p90", value: ({ p90_ns: ns }) => ns ?? undefined, said: (_, { p10_ns, p90_ns }) => durations(p10_ns, p90_ns) },
  { name: "Share", value: ({ median_ns: ns }, total) => (ns ? ns / total : undefined), said: (value) => percent(value), title: "Of the sum of all launches" },
  { name: "GB/s", value: (launch) => giga(launch, launch.bytes), said: digits },
  { name: "GFLOP/s", value: (launch) => giga(launch, launch.float_ops), said: digits },
  { name: "Gbitop/s", value: (launch) => giga(launch, launch.bit_ops || launch.dot_ops), said: digits },
  { name: "Groups × threads", value: ({ groups: [x, y], threads }) => x * y * threads, said: (_, { groups: [x, y], threads }) => `${y > 1 ? `${x} × ${y}` : x} × ${threads}` },
  { name: "Shapes", value: ({ reads, writes }) => `${reads.join(", ")} → ${writes}` },
];

/** @param {any} profile */
export function table({ launches, launches_ns: total }) {
  const rows = launches.map((/** @type {any} */ launch) => {
    const values = COLUMNS.map(({ value }) => value(launch, total));
    return { values, row: make("tr", {}, ...COLUMNS.map((column, at) => cell(column, values[at], launch))) };
  });
  const body = make("tbody", {}, ...rows.map((/** @type {any} */ { row }) => row));
  const heads = COLUMNS.map(({ name, said, title = "" }) => make("th", { scope: "col", className: said ? "number" : "" }, make("button", { type: "button", title }, name)));
  heads.forEach((head, at) => head.firstElementChild.addEventListener("click", () => {
    const known = head.getAttribute("aria-sort");
    // Numbers start with the largest, words and the order of execution with the first.
    const rising = known ? known === "descending" : at === 0 || !COLUMNS[at].said;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    rows.sort((/** @type {any} */ a, /** @type {any} */ b) => compare(a.values[at], b.values[at], rising));
    body.append(...rows.map((/** @type {any} */ { row }) => row));
  }));
  heads[0].setAttribute("aria-sort", "ascending");
  const whole = make("table", { className: "launches" }, make("thead", {}, make("tr", {}, ...heads)), body);
  return make("div", { className: "scroll tall", tabIndex: 0, role: "region", "aria-label": "Launches" }, whole);
}

/** Unknown values come last. @param {any} a @param {any} b @param {boolean} rising */
function compare(a, b, rising) {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  return rising ? order : -order;
}

/** A name with places to break after commas. @param {string} name @returns {Node[]} */
const wrappable = (name) => name.split(/(?<=,)(?! )/).flatMap((part, at) => [...(at ? [make("wbr")] : []), document.createTextNode(part)]);

/** @param {Column} column @param {any} value @param {any} launch */
function cell({ name, said }, value, launch) {
  if (!said) return make("td", { className: name.toLowerCase().replaceAll(" ", "-"), title: name === "Shapes" ? value : "" }, ...wrappable(value));
  const unknown = name === "Time" ? "too short for this clock" : "–";
  return make("td", { className: "number" }, value === undefined ? unknown : said(value, launch));
}
