/**
 * A network in a link: shows it at work, with the small runtime only, and says what it is.
 */
import { $, counted, make, percent, size, whole, write } from "./dom.js";
import "./pkg/infer/element.js";

/** Maximum number of class names that are listed. */
const NAMED = 12;

/** A name in the middle of a sentence. */
const SETS = /** @type {Record<string, string>} */ ({ digits: "handwritten digits", cifar10: "CIFAR-10’s images", folder: "images in folders" });

/** @param {any} network @returns {[string, string][]} */
function facts({ classes, card, input, bits }) {
  const accuracy = Number(card["test accuracy"]);
  const names = classes.length <= NAMED ? `: ${classes.join(", ")}` : "";
  const set = SETS[card["data set"]] ?? card["data set"];
  return /** @type {[string, string][]} */ ([
    ["Classes", `${counted(classes.length, "class", "classes")}${names}`],
    ["Input", `${input.width} × ${input.height} pixels, ${input.channels === 3 ? "in colour" : input.channels === 1 ? "grey" : `${input.channels} channels`}`],
    ["Accuracy", card["test accuracy"] && accuracy >= 0 ? `${percent(accuracy)} of the test images, as its sender’s browser measured` : ""],
    ["Trained on", set ? `${set}${card.steps ? `, ${counted(Number(card.steps), "step")}` : ""}` : ""],
    ["Size", `${whole(bits)} bits (${size(bits / 8)}), in a link of ${whole(location.href.length)} characters`],
  ]).filter(([, fact]) => fact);
}

const element = $("shared-network");
$("brand").href = "./";
element.addEventListener("load", () => {
  const { network } = element;
  write($("shared-lead"), `The link that you opened holds a trained neural network of ${whole(network.bits)} bits. It runs here, in this tab: ${element.draws ? "draw something, and it answers" : "show it a picture, and it answers"}. Nothing is uploaded.`);
  $("shared-facts").replaceChildren(...facts(network).map(([name, fact]) => make("div", {}, make("dt", {}, name), make("dd", {}, fact))));
  $("shared-about").hidden = false;
});
element.addEventListener("error", (/** @type {any} */ { detail }) => {
  const image = detail.kind === "image";
  if (!image) write($("shared-lead"), "The network in this link cannot be opened. You can still train one of your own.");
});
element.open(location.hash);
