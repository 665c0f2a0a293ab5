// A person's visit to the page, by clicks alone: train, watch, draw a digit, go away, come back. With the page's budgets.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { KINDS, ROOT, withBrowser } from './browsers.mjs';
import { evaluate } from './native.mjs';
import { OWN_FILES_ONLY, serve } from './server.mjs';

const AT = '/some/path/';
const ENOUGH = 0.93;
const FIRST_STEP_MS = 2000;
const LONGEST_TASK_MS = 50;
const TRAINING_MS = 400_000;

// Strokes on the pad, in its 32 x 32 pixels, as a person writes these digits.
const arc = (x, y, rx, ry, from, to) => Array.from({ length: 25 }, (_, i) => {
  const angle = from + ((to - from) * i) / 24;
  return [x + rx * Math.sin(angle), y - ry * Math.cos(angle)];
});
const DIGITS = {
  0: [arc(16, 16, 7, 11, 0, 2 * Math.PI)],
  3: [[...arc(15, 10, 7, 6, -1.2, Math.PI), ...arc(15, 22, 8, 6, 0, Math.PI + 1.2)]],
  7: [[[8, 5], [24, 5], [14, 28]], [[11, 16], [23, 16]]],
};

// Runs in the page before its own scripts: keeps the longest task of the main thread and the time from a click to the first step.
function watch() {
  window.watched = { longest: 0, tasks: 0 };
  if (PerformanceObserver.supportedEntryTypes.includes('longtask')) {
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        window.watched.tasks += 1;
        window.watched.longest = Math.max(window.watched.longest, duration);
      }
    }).observe({ type: 'longtask', buffered: true });
  }
  addEventListener('click', ({ target, timeStamp }) => {
    if (target.closest?.('#train')) window.watched.clicked ??= timeStamp;
  }, true);
  addEventListener('DOMContentLoaded', () => {
    const step = document.querySelector('#step');
    new MutationObserver(() => {
      if (Number(step.dataset.value) >= 1) window.watched.first ??= performance.now() - window.watched.clicked;
    }).observe(step, { attributes: true, childList: true, characterData: true, subtree: true });
  });
}

const value = (page, id) => page.$eval(id, (element) => Number(element.dataset.value));
const enabled = (page, id) => page.waitForFunction((id) => document.querySelector(id) && !document.querySelector(id).disabled, { timeout: 60_000 }, id);

async function draw(page, strokes) {
  await page.click('#pad-clear');
  const pad = await page.$('#pad');
  await pad.scrollIntoView();
  const { x, y, width, height } = await pad.boundingBox();
  for (const stroke of strokes) {
    const [[startX, startY], ...rest] = stroke.map(([column, row]) => [x + (column / 32) * width, y + (row / 32) * height]);
    await page.mouse.move(startX, startY);
    await page.mouse.down();
    for (const [toX, toY] of rest) await page.mouse.move(toX, toY, { steps: 3 });
    await page.mouse.up();
  }
}

for (const kind of KINDS) {
  test(`a visit in ${kind}`, async (t) => {
    const server = await serve([{ at: AT, folder: path.join(ROOT, 'web/dist'), headers: OWN_FILES_ONLY }]);
    t.after(() => server.close());
    await withBrowser(kind, t, server.port, async (browser) => {
      const page = await browser.newPage();
      const log = [];
      page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
      page.on('pageerror', (error) => log.push(`uncaught: ${error.message}`));
      await page.evaluateOnNewDocument(watch);
      await page.goto(`${server.origin}${AT}`);
      await enabled(page, '#train');

      await t.test('a click trains, and the first step is there soon', async () => {
        await page.click('#train');
        await page.waitForFunction(() => window.watched.first !== undefined, { timeout: 60_000 });
        const first = await page.evaluate(() => window.watched.first);
        console.log(`${kind}: first step ${Math.round(first)} ms after the click`);
        if (kind === 'chromium') assert.ok(first <= FIRST_STEP_MS, `${first} ms`);
      });
      await t.test(`it learns to ${100 * ENOUGH} %`, async () => {
        const start = performance.now();
        await page.waitForFunction((enough) => Number(document.querySelector('#test-accuracy').dataset.value) >= enough, { timeout: TRAINING_MS, polling: 500 }, ENOUGH);
        console.log(`${kind}: ${(100 * (await value(page, '#test-accuracy'))).toFixed(1)} % at step ${await value(page, '#step')}, after ${((performance.now() - start) / 1000).toFixed(1)} s, ${await value(page, '#images-per-second')} images/s`);
      });
    });
  });
}
