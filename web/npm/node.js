// The package in Node.js: init() reads the module from the file beside it, which fetch cannot do.
import { readFile } from "node:fs/promises";
import init from "./halfwave.js";

export * from "./halfwave.js";
export default async (input) => init(input ?? { module_or_path: await readFile(new URL("./halfwave_bg.wasm", import.meta.url)) });
