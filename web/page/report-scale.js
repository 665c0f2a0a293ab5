/**
 * Axes: their ranges, their ticks, and numbers as text.
 */
import { whole } from "./dom.js";

/** A number with at most four digits. @param {number} value */
export function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(1).replace("e+", "e").replace("-", "−");
  if (size >= 1000) return whole(value);
  return String(+value.toPrecision(4)).replace("-", "−");
}

/** A value of a chart with its unit. @param {any} chart @param {number} value @param {boolean} [exact] */
export const told = ({ unit }, value, exact) => (unit === "percent" ? `${exact ? value.toFixed(value >= 10 ? 1 : 2) : number(+value.toFixed(3))}%` : number(value));

/** About `count` round numbers from low to high. @param {number} low @param {number} high @param {number} count @param {number} [least] minimum distance */
export function ticks(low, high, count, least = 0) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, (/** @type {number} */ ([1, 2, 5, 10].find((by) => by * power >= rough * 0.999))) * power);
  const found = [];
  const first = Math.ceil(low / step - 1e-9);
  // Counted from the first: beyond 2^53, adding 1 to a number changes nothing.
  const last = Math.floor(high / step + 1e-9);
  for (let at = 0; at <= last - first; at++) found.push((first + at) * step);
  return found;
}

/** Round numbers of a logarithmic axis. @param {number} low @param {number} high @param {number} count */
export function powers(low, high, count) {
  const decades = Math.log10(high / low);
  // Within a decade there are too few powers of ten.
  if (decades < 1) return ticks(low, high, count);
  const by = decades > count ? [1] : decades > count / 3 ? [1, 3] : [1, 2, 5];
  const apart = Math.ceil(decades / Math.max(2 * count, 1));
  const found = [];
  for (let at = Math.floor(Math.log10(low)); at <= Math.log10(high); at++) if (at % apart === 0) found.push(...by.map((digit) => digit * 10 ** at));
  return found.filter((value) => value >= low && value <= high);
}

/** A range of values with a margin; undefined without values. @param {number[]} values @param {boolean} log @returns {[number, number] | undefined} */
export function around(values, log) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low > high) return undefined;
  const room = 0.06;
  if (log) {
    const by = Math.max((high / low) ** room, 1.02);
    return [low / by, high * by];
  }
  const rim = high > low ? room * (high - low) : Math.max(room * Math.abs(low), 1e-6);
  return [low >= 0 ? Math.max(low - rim, 0) : low - rim, high + rim];
}
