/**
 * Lines over steps or epochs: several runs in one chart.
 *
 * Colours are classes `c0` to `c7`; elements of a run have `data-run`, so that they can be hidden.
 */
import { make, widthOf, write } from "./dom.js";
import { mark, picture } from "./profile-draw.js";
import { Hover } from "./report-hover.js";
import { Pointer } from "./report-pointer.js";
import { around, number, powers, ticks, told } from "./report-scale.js";
import { smoothed, thinned, within } from "./report-series.js";
import { COLOURS, colour, follow } from "./report-view.js";

/** @typedef {import("./report-view.js").View} View */

/** Height of a legend in pixels. */
const LEGEND = 26;

/** A chart as a figure. @param {any} chart @param {string[]} runs their names @param {View} view @param {boolean} [small] one of many */
export function figure(chart, runs, view, small = false) {
  const host = make("figure", { className: small ? "chart small card" : "chart card" });
  const by = `${chart.y_name === chart.title.toLowerCase() ? "" : `${chart.y_name} `}by ${chart.x_name}`;
  const dashes = legend(chart, runs);
  const hint = make("span", { className: "hint" }, by);
  host.append(make("figcaption", {}, make("b", {}, chart.title), ...(small ? [] : [hint])), ...dashes);
  if (!chart.lines.length) {
    host.append(make("p", { className: "empty" }, chart.notice));
    return host;
  }
  // Without a legend the plot is taller, so that neighbouring figures have the same height.
  const height = small ? 150 : dashes.length ? 270 : 270 + LEGEND;
  const plot = picture(`${chart.title} ${by}`, (svg, width) => {
    const content = visible(chart, view, width);
    write(hint, content.log ? `${by}, logarithmic` : by);
    pointer.drawn({ ...content, ...draw(svg, width, height, chart, content) });
    return height;
  });
  view.hold(chart.x_name, chart.x);
  const pointer = new Pointer(plot, chart, view, new Hover(host));
  follow(plot, view);
  host.append(plot);
  for (const { run, text } of chart.broken ?? []) host.append(make("p", { className: "hint broken", "data-run": run }, text));
  return host;
}

/** The meaning of dashes, or of colours if there is only one run. @param {any} chart @param {string[]} runs */
function legend({ lines }, runs) {
  const parts = new Map(lines.filter((/** @type {any} */ { part }) => part).map((/** @type {any} */ line) => [line.part, line]));
  if (parts.size < 2) return [];
  const entries = [...parts].map(([part, { dash, colour: place }]) => {
    const line = mark("line", { x1: 0, y1: 5, x2: 26, y2: 5, class: `line dash-${dash} ${runs.length > 1 ? "neutral" : colour(place)}` });
    return make("li", {}, mark("svg", { width: 26, height: 10, "aria-hidden": "true" }, line), part);
  });
  return [make("ul", { className: "legend" }, ...entries)];
}

/** The lines of a chart with their smoothed points, which are kept until the smoothing changes. @param {any} chart @param {number} weight */
function smooth(chart, weight) {
  if (chart.weight !== weight) {
    const [first, last] = chart.x;
    for (const line of chart.lines) line.smooth = chart.noisy && weight ? smoothed(line.points, weight, last - first) : line.points;
    chart.weight = weight;
  }
  return chart.lines;
}

/** The range of x of the runs that are shown, with the margin of `src/plots/chart.rs`. @param {any} chart @param {(of: any) => boolean} isShown */
function spanOf({ x, lines, broken = [] }, isShown) {
  const ends = lines.filter(isShown).flatMap((/** @type {any} */ { points }) => [points[0][0], points[points.length - 1][0]]);
  const places = [...ends, ...broken.filter(isShown).map((/** @type {any} */ { step }) => step)];
  if (!places.length) return x;
  const [first, last] = [Math.min(...places), Math.max(...places)];
  const room = last > first ? 0.012 * (last - first) : 1;
  return [first - room, last + room];
}

/** What a view shows of a chart: the ranges of its axes, and its lines in the range of x, with no more points than pixels. @param {any} chart @param {View} view @param {number} width in pixels */
function visible(chart, view, width) {
  const isShown = (/** @type {any} */ { run }) => !view.hidden.has(run);
  const zoom = view.zoom.get(chart.x_name);
  const x = zoom ?? (view.hidden.size ? spanOf(chart, isShown) : chart.x);
  const part = (/** @type {number[][]} */ points) => thinned(within(points, x), width);
  const all = smooth(chart, view.smoothingOf(chart));
  // Behind more lines than colours, raw ones could not be told apart.
  const behind = all.filter(isShown).length <= COLOURS;
  const lines = all.map((/** @type {any} */ line) => ({
    ...line,
    part: part(line.smooth),
    raw: line.smooth === line.points || !behind ? [] : part(line.points),
    band: within(line.band ?? [], x),
  }));
  const shown = lines.filter(isShown);
  const values = shown.flatMap((/** @type {any} */ { part, raw, band }) => [...part, ...raw, ...band].flatMap(([, ...values]) => values));
  // Values that a logarithmic axis lacks are left out; if it lacks all, the axis is linear.
  const wanted = view.scale === "automatic" ? chart.log : view.scale === "logarithmic";
  const positive = wanted ? values.filter((/** @type {number} */ value) => value > 0) : [];
  const log = positive.length > 0;
  const whole = !zoom && !view.hidden.size && log === chart.log;
  return { x, y: whole ? chart.y : around(log ? positive : values, log), log, lines };
}

/** Draws a chart; returns its geometry. @param {any} svg @param {number} width @param {number} height @param {any} chart @param {any} content */
function draw(svg, width, height, chart, { x: [first, last], y, log, lines }) {
  const [top, bottom, right] = [8, height - 24, width - 10];
  const [low, high] = y ?? [0, 1];
  const xs = ticks(Math.max(first, 0), last, Math.max(3, Math.floor(width / 75)), 1);
  // There is room above 100%, but no such share.
  const most = chart.unit === "percent" && !lines.some((/** @type {any} */ { part }) => part.some(([, value]) => value > 100)) ? 100 : Infinity;
  const ys = y ? (log ? powers : ticks)(low, high, height / 45).filter((value) => value <= most) : [];
  const labels = ys.map((value) => told(chart, value));
  const left = Math.ceil(12 + Math.max(...labels.map(widthOf), 14));
  const scale = (/** @type {number} */ value) => (log ? Math.log(value) : value);
  const px = (/** @type {number} */ value) => left + ((right - left) * (value - first)) / (last - first);
  const py = (/** @type {number} */ value) => bottom - ((bottom - top) * (scale(value) - scale(low))) / (scale(high) - scale(low));
  ys.forEach((value, at) => svg.append(mark("line", { class: "grid", x1: left, x2: right, y1: py(value), y2: py(value) }), mark("text", { class: "y", x: left - 8, y: py(value) + 4, "text-anchor": "end" }, labels[at])));
  for (const value of xs) {
    const half = widthOf(number(value)) / 2;
    svg.append(mark("text", { class: "x", x: Math.min(px(value), width - half), y: bottom + 18, "text-anchor": "middle" }, number(value)));
  }
  svg.append(mark("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  const path = (/** @type {number[][]} */ points) => points.map(([x, y], at) => `${at ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
  const drawable = (/** @type {number[][]} */ points) => (log ? points.filter(([, value]) => value > 0) : points);
  for (const { run, colour: place, dash, part, raw, band } of y ? [...lines].reverse() : []) {
    const group = mark("g", { class: colour(place), "data-run": run });
    const edge = (/** @type {number} */ at) => band.map((/** @type {number[]} */ point) => [point[0], log ? Math.max(point[at], low) : point[at]]);
    if (band.length) group.append(mark("path", { class: "band", d: `${path(edge(1))}${path(edge(2).reverse()).replace("M", "L")}Z` }));
    if (raw.length) group.append(mark("path", { class: "line raw", d: path(drawable(raw)) }));
    const points = drawable(part);
    group.append(mark("path", { class: `line dash-${dash}`, d: path(points) }));
    // A line through few points would not show where they are, and a single one would not be visible. The ends of a part are no points.
    const own = points.filter(([x]) => x > first && x < last);
    if (own.length <= 40) for (const [x, value] of own) group.append(mark("circle", { cx: px(x), cy: py(value), r: own.length > 20 ? 1.5 : 2.5 }));
    svg.append(group);
  }
  for (const { run, step } of chart.broken ?? []) {
    if (step >= first && step <= last) svg.append(mark("line", { class: `line broken dash-1 ${colour(run)}`, "data-run": run, x1: px(step), x2: px(step), y1: top, y2: bottom }));
  }
  if (!y) svg.append(mark("text", { x: (left + right) / 2, y: (top + bottom) / 2, "text-anchor": "middle" }, "no values in this range"));
  return { left, right, top, bottom, px, py };
}
