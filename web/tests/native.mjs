// The native program, for comparison with the browser.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './browsers.mjs';

// Cargo's output folder; HALFWAVE_NATIVE names another one.
const target = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
const FOLDERS = [process.env.HALFWAVE_NATIVE, path.join(target, 'debug'), path.join(target, 'release')].filter(Boolean);

// The folder that contains a native program.
export function folderOf(program) {
  const found = FOLDERS.find((folder) => existsSync(path.join(folder, program)));
  if (!found) throw new Error(`no ${program} in ${FOLDERS.join(' or ')}: cargo build --bins --examples`);
  return found;
}

function run(program, args, variables = {}) {
  return execFileSync(path.join(folderOf(program), program), args, { encoding: 'utf8', env: { ...process.env, RUST_LOG: 'off', ...variables }, maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
}

// Output of the native program for these arguments. Throws if it fails.
export const halfwave = (...args) => run('halfwave', args);

// The same with additional environment variables, for example to select a driver.
halfwave.with = (variables) => (...args) => run('halfwave', args, variables);

// Output of examples/inspect.rs for a checkpoint: [{layer, op, shape, hash}].
export const inspect = (file, images) => run('examples/inspect', [file, String(images)]).trim().split('\n').map((line) => JSON.parse(line));

// Results of `halfwave eval FILE` on the CPU as numbers: {step, loss (4 digits), correct, images, confusion}.
export function evaluate(file) {
  const text = halfwave('eval', file, '--adapter', 'cpu');
  const number = (pattern) => Number(pattern.exec(text)[1]);
  const [, correct, images] = /\((\d+) of (\d+)\)/.exec(text).map(Number);
  const confusion = [...text.matchAll(/^\S+((?: +(?:\d+|·))+) +\S+%$/gm)].map(([, cells]) => cells.trim().split(/ +/).map((cell) => (cell === '·' ? 0 : Number(cell))));
  return { step: number(/after (\d+) steps/), loss: number(/test loss +(\S+)/), correct, images, confusion };
}
