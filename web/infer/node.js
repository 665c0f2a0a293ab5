/** The small runtime in Node.js: the module is read from the file beside it, and networks may be read from files. */
import { readFile } from "node:fs/promises";
import { problem } from "./error.js";
import { load as loaded, start } from "./index.js";

export * from "./index.js";

/** An address with a scheme; a single letter is a drive of Windows. */
const ADDRESS = /^([a-z][a-z\d+.-]+:|#)|#network=/i;
const isFile = (source) => (source instanceof URL ? source.protocol === "file:" : typeof source === "string" && !ADDRESS.test(source));

/** As in a page; a string that is not an address, or a file's URL, names a file. */
export async function load(source) {
  await start(await readFile(new URL("./halfwave_infer_bg.wasm", import.meta.url)));
  if (!isFile(source)) return loaded(source);
  const bytes = await readFile(source).catch((error) => {
    throw problem("file", `The network could not be read: ${error.message}`, error);
  });
  return loaded(new Uint8Array(bytes));
}
