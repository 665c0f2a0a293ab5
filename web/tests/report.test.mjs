// The page written by `halfwave report`, in Chromium: drawn only from its own file, with tooltips, and runs that can be hidden.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { withBrowser } from './browsers.mjs';
import { halfwave } from './native.mjs';

test('the page of a report', async (t) => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-report-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const [first, second, html] = ['first', 'second', 'report.html'].map((name) => path.join(scratch, name));
  for (const [out, seed] of [[first, '1'], [second, '2']]) halfwave('train', 'digits', '--adapter', 'cpu', '--epochs', '2', '--seed', seed, '--out', out);
  halfwave('report', first, second, '--adapter', 'cpu', '--out', html);
  // Nothing answers at this port: requests of the page to other machines would fail.
  await withBrowser('chromium', t, 9, async (browser) => {
    const page = await browser.newPage();
    const [log, requests] = [[], []];
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log.push(`uncaught: ${error.message}`));
    page.on('request', (request) => request.url().startsWith('data:') || requests.push(request.url()));
    const address = pathToFileURL(html).href;
    await page.goto(address);
    await page.waitForFunction(() => [...document.querySelectorAll('.picture svg')].every((svg) => svg.childElementCount));

    await t.test('draws every line, and the pictures', async () => {
      const { charts, lines } = await page.evaluate(() => {
        const { learning, speed, layers } = JSON.parse(document.getElementById('data').textContent);
        const all = [...learning, speed, ...layers.flatMap(({ charts }) => charts)];
        return { charts: all.length, lines: all.flatMap(({ lines }) => lines).length };
      });
      assert.ok(charts >= 4);
      assert.equal(await page.$$eval('.picture path.line:not(.raw)', (paths) => paths.filter((path) => path.getAttribute('d').startsWith('M')).length), lines);
      assert.deepEqual(await page.$$eval('img', (images) => images.map((image) => image.complete && image.naturalWidth > 10)), Array(await page.$$eval('.sheet', (sheets) => sheets.length)).fill(true));
      assert.equal(await page.$$eval('.confusion td', (fields) => fields.reduce((sum, field) => sum + Number(field.dataset.count), 0)), 720);
      assert.match(await page.$eval('#recipes', (part) => part.textContent), /1 key differs.*train\.seed/s);
    });

    await t.test('tells values with the arrow keys, and hides a run', async () => {
      const told = () => page.$eval('#learning .chart .tip', (box) => (box.hidden ? null : box.textContent));
      await page.$eval('#learning .field', (field) => field.focus());
      await page.keyboard.press('ArrowLeft');
      assert.match(await told(), /^step 45first\d.*second\d/);
      await page.keyboard.press('ArrowRight');
      assert.match(await told(), /^step 46/);
      await page.click('.chip');
      assert.equal(await page.$eval('#learning [data-run="0"]', (line) => getComputedStyle(line).display), 'none');
      await page.$eval('#learning .field', (field) => field.focus());
      await page.keyboard.press('ArrowLeft');
      assert.doesNotMatch(await told(), /first/);
    });

    await t.test('fits a phone', async () => {
      await page.setViewport({ width: 390, height: 844 });
      await page.waitForFunction(() => document.querySelector('.picture svg').getAttribute('width') < 390);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    });
    assert.deepEqual(log, []);
    assert.deepEqual(requests, [address]);
  });
});
