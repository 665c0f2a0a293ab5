/**
 * The profile panel: a button that measures a step, and the view of the result, which is loaded on demand.
 */
import { $, make, write } from "./dom.js";
import { attempt } from "./fault.js";
import { save } from "./own.js";

/** States of a run in which a step can be measured. */
const IDLE = new Set(["ready", "training", "paused", "finished"]);

/** Loads the view, once. @returns {Promise<typeof import("./profile.js")>} */
async function view() {
  if (!document.querySelector('link[href="profile.css"]')) {
    const style = make("link", { rel: "stylesheet", href: "profile.css" });
    const loaded = new Promise((resolve, reject) => Object.assign(style, { onload: resolve, onerror: () => reject(new Error("The page's profile.css is missing.")) }));
    document.head.append(style);
    await loaded;
  }
  return import("./profile.js");
}

export class Profile {
  /** @param {any} engine @param {any} run */
  constructor(engine, run) {
    this.engine = engine;
    this.run = run;
    /** @type {any} */
    this.shown = null;
    this.button = $("profile-run");
    this.button.addEventListener("click", () => this.measure());
    $("profile-download").addEventListener("click", () => this.download());
    $("profile-page").addEventListener("click", () => this.page());
    run.addEventListener("state", () => this.allow());
    engine.addEventListener("profiled", (/** @type {any} */ { detail: { done, steps } }) => this.say(done ? `Measured ${done} of ${steps} steps …` : "Measuring the peaks of this device and the quality of its clock …"));
  }

  allow() {
    this.button.disabled = !this.run.opened || !IDLE.has(this.run.state);
  }

  /** @param {string} text */
  say(text) {
    write($("profile-status"), text);
  }

  async measure() {
    this.button.disabled = true;
    this.say("Waiting for the current step …");
    await attempt(async () => {
      const [profile, { render }] = await Promise.all([this.engine.profile(), view()]);
      if (!profile) return;
      this.shown = profile;
      render($("profile-view"), profile);
      for (const id of ["profile-download", "profile-page"]) $(id).hidden = false;
    });
    this.say(this.shown ? "The run is unchanged." : "");
    this.allow();
  }

  /** @param {string} text @param {string} extension */
  save(text, extension) {
    this.say(`Downloaded ${save(new TextEncoder().encode(text), `${this.shown.recipe.replace(/\W+/g, "-")}-profile.${extension}`)}.`);
  }

  /** The profile as written by `halfwave profile --json`. */
  download() {
    this.save(`${JSON.stringify(this.shown, null, 2)}\n`, "json");
  }

  /** The profile as a page of its own, as written by `halfwave profile --html`: see src/report/page.rs. */
  async page() {
    await attempt(async () => {
      const answer = await fetch("profile-page.html");
      if (!answer.ok) throw new Error("The page’s profile-page.html is missing.");
      const title = `${this.shown.recipe} · halfwave profile`.replace(/[&<]/g, (sign) => `&#${sign.charCodeAt(0)};`);
      // In JSON `<` occurs only in strings; without it, no string can close the script element.
      const data = JSON.stringify(this.shown).replaceAll("<", "\\u003c");
      const page = await answer.text();
      this.save(page.replace("@TITLE@", () => title).replace("@DATA@", () => data), "html");
    });
  }
}
