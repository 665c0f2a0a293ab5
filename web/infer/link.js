/**
 * Networks in links: a packed file, compressed, as base64url after `#network=`. Browsers do not send this part of an address to servers.
 *
 * Compressed means: the numbers after the file's header are grouped by their bytes (all first bytes of four, all second ones, …), which
 * brings the exponents of floats together and makes a link 8% shorter; then raw deflate.
 */
import { problem } from "./error.js";

/** What precedes the network in a link. */
export const MARK = "#network=";
/** Maximum size of a network in a link, bytes: a short link can expand to a thousand times its length. */
const MOST_BYTES = 1 << 24;
/** Bytes that are converted to text at once. */
const SLICE = 1 << 13;

/** Whether a text has a network in it. @param {string} text */
export const isLink = (text) => text.includes(MARK);

/** Where a safetensors file's numbers begin: after the header, whose length comes first. @param {Uint8Array} bytes */
const numbersOf = (bytes) => (bytes.length < 8 ? bytes.length : Math.min(8 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true), bytes.length));

/** Groups numbers by their bytes, or undoes it. @param {Uint8Array} bytes @param {boolean} undo */
function grouped(bytes, undo) {
  const out = bytes.slice();
  const from = numbersOf(bytes);
  const count = Math.floor((bytes.length - from) / 4);
  for (let at = 0; at < 4 * count; at++) {
    const [apart, together] = [from + at, from + (at % 4) * count + (at >> 2)];
    if (undo) out[apart] = bytes[together];
    else out[together] = bytes[apart];
  }
  return out;
}

/** @param {Uint8Array} bytes @param {CompressionStream | DecompressionStream} by @param {number} most @returns {Promise<Uint8Array>} */
async function through(bytes, by, most) {
  const parts = [];
  let length = 0;
  const reader = new Blob([/** @type {any} */ (bytes)]).stream().pipeThrough(by).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      await reader.cancel().catch(() => undefined);
      throw problem("link", `The link expands to more than ${most >> 20} MiB, the most that is read.`);
    }
    parts.push(value);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Bytes, compressed, as base64url. @param {Uint8Array} bytes @returns {Promise<string>} */
export async function toText(bytes) {
  const small = await through(bytes, new CompressionStream("deflate-raw"), Infinity);
  let text = "";
  for (let at = 0; at < small.length; at += SLICE) text += String.fromCharCode(...small.subarray(at, at + SLICE));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The bytes in a text of `toText`. @param {string} text @param {number} most bytes @returns {Promise<Uint8Array>} */
export async function fromText(text, most) {
  try {
    if (!/^[\w-]+$/.test(text)) throw text;
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
    return await through(bytes, new DecompressionStream("deflate-raw"), most);
  } catch (error) {
    throw /** @type {any} */ (error).kind ? error : problem("link", "The link is incomplete or damaged: it was probably cut off where it was pasted. Copy all of it again.", error);
  }
}

/** A packed file as the end of a link, with its mark. @param {Uint8Array} bytes @returns {Promise<string>} */
export const encode = async (bytes) => MARK + (await toText(grouped(bytes, false)));

/** The packed file in a link. @param {string} link @returns {Promise<Uint8Array>} */
export async function decode(link) {
  return grouped(await fromText(isLink(link) ? link.slice(link.indexOf(MARK) + MARK.length) : "", MOST_BYTES), true);
}
