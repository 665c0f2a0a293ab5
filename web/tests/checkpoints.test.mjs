// A checkpoint made in the browser can be used by the native program, and vice versa.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { KINDS, ROOT } from './browsers.mjs';
import { withEngine } from './engine.mjs';
import { evaluate, halfwave } from './native.mjs';

const recipe = readFileSync(path.join(ROOT, 'assets/recipes/digits.toml'), 'utf8');
const STEPS = 30;
let folder;

before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'halfwave-checkpoints-'));
  halfwave('train', 'digits', '--adapter', 'cpu', '--steps', String(STEPS), '--out', path.join(folder, 'native'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function assertSame(browser, native, what) {
  console.log(`${what}: loss ${browser.loss.toFixed(4)} and ${native.loss.toFixed(4)}, ${Math.round(browser.accuracy * browser.images)} and ${native.correct} of ${native.images} correct`);
  assert.equal(browser.images, native.images);
  assert.equal(Math.round(browser.accuracy * browser.images), native.correct);
  assert.equal(native.confusion.length, 10);
  assert.deepEqual(browser.confusion, native.confusion);
  assert.ok(Math.abs(browser.loss - native.loss) <= 1e-4, `${browser.loss} and ${native.loss}`);
}

for (const kind of KINDS) {
  test(`checkpoints in ${kind}`, (t) => withEngine(kind, t, async ({ call }) => {
    await t.test('one from the browser evaluates the same natively', async () => {
      const { evaluation, checkpoint, step } = await call(async ({ Dataset, Session }, { recipe, STEPS }) => {
        const session = await Session.open(recipe, Dataset.digits());
        while (session.position.step < STEPS) await session.advance(STEPS - session.position.step);
        const made = { evaluation: await session.evaluate(), checkpoint: await session.checkpoint(), step: session.position.step };
        session.free();
        return made;
      }, { recipe, STEPS });
      assert.equal(step, STEPS);
      const file = path.join(folder, `${kind}.safetensors`);
      writeFileSync(file, checkpoint);
      const native = evaluate(file);
      assert.equal(native.step, STEPS);
      assertSame(evaluation, native, `${kind} to native`);
    });

    await t.test('a native one evaluates the same in the browser, and goes on there', async () => {
      const file = path.join(folder, 'native/checkpoint.safetensors');
      const { evaluation, before, after, again } = await call(async ({ Dataset, Session }, { recipe, checkpoint }) => {
        const session = await Session.open(recipe, Dataset.digits());
        await session.restore(checkpoint);
        const made = { evaluation: await session.evaluate(), before: session.position.step, again: await session.checkpoint() };
        await session.advance(1);
        made.after = session.position.step;
        session.free();
        return made;
      }, { recipe: recipe.replace('epochs = 20', `steps = ${STEPS + 5}`), checkpoint: new Uint8Array(readFileSync(file)) });
      assert.deepEqual([before, after], [STEPS, STEPS + 1]);
      assertSame(evaluation, evaluate(file), `native to ${kind}`);
      assert.ok(again.length > 0);
    });
  }));
}
