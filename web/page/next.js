/**
 * What to do with a network whose training has ended.
 */
import { takesDrawings } from "./about.js";
import { NAME } from "./classes.js";
import { $, make, write } from "./dom.js";
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
    const collected = opened.name === NAME;
    $("next-try").href = collected ? "#classes" : "#draw";
    write($("next-try"), collected ? "Try it with the camera or a picture" : takesDrawings(summary) ? "Draw and test it" : "Show it an image");
    const dir = summary.set === "cifar10" ? "cifar-10-batches-bin" : summary.set === "folder" ? "pictures" : "";
    $("next-command").replaceChildren("halfwave train recipe.toml", ...(dir ? [" ", make("span", {}, `--data-dir ${dir}`)] : []));
  }
}
