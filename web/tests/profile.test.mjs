// A step, launch by launch, in both browsers: with the clock of each, and in Chromium with clocks degraded as by other browsers and drivers. And the page that the
// native program writes for a profile.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { KINDS, ROOT, withBrowser } from './browsers.mjs';
import { withEngine } from './engine.mjs';
import { pictures } from './looks.mjs';
import { halfwave } from './native.mjs';

const recipe = readFileSync(path.join(ROOT, 'assets/recipes/digits.toml'), 'utf8');
const STEPS = 3;
// Number of clock steps that a measurement must span; because of noise a later one may be somewhat shorter than the one that determined it.
const QUANTA = 20;
const SHORTER = 0.5;

// Properties of every profile, whatever the clock.
function assertTruthful({ timer: { quality, quantum_ns: quantum }, launches, launches_ns: sum, step_ns, wall_ns, instrumented_ns, ...profile }) {
  assert.deepEqual([profile.format, profile.version, profile.recipe, profile.batch, profile.steps], ['halfwave-profile', 2, 'digits', 64, STEPS]);
  assert.ok(launches.length > 30, `${launches.length} launches`);
  for (const { kernel, median_ns: median, p10_ns: p10, p90_ns: p90, repeats, bytes } of launches) {
    // No device moves ten terabytes per second: that would be a clock that does not advance.
    if (median !== null) assert.ok(bytes / median < 10_000, `${kernel}: ${bytes} bytes in ${median} ns`);
    assert.ok(median === null || (median > 0 && p10 > 0 && p10 <= median && median <= p90), `${kernel}: ${p10}, ${median}, ${p90}`);
    if (quality === 'quantised' && median !== null) assert.ok(median * repeats >= SHORTER * QUANTA * quantum, `${kernel}: ${repeats} times ${median} ns are too few steps of ${quantum} ns`);
  }
  if (quality === 'quantised') assert.ok(quantum >= 1000, `${quantum} ns`);
  assert.equal(sum, launches.reduce((sum, { median_ns: ns }) => sum + (ns ?? 0), 0));
  assert.ok(sum > 0 && step_ns > 0 && wall_ns > 0 && instrumented_ns > 0);
  assert.ok(profile.memory.peak_bytes > profile.memory.alive_bytes && profile.memory.alive_bytes > 0);
}

function print(kind, { timer, launches_ns, step_ns, instrumented_ns, launches }) {
  const ms = (ns) => `${(ns / 1e6).toFixed(1)} ms`;
  const unseen = launches.filter(({ median_ns }) => median_ns === null).length;
  console.log(`${kind}: clock ${timer.quality}, ${timer.quantum_ns.toFixed(0)} ns; step ${ms(step_ns)}, launches ${ms(launches_ns)} (${Math.round((100 * launches_ns) / step_ns)}%), instrumented ${ms(instrumented_ns)}; ${unseen} too short to see; at most ${Math.max(...launches.map(({ repeats }) => repeats))} repeats`);
}

for (const kind of KINDS) {
  test(`profiles in ${kind}`, (t) => withEngine(kind, t, async ({ call, log }) => {
    await t.test('a profile tells the truth, and the run stays as it is', async () => {
      const { profile, heard, profiled, plain } = await call(async ({ Dataset, Session }, { recipe, STEPS }) => {
        const run = async (between) => {
          const session = await Session.open(recipe, Dataset.digits());
          const events = await session.advance(3);
          await between(session);
          events.push(...await session.advance(3));
          const [checkpoint] = [await session.checkpoint()];
          session.free();
          return { losses: events.map(({ loss }) => loss), checkpoint };
        };
        const heard = [];
        let profile;
        const profiled = await run(async (session) => {
          profile = await session.profile({ steps: STEPS, recipe: 'digits' }, (steps) => heard.push(steps));
        });
        return { profile, heard, profiled, plain: await run(() => undefined) };
      }, { recipe, STEPS });
      print(kind, profile);
      assertTruthful(profile);
      assert.deepEqual(heard, Array.from({ length: STEPS }, (_, at) => at + 1));
      assert.equal(profiled.losses.length, 6);
      assert.deepEqual(profiled.losses, plain.losses);
      assert.ok(Buffer.from(profiled.checkpoint).equals(Buffer.from(plain.checkpoint)), 'weights, velocities and statistics are the same bits');
    });

    await t.test('without a GPU, too', async () => {
      const profile = await call(async ({ Dataset, Session }, { recipe, STEPS }) => {
        const session = await Session.open(recipe, Dataset.digits(), { adapter: 'cpu' });
        const profile = await session.profile({ steps: STEPS, recipe: 'digits' });
        session.free();
        return profile;
      }, { recipe, STEPS });
      print(`${kind}, WebAssembly`, profile);
      assertTruthful(profile);
      assert.equal(profile.device.backend, 'cpu');
      assert.equal(profile.ceilings, null);
    });

    await t.test('no steps are an error that says so', async () => {
      await assert.rejects(call(async ({ Dataset, Session }, recipe) => {
        const session = await Session.open(recipe, Dataset.digits(), { adapter: 'cpu' });
        await session.profile({ steps: 0 }).finally(() => session.free());
      }, recipe), { name: 'HalfwaveError', kind: 'usage', message: /steps/ });
    });
    assert.deepEqual(log, [], 'nothing on the console');
  }));
}

// Timestamps as given by other browsers and drivers: the buffers that they are read from are modified. Chrome clears the lower 16 bits.
const CLOCKS = { quantised: '(ns) => ns & ~0xffffn', zero: '() => 0n' };

function spoil(clock) {
  const change = new Function(`return ${clock}`)();
  const holds = new WeakSet();
  const { resolveQuerySet, copyBufferToBuffer } = GPUCommandEncoder.prototype;
  GPUCommandEncoder.prototype.resolveQuerySet = function (...args) {
    holds.add(args[3]);
    return resolveQuerySet.apply(this, args);
  };
  GPUCommandEncoder.prototype.copyBufferToBuffer = function (...args) {
    const to = typeof args[1] === 'number' ? args[2] : args[1];
    if (holds.has(args[0])) holds.add(to);
    return copyBufferToBuffer.apply(this, args);
  };
  const { getMappedRange } = GPUBuffer.prototype;
  GPUBuffer.prototype.getMappedRange = function (...args) {
    const range = getMappedRange.apply(this, args);
    if (holds.has(this)) new BigUint64Array(range).forEach((ns, at, stamps) => { stamps[at] = change(ns); });
    return range;
  };
}

// And no timestamps at all.
function hide() {
  const { has } = GPUSupportedFeatures.prototype;
  GPUSupportedFeatures.prototype.has = function (name) {
    return name !== 'timestamp-query' && has.call(this, name);
  };
}

test('clocks that are no good, in chromium', (t) => withEngine('chromium', t, async ({ call }) => {
  const measured = () => call(async ({ Dataset, Session }, { recipe, STEPS }) => {
    const session = await Session.open(recipe, Dataset.digits());
    const profile = await session.profile({ steps: STEPS, recipe: 'digits' });
    session.free();
    return profile;
  }, { recipe, STEPS });

  // The Worker is kept, so each clock is applied on top of the previous one.
  for (const [quality, clock] of Object.entries(CLOCKS)) {
    await t.test(`one that is ${quality}`, async () => {
      await call(new Function('_', 'clock', `(${spoil})(clock)`), clock);
      const profile = await measured();
      print('chromium', profile);
      assert.equal(profile.timer.quality, quality);
      assertTruthful(profile);
      if (quality === 'quantised') assert.equal(profile.timer.quantum_ns % 0x10000, 0);
    });
  }
  await t.test('one that is absent', async () => {
    await call(hide);
    const profile = await measured();
    print('chromium', profile);
    assert.equal(profile.timer.quality, 'absent');
    assertTruthful(profile);
  });
}));

test('the page that the native program writes', async (t) => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-profile-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const [json, html] = ['profile.json', 'profile.html'].map((name) => path.join(scratch, name));
  halfwave('profile', 'digits', '--adapter', 'cpu', '--steps', '2', '--json', json, '--html', html);
  const { launches } = JSON.parse(readFileSync(json, 'utf8'));
  // Nothing answers at this port: requests of the page to other machines would fail.
  await withBrowser('chromium', t, 9, async (browser) => {
    const page = await browser.newPage();
    const [log, requests] = [[], []];
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log.push(`uncaught: ${error.message}`));
    page.on('request', (request) => requests.push(request.url()));
    const address = pathToFileURL(html).href;
    await page.goto(address);
    await page.waitForSelector('.point');

    await t.test('has a mark for every launch that computes and was seen', async () => {
      const expected = launches.filter(({ median_ns, float_ops, bit_ops, dot_ops }) => median_ns && float_ops + bit_ops + dot_ops > 0);
      const both = expected.filter(({ float_ops, bit_ops, dot_ops }) => float_ops && bit_ops + dot_ops);
      assert.equal(await page.$$eval('.point', (points) => points.length), expected.length + both.length);
      assert.ok(2 * expected.length > launches.length, `${expected.length} of ${launches.length} launches compute`);
      const labels = await page.$$eval('.point', (points) => points.map((point) => point.getAttribute('aria-label')));
      for (const { kernel } of expected) assert.ok(labels.some((label) => label.startsWith(kernel)), kernel);
    });

    await t.test('sorts its table by a click', async () => {
      const cells = (column) => page.$$eval('.launches tbody tr', (rows, column) => rows.map((row) => row.cells[column].textContent), column);
      const columns = await page.$$eval('.launches th', (heads) => heads.map((head) => head.textContent));
      const kernels = (list) => list.map(({ kernel }) => kernel);
      const byTime = (list, sign) => [...list].sort((a, b) => sign * (a.median_ns - b.median_ns));
      assert.deepEqual(await cells(columns.indexOf('Kernel')), kernels(launches));
      for (const sign of [-1, 1]) {
        await (await page.$$('.launches th button'))[columns.indexOf('Time')].click();
        const times = await cells(0).then((steps) => steps.map((step) => launches.find((launch) => launch.step === Number(step)).median_ns));
        assert.deepEqual(times, byTime(launches, sign).map(({ median_ns }) => median_ns));
      }
    });

    await t.test('tells what is pointed at, and goes through it with the arrow keys', async () => {
      const tip = () => page.$eval('.panels .tip', (box) => (box.hidden ? null : box.textContent));
      await page.$eval('.point[tabindex="0"]', (point) => point.focus());
      const first = await tip();
      assert.match(first, /of all launches/);
      await page.keyboard.press('ArrowRight');
      assert.match(await tip(), /of all launches/);
      assert.notEqual(await tip(), first);
      await page.keyboard.press('Escape');
      assert.equal(await tip(), null);
    });

    await t.test('shows every slot and tenant', async () => {
      const { memory } = JSON.parse(readFileSync(json, 'utf8'));
      assert.equal(await page.$$eval('.lane', (lanes) => lanes.length), memory.slots.length);
      assert.equal(await page.$$eval('.tenant', (boxes) => boxes.length), memory.slots.reduce((sum, { tenants }) => sum + tenants.length, 0));
    });

    await t.test('cuts off no label, and shows what bounds a launch', async () => {
      // With measured peaks, which the CPU backend has none of.
      const peak = (value, spread = 0.05) => ({ value, spread, doubling: 2 });
      const ceilings = {
        copy: [{ working_set_bytes: 1 << 20, ...peak(60e9) }, { working_set_bytes: 64 << 20, ...peak(9.3e9, 0.6) }],
        float: peak(95e9, 0.4), half: null, bit: peak(900e9), dot: peak(300e9, 0.5), matrix: null, workgroup: peak(50e9), launch: peak(9000),
      };
      const long = 'conv2_normalised_registers,batch_norm_stats_partial_float,quantise_normalised,alpha_sign,gather';
      const text = readFileSync(html, 'utf8').replace(/"ceilings": ?null/, () => `"ceilings":${JSON.stringify(ceilings)}`).replace(`"kernel":"${launches[0].kernel}"`, `"kernel":"${long}"`);
      const other = path.join(scratch, 'other.html');
      writeFileSync(other, text);
      const second = await browser.newPage();
      for (const width of [1400, 420]) {
        await second.setViewport({ width, height: 900 });
        await second.goto(pathToFileURL(other).href);
        await second.waitForSelector('.point');
        const outside = await second.$$eval('.picture svg', (svgs) => svgs.flatMap((svg) => {
          const box = svg.getBoundingClientRect();
          const own = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
          return own.filter(([, { left, right, top, bottom }]) => left < box.left || right > box.right || top < box.top || bottom > box.bottom).map(([label]) => label);
        }));
        assert.deepEqual(outside, [], `${width} pixels`);
      }
      await second.setViewport({ width: 1400, height: 900 });
      const heads = await second.$$eval('.launches th', (cells) => cells.map((cell) => [cell.textContent.replace(/ [↑↓]/, ''), cell.getBoundingClientRect().right]));
      const place = heads.findIndex(([name]) => name === 'Bound by');
      assert.deepEqual(heads.slice(place - 2, place + 1).map(([name]) => name), ['Time', 'Of bound', 'Bound by']);
      assert.ok(heads[place][1] < 1400, 'it is in sight');
      await second.close();
    });

    await t.test('fits a phone', async () => {
      await page.setViewport({ width: 390, height: 844 });
      await page.waitForFunction(() => document.querySelector('.panels svg').getAttribute('width') < 390);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    });
    assert.deepEqual(log, []);
    assert.deepEqual(requests, [address]);
  });
});

test('the page of the difference between two profiles', async (t) => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-comparison-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const [before, after, html] = ['before.json', 'after.json', 'page.html'].map((name) => path.join(scratch, name));
  halfwave('profile', 'digits', '--adapter', 'cpu', '--steps', '2', '--json', before);
  const profile = JSON.parse(readFileSync(before, 'utf8'));
  const slow = profile.launches.reduce((longest, launch) => (launch.median_ns > longest.median_ns ? launch : longest));
  for (const name of ['median_ns', 'min_ns', 'p10_ns', 'p25_ns', 'p90_ns']) slow[name] *= 20;
  writeFileSync(after, JSON.stringify(profile));
  halfwave('profile', '--diff', before, after, '--html', html);
  await withBrowser('chromium', t, 9, async (browser) => {
    const page = await browser.newPage();
    const log = [];
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log.push(`uncaught: ${error.message}`));
    await page.goto(pathToFileURL(html).href);
    await page.waitForSelector('.launches tbody');
    const { layers } = await page.$eval('#data', (data) => JSON.parse(data.textContent));
    assert.equal(layers.reduce((sum, { launches }) => sum + launches.length, 0), profile.launches.length);
    const visible = () => page.$$eval('.launches tbody tr', (rows) => rows.filter((row) => row.checkVisibility()).map((row) => row.cells[0].textContent));
    assert.deepEqual(await visible(), layers.map(({ layer }) => layer || 'the whole step'));
    assert.equal(layers[0].layer, slow.layer, 'the largest difference is first');
    // Both profiles are named, and what was found is said; differences that are noise are grey.
    const facts = await page.$eval('.pairs', (list) => list.textContent);
    for (const part of ['before.json · the CPU backend · 2 steps · 20', 'after.json · the CPU backend', 'are within the noise']) assert.ok(facts.includes(part), `${part} is not in ${facts}`);
    const bars = await page.$$eval('.launches tbody tr:first-child', (rows) => rows.map((row) => [row.cells[1].textContent, row.querySelector('.bars i').classList.contains('noise'), row.cells[6].textContent]));
    assert.ok(bars.every(([phases]) => phases), 'a layer has its phases');
    for (const [, isGrey, result] of bars) assert.equal(isGrey, !/changed/.test(result), result);
    await page.click('.launches tbody button');
    const open = await visible();
    assert.deepEqual(open.slice(1, 1 + layers[0].launches.length), layers[0].launches.map(({ kernel }) => kernel));
    assert.equal(open[1], slow.kernel);
    assert.match(await page.$eval('.launches tbody tr:nth-child(2)', (row) => row.textContent), /slower: 20\.\d+ times/);
    await pictures(page, 'chromium', 'comparison');
    await page.click('.launches tbody button');
    assert.equal((await visible()).length, layers.length);
    await page.setViewport({ width: 390, height: 844 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    assert.deepEqual(log, []);
  });
});
