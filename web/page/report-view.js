/**
 * What all charts of a report have in common: the visible part of each x axis, the scale of y, smoothing, hidden runs; and the controls.
 */
import { make, write } from "./dom.js";

/** Smoothing of a new page, for values by step only: those by epoch are means already. */
const SMOOTHING = 0.95;

/** Number of colours in the palette. */
export const COLOURS = 8;

/** @param {number} place */
export const colour = (place) => `c${place % COLOURS}`;

export class View extends EventTarget {
  /** The visible part of an x axis, by its name; all of it if there is none. @type {Map<string, number[]>} */
  zoom = new Map();
  /** All of an x axis, by its name. @type {Map<string, number[]>} */
  spans = new Map();
  /** @type {"automatic" | "linear" | "logarithmic"} */
  scale = "automatic";
  /** What the slider was set to, for all charts. @type {number | undefined} */
  chosen;
  /** Runs that are not shown. @type {Set<number>} */
  hidden = new Set();
  announced = 0;

  get smoothing() {
    return this.chosen ?? SMOOTHING;
  }

  /** The smoothing of a chart. @param {any} chart */
  smoothingOf({ x_name: name }) {
    return this.chosen ?? (name === "epoch" ? 0 : SMOOTHING);
  }

  /** Extends an axis to hold a chart. @param {string} name of the axis @param {number[]} range */
  hold(name, [first, last]) {
    const [a, b] = this.spans.get(name) ?? [first, last];
    this.spans.set(name, [Math.min(a, first), Math.max(b, last)]);
  }

  /** Shows a part of an axis, at least one step or epoch of it, in all charts. @param {string} name @param {number} first @param {number} last */
  show(name, first, last) {
    const [least, most] = this.spans.get(name) ?? [first, last];
    const length = Math.max(last - first, 1);
    if (length >= most - least) return this.reset(name);
    const start = Math.min(Math.max((first + last - length) / 2, least), most - length);
    this.zoom.set(name, [start, start + length]);
    this.changed();
  }

  /** Shows all of an axis, or of every axis. @param {string} [name] */
  reset(name) {
    if (name) this.zoom.delete(name);
    else this.zoom.clear();
    this.changed();
  }

  /** @param {number} run @returns {boolean} whether it is hidden now */
  toggle(run) {
    if (!this.hidden.delete(run)) this.hidden.add(run);
    this.changed();
    return this.hidden.has(run);
  }

  /** Announces changes, once a frame. */
  changed() {
    if (this.announced) return;
    this.announced = requestAnimationFrame(() => {
      this.announced = 0;
      this.dispatchEvent(new Event("change"));
    });
  }
}

/** Redraws a picture when the view changes; one that is out of sight, once it is scrolled to. @param {HTMLElement} plot @param {View} view */
export function follow(plot, view) {
  let [seen, stale] = [false, false];
  const redraw = () => {
    stale = false;
    plot.dispatchEvent(new Event("redraw"));
  };
  const late = () => stale && redraw();
  new IntersectionObserver(([{ isIntersecting }]) => {
    seen = isIntersecting;
    if (seen) late();
  }, { rootMargin: "200px" }).observe(plot);
  addEventListener("beforeprint", late);
  view.addEventListener("change", () => {
    stale = true;
    if (seen) redraw();
  });
}

/** The bar of controls for all charts. @param {View} view */
export function controls(view) {
  const value = make("output", {}, view.smoothing.toFixed(2));
  const slider = make("input", { type: "range", id: "smoothing", min: 0, max: 0.99, step: 0.01, value: view.smoothing, title: "Exponential moving average; the measured values stay visible behind it. Values by epoch are smoothed once it is moved" });
  slider.addEventListener("input", () => {
    view.chosen = Number(slider.value);
    write(value, view.smoothing.toFixed(2));
    view.changed();
  });
  const options = [["automatic", "automatic"], ["linear", "linear"], ["logarithmic", "logarithmic"]];
  const scale = make("select", { id: "scale", title: "Automatic: logarithmic for losses that fall by a factor of 20 or more" }, ...options.map(([value, text]) => make("option", { value }, text)));
  scale.addEventListener("change", () => {
    view.scale = scale.value;
    view.changed();
  });
  const reset = make("button", { type: "button", id: "reset-zoom", disabled: true, title: "Or double-click a chart, or press 0 in it" }, "Reset zoom");
  reset.addEventListener("click", () => view.reset());
  view.addEventListener("change", () => (reset.disabled = !view.zoom.size));
  return make("div", { className: "controls", role: "group", "aria-label": "All charts" }, make("label", {}, "Smoothing", slider, value), make("label", {}, "y axis", scale), reset);
}
