// PyTorch's run of assets/reference/digits-hwgq.toml, reproduced in the browser.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { KINDS, ROOT } from './browsers.mjs';
import { withEngine } from './engine.mjs';
import { floats } from './safetensors.mjs';

const BOUND = 1e-4;
const STEPS = 20;
const recipe = readFileSync(path.join(ROOT, 'assets/reference/digits-hwgq.toml'), 'utf8');
const start = new Uint8Array(readFileSync(path.join(ROOT, 'assets/reference/digits-hwgq.safetensors')));
const reference = floats(start);

function relativeNorm(got, expected) {
  assert.equal(got.length, expected.length);
  const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(Array.from(got, (value, i) => value - expected[i])) / norm(Array.from(expected));
}

for (const kind of KINDS) {
  test(`PyTorch's run in ${kind}`, (t) => withEngine(kind, t, async ({ call, log }) => {
    const { losses, checkpoint } = await call(async ({ Session }, { recipe, start }) => {
      self.session = await Session.open(recipe, {});
      await self.session.initialise(start);
      const losses = [];
      for (let events; (events = await self.session.advance()).length > 0;) {
        losses.push(...events.filter(({ kind }) => kind === 'step').map(({ loss }) => loss));
      }
      return { losses, checkpoint: await self.session.checkpoint() };
    }, { recipe, start });

    await t.test('the losses', () => {
      assert.equal(losses.length, STEPS);
      assert.equal(reference.loss.length, STEPS);
      const errors = losses.map((loss, i) => Math.abs(loss - reference.loss[i]) / reference.loss[i]);
      console.log(`${kind}: ${STEPS} losses, worst relative error ${Math.max(...errors).toExponential(1)}`);
      assert.ok(errors.every((error) => error <= BOUND), `${errors}`);
    });

    await t.test('the final tensors', () => {
      const tensors = floats(checkpoint);
      const names = Object.keys(reference).filter((name) => name.startsWith('final/'));
      assert.equal(names.length, 13);
      const errors = names.map((name) => [name, relativeNorm(tensors[name.slice('final/'.length)], reference[name])]);
      const [name, worst] = errors.reduce((a, b) => (a[1] > b[1] ? a : b));
      console.log(`${kind}: ${names.length} final tensors, worst ${name}: ${worst.toExponential(1)}`);
      assert.ok(worst <= BOUND, `${name}: ${worst}`);
    });
    assert.deepEqual(log, [], 'nothing on the console');
  }));
}
