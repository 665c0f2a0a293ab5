/**
 * Access to the page's elements, and formatting of numbers.
 */

/**
 * The element with that id in index.html.
 * @param {string} id
 * @returns {any}
 */
export function $(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, any>} [properties] set on the object, so that markup is never parsed
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Writes text only if it differs, to avoid needless layout. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} value whole number */
export const whole = (value) => Math.round(value).toLocaleString("en");

/** @param {number} share 0..1 @param {number} [digits] */
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;

const SUPERSCRIPT = /** @type {Record<string, string>} */ (Object.fromEntries([..."-0123456789"].map((digit, at) => [digit, [..."⁻⁰¹²³⁴⁵⁶⁷⁸⁹"][at]])));

/** Ten to a whole power, as printed. @param {number} power */
export const tenTo = (power) => `10${[...String(power)].map((digit) => SUPERSCRIPT[digit]).join("")}`;

/** In scientific notation, two significant digits. @param {number} value */
function scientific(value) {
  const [digits, power] = value.toExponential(1).split("e");
  return `${digits}\u202f×\u202f${tenTo(Number(power))}`;
}

/** Two to four significant digits for any finite value of at least 0; other values in words. @param {number} value */
export function short(value) {
  if (!Number.isFinite(value)) return "not a number";
  if (value >= 1e5 || (value > 0 && value < 1e-4)) return scientific(value);
  return (value >= 100 ? whole(value) : value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(4));
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let at = 0;
  while (bytes >= 1024 && at < 3) [bytes, at] = [bytes / 1024, at + 1];
  return `${at && bytes < 10 ? bytes.toFixed(1) : whole(bytes)} ${units[at]}`;
}

/** "1 image", "2 images". @param {number} n @param {string} one @param {string} [many] */
export const counted = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;

/** @type {CanvasRenderingContext2D | undefined} */
let pen;

/** The width of a label in pixels, without layout, which would take most of the time of a drawing. @param {string} text */
export function widthOf(text) {
  pen ??= Object.assign(/** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d")), { font: `12px ${getComputedStyle(document.body).fontFamily}` });
  return pen.measureText(text).width + 1;
}
