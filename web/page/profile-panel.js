/**
 * The profile panel: a button that measures a step, and the view of the result, which is loaded on demand.
 */
import { $, make, write } from "./dom.js";
import { attempt } from "./fault.js";

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
      $("profile-download").hidden = false;
    });
    this.say(this.shown ? "The run is unchanged." : "");
    this.allow();
  }

  /** The profile as written by `halfwave profile --json`. */
  download() {
    const url = URL.createObjectURL(new Blob([`${JSON.stringify(this.shown, null, 2)}\n`], { type: "application/json" }));
    make("a", { href: url, download: `${this.shown.recipe}-profile.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}
