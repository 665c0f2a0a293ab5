// The page written by `halfwave report`, in both browsers: drawn only from its own file, with tooltips, runs that can be hidden, and charts
// that can be zoomed, smoothed, and drawn on a logarithmic axis.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { KINDS, withBrowser } from './browsers.mjs';
import { fits, pictures } from './looks.mjs';
import { halfwave } from './native.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-report-'));
const [first, second, html] = ['first', 'second', 'report.html'].map((name) => path.join(scratch, name));
test.before(() => {
  for (const [out, seed] of [[first, '1'], [second, '2']]) halfwave('train', 'digits', '--adapter', 'cpu', '--epochs', '2', '--seed', seed, '--out', out);
  halfwave('report', first, second, '--adapter', 'cpu', '--out', html);
});
test.after(() => rmSync(scratch, { recursive: true, force: true }));

// Places in #learning.
const [LOSS, ACCURACY, RATE] = [0, 1, 2];

for (const kind of KINDS) {
  // Nothing answers at this port: requests of the page to other machines would fail.
  test(`the page of a report in ${kind}`, (t) => withBrowser(kind, t, 9, async (browser) => {
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 3000 }); // all charts are in sight, and so drawn
    const [log, requests] = [[], []];
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log.push(`uncaught: ${error.message}`));
    page.on('request', (request) => request.url().startsWith('data:') || requests.push(request.url()));
    const address = pathToFileURL(html).href;
    await page.goto(address);
    await page.waitForFunction(() => [...document.querySelectorAll('.picture svg:first-child')].every((svg) => svg.childElementCount));
    const { learning, speed, layers } = await page.$eval('#data', (data) => JSON.parse(data.textContent));

    // Two frames: changes are drawn in the next one.
    const drawn = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const told = () => page.$eval('#learning .chart .tip', (box) => (box.hidden ? null : box.textContent));
    const set = async (id, value) => {
      await page.$eval(id, (control, value) => {
        control.value = value;
        control.dispatchEvent(new Event(control.type === 'range' ? 'input' : 'change'));
      }, value);
      await drawn();
    };
    // What is drawn of a chart of #learning: ticks as [value, pixel], the plot's rectangle, circles, and the extent of its lines.
    const seen = (at) => page.$$eval('#learning .picture', (pictures, at) => {
      const svg = pictures[at].querySelector('svg');
      const ticks = (axis, pixel) => [...svg.querySelectorAll(`text.${axis}`)].map((text) => [Number(text.textContent.replace(/[%,]/g, '')), Number(text.getAttribute(pixel))]);
      const axis = svg.querySelector('.axis');
      const [left, right, bottom] = ['x1', 'x2', 'y1'].map((name) => Number(axis.getAttribute(name)));
      const boxes = [...svg.querySelectorAll('path.line')].map((line) => line.getBBox());
      return {
        x: ticks('x', 'x'), y: ticks('y', 'y'), left, right, bottom,
        circles: svg.querySelectorAll('circle').length, raw: svg.querySelectorAll('path.raw').length,
        extent: [Math.min(...boxes.map(({ y }) => y)), Math.max(...boxes.map(({ y, height }) => y + height))],
      };
    }, at);

    await t.test('draws every line, and the pictures', async () => {
      const all = [...learning, speed, ...layers.flatMap(({ charts }) => charts)];
      assert.ok(all.length >= 4);
      assert.equal(await page.$$eval('.picture path.line:not(.raw)', (paths) => paths.filter((path) => path.getAttribute('d').startsWith('M')).length), all.flatMap(({ lines }) => lines).length);
      assert.deepEqual(await page.$$eval('img', (images) => images.map((image) => image.complete && image.naturalWidth > 10)), Array(await page.$$eval('.sheet', (sheets) => sheets.length)).fill(true));
      assert.equal(await page.$$eval('.confusion td', (fields) => fields.reduce((sum, field) => sum + Number(field.dataset.count), 0)), 720);
      assert.match(await page.$eval('#recipes', (part) => part.textContent), /1 key differs.*train\.seed/s);
    });

    const assertLabelsInside = async () => {
      const { labels, outside } = await page.$$eval('.picture svg:first-child', (svgs) => {
        const all = svgs.flatMap((svg) => [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect(), svg.getBoundingClientRect()]));
        const outside = all.filter(([, own, svg]) => own.left < svg.left || own.right > svg.right || own.top < svg.top || own.bottom > svg.bottom);
        return { labels: all.map(([label]) => label), outside: outside.map(([label]) => label) };
      });
      assert.ok(labels.length > 40 && labels.includes('100%'), labels.join(' '));
      assert.deepEqual(outside, []);
    };
    await t.test('has every label within its picture', assertLabelsInside);

    await t.test('tells values with the arrow keys, and hides a run', async () => {
      await page.$eval('#learning .field', (field) => field.focus());
      await page.keyboard.press('ArrowLeft');
      assert.match(await told(), /^step 45smoothedrawfirst\d.*second\d/);
      await page.keyboard.press('ArrowRight');
      assert.match(await told(), /^step 46/);
      await page.click('.chip');
      await drawn();
      assert.equal(await page.$eval('#learning [data-run="0"]', (line) => getComputedStyle(line).display), 'none');
      await page.$eval('#learning .field', (field) => field.focus());
      await page.keyboard.press('ArrowLeft');
      assert.doesNotMatch(await told(), /first/);
      await page.click('.chip');
      await drawn();
    });

    await t.test('smooths only values by step unless asked to', async () => {
      assert.equal((await seen(LOSS)).raw, learning[LOSS].lines.length);
      assert.equal((await seen(ACCURACY)).raw, 0);
      await set('#smoothing', 0.9);
      assert.equal((await seen(ACCURACY)).raw, learning[ACCURACY].lines.length);
    });

    await t.test('smooths by an exponential moving average without bias', async () => {
      const { x: [from, to], lines } = learning[LOSS];
      for (const weight of [0.97, 0.5]) {
        await set('#smoothing', weight);
        assert.equal((await seen(LOSS)).raw, lines.length);
        assert.equal((await seen(RATE)).raw, 0, 'a schedule is not smoothed');
        await page.$eval('#learning .field', (field) => field.blur());
        await page.$eval('#learning .field', (field) => field.focus());
        await page.keyboard.press('ArrowLeft');
        const rows = await page.$$eval('#learning .chart .tip td:nth-child(n + 3)', (cells) => cells.map((cell) => Number(cell.textContent)));
        const expected = lines.flatMap(({ points }) => {
          const at = points.findIndex(([x]) => x === 45);
          const weights = points.slice(0, at + 1).map(([x]) => weight ** ((1000 * (45 - x)) / (to - from)));
          const sum = weights.reduce((sum, weight) => sum + weight, 0);
          return [points.slice(0, at + 1).reduce((mean, [, y], i) => mean + (weights[i] / sum) * y, 0), points[at][1]];
        });
        assert.equal(rows.length, expected.length);
        rows.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= 0.0006 * expected[i], `${value}, not ${expected[i]}`));
      }
      await set('#smoothing', 0);
      assert.equal((await seen(LOSS)).raw, 0);
      assert.match(await told(), /^step 45first\d/);
      await page.keyboard.press('Escape');
    });

    await t.test('has a linear or a logarithmic axis', async () => {
      // Distances of neighbouring ticks in pixels are in proportion to those of the scaled values.
      const proportional = ({ y }, scale) => {
        const slopes = y.slice(1).map(([value, pixel], i) => (pixel - y[i][1]) / (scale(value) - scale(y[i][0])));
        return slopes.length > 1 && Math.max(...slopes) / Math.min(...slopes) > 0.97 && Math.max(...slopes) / Math.min(...slopes) < 1.03;
      };
      const hint = (at) => page.$$eval('#learning figcaption .hint', (hints, at) => hints[at].textContent, at);
      for (const at of [LOSS, ACCURACY]) {
        await set('#scale', 'logarithmic');
        assert.ok(proportional(await seen(at), Math.log), JSON.stringify((await seen(at)).y));
        assert.match(await hint(at), /logarithmic/);
        if (at === ACCURACY) assert.ok((await seen(at)).y.every(([value]) => value <= 100), JSON.stringify((await seen(at)).y));
        await set('#scale', 'linear');
        assert.ok(proportional(await seen(at), (value) => value), JSON.stringify((await seen(at)).y));
        assert.doesNotMatch(await hint(at), /logarithmic/);
      }
      await set('#scale', 'automatic');
      assert.match(await hint(ACCURACY), /by epoch$/);
    });

    await t.test('zooms into all charts over steps by dragging, and back', async () => {
      const whole = { loss: await seen(LOSS), accuracy: await seen(ACCURACY), rate: await seen(RATE) };
      const field = await page.$('#learning .field');
      const drag = async (a, b) => {
        const box = await field.boundingBox();
        const { left, right } = await seen(LOSS);
        const at = (share) => [box.x + left + share * (right - left), box.y + 60];
        await page.mouse.move(...at(a));
        await page.mouse.down();
        await page.mouse.move(...at((a + b) / 2), { steps: 3 });
        await page.mouse.move(...at(b), { steps: 3 });
        await page.mouse.up();
        await drawn();
      };
      await drag(0.75, 0.25);
      const [x0, x1] = learning[LOSS].x;
      const [from, to] = [0.25, 0.75].map((share) => x0 + share * (x1 - x0));
      const [loss, rate] = [await seen(LOSS), await seen(RATE)];
      for (const [value] of loss.x) assert.ok(value >= from && value <= to, `${value} is not between ${from} and ${to}`);
      // A tick is where its value is in the range.
      const pixel = (value) => loss.left + ((value - from) / (to - from)) * (loss.right - loss.left);
      for (const [value, at] of loss.x) assert.ok(Math.abs(at - pixel(value)) < 3, `${value} at ${at}, not ${pixel(value)}`);
      assert.deepEqual(rate.x.map(([value]) => value), loss.x.map(([value]) => value), 'charts over steps are linked');
      assert.deepEqual(await seen(ACCURACY), whole.accuracy, 'those over epochs are not');
      // The range of y is that of the part: its lines fill the plot, and stay inside.
      const [top, bottom] = loss.extent;
      assert.ok(top >= 8 && bottom <= loss.bottom && bottom - top > 0.75 * (loss.bottom - 8), `${top} to ${bottom} of ${loss.bottom}`);
      const inside = learning[LOSS].lines.flatMap(({ points }) => points).filter(([x]) => x > from && x < to);
      assert.equal(loss.circles, inside.length);
      await assertLabelsInside();

      await page.click('#reset-zoom');
      await drawn();
      assert.deepEqual([await seen(LOSS), await seen(RATE)], [whole.loss, whole.rate]);
      assert.ok(await page.$eval('#reset-zoom', (button) => button.disabled));

      await drag(0.1, 0.4);
      assert.notDeepEqual((await seen(LOSS)).x, whole.loss.x);
      const box = await field.boundingBox();
      await page.mouse.click(box.x + 200, box.y + 100, { count: 2 });
      await drawn();
      assert.deepEqual((await seen(LOSS)).x, whole.loss.x, 'a double click shows everything');
    });

    await t.test('zooms with the keyboard, and follows what is read', async () => {
      const whole = await seen(LOSS);
      await page.mouse.move(5, 5);
      await page.$eval('#learning .field', (field) => field.blur());
      await page.$eval('#learning .field', (field) => field.focus());
      for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowLeft');
      for (let i = 0; i < 2; i++) {
        await page.keyboard.press('+');
        await drawn();
      }
      const ticks = (await seen(LOSS)).x.map(([value]) => value);
      assert.ok(ticks.length > 2 && ticks.every((value) => Math.abs(value - 36) < 7), ticks.join(' '));
      assert.match(await told(), /^step 36/);
      for (let i = 0; i < 10; i++) {
        await page.keyboard.press('ArrowLeft');
        await drawn();
      }
      assert.match(await told(), /^step 26/);
      assert.ok((await seen(LOSS)).x[0][0] <= 27);
      await page.keyboard.press('0');
      await drawn();
      assert.deepEqual((await seen(LOSS)).x, whole.x);
      await page.keyboard.press('Escape');
      assert.equal(await told(), null);
    });
    await pictures(page, kind, 'report');

    await t.test('fits a phone', async () => {
      await page.setViewport({ width: 390, height: 3000 });
      await page.waitForFunction(() => [...document.querySelectorAll('.picture svg:first-child')].every((svg) => svg.getAttribute('width') < 390));
      await fits(page);
      await assertLabelsInside();
    });
    assert.deepEqual(log, []);
    assert.deepEqual(requests.filter((url) => url !== address), []); // Firefox does not report the file itself
  }));
}

test('the x axis fits the runs that are shown, and validation images decide', (t) => withBrowser('chromium', t, 9, async (browser) => {
  const [head, rest] = readFileSync(html, 'utf8').split('<script id="data" type="application/json">');
  const json = rest.slice(0, rest.indexOf('</script>'));
  const report = JSON.parse(json);
  for (const line of report.learning[LOSS].lines) if (line.run === 0) line.points.length = 20;
  // Of the second run every test accuracy is higher, but its validation accuracy is not.
  report.runs.forEach((run, at) => Object.assign(run, { best_epoch: 1, best_accuracy: 0.9 - at / 10, test_accuracy: 0.5 + at / 10, tested: 0.5 + at / 10 }));
  const other = path.join(scratch, 'other.html');
  writeFileSync(other, `${head}<script id="data" type="application/json">${JSON.stringify(report).replaceAll('<', '\\u003c')}${rest.slice(json.length)}`);
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 3000 });
  await page.goto(pathToFileURL(other).href);
  await page.waitForFunction(() => [...document.querySelectorAll('.picture svg:first-child')].every((svg) => svg.childElementCount));
  const ends = () => page.$eval('#learning .picture svg', (svg) => Number([...svg.querySelectorAll('text.x')].at(-1).textContent));
  assert.ok((await ends()) > 30);
  await page.click('.chip:nth-child(2)');
  await page.waitForFunction(() => Number([...document.querySelector('#learning .picture svg').querySelectorAll('text.x')].at(-1).textContent) <= 20);
  assert.deepEqual(await page.$$eval('.winner', (cells) => cells.map((cell) => cell.textContent)), ['90.0% epoch 1']);
  const heads = await page.$$eval('#runs table:first-of-type thead th', (cells) => cells.map((cell) => cell.textContent));
  assert.ok(heads.includes('Best validation accuracy') && heads.includes('Test accuracy, last state'), heads.join());
}));
