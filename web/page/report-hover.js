/**
 * The tooltip of a figure.
 */
import { make } from "./dom.js";

export class Hover {
  /** @param {HTMLElement} host contains the tooltip */
  constructor(host) {
    this.host = host;
    this.box = make("div", { className: "tip", hidden: true, role: "status" });
    host.append(this.box);
  }

  /** @param {number} x in pixels of the window @param {number} y @param {string} title @param {string[][]} lines class of the swatch, name, values @param {string[]} [heads] of the values */
  show(x, y, title, lines, heads = []) {
    const head = heads.length ? [make("tr", {}, ...["", "", ...heads].map((text) => make("th", {}, text)))] : [];
    const rows = lines.map(([swatch, name, ...values]) => make("tr", {}, make("td", {}, make("i", { className: swatch })), make("td", {}, name), ...values.map((value, at) => make("td", { className: at ? "second" : "first" }, value))));
    this.box.replaceChildren(make("strong", {}, title), ...(rows.length ? [make("table", {}, ...head, ...rows)] : []));
    this.box.hidden = false;
    const [host, own] = [this.host.getBoundingClientRect(), this.box.getBoundingClientRect()];
    const right = x - host.left + 16;
    const left = right + own.width <= host.width ? right : x - host.left - own.width - 16;
    this.box.style.left = `${Math.max(0, Math.min(left, host.width - own.width))}px`;
    // Below a small figure, which it would otherwise hide.
    this.box.style.top = `${this.host.classList.contains("small") ? host.height + 4 : Math.max(0, y - host.top - own.height / 2)}px`;
  }

  hide() {
    this.box.hidden = true;
  }
}
