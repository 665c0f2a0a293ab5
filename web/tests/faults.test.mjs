// Every failure gives an understandable error, and the session, or a new one, can continue.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { KINDS, ROOT } from './browsers.mjs';
import { withEngine } from './engine.mjs';

const recipe = readFileSync(path.join(ROOT, 'assets/recipes/digits.toml'), 'utf8');

// Asserts that `promise` rejects with the package's error: its kind, words in its message, no trace of Rust in it.
async function rejects(promise, kind, words, line) {
  const error = await promise.then(() => assert.fail('no error'), (error) => error);
  assert.equal(error.name, 'HalfwaveError', error.message);
  assert.equal(error.kind, kind, error.message);
  assert.match(error.message, words);
  assert.doesNotMatch(error.message, /panicked|unwrap|RuntimeError|JsValue/);
  if (line !== undefined) assert.equal(error.line, line, error.message);
  console.log(`    ${kind}: ${error.message}`);
}

for (const kind of KINDS) {
  test(`faults in ${kind}`, (t) => withEngine(kind, t, async ({ call }) => {
    await call(async ({ Dataset, Session }, recipe) => {
      const { requestDevice } = GPUAdapter.prototype;
      GPUAdapter.prototype.requestDevice = async function (...args) {
        const device = await requestDevice.apply(this, args);
        self.device ??= device;
        return device;
      };
      self.session = await Session.open(recipe, Dataset.digits());
      await self.session.advance(2);
      self.checkpoint = await self.session.checkpoint();
    }, recipe);
    const goesOn = () => call(async () => {
      const before = self.session.position.step;
      await self.session.advance(1);
      return self.session.position.step - before;
    });

    await t.test('a wrong line of a recipe', async () => {
      const lines = recipe.split('\n');
      const line = lines.findIndex((text) => text.startsWith('momentum')) + 1;
      lines[line - 1] = 'momentum = "much"';
      await rejects(call(({ readRecipe }, text) => readRecipe(text).layers.length, lines.join('\n')), 'recipe', /momentum|number|float/, line);
      await rejects(call(async ({ Dataset, Session }, text) => { await Session.open(text, Dataset.digits()); }, lines.join('\n')), 'recipe', /momentum|number|float/, line);
    });
    await t.test('a truncated checkpoint', async () => {
      await rejects(call(() => self.session.restore(self.checkpoint.slice(0, -100))), 'checkpoint', /complete|truncated/);
      await rejects(call(() => self.session.restore(self.checkpoint.slice(0, 5))), 'checkpoint', /not a safetensors file/);
      assert.equal(await goesOn(), 1);
    });
    await t.test('a checkpoint of another recipe', async () => {
      const other = recipe.replace('filters = 32', 'filters = 40');
      await rejects(call(async ({ Dataset, Session }, recipe) => {
        const session = await Session.open(recipe, Dataset.digits());
        await session.restore(self.checkpoint).finally(() => session.free());
      }, other), 'checkpoint', /another recipe/);
      assert.equal(await goesOn(), 1);
    });
    await t.test('bytes that are no checkpoint', async () => {
      await rejects(call(() => self.session.restore(new Uint8Array(1000).fill(123))), 'checkpoint', /safetensors/);
    });
    await t.test('an image of an odd size', async () => {
      await rejects(call(() => self.session.predict(new Uint8Array(63))), 'data', /64|8/);
      await rejects(call(() => self.session.inspect(new Uint8Array(8 * 9))), 'data', /64|8/);
      assert.equal(await goesOn(), 1);
    });
    await t.test('a model too large for the adapter', async () => {
      const large = recipe.replace('filters = 32', 'filters = 8000').replace('filters = 64', 'filters = 8000');
      await rejects(call(async ({ Dataset, Session }, text) => { await Session.open(text, Dataset.digits()); }, large), 'memory', /memory|bytes|limit|buffer|GiB|MiB|GB|MB/);
    });
    await t.test('memory that runs out', async () => {
      // A browser reports this in an event; really exhausting all memory could crash the machine.
      await rejects(call(async ({ Dataset, Session }, recipe) => {
        const { createBuffer } = GPUDevice.prototype;
        GPUDevice.prototype.createBuffer = function (descriptor) {
          this.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error: new GPUOutOfMemoryError('no memory') }));
          return createBuffer.call(this, descriptor);
        };
        await Session.open(recipe, Dataset.digits()).finally(() => (GPUDevice.prototype.createBuffer = createBuffer));
      }, recipe), 'memory', /out of memory.*smaller batch/);
      assert.equal(await goesOn(), 1);
    });
    await t.test('a device that is destroyed', async () => {
      await call(() => {
        self.device.destroy();
        return self.device.lost.then(() => undefined); // the event takes a moment in Firefox
      });
      await rejects(call(() => self.session.advance(1)), 'device', /lost/);
      await rejects(call(() => self.session.evaluate()), 'device', /lost/);
      // A new session continues from the last checkpoint.
      const step = await call(async ({ Dataset, Session }, recipe) => {
        self.session = await Session.open(recipe, Dataset.digits());
        await self.session.restore(self.checkpoint);
        return self.session.position.step;
      }, recipe);
      assert.equal(step, 2);
      assert.equal(await goesOn(), 1);
    });
  }));
}
