// The native program, for what the browser and it must agree on.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './browsers.mjs';

const target = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
const PROGRAM = [process.env.HALFWAVE, path.join(target, 'debug/halfwave'), path.join(target, 'release/halfwave')].find((file) => file && existsSync(file));

// What `halfwave` prints for these arguments. A failing one throws.
export function halfwave(...args) {
  if (!PROGRAM) throw new Error(`no native program in ${target}: cargo build, or name it in HALFWAVE`);
  return execFileSync(PROGRAM, args, { encoding: 'utf8', env: { ...process.env, RUST_LOG: 'off' }, maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
}

// `halfwave eval FILE` on the CPU as numbers: {step, loss (4 digits), correct, images, confusion}.
export function evaluate(file) {
  const text = halfwave('eval', file, '--adapter', 'cpu');
  const number = (pattern) => Number(pattern.exec(text)[1]);
  const [, correct, images] = /\((\d+) of (\d+)\)/.exec(text).map(Number);
  const confusion = [...text.matchAll(/^\S+((?: +(?:\d+|·))+) +\S+ %$/gm)].map(([, cells]) => cells.trim().split(/ +/).map((cell) => (cell === '·' ? 0 : Number(cell))));
  return { step: number(/after (\d+) steps/), loss: number(/test loss +(\S+)/), correct, images, confusion };
}
