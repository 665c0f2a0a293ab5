// A user's visit to the page, by clicks only: train, watch, draw digits, make mistakes, lose the GPU, leave, come back.
// With the page's budgets: time to the first step, longest task of the main thread, size (checked by web/dist.mjs).
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { KINDS, ROOT, withBrowser } from './browsers.mjs';
import { evaluate, halfwave } from './native.mjs';
import { DIGITS } from './strokes.mjs';
import { OWN_FILES_ONLY, serve } from './server.mjs';
import { Visit } from './visit.mjs';

const AT = '/some/path/';
const ENOUGH = 0.93;
const FIRST_STEP_MS = 2000;
const LONGEST_TASK_MS = 50;

// Budgets are printed, not asserted: a test that can fail on a busy machine shows nothing.
const verdict = (what, ms, budget, how) => console.log(`${what} ${ms.toFixed(1)} ms ${how} (budget ${budget} ms: ${ms <= budget ? 'kept' : 'EXCEEDED'})`);

// Runs in the Worker before its code: lets a test take the GPU away.
const LOSABLE = `
const { requestDevice } = GPUAdapter.prototype;
let device;
GPUAdapter.prototype.requestDevice = async function (...args) { return device = await requestDevice.apply(this, args); };
new BroadcastChannel('lose').onmessage = () => device.destroy();
`;

for (const kind of KINDS) {
  test(`a visit in ${kind}`, async (t) => {
    const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-page-'));
    t.after(() => rmSync(scratch, { recursive: true, force: true }));
    const server = await serve([{ at: AT, folder: path.join(ROOT, 'web/dist'), headers: OWN_FILES_ONLY, before: { 'worker.js': LOSABLE } }]);
    t.after(() => server.close());
    await withBrowser(kind, t, server.port, async (browser) => {
      const visit = await Visit.start(browser, `${server.origin}${AT}?adapter=gpu`);
      const { page } = visit;
      await visit.state('ready');

      await t.test('a click trains, and the first step is there soon', async () => {
        if (kind === 'chromium') await visit.record();
        await page.click('#train');
        const first = await visit.first();
        verdict(`${kind}: the first step came`, first, FIRST_STEP_MS, 'after the click, on a page that was ready');
      });

      await t.test(`it learns to read ${100 * ENOUGH}% of the test images`, async () => {
        const start = performance.now();
        await visit.until((enough) => Number(document.querySelector('#test-accuracy').dataset.value) >= enough, ENOUGH);
        const [accuracy, step, rate] = await Promise.all(['test-accuracy', 'step', 'images-per-second'].map((id) => visit.number(id)));
        console.log(`${kind}: ${(100 * accuracy).toFixed(1)}% at step ${step}, after ${((performance.now() - start) / 1000).toFixed(1)} s, ${Math.round(rate)} images/s`);
        // The pictures of the network's inside follow within a second.
        for (const id of ['codes', 'weights', 'confusion']) await page.waitForFunction((id) => document.querySelector(`#${id}`).matches(':not(:empty):not(:has(.empty))'), { timeout: 20_000 }, id);
      });

      if (kind === 'chromium') {
        await t.test('the main thread was never busy for long', async () => {
          const { tasks, cpu_ms, wall_ms } = await visit.longestTask();
          // Their number depends on the machine: a fast one trains with fewer, larger messages.
          assert.ok(tasks > 100, `only ${tasks} tasks`);
          verdict(`${kind}: the longest of ${tasks} tasks while training took the main thread`, cpu_ms, LONGEST_TASK_MS, `of its own; ${wall_ms.toFixed(1)} ms by the clock, beside a GPU in software`);
        });
      }

      await t.test('the keyboard pauses it', async () => {
        await visit.tabTo('train');
        await page.keyboard.press('Enter');
        await visit.state('paused');
      });

      await t.test('a profile is measured and shown, and the run stays where it is', async () => {
        const [step, position] = [await visit.number('step'), await page.$eval('#status', (status) => status.textContent)];
        await page.click('#profile-run');
        await visit.until(() => document.querySelector('#profile-view .point') && !document.querySelector('#profile-run').disabled);
        await visit.state('paused');
        assert.deepEqual([await visit.number('step'), await page.$eval('#status', (status) => status.textContent)], [step, position]);
        await page.click('#profile-download');
        const json = await visit.download();
        const profile = JSON.parse(json.toString());
        assert.equal(profile.format, 'halfwave-profile');
        assert.equal(await page.$$eval('#profile-view .launches tbody tr', (rows) => rows.length), profile.launches.length);
        assert.ok(profile.ceilings.float.value > 0, 'the device’s ceilings are measured');
        // The native program reads it; the page of the same profile shows it without this one.
        const file = path.join(scratch, 'profile.json');
        writeFileSync(file, json);
        assert.match(halfwave('profile', '--diff', file, file), /\S/);
        await page.click('#profile-page');
        const [html, tab] = [(await visit.download()).toString(), await browser.newPage()];
        await tab.setContent(html);
        await tab.waitForSelector('.launches tbody tr');
        assert.equal(await tab.$$eval('.launches tbody tr', (rows) => rows.length), profile.launches.length);
        assert.match(await tab.title(), /halfwave profile$/);
        await tab.close();
        await page.bringToFront();
        console.log(`${kind}: clock ${profile.timer.quality}, ${profile.timer.quantum_ns} ns; f32 ${(profile.ceilings.float.value / 1e9).toFixed(1)} GFLOP/s, memory ${(profile.ceilings.copy.at(-1).value / 1e9).toFixed(1)} GB/s`);
      });

      for (const [digit, strokes] of Object.entries(DIGITS)) {
        await t.test(`it reads a drawn ${digit}`, async () => {
          await visit.draw(strokes);
          await visit.until((digit) => document.querySelector('#prediction').dataset.class === digit, digit, 20_000)
            .catch(async () => assert.equal(await page.$eval('#prediction', (box) => box.dataset.class), digit));
          assert.ok(await page.$$eval('#planes canvas', (planes) => planes.length) > 0, 'the planes of the layers are shown');
        });
      }
      await visit.pictures(kind);

      await t.test('a mistake in the recipe is shown at its line', async () => {
        const line = await page.$eval('#recipe', (area) => {
          area.focus();
          const at = area.value.indexOf('momentum = ') + 'momentum = '.length;
          area.setSelectionRange(at, at);
          return area.value.slice(0, at).split('\n').length;
        });
        await page.keyboard.type('"');
        await visit.until((line) => document.querySelector('#recipe-error').dataset.line === String(line), line, 10_000);
        assert.ok(await page.$eval('#recipe-use', (button) => button.disabled));
        await page.keyboard.press('Backspace');
        await visit.until(() => document.querySelector('#recipe-error').dataset.line === '', undefined, 10_000);
      });

      const file = path.join(scratch, 'downloaded.safetensors');
      let checkpoint;
      await t.test('a downloaded checkpoint is the native program’s', async () => {
        await page.click('#checkpoint-download');
        checkpoint = await visit.download();
        writeFileSync(file, checkpoint);
        const { step, correct, images } = evaluate(file);
        assert.equal(step, await visit.number('step'));
        assert.equal(images, 360);
        assert.ok(correct / images >= ENOUGH - 0.05, `${correct} of ${images} natively`);
        console.log(`${kind}: the downloaded checkpoint reads ${correct} of ${images} natively`);
      });
      await t.test('an upload that is cut off is told in a sentence, and nothing is lost', async () => {
        const step = await visit.number('step');
        const cut = path.join(scratch, 'cut.safetensors');
        writeFileSync(cut, checkpoint.subarray(0, checkpoint.length / 2));
        await visit.give('checkpoint-upload', cut);
        assert.match(await visit.fault(), /safetensors file is incomplete/);
        await visit.state('paused');
        assert.equal(await visit.number('step'), step);
        await visit.give('checkpoint-upload', file);
        await visit.until(() => document.querySelector('#checkpoint-text').textContent.startsWith('Loaded'), undefined, 60_000);
        assert.equal(await visit.number('step'), step);
      });
      await t.test('a file that is no picture is told in a sentence', async () => {
        const broken = path.join(scratch, 'broken.png');
        writeFileSync(broken, 'no picture');
        await visit.give('classify', broken);
        assert.match(await visit.fault(), /broken\.png|picture|image/i);
      });
      await t.test('a lost GPU is opened again, and training goes on', async () => {
        await page.click('#train');
        await visit.state('training');
        await visit.stepsOn(2);
        await page.evaluate(() => new BroadcastChannel('lose').postMessage('now'));
        const said = await visit.fault();
        assert.match(said, /GPU was lost/);
        console.log(`${kind}: “${said}”`);
        await visit.stepsOn(2);
        await page.click('#train');
        await visit.state('paused');
      });
      await t.test('after a reload the run is offered, and goes on', async () => {
        const step = await visit.number('step');
        await page.reload();
        await visit.until(() => !document.querySelector('#resume-banner').hidden, undefined, 60_000);
        await page.click('#train');
        await visit.until((step) => Number(document.querySelector('#step').dataset.value) > step, step);
        assert.ok((await visit.number('test-accuracy')) >= ENOUGH - 0.05, 'its curve came back');
      });
      await t.test('on a phone it fits', async () => {
        await page.setViewport({ width: 390, height: 844 });
        const outside = await page.evaluate(() => (document.documentElement.scrollWidth <= innerWidth ? [] :
          [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map(({ id, className, tagName }) => `${tagName}#${id}.${className}`)));
        assert.deepEqual(outside, []);
      });
      await t.test('it loaded its own files only, all of them below its path', () => {
        assert.deepEqual(server.violations, []);
        assert.ok(server.requests.length > 10);
        assert.deepEqual(server.requests.filter(({ url, status, method }) => !url.startsWith(AT) || status !== 200 || method !== 'GET'), []);
        assert.deepEqual(visit.log, [], 'nothing on the console');
      });
    });
  });
}
