// The time line written by `halfwave profile --trace`, as read by a third-party viewer: speedscope, driven in headless Chromium.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { ROOT, withBrowser } from './browsers.mjs';
import { halfwave } from './native.mjs';

const READER = path.join(ROOT, 'web/node_modules/speedscope/dist/release/index.html');

test('speedscope reads the time line', async (t) => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-trace-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const [json, trace] = ['profile.json', 'profile.trace.json'].map((name) => path.join(scratch, name));
  // One round: the median in the table is then the value in the time line.
  process.env.HALFWAVE_CACHE_DIR = scratch;
  halfwave('profile', 'digits', '--adapter', 'llvmpipe', '--steps', '1', '--json', json, '--trace', trace);
  const { launches } = JSON.parse(readFileSync(json, 'utf8'));
  const drawn = (launch) => launch.median_ns * launch.repeats;
  const slowest = launches.reduce((slowest, launch) => (drawn(launch) > drawn(slowest) ? launch : slowest));

  await withBrowser('chromium', t, 9, async (browser) => {
    const page = await browser.newPage();
    const log = [];
    page.on('console', (message) => log.push(message.text()));
    page.on('pageerror', (error) => log.push(`uncaught: ${error.message}`));
    await page.goto(pathToFileURL(READER).href);
    const input = await page.waitForSelector('input[type=file]');
    await input.uploadFile(trace);
    await page.waitForFunction(() => document.title.startsWith('profile.trace.json'));
    await page.keyboard.press('3'); // its table of functions
    const text = () => page.evaluate(() => document.body.innerText);
    const shows = (words) => page.waitForFunction((words) => words.every((word) => document.body.innerText.includes(word)), {}, words);

    await t.test('the host uploads, encodes, submits and waits', async () => {
      await shows(['Symbol Name', 'host (tid 1)', '(1/2)']);
      for (const what of ['upload store/0', 'encode', 'submit', 'wait']) assert.ok((await text()).includes(`\t${what}`), what);
    });

    await t.test('the slowest kernel on the device is the slowest of the table', async () => {
      await page.keyboard.press('n'); // its next thread
      await shows(['llvmpipe', '(tid 2)', '(2/2)']);
      // A row is "total, self, name with arguments", the longest first. The time of a pass or a layer itself is that between
      // its launches, in which a busy machine may have done other work.
      const rows = (await text()).split('Symbol Name')[1].trim().split(/\n(?=\d+(?:\.\d+)?[µmn]?s )/);
      const [first] = rows.filter((row) => row.includes('"median_ns":'));
      assert.ok(rows.length > 10, rows.join('\n'));
      assert.match(first, new RegExp(`\t${slowest.kernel} \\{`));
      assert.ok(first.includes(`"layer":"${slowest.layer}"`) && first.includes(`"median_ns":${slowest.median_ns},`), first);
      // It shows two decimals.
      const ms = Number(/^([\d.]+)ms /.exec(first)?.[1]);
      assert.ok(Math.abs(ms - drawn(slowest) / 1e6) < 0.01, `${first}, not ${drawn(slowest)} ns`);
    });

    const complaints = log.filter((line) => /ts=|Tried to|still open|uncaught|rror/.test(line));
    assert.deepEqual(complaints, [], 'no event is out of order');
  });
});
