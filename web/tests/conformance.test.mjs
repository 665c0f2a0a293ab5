// Samples of every operation, computed by the browser's WebGPU, are compared with the reference implementations in Rust. This also shows that all
// shaders compile under Tint (Chromium) and under Firefox's naga. Most of the time is spent on compiling, up to seven seconds
// per kernel on software drivers, and Firefox compiles on one thread: so not all samples are computed everywhere. Native tests compute all.
import assert from 'node:assert/strict';
import test from 'node:test';
import { KINDS } from './browsers.mjs';
import { withEngine } from './engine.mjs';

const OPERATIONS = 30;

// Maximum number of samples per kernel, by the device class of the kernels.
const SAMPLES = { chromium: { software: undefined, gpu: 2 }, firefox: { software: 4, gpu: 1 } };

// Both browsers at once: nothing is timed here, and Firefox leaves a core idle.
test('conformance', { concurrency: KINDS.length }, (t) => Promise.all(KINDS.map((kind) => t.test(`conformance in ${kind}`, (t) => withEngine(kind, t, async ({ call, log }) => {
  for (const [deviceClass, most] of Object.entries(SAMPLES[kind])) {
    await t.test(`kernels for the class ${deviceClass} agree with their reference implementations`, async () => {
      const outcomes = await call((halfwave, { deviceClass, most }) => halfwave.selftest(deviceClass, most), { deviceClass, most });
      const samples = outcomes.reduce((sum, outcome) => sum + outcome.samples, 0);
      const [worst] = outcomes.filter(({ bound }) => bound > 0).sort((a, b) => b.worst / b.bound - a.worst / a.bound);
      console.log(`${kind}, ${deviceClass}: ${outcomes.length} operations, ${samples} samples; nearest to its bound: ${worst.stem}, ${worst.worst.toExponential(1)} of ${worst.bound.toExponential(1)}`);
      assert.deepEqual(outcomes.filter(({ failure }) => failure), []);
      for (const { stem, worst, bound } of outcomes) assert.ok(worst <= bound, `${stem}: ${worst} exceeds ${bound}`);
      assert.ok(outcomes.length >= OPERATIONS, `only ${outcomes.length} operations`);
      assert.deepEqual(log, [], 'nothing on the console');
    });
  }
})))));
