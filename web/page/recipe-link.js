/**
 * Recipes in links: after `#recipe=`, the name of a built-in recipe, or a recipe's text, compressed, as base64url. Browsers do not send
 * this part of an address to servers.
 */
import { fromText, toText } from "./pkg/infer/link.js";

const MARK = "#recipe=";
/** Maximum size of a recipe in a link, bytes. */
const MOST_BYTES = 1 << 20;

/** A link to this page with a recipe. @param {string} text @param {string | undefined} name of a built-in recipe @returns {Promise<string>} */
export async function recipeLink(text, name) {
  return location.href.split("#")[0] + MARK + (name ?? (await toText(new TextEncoder().encode(text))));
}

/** The recipe in an address; undefined if it has none. @param {string} hash @param {(name: string) => string | undefined} named text of a built-in recipe @returns {Promise<string | undefined>} */
export async function linkedRecipe(hash, named) {
  if (!hash.startsWith(MARK)) return undefined;
  const mark = hash.slice(MARK.length);
  const known = named(mark);
  if (known !== undefined) return known;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await fromText(mark, MOST_BYTES));
  } catch (cause) {
    const { message } = /** @type {Error} */ (cause);
    const name = /^[a-z][a-z0-9-]{0,30}$/.test(mark) ? ` There is no built-in recipe “${mark}” either.` : "";
    const why = cause instanceof TypeError ? "The link holds no text." : message;
    throw Object.assign(new Error(`${why}${name}`, { cause }), { kind: "link" });
  }
}
