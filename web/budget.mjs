// The size of the small runtime in web/pkg/infer, gzipped: what a program loads that imports halfwave/infer, and what a page loads for
// the element. Fails when the runtime exceeds its budget.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** Maximum size of the runtime, WebAssembly and JavaScript together. */
export const BUDGET_BYTES = 60_000;
const folder = fileURLToPath(new URL('pkg/infer', import.meta.url));

/** A module and all that it imports. @param {string} name @param {Set<string>} found */
function imported(name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  const text = readFileSync(path.join(folder, name), 'utf8');
  for (const [, other] of text.matchAll(/(?:import|export)[^;'"]*["']\.\/([\w.-]+)["']/g)) imported(other, found);
  return found;
}

/** Gzipped bytes of the WebAssembly, of the runtime's JavaScript, and of the further JavaScript of the element. */
export function sizes() {
  const zipped = (/** @type {string[]} */ names) => names.reduce((sum, name) => sum + gzipSync(readFileSync(path.join(folder, name)), { level: 9 }).length, 0);
  const runtime = imported('index.js');
  return { wasm: zipped(['halfwave_infer_bg.wasm']), js: zipped([...runtime]), element: zipped([...imported('element.js')].filter((name) => !runtime.has(name))) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { wasm, js, element } = sizes();
  const kilobytes = (/** @type {number} */ bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  const said = `the small runtime is ${kilobytes(wasm + js)} gzipped, of ${kilobytes(BUDGET_BYTES)}: ${kilobytes(wasm)} WebAssembly, ${kilobytes(js)} JavaScript; the element adds ${kilobytes(element)}`;
  if (wasm + js > BUDGET_BYTES) {
    console.error(`build: error: ${said}`);
    process.exit(1);
  }
  console.error(`build: ${said}`);
}
