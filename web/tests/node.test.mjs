// The package in Node.js: on Dawn (npm's webgpu) its results are bit-identical to the native program's on the same driver; without WebGPU there is an error that says what to do.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { ROOT, icds } from './browsers.mjs';
import { installed } from './installed.mjs';
import { halfwave } from './native.mjs';

const STEPS = 69;
const OPERATIONS = 30;
// Longer than software drivers need to compile all kernels on a busy machine.
const TIMEOUT_MS = 900_000;
const recipe = readFileSync(path.join(ROOT, 'assets/recipes/digits.toml'), 'utf8').replace('epochs = 20', `steps = ${STEPS}`);
const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-node-'));
test.after(() => rmSync(scratch, { recursive: true, force: true }));

// The environment variables with which a process loads only that driver.
const driver = (file) => ({ VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file, XDG_RUNTIME_DIR: scratch });

async function node(args, variables = {}, cwd = scratch) {
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env: { ...process.env, ...variables }, maxBuffer: 1 << 26, timeout: TIMEOUT_MS });
  return stdout;
}
const task = async (variables, ...args) => JSON.parse(await node([path.join(ROOT, 'web/tests/fixtures/node.mjs'), ...args], variables));

test('without WebGPU a session is refused with a way out, and the CPU trains', async () => {
  const { name, kind, message, step, scope } = await task({}, 'absent');
  assert.deepEqual([name, kind], ['HalfwaveError', 'device']);
  for (const words of ['npm install webgpu', 'globalThis.navigator = { gpu: create([]) }', 'adapter: "cpu"']) assert.ok(message.includes(words), message);
  assert.equal(step, 1);
  assert.ok(!scope, 'nothing is left behind among the globals');
});

test('whatever navigator is, a session is refused, not hung', async () => {
  assert.deepEqual(await task({}, 'odd'), Array(7).fill('HalfwaveError device'));
});

test('a run that patience has ended is over, for the documented loop too, and after a restore', async () => {
  const toml = readFileSync(path.join(ROOT, 'assets/recipes/digits.toml'), 'utf8').replace(/^lr = .*$/m, 'lr = 1e-9').replace(/^validation = 0 .*$/m, 'validation = 0.1').replace(/^\[train\]$/m, '[train]\npatience = 1');
  const { calls, ended, again, restored } = await task({}, 'over', toml);
  assert.ok(calls < 20, `${calls} calls of an epoch each`);
  assert.ok(ended.over && ended.step < ended.total_steps, JSON.stringify(ended));
  assert.deepEqual([again, restored], [false, true]);
});

test('a run that diverges rejects with that kind, and is healthy again after a reset', async () => {
  for (const lr of ['1e30', '3e38']) {
    const toml = readFileSync(path.join(ROOT, 'assets/recipes/digits.toml'), 'utf8').replace(/^lr = .*$/m, `lr = ${lr}`);
    const { kinds, faults } = await task({}, 'diverged', toml);
    assert.deepEqual(kinds, ['HalfwaveError diverged', 'HalfwaveError diverged', 'no error']);
    assert.equal(faults[0], null, 'the first step is healthy');
    assert.match(faults.find((fault) => fault !== null), /^in (layer "\w+" \(\w+\)|the parameter \S+)$/);
  }
});

test('folders are arranged by the native rules, in whatever order their paths come', async () => {
  const { classes, places, shared, refused, system } = await task({}, 'folders');
  assert.deepEqual(classes, ['cat', 'dog']);
  assert.deepEqual(places, [
    { class: 1, part: 'train' }, { class: 0, part: 'train' }, { class: 0, part: 'validation' },
    { why: 'not in a folder named after its class' }, { class: 1, part: 'test' }, { class: 0, part: 'train' },
  ]);
  assert.deepEqual(shared, [{ class: 1 }, { class: 0 }], 'without splits a share is used for testing');
  assert.deepEqual([refused.name, refused.kind], ['HalfwaveError', 'data']);
  assert.match(refused.message, /test\/ and val\/ but no train\//);
  assert.deepEqual(system, [true, true, true, true, false, false]);
});

test('a checkpoint’s classes are matched by name, and other classes are refused', async () => {
  const toml = recipe.replace('classes = 10', 'classes = 2').replace('units = 10', 'units = 2').replace('set = "digits"', 'set = "folder"').replace(/^batch = .*$/m, 'batch = 4');
  const { names, before, after, step, dogs, labels, refused } = await task({}, 'matching', toml);
  assert.deepEqual([names, before, after], [['dog', 'cat'], ['cat', 'dog'], ['dog', 'cat']]);
  assert.deepEqual([dogs, labels], [[0, 1], [0, 0, 1, 1]], 'dogs come first, with the label 0');
  assert.equal(step, 1, 'the session continues from the checkpoint');
  assert.deepEqual([refused.name, refused.kind], ['HalfwaveError', 'data']);
  assert.match(refused.message, /bird|dog/);
});

// Buffers that a launch reads and writes in parts, half-precision values with scales, and steps with several launches of a plan: Dawn's rules are stricter than wgpu's.
const small = recipe.replace(/^\[train\]$/m, '[train]\nmemory = "low"\nprecision = "mixed"\naccumulate = 2');
const trained = [...Object.entries(icds()).map(([name, file]) => [name, file, recipe]), ['lavapipe, in little memory', icds().lavapipe, small]];
for (const [name, file, recipe] of trained) {
  test(`losses on Dawn are the native program’s to the bit: ${name}`, async () => {
    const [toml, out] = ['.toml', ''].map((end) => path.join(scratch, name.replaceAll(/\W+/g, '-') + end));
    writeFileSync(toml, recipe);
    const { losses, scope } = await task(driver(file), 'losses', recipe);
    halfwave.with(driver(file))('train', toml, '--adapter', '0', '--plain', '--out', out);
    const rows = readFileSync(path.join(out, 'metrics.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
    const native = rows.filter((row) => row.step !== undefined && row.loss !== undefined).map(({ loss }) => Math.fround(loss));
    assert.equal(losses.length, STEPS);
    assert.deepEqual(losses, native);
    assert.ok(losses.at(-1) < losses[0] / 2, 'it learns');
    assert.ok(!scope, 'nothing is left behind among the globals');
    console.log(`${name}: ${STEPS} losses, from ${losses[0]} to ${losses.at(-1)}`);
  });
}

test('every kernel agrees with its reference implementation on Dawn', async () => {
  const { lavapipe, swiftshader = lavapipe } = icds(); // the one that compiles faster
  const outcomes = await task(driver(swiftshader), 'selftest');
  assert.ok(outcomes.length >= OPERATIONS, `only ${outcomes.length} operations`);
  assert.deepEqual(outcomes.filter(({ failure, worst, bound }) => failure || !(worst <= bound)), []);
});

test('in an empty project with the packed file installed, the README’s example for Node.js runs as printed', async () => {
  const [example] = /## In Node\.js.*?```js\n(.*?)```/s.exec(readFileSync(path.join(ROOT, 'web/pkg/README.md'), 'utf8')).slice(1);
  const folder = path.join(scratch, 'project');
  installed(folder, ['webgpu']);
  writeFileSync(path.join(folder, 'train.mjs'), example);
  const lines = (await node(['train.mjs'], driver(icds().lavapipe), folder)).trim().split('\n');
  assert.equal(lines.length, 20);
  assert.match(lines.at(-1), /^epoch 20: \d+\.\d%$/);
  assert.ok(parseFloat(lines.at(-1).split(' ')[2]) > 90, lines.at(-1));
});
