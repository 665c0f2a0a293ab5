/**
 * Faults as sentences: each is a card that stays until it is closed; repetitions are counted.
 */
import { $, make, write } from "./dom.js";

const MOST = 3;

/** @typedef {{kind?: string, message: string, line?: number, recoverable?: boolean}} Fault */

/** Headings of the page that become links when a sentence quotes them in “ and ”. */
const HEADINGS = /** @type {Record<string, string>} */ ({ "Your own images": "#own-images", "Your own classes": "#classes", Recipe: "#own", Checkpoint: "#own" });

const TITLES = /** @type {Record<string, string>} */ ({
  recipe: "The recipe",
  data: "The data",
  checkpoint: "The checkpoint",
  device: "The device",
  memory: "The device’s memory",
  model: "The model",
  diverged: "Training diverged",
  storage: "The browser’s storage",
  link: "The link",
});

/** Capitalised and with a full stop. @param {string} text */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** A sentence with links to the headings that it quotes. @param {string} text @returns {(Node | string)[]} */
export const linked = (text) => text.split(/“([^”]*)”/).map((part, at) => (at % 2 === 0 ? part : HEADINGS[part] ? make("a", { href: HEADINGS[part] }, part) : `“${part}”`));

/** Shows a fault. @param {Fault} fault */
export function fault({ kind = "", message, line }) {
  const host = $("fault");
  const text = sentence(line ? `Line ${line}: ${message}` : message.replace(/^the checkpoint: /, ""));
  for (const card of host.children) {
    if (card.dataset.text !== text) continue;
    const times = Number(card.dataset.times) + 1;
    card.dataset.times = String(times);
    write(card.querySelector(".times"), ` (${times} times)`);
    return;
  }
  const close = make("button", { type: "button", className: "close", "aria-label": "Close this message" }, "×");
  const title = make("b", {}, TITLES[kind] ?? "Something went wrong");
  const card = make("div", { className: "fault" }, make("div", {}, title, make("p", {}, ...linked(text), make("span", { className: "times" }))), close);
  card.dataset.text = text;
  card.dataset.times = "1";
  close.addEventListener("click", () => card.remove());
  host.append(card);
  while (host.children.length > MOST) host.firstElementChild.remove();
  // On a small screen the cards are part of the page.
  card.scrollIntoView({ block: "nearest" });
}

/**
 * Runs `work`; an error is shown as a fault, and `undefined` is returned.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T | undefined>}
 */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    const { kind, line, message } = /** @type {any} */ (error);
    fault({ kind, line, message: message || String(error) });
    return undefined;
  }
}
