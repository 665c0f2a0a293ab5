// PyTorch's run of assets/reference/digits-hwgq.toml, reproduced in the browser.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { KINDS, ROOT } from './browsers.mjs';
import { withEngine } from './engine.mjs';
import { halfwave, inspect } from './native.mjs';
import { floats } from './safetensors.mjs';

const BOUND = 1e-4;
const STEPS = 20;
const IMAGES = 64;
const files = { recipe: path.join(ROOT, 'assets/reference/digits-hwgq.toml'), start: path.join(ROOT, 'assets/reference/digits-hwgq.safetensors') };
const recipe = readFileSync(files.recipe, 'utf8');
const start = new Uint8Array(readFileSync(files.start));
const reference = floats(start);
let folder;

before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'halfwave-golden-'));
  halfwave('train', files.recipe, '--init', files.start, '--adapter', 'cpu', '--out', path.join(folder, 'native'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function relativeNorm(got, expected) {
  assert.equal(got.length, expected.length);
  const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(Array.from(got, (value, i) => value - expected[i])) / norm(Array.from(expected));
}

for (const kind of KINDS) {
  test(`PyTorch's run in ${kind}`, (t) => withEngine(kind, t, async ({ call, log }) => {
    const { losses, checkpoint, activations } = await call(async ({ Dataset, Session }, { recipe, start, IMAGES }) => {
      const data = Dataset.digits();
      const session = await Session.open(recipe, data);
      await session.initialise(start);
      const losses = [];
      for (let events; (events = await session.advance()).length > 0;) {
        losses.push(...events.filter(({ kind }) => kind === 'step').map(({ loss }) => loss));
      }
      return { losses, checkpoint: await session.checkpoint(), activations: await session.inspect(data.pixels('train', 0, IMAGES)) };
    }, { recipe, start, IMAGES });

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
    await t.test('codes, packed signs and sums, to the bit', () => {
      const got = activations.map(({ layer, op, shape, hash }) => ({ layer, op, shape, hash }));
      const kinds = new Set(activations.map(({ what }) => what));
      assert.deepEqual([...kinds].sort(), ['codes', 'signs', 'sums']);
      assert.ok(activations.every(({ words }) => words.some((word) => word !== 0)), 'no tensor is all zero');
      const file = path.join(folder, `${kind}.safetensors`);
      writeFileSync(file, checkpoint);
      // The same weights, and weights trained natively.
      assert.deepEqual(got, inspect(file, IMAGES));
      assert.deepEqual(got, inspect(path.join(folder, 'native/checkpoint.safetensors'), IMAGES));
      console.log(`${kind}: ${got.length} exact tensors of ${IMAGES} images have the native hashes: ${got.map(({ layer, op, hash }) => `${layer} ${op} ${hash}`).join(', ')}`);
    });
    assert.deepEqual(log, [], 'nothing on the console');
  }));
}
