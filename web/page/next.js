/**
 * What to do with a network whose training has ended.
 */
import { takesDrawings } from "./about.js";
import { $, write } from "./dom.js";
import { save } from "./own.js";

export class Next {
  /** @param {any} run @param {any} recipe */
  constructor(run, recipe) {
    for (const event of ["state", "opened", "reset"]) run.addEventListener(event, () => this.update(run));
    $("next-recipe").addEventListener("click", () => save(new TextEncoder().encode(recipe.used), "recipe.toml"));
  }

  /** @param {any} run */
  update({ state, opened }) {
    const over = state === "finished" && !!opened;
    $("next").hidden = !over;
    if (!over) return;
    const { summary } = opened;
    const own = summary.set !== "digits";
    write($("next-try"), takesDrawings(summary) ? "Draw and test it" : "Show it an image");
    write($("next-command"), `halfwave train recipe.toml${own ? ` --data-dir ${summary.set === "cifar10" ? "cifar-10-batches-bin" : "pictures"}` : ""}`);
  }
}
