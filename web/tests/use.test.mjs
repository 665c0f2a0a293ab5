// Use of a trained network, by clicks, in both browsers: download, share, embed; the page of a network in a link; the example page; the
// element by keyboard, and with pictures. With SCREENSHOTS=FOLDER, pictures of the pages, light, dark and on a phone.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { KINDS, ROOT, withBrowser } from './browsers.mjs';
import { encode, load } from '../pkg/infer/node.js';
import init, { Dataset, Session } from '../pkg/node.js';
import { fits, pictures } from './looks.mjs';
import { DIGITS } from './strokes.mjs';
import { OWN_FILES_ONLY, serve } from './server.mjs';
import { Visit } from './visit.mjs';

const AT = '/some/path/';
const LINK_CHARACTERS = 20_000;
const ENOUGH = 0.93;
const example = new Uint8Array(readFileSync(path.join(ROOT, 'web/page/digits.packed.safetensors')));
const PAD = 'halfwave-network >>> .pad';

// An untrained network for colour pictures, as a packed file.
let made;
async function coloured() {
  if (made) return made;
  await init();
  const text = readFileSync(path.join(ROOT, 'assets/recipes/digits.toml'), 'utf8').replace('input = [1, 8, 8]', 'input = [3, 8, 8]').replace('classes = 10', 'classes = 2').replace('units = 10', 'units = 2')
    .replace('set = "digits"', 'set = "folder"').replace(/^batch = .*$/m, 'batch = 4');
  const split = (count) => ({ pixels: Uint8Array.from({ length: 192 * count }, (_, at) => (at * 37) % 256), labels: Uint8Array.from({ length: count }, (_, at) => at % 2) });
  const session = await Session.open(text, Dataset.images(['cat', 'dog'], [3, 8, 8], split(4), split(2)), { adapter: 'cpu' });
  return made = await session.exportPacked();
}

// What the element shows: {name, sure, status}.
const shown = (page) => page.$eval('halfwave-network', ({ shadowRoot }) => ({
  name: shadowRoot.querySelector('.best b')?.textContent, sure: shadowRoot.querySelector('.best span')?.textContent,
  status: shadowRoot.querySelector('.status').hidden ? '' : shadowRoot.querySelector('.status').textContent,
  bars: [...shadowRoot.querySelectorAll('li')].map((item) => item.textContent),
}));
const until = (page, seen, argument) => page.waitForFunction(seen, { timeout: 60_000, polling: 100 }, argument);
const answered = (page, name) => until(page, (name) => document.querySelector('halfwave-network').shadowRoot?.querySelector('.best b')?.textContent === name, name)
  .catch(async () => assert.equal((await shown(page)).name, name));
const ready = (page) => until(page, () => document.querySelector('halfwave-network')?.network);

// Draws strokes on the element's pad with the mouse.
async function draw(page, strokes) {
  const pad = await page.waitForSelector(PAD);
  await pad.scrollIntoView();
  await (await page.$('halfwave-network >>> button')).click();
  const { x, y, width, height } = await pad.boundingBox();
  for (const stroke of strokes) {
    const [start, ...rest] = stroke.map(([column, row]) => [x + (column / 32) * width, y + (row / 32) * height]);
    await page.mouse.move(...start);
    await page.mouse.down();
    for (const to of rest) await page.mouse.move(...to, { steps: 3 });
    await page.mouse.up();
  }
}

for (const kind of KINDS.filter((kind) => !process.env.ONLY || kind === process.env.ONLY)) {
  test(`use of a network in ${kind}`, async (t) => {
    const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-use-'));
    t.after(() => rmSync(scratch, { recursive: true, force: true }));
    const server = await serve([{ at: AT, folder: path.join(ROOT, 'web/dist'), headers: OWN_FILES_ONLY }, { at: '/other/', folder: scratch, headers: OWN_FILES_ONLY }]);
    t.after(() => server.close());
    await withBrowser(kind, t, server.port, async (browser) => {
      const visit = await Visit.start(browser, `${server.origin}${AT}?adapter=cpu`);
      const { page } = visit;
      const open = async (address) => {
        const tab = await browser.newPage();
        const log = [];
        tab.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
        tab.on('pageerror', (error) => log.push(`uncaught: ${error.message}`));
        server.requests.length = 0;
        await tab.goto(address);
        return { tab, log };
      };
      await visit.state('ready');
      assert.deepEqual(await page.$$eval('#use button', (buttons) => buttons.map(({ disabled }) => disabled)), Array(5).fill(true), 'nothing is trained yet');
      assert.ok(await page.$eval('#shared', (shared) => getComputedStyle(shared).display === 'none'));

      await page.click('#train');
      await visit.until((enough) => Number(document.querySelector('#test-accuracy').dataset.value) >= enough, ENOUGH);
      await page.click('#train');
      await visit.state('paused');

      let packed, link, snippet;
      await t.test('the packed network is downloaded', async () => {
        await page.click('#use-packed');
        packed = new Uint8Array(await visit.download());
        const network = await load(packed);
        assert.equal(Number(network.card.steps), await visit.number('step'));
        assert.ok(Number(network.card['test accuracy']) >= ENOUGH - 0.05, network.card['test accuracy']);
        assert.match(network.card.recipe, /set = "digits"/);
        assert.match(await visit.text('use-downloaded'), /^Downloaded halfwave-step-\d+\.packed\.safetensors, [\d,]+ bytes\.$/);
        await page.click('#use-onnx');
        const onnx = (await visit.download()).toString('latin1');
        for (const words of ['halfwave', 'Conv', 'conv1']) assert.ok(onnx.includes(words), words);
        console.log(`${kind}: ${packed.length} bytes packed, ${onnx.length} bytes of ONNX`);
        await page.click('#use-checkpoint');
        const checkpoint = new Uint8Array(await visit.download());
        await assert.rejects(load(checkpoint), /a checkpoint of halfwave/);
      });

      await t.test('a link with the network is made', async () => {
        await page.click('#share');
        await visit.until(() => document.querySelector('#share-text').textContent.includes('characters'), undefined, 20_000);
        link = await page.$eval('#share-link', (field) => field.value);
        console.log(`${kind}: “${await visit.text('share-text')}” ${link.length} characters: ${link.slice(0, 60)}…`);
        assert.ok(link.startsWith(`${server.origin}${AT}#network=`));
        assert.ok(link.length <= LINK_CHARACTERS);
        const [shared, file] = [await load(link), await load(packed)];
        assert.equal(shared.card.recipe, undefined);
        assert.equal(shared.card['test accuracy'], file.card['test accuracy']);
        const pixels = Uint8Array.from({ length: 64 }, (_, at) => (at * 7) % 17);
        assert.deepEqual(shared.logits(pixels), file.logits(pixels));
        assert.equal(await page.$eval('#share-open', (open) => open.href), link);
      });

      await t.test('a snippet is made, and works in another page', async () => {
        await page.click('#embed');
        await visit.until(() => !document.querySelector('#embed-code').hidden && document.querySelector('#embed-text').textContent, undefined, 20_000);
        snippet = await page.$eval('#embed-code', (field) => field.value);
        assert.match(snippet, /^<script type="module" src="http.*pkg\/infer\/element\.js"><\/script>\n<halfwave-network src="#network=[\w-]+"><\/halfwave-network>\n$/);
        writeFileSync(path.join(scratch, 'index.html'), `<!doctype html><meta charset="utf-8"><title>another page</title><link rel="icon" href="data:,">${snippet}`);
        await pictures(page, kind, 'use', '#use');
        const { tab, log } = await open(`${server.origin}/other/`);
        await ready(tab);
        await draw(tab, DIGITS[7]);
        await answered(tab, '7');
        await pictures(tab, kind, 'snippet');
        assert.deepEqual(log, []);
        await tab.close();
      });

      await t.test('what is shown belongs to the step: further training removes it', async () => {
        await page.click('#train');
        await visit.stepsOn(1);
        await visit.until(() => document.querySelector('#share-link').hidden && document.querySelector('#embed-code').hidden, undefined, 20_000);
        await page.click('#train');
        await visit.state('paused');
      });

      await t.test('the link shows the network answering, without the engine', async () => {
        const { tab, log } = await open(link);
        await ready(tab);
        for (const [digit, strokes] of Object.entries(DIGITS)) {
          await draw(tab, strokes);
          await answered(tab, digit);
        }
        assert.ok(await tab.$eval('#main', (main) => getComputedStyle(main).display === 'none'));
        const facts = await tab.$eval('#shared-facts', (facts) => facts.innerText);
        const lead = await tab.$eval('#shared-lead', (lead) => lead.textContent);
        console.log(`${kind}: “${lead}” ${facts.replaceAll(/\s+/g, ' ')}`);
        for (const words of [/10 classes: 0, 1, 2/, /8 × 8 pixels/, /9\d\.\d% of the test images/, /handwritten digits, \d+ steps/, /[\d,]+ bits \(/]) assert.match(facts, words);
        assert.match(lead, /Nothing is uploaded\./);
        const loaded = server.requests.map(({ url }) => url.slice(AT.length));
        assert.ok(loaded.includes('pkg/infer/halfwave_infer_bg.wasm'), loaded.join(' '));
        assert.deepEqual(loaded.filter((url) => /pkg\/halfwave|worker\.js|app\.js/.test(url)), []);
        assert.deepEqual(server.requests.filter(({ status, method }) => status !== 200 || method !== 'GET'), []);
        await fits(tab);
        await pictures(tab, kind, 'shared');
        await tab.setViewport({ width: 360, height: 780 });
        await fits(tab);
        await tab.setViewport({ width: 1280, height: 900 });
        assert.deepEqual(log, []);
        await Promise.all([tab.waitForNavigation(), tab.click('#shared a.primary')]);
        await until(tab, () => document.querySelector('#train')?.dataset.state);
        assert.ok(await tab.$eval('#shared', (shared) => getComputedStyle(shared).display === 'none'));
        await tab.close();
      });

      await t.test('a link that is cut or garbage is told in a sentence', async () => {
        for (const [mark, words] of [[link.slice(link.indexOf('#'), -500), /incomplete or damaged/], ['#network=no-network', /incomplete or damaged/], ['#network=', /incomplete or damaged/],
          [await encode(new TextEncoder().encode('{"no": "network"}')), /not a complete packed network/]]) {
          const { tab, log } = await open(`${server.origin}${AT}${mark}`);
          await until(tab, () => document.querySelector('halfwave-network').shadowRoot?.querySelector('.status.bad'));
          assert.match((await shown(tab)).status, words);
          assert.match(await tab.$eval('#shared-lead', (lead) => lead.textContent), /cannot be opened/);
          if (mark === '#network=no-network') await pictures(tab, kind, 'damaged');
          assert.deepEqual(log, []);
          await tab.close();
        }
      });

      await t.test('another link in the same tab is opened, too', async () => {
        const { tab } = await open(`${server.origin}${AT}#network=damaged`);
        await until(tab, () => document.querySelector('halfwave-network').shadowRoot?.querySelector('.status.bad'));
        await Promise.all([tab.waitForNavigation(), tab.evaluate((mark) => { location.hash = mark; }, link.slice(link.indexOf('#')))]);
        await ready(tab);
        await tab.close();
      });

      await t.test('the example page answers, by keyboard alone', async () => {
        const { tab, log } = await open(`${server.origin}${AT}embed.html`);
        await ready(tab);
        for (let presses = 0; presses < 20; presses += 1) {
          await tab.keyboard.press('Tab');
          if (await tab.evaluate(() => document.activeElement.shadowRoot?.activeElement?.tagName === 'CANVAS')) break;
        }
        // A vertical stroke from the top: a one.
        for (let up = 0; up < 11; up += 1) await tab.keyboard.press('ArrowUp');
        await tab.keyboard.down(' ');
        for (let down = 0; down < 22; down += 1) await tab.keyboard.press('ArrowDown');
        await tab.keyboard.up(' ');
        await answered(tab, '1');
        assert.match((await shown(tab)).sure, /^\d+\.\d% sure$/);
        await pictures(tab, kind, 'embed');
        await tab.keyboard.press('Escape');
        await answered(tab, '–');
        const tree = await tab.$eval('halfwave-network', ({ shadowRoot }) => [...shadowRoot.querySelectorAll('[role], [aria-live], [aria-label]')].map((part) => `${part.getAttribute('role') ?? part.tagName} ${part.getAttribute('aria-label') ?? ''}`.trim()));
        for (const part of ['status', 'group A network that reads handwritten digits', 'application Drawing pad', 'OL Probability of each class']) assert.ok(tree.includes(part), tree.join('; '));
        assert.deepEqual(log, []);
        await tab.close();
      });

      await t.test('ImageData and canvases give the same answers as in Node.js, to the bit', async () => {
        const { tab } = await open(`${server.origin}${AT}embed.html`);
        await ready(tab);
        const network = await load(example);
        const got = await tab.evaluate(() => {
          const { network } = document.querySelector('halfwave-network');
          const canvas = Object.assign(document.createElement('canvas'), { width: 40, height: 56 });
          const context = canvas.getContext('2d');
          const rest = new OffscreenCanvas(40, 56);
          for (const at of [context, rest.getContext('2d')]) {
            at.fillStyle = '#000';
            at.fillRect(0, 0, 40, 56);
            at.fillStyle = '#cde';
            at.fillRect(16, 6, 9, 44);
          }
          const picture = context.getImageData(0, 0, 40, 56);
          const logits = [picture, canvas, rest].map((image) => [...network.logits(image)]);
          return { logits, data: [...picture.data], name: network.classify(canvas).name };
        });
        const here = [...network.logits({ width: 40, height: 56, data: got.data })];
        for (const logits of got.logits) assert.deepEqual(logits, here);
        assert.equal(got.name, network.classify({ width: 40, height: 56, data: got.data }).name);
        await tab.close();
      });

      await t.test('a network of colour pictures takes files; what is no picture is told in a sentence', async () => {
        const { tab } = await open(`${server.origin}${AT}embed.html`);
        await ready(tab);
        await tab.evaluate((bytes) => document.querySelector('halfwave-network').open(Uint8Array.from(bytes)), [...await coloured()]);
        await until(tab, () => document.querySelector('halfwave-network').network?.input.channels === 3);
        assert.equal(await tab.$eval('halfwave-network', ({ draws }) => draws), false);
        const field = await tab.$('halfwave-network >>> .file');
        const [red, broken] = ['red.png', 'broken.png'].map((name) => path.join(scratch, name));
        const png = await tab.evaluate(() => {
          const canvas = Object.assign(document.createElement('canvas'), { width: 300, height: 200 });
          const context = canvas.getContext('2d');
          context.fillStyle = '#c00';
          context.fillRect(0, 0, 300, 200);
          return canvas.toDataURL().split(',')[1];
        });
        writeFileSync(red, Buffer.from(png, 'base64'));
        writeFileSync(broken, 'no picture');
        await field.uploadFile(red);
        await until(tab, () => document.querySelector('halfwave-network').shadowRoot.querySelector('.best span').textContent.endsWith('sure'));
        const network = await load(await coloured());
        const data = Uint8Array.from({ length: 4 * 300 * 200 }, (_, at) => [204, 0, 0, 255][at % 4]);
        assert.equal((await shown(tab)).name, network.classify({ width: 300, height: 200, data }).name);
        await pictures(tab, kind, 'picture');
        await field.uploadFile(broken);
        await until(tab, () => document.querySelector('halfwave-network').shadowRoot.querySelector('.status.bad'));
        assert.equal((await shown(tab)).status, 'broken.png is not a picture that this browser can read.');
        await tab.close();
      });

      await t.test('a network restored after a reload can be used', async () => {
        await page.bringToFront();
        await page.reload();
        await visit.until(() => !document.querySelector('#resume-banner').hidden, undefined, 60_000);
        await page.click('#train');
        await visit.until(() => document.querySelector('#train').dataset.state === 'training');
        await page.click('#train');
        await visit.until(() => ['paused', 'finished'].includes(document.querySelector('#train').dataset.state), undefined, 60_000);
        await visit.until(() => !document.querySelector('#share').disabled, undefined, 20_000);
        await page.click('#share');
        await visit.until(() => !document.querySelector('#share-link').hidden, undefined, 20_000);
        assert.ok((await load(await page.$eval('#share-link', (field) => field.value))).classes.length === 10);
        for (const width of [390, 360, 320]) {
          await page.setViewport({ width, height: 844 });
          await new Promise((settled) => setTimeout(settled, 500)); // canvases follow in the next frames
          await fits(page);
        }
      });

      await t.test('nothing was sent anywhere', () => {
        assert.deepEqual(server.violations, []);
        assert.deepEqual(visit.log, []);
      });
    });
  });
}
