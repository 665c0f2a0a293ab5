// The user's own classes, by clicks, in both browsers: pictures from files and from the camera (which the browsers imitate), a network
// trained on them, tried and used; the camera's errors; recipes in links. The page computes in WebAssembly here.
// With SCREENSHOTS=FOLDER, pictures of the parts, light, dark and on a phone.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { KINDS, ROOT, withBrowser } from './browsers.mjs';
import { fits, pictures } from './looks.mjs';
import { OWN_FILES_ONLY, serve } from './server.mjs';
import { Visit } from './visit.mjs';
import { load } from '../pkg/infer/node.js';

const AT = '/some/path/';
const EACH = 20;
const ENOUGH = 0.9;

// In the page: drawn pictures for a file field: red squares or blue discs on grey, at random places. `broken` adds a file that is none.
async function choose(field, { shape, count, broken }) {
  const files = new DataTransfer();
  for (let at = 0; at < count; at += 1) {
    const canvas = new OffscreenCanvas(80, 80);
    const context = canvas.getContext('2d');
    const [x, y] = [24, 24].map((least) => least + 32 * Math.random());
    context.fillStyle = '#ccc';
    context.fillRect(0, 0, 80, 80);
    context.fillStyle = shape === 'square' ? '#c22' : '#22c';
    context.beginPath();
    if (shape === 'square') context.rect(x - 16, y - 16, 32, 32);
    else context.arc(x, y, 18, 0, 7);
    context.fill();
    files.items.add(new File([await canvas.convertToBlob()], `${shape}-${at}.png`, { type: 'image/png' }));
  }
  if (broken) files.items.add(new File(['no picture'], 'broken.png', { type: 'image/png' }));
  const input = document.querySelector(field);
  input.files = files.files;
  input.dispatchEvent(new Event('change', { bubbles: true }));
}

// In the page: files in a chosen folder.
function chooseFolder(files) {
  const list = files.map(({ name, base64 }) => {
    const file = new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name.split('/').at(-1));
    return Object.defineProperty(file, 'webkitRelativePath', { value: name });
  });
  const input = document.querySelector('#folder');
  Object.defineProperty(input, 'files', { value: list, configurable: true });
  input.dispatchEvent(new Event('change'));
}

// The files in an archive, by its directory: [{name, base64}].
function unpacked(zip) {
  const end = zip.subarray(-22);
  assert.equal(end.readUInt32LE(0), 0x06054b50);
  const files = [];
  for (let at = end.readUInt32LE(16), left = end.readUInt16LE(10); left > 0; left -= 1) {
    assert.equal(zip.readUInt32LE(at), 0x02014b50);
    const [length, start] = [zip.readUInt16LE(at + 28), zip.readUInt32LE(at + 42)];
    assert.equal(zip.readUInt32LE(start), 0x04034b50);
    const bytes = zip.subarray(start + 30 + length, start + 30 + length + zip.readUInt32LE(at + 20));
    assert.equal(bytes.subarray(0, 4).toString('latin1'), '\x89PNG');
    files.push({ name: zip.subarray(at + 46, at + 46 + length).toString(), base64: bytes.toString('base64') });
    at += 46 + length;
  }
  return files;
}

for (const kind of KINDS.filter((kind) => !process.env.ONLY || kind === process.env.ONLY)) {
  test(`own classes in ${kind}`, async (t) => {
    const server = await serve([{ at: AT, folder: path.join(ROOT, 'web/dist'), headers: OWN_FILES_ONLY }]);
    t.after(() => server.close());
    await withBrowser(kind, t, server.port, async (browser) => {
      const come = (mark = '') => Visit.start(browser, `${server.origin}${AT}?adapter=cpu${mark}`);
      const visit = await come();
      const { page } = visit;
      await visit.state('ready');
      const card = (at) => `.class:nth-child(${at})`;
      const count = (at) => page.$$eval(`${card(at)} .thumbs button`, (thumbs) => thumbs.length);
      const collected = (at, count) => visit.until(([card, count]) => document.querySelectorAll(`${card} .thumbs button`).length >= count, [card(at), count], 20_000);
      const rename = async (at, name) => {
        await page.click(`${card(at)} .class-name`, { count: 3 });
        await page.keyboard.type(name);
      };
      const tried = (name) => visit.until((name) => document.querySelector('#try-answer').dataset.class === name, name, 20_000)
        .catch(async () => assert.equal(await page.$eval('#try-answer', ({ dataset }) => dataset.class), name));

      await t.test('what is missing is said; files are collected, and can be deleted', async () => {
        assert.equal(await visit.text('classes-text'), 'Still missing, with at least 5 pictures for each class: 5 of “Class 1”, 5 of “Class 2”.');
        assert.ok(await page.$eval('#classes-train', ({ disabled }) => disabled));
        await rename(1, 'square');
        await rename(2, 'square');
        assert.match(await visit.text('classes-text'), /^Two classes are named “square”/);
        await rename(2, 'disc');
        await page.evaluate(choose, `${card(1)} .file`, { shape: 'square', count: 4, broken: true });
        await collected(1, 4);
        await visit.until(() => document.querySelector('.class .verdict').textContent.startsWith('broken.png: not a picture'), undefined, 10_000);
        assert.match(await visit.text('classes-text'), /: 1 of “square”, 5 of “disc”\.$/);
        await page.evaluate(choose, `${card(1)} .file`, { shape: 'square', count: EACH - 2 });
        await page.evaluate(choose, `${card(2)} .file`, { shape: 'disc', count: EACH });
        await collected(1, EACH + 2);
        await collected(2, EACH);
        await page.click(`${card(1)} .thumbs button:first-child`);
        await page.focus(`${card(1)} .thumbs button[tabindex="0"]`);
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('Delete');
        assert.equal(await count(1), EACH);
        assert.ok(await page.evaluate(() => document.activeElement.matches('.thumbs button')), 'the focus stays among the pictures');
        // dropped on a class, rather than on the page
        await page.evaluate(async (card) => {
          const files = new DataTransfer();
          const canvas = new OffscreenCanvas(9, 9);
          canvas.getContext('2d').fillRect(0, 0, 5, 5);
          files.items.add(new File([await canvas.convertToBlob()], 'dropped.png', { type: 'image/png' }));
          document.querySelector(card).dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
        }, card(2));
        await collected(2, EACH + 1);
        await page.click(`${card(2)} .thumbs button:last-child`);
        assert.equal(await count(2), EACH);
        assert.ok(!await page.$eval('#classes-train', ({ disabled }) => disabled));
      });

      await t.test('the camera’s frames are captured while a button is held, by pointer and by key', async () => {
        await page.click('#class-add');
        await rename(3, 'camera');
        await page.click('#camera-start');
        await visit.until(() => document.querySelector('#camera').videoWidth > 0, undefined, 20_000);
        const button = await page.$(`${card(3)} .capture`);
        await button.scrollIntoView();
        const { x, y, width, height } = await button.boundingBox();
        await page.mouse.move(x + width / 2, y + height / 2);
        await page.mouse.down();
        await collected(3, 6);
        await page.mouse.up();
        await button.focus();
        await page.keyboard.down(' ');
        await collected(3, 12);
        await page.keyboard.up(' ');
        const before = await count(3);
        await new Promise((wait) => setTimeout(wait, 1000));
        assert.equal(await count(3), before, 'a released button captures nothing');
        assert.match(await visit.text('classes-text'), new RegExp(`^${2 * EACH + before} pictures of 3 classes\\.`));
        await pictures(page, kind, 'collected', '#classes');
      });

      await t.test('a network learns the classes, and recognises the camera’s picture and files', async () => {
        const start = performance.now();
        await page.click('#classes-train');
        await visit.state('finished');
        const said = await visit.text('classes-text');
        console.log(`${kind}: “${said}” after ${((performance.now() - start) / 1000).toFixed(1)} s`);
        assert.match(said, /^Done: \d+% of the \d+ held-out pictures are classified correctly\./);
        assert.ok(await visit.number('test-accuracy') >= ENOUGH, said);
        await tried('camera');
        await pictures(page, kind, 'trained', '#classes');
        for (const shape of ['square', 'disc']) {
          await page.evaluate(choose, '#try-file', { shape, count: 1 });
          await tried(shape);
          assert.equal(await visit.text('camera-start'), 'Start the camera', 'a file takes the place of the camera’s picture');
        }
        await page.click('#camera-start');
        await tried('camera');
        await page.click('#camera-start');
        await visit.until(() => document.querySelector('#camera').srcObject === null, undefined, 10_000);
      });

      let saved;
      await t.test('the network can be used, and what to do next is shown', async () => {
        assert.ok(!await visit.hidden('next'));
        await pictures(page, kind, 'next', '#next');
        await page.click('#next-recipe');
        const recipe = (await visit.download()).toString();
        assert.match(recipe, /set = "folder"/);
        assert.equal(recipe, await page.$eval('#recipe', ({ value }) => value));
        assert.equal(await visit.text('next-command'), 'halfwave train recipe.toml --data-dir pictures');
        await page.click('#use-packed');
        const network = await load(new Uint8Array(await visit.download()));
        assert.deepEqual(network.classes, ['square', 'disc', 'camera']);
        const red = Uint8Array.from({ length: 4 * 32 * 32 }, (_, at) => {
          const inside = [(at >> 2) % 32, at >> 7].every((place) => place >= 10 && place < 22);
          return inside ? [204, 34, 34, 255][at % 4] : [204, 204, 204, 255][at % 4];
        });
        assert.equal(network.classify({ width: 32, height: 32, data: red }).name, 'square');
        await page.click('#share');
        await visit.until(() => !document.querySelector('#share-link').hidden, undefined, 20_000);
        console.log(`${kind}: ${await visit.text('share-text')}`);
        await page.click('#classes-save');
        saved = unpacked(await visit.download());
        const names = saved.map(({ name }) => name);
        assert.equal(names.filter((name) => /^pictures\/square\/\d{3}\.png$/.test(name)).length, EACH);
        assert.equal(names.filter((name) => name.startsWith('pictures/camera/')).length, await count(3));
        // A link in this tab does not end a run by itself.
        await page.evaluate(() => { location.hash = '#recipe=digits'; });
        await visit.until(() => document.querySelector('#recipe-state').textContent.startsWith('This recipe is from the link.'), undefined, 10_000);
        assert.equal(await page.$eval('#train', ({ dataset }) => dataset.state), 'finished');
        for (const width of [390, 320, 1024, 1280]) {
          await page.setViewport({ width, height: 844 });
          await new Promise((settled) => setTimeout(settled, 300));
          await fits(page);
        }
      });

      await t.test('why there is no camera is told, and what works instead', async () => {
        const refuse = async (name, words) => {
          await page.evaluate((name) => { MediaDevices.prototype.getUserMedia = async () => { throw new DOMException('', name); }; }, name);
          await page.click('#camera-start');
          await visit.until(() => document.querySelector('#camera-text.bad') && !document.querySelector('#camera-start').disabled, undefined, 10_000);
          assert.match(await visit.text('camera-text'), words);
          assert.match(await visit.text('camera-text'), /choose picture files/i);
        };
        await refuse('NotAllowedError', /not allowed.*address bar/);
        await pictures(page, kind, 'refused', '#classes');
        await refuse('NotFoundError', /No camera was found/);
        await refuse('NotReadableError', /another program/);
        await page.evaluate(() => {
          Object.defineProperty(navigator, 'mediaDevices', { value: undefined });
          Object.defineProperty(window, 'isSecureContext', { value: false });
        });
        const before = await count(3);
        await page.click(`${card(3)} .capture`); // a capture asks for the camera, too
        await visit.until(() => document.querySelector('#camera-text').textContent.includes('only on https://'), undefined, 10_000);
        assert.equal(await count(3), before);
      });

      await t.test('after a reload, the saved pictures bring the run back', async () => {
        await page.reload();
        await visit.state('waiting');
        assert.match(await visit.text('resume-text'), /The recipe of the link waits in the editor\.$/);
        await page.click('#train');
        assert.match(await visit.fault(), /collect them at Your own classes/);
        await visit.state('waiting');
        await page.evaluate(chooseFolder, saved);
        await visit.until(() => document.querySelector('#data-summary').textContent.includes('3 classes'), undefined, 20_000);
        await page.click('#train');
        await visit.state('finished');
        assert.ok(await visit.number('test-accuracy') >= ENOUGH);
        await page.click('#reset');
        await visit.state('ready');
        assert.ok(await visit.hidden('next'), 'only after training');
      });

      await t.test('a link opens a recipe; one that is cut, or an error in it, is told', async () => {
        await page.select('#recipe-choice', 'digits');
        const text = (await page.$eval('#recipe', ({ value }) => value)).replace(/^epochs = .*$/m, 'epochs = 3          # – “ü”');
        await visit.write(text);
        await page.click('#recipe-copy');
        await visit.until(() => /characters/.test(document.querySelector('#recipe-link-text').textContent), undefined, 10_000);
        const link = await page.$eval('#recipe-link', ({ value }) => value);
        const mark = link.slice(link.indexOf('#'));
        console.log(`${kind}: “${await visit.text('recipe-link-text')}”`);
        assert.match(link, /#recipe=[\w-]+$/);
        await pictures(page, kind, 'recipe', '#own');
        const other = await come(mark);
        await other.state('ready');
        assert.equal(await other.page.$eval('#recipe', ({ value }) => value), text);
        assert.equal(await other.text('epochs'), ' / 3');
        // another link in the same tab, of a built-in recipe
        await other.page.evaluate(() => { location.hash = '#recipe=digits-float'; });
        await other.until(() => document.querySelector('#recipe-choice').value === 'digits-float' && document.querySelector('#recipe-state a'), undefined, 60_000);
        await other.page.click('#recipe-copy');
        await other.until(() => document.querySelector('#recipe-link').value.endsWith('#recipe=digits-float'), undefined, 10_000);
        for (const [broken, words] of [[mark.slice(0, -40), /incomplete or damaged/], ['#recipe=', /incomplete or damaged/], ['#recipe=dgits', /no built-in recipe “dgits”/]]) {
          await other.page.evaluate((hash) => { location.hash = hash; }, broken);
          assert.match(await other.fault(), words);
        }
        assert.equal(await other.page.$eval('#recipe-choice', ({ value }) => value), 'digits-float', 'the recipe is kept');
        await visit.page.bringToFront();
        await page.$eval('#recipe', (area, text) => {
          area.value = text;
          area.dispatchEvent(new Event('input'));
        }, text.replace('kind = "sgd"', 'kind = "sdg"'));
        await page.click('#recipe-copy');
        await visit.until(() => /characters/.test(document.querySelector('#recipe-link-text').textContent), undefined, 10_000);
        const wrong = await come((await page.$eval('#recipe-link', ({ value }) => value)).split(/(?=#)/)[1]);
        assert.match(await wrong.fault(), /sdg/);
        assert.notEqual(await wrong.page.$eval('#recipe-error', ({ dataset }) => dataset.line), '');
        for (const { page, log } of [other, wrong]) {
          assert.deepEqual(log, []);
          await page.close();
        }
      });

      assert.deepEqual(server.violations, []);
      assert.deepEqual(visit.log, [], 'nothing on the console');
    });
  });
}
