/**
 * Lines as lists of points [x, y], ordered by x: smoothed, cut to a range, thinned.
 */

/** The distance at which a smoothed point counts with the weight itself, as a share of the x axis: independent of the number of points. */
const UNIT = 1 / 1000;

/**
 * Exponential moving average without bias at the beginning: the mean of all points so far, each weighted by `weight` to the power of its distance.
 * @param {number[][]} points @param {number} weight from 0 (no smoothing) to less than 1 @param {number} span length of the x axis
 */
export function smoothed(points, weight, span) {
  let [sum, total, last] = [0, 0, 0];
  return points.map(([x, y], at) => {
    const kept = at ? weight ** ((x - last) / (UNIT * span)) : 0;
    [sum, total, last] = [kept * sum + y, kept * total + 1, x];
    return [x, sum / total];
  });
}

/** The index of the first point at x or later. @param {number[][]} points @param {number} x */
function from(points, x) {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index of the point nearest to x. @param {number[][]} points @param {number} x */
export function nearest(points, x) {
  const at = Math.min(from(points, x), points.length - 1);
  return at > 0 && x - points[at - 1][0] < points[at][0] - x ? at - 1 : at;
}

/** The part of a line in a range, up to its ends. @param {number[][]} points @param {number[]} range */
export function within(points, [first, last]) {
  let [start, end] = [from(points, first), from(points, last)];
  if (end < points.length && points[end][0] === last) end++;
  const between = (/** @type {number} */ at, /** @type {number} */ x) => {
    const [a, b] = [points[at - 1], points[at]];
    return a && b ? [[x, ...a.slice(1).map((value, i) => value + ((b[i + 1] - value) * (x - a[0])) / (b[0] - a[0]))]] : [];
  };
  const head = points[start]?.[0] === first ? [] : between(start, first);
  const tail = points[end - 1]?.[0] === last ? [] : between(end, last);
  return [...head, ...points.slice(start, end), ...tail];
}

/** At most `most` points: the lowest and the highest of every stretch. @param {number[][]} points @param {number} most */
export function thinned(points, most) {
  if (points.length <= most) return points;
  const stretch = Math.ceil((2 * points.length) / most);
  const found = [];
  for (let start = 0; start < points.length; start += stretch) {
    let [low, high] = [start, start];
    for (let at = start + 1; at < Math.min(start + stretch, points.length); at++) {
      if (points[at][1] < points[low][1]) low = at;
      if (points[at][1] > points[high][1]) high = at;
    }
    found.push(points[Math.min(low, high)], points[Math.max(low, high)]);
  }
  return found;
}
