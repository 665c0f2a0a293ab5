// Further situations of a visitor: a machine without a GPU, saved runs in several tabs, a learning rate that is too high, files of
// every kind, a small phone. The page computes in WebAssembly here, unless a test says otherwise.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import init, { Dataset, Session, readRecipe } from '../pkg/node.js';
import { KINDS, ROOT, withBrowser } from './browsers.mjs';
import { OWN_FILES_ONLY, serve } from './server.mjs';
import { Visit } from './visit.mjs';

const AT = '/some/path/';
const recipe = readFileSync(path.join(ROOT, 'assets/recipes/digits.toml'), 'utf8');
const edited = (from, to) => {
  assert.match(recipe, from);
  return recipe.replace(from, to);
};

const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-visitor-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

// A checkpoint for ten images as drawn by `choose`, five of blue dogs and then five of red cats, with “dog” as the first class.
async function dogsFirst(recipe) {
  await init();
  const { input } = readRecipe(recipe);
  assert.deepEqual(input, [3, SIDE, SIDE]);
  const inside = (at) => [Math.floor(at / SIDE), at % SIDE].every((place) => place >= SIDE / 4 && place < (3 * SIDE) / 4);
  const picture = (label) => Array.from({ length: SIDE * SIDE }, (_, at) => (!inside(at) ? [0, 0, 0] : label === 1 ? [255, 0, 0] : [0, 0, 255])).flat();
  const images = () => ({ pixels: Uint8Array.from([0, 0, 0, 0, 0, 1, 1, 1, 1, 1].flatMap(picture)), labels: Uint8Array.from({ length: 10 }, (_, at) => Number(at >= 5)) });
  const session = await Session.open(recipe, Dataset.images(['dog', 'cat'], input, images(), images()), { adapter: 'cpu' });
  await session.advance(1);
  return session.checkpoint();
}

// The side of the pictures: the same as in the recipe that the page writes for them, so that nothing is scaled.
const SIDE = 32;

// In the page: a square of a colour on black, as a file in a chosen folder.
function choose(pictures) {
  const side = 32;
  const draw = async ({ path, colour = 'black' }) => {
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext('2d');
    context.fillRect(0, 0, side, side);
    context.fillStyle = colour;
    context.fillRect(side / 4, side / 4, side / 2, side / 2);
    const file = new File([path.endsWith('.png') ? await canvas.convertToBlob() : 'text'], path.split('/').at(-1));
    return Object.defineProperty(file, 'webkitRelativePath', { value: path });
  };
  return Promise.all(pictures.map(draw)).then((files) => {
    const input = document.querySelector('#folder');
    Object.defineProperty(input, 'files', { value: files, configurable: true });
    input.dispatchEvent(new Event('change'));
  });
}

// Before the page's scripts: records the text written on the curve since it was cleared last, and its position.
function labels() {
  const written = window.written = [];
  const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.clearRect = function (...box) {
    if (this.canvas.id === 'curve') written.length = 0;
    return clearRect.call(this, ...box);
  };
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
    if (this.canvas.id === 'curve' && this.textAlign === 'right') written.push({ text, x, y, width: this.measureText(text).width });
    return fillText.call(this, text, x, y, ...rest);
  };
}

// Failures of the storage, as code before the Worker's code, and the page's messages.
const REFUSALS = {
  private: ["StorageManager.prototype.getDirectory = async () => { throw new DOMException('', 'SecurityError'); };", /not let the page store anything.*not saved/],
  full: ["FileSystemSyncAccessHandle.prototype.write = () => { throw new DOMException('', 'QuotaExceededError'); };", /storage is full.*not saved/],
  lockless: ["Object.defineProperty(WorkerNavigator.prototype, 'locks', { value: undefined });", /not let the page store anything.*not saved/],
};

for (const kind of KINDS) {
  test(`visitors in ${kind}`, async (t) => {
    const page = { folder: path.join(ROOT, 'web/dist'), headers: OWN_FILES_ONLY };
    const refusing = Object.entries(REFUSALS).map(([name, [before]]) => ({ at: `/${name}/`, ...page, before: { 'worker.js': before } }));
    const server = await serve([{ at: AT, ...page }, ...refusing]);
    t.after(() => server.close());
    await withBrowser(kind, t, server.port, async (browser) => {
      const logs = [];
      const come = async (query = '?adapter=cpu', at = AT) => {
        const visit = await Visit.start(browser, `${server.origin}${at}${query}`);
        logs.push(visit.log);
        return visit;
      };
      const settled = (visit) => visit.until(() => ['ready', 'waiting'].includes(document.querySelector('#train').dataset.state), undefined, 120_000);
      // Discards the saved run, and waits for the next offer or for a new run.
      const discard = async (visit) => {
        const before = await visit.page.$eval('#resume-banner', (banner) => banner.dataset.when);
        await visit.page.click('#resume-discard');
        const next = (before) => document.querySelector('#train').dataset.state === 'ready' || (!document.querySelector('#resume-banner').hidden && document.querySelector('#resume-banner').dataset.when !== before);
        await visit.until(next, before, 60_000);
      };
      // A run that has not started, whatever earlier tests have left.
      const fresh = async (visit) => {
        await settled(visit);
        while (!await visit.hidden('resume-banner')) {
          await discard(visit);
        }
        await visit.state('ready');
      };
      const trainTo = async (visit, step) => {
        await visit.page.bringToFront();
        await visit.page.click('#train');
        await visit.until((step) => Number(document.querySelector('#step').dataset.value) >= step, step);
        await visit.page.click('#train');
        await visit.state('paused');
        return visit.number('step');
      };
      const resumes = (page) => page.$$eval('button', (buttons) => buttons.filter((button) => button.checkVisibility() && button.textContent === 'Resume').length);

      await t.test('a software adapter is named, WebAssembly computes, and a click changes that', async () => {
        const visit = await come('');
        await visit.state('ready');
        assert.ok(!await visit.hidden('software'));
        assert.match(await visit.text('software-text'), /no GPU.*software adapter.*WebAssembly/);
        assert.match(await visit.text('status'), /CPU, in WebAssembly/);
        assert.match(await visit.text('lead'), /on your computer’s CPU/);
        const step = await trainTo(visit, 3);
        await visit.page.click('#software-switch');
        await visit.until(() => document.querySelector('#software-switch').textContent === 'Use WebAssembly', undefined, 120_000);
        await visit.state('paused');
        assert.equal(await visit.number('step'), step, 'the run continues where it was');
        assert.match(await visit.text('lead'), /a GPU that the CPU emulates/);
        assert.match(await visit.text('device'), /WebGPU/);
        assert.ok(await trainTo(visit, step + 2) >= step + 2);
        await visit.page.click('#reset');
        await visit.state('ready');
        await visit.page.close();
      });

      await t.test('a saved run: its curve is shown, one button resumes it, another recipe hides the offer', async () => {
        const visit = await come();
        await settled(visit);
        assert.ok(await visit.hidden('resume-banner'), 'a reset forgets the saved run');
        const step = await trainTo(visit, 30);
        await visit.page.reload();
        await visit.state('waiting');
        assert.ok(!await visit.hidden('resume-banner'));
        assert.equal(await visit.number('step'), step);
        // Losses of the last steps before a pause are sent with the next ones.
        const [, drawn] = /after (\d+) steps/.exec(await visit.page.$eval('#curve', (curve) => curve.getAttribute('aria-label')));
        assert.ok(drawn > step - 20 && drawn <= step, `${drawn} of ${step} steps are drawn`);
        assert.equal(await resumes(visit.page), 1);
        await visit.write(edited(/^lr = .*$/m, 'lr = 0.04'));
        await visit.use();
        await visit.state('ready');
        assert.ok(await visit.hidden('resume-banner'));
        assert.equal(await visit.text('train'), 'Train');
        await trainTo(visit, 2);
        assert.match(await visit.page.$eval('#recipe', (area) => area.value), /^lr = 0\.04$/m, 'the chosen recipe is kept');
        await visit.page.click('#reset');
        await visit.state('ready');
        await visit.page.reload();
        await settled(visit);
        assert.ok(await visit.hidden('resume-banner'), 'a reset forgets the saved run');
        await visit.page.close();
      });

      await t.test('each tab keeps a run of its own', async () => {
        const tabs = [];
        for (const step of [4, 9, 14, 19, 24]) {
          const visit = await come();
          await settled(visit);
          assert.ok(await visit.hidden('resume-banner'), 'no run of another tab is offered');
          tabs.push({ visit, step: await trainTo(visit, step), says: await visit.text('checkpoint-text') });
        }
        const fifth = tabs.pop();
        assert.match(await fifth.visit.fault(), /4 other tabs.*not saved/s);
        await fifth.visit.page.close();
        for (const { visit, step } of tabs) {
          await visit.page.bringToFront();
          await visit.page.reload();
          await visit.state('waiting');
          assert.equal(await visit.number('step'), step, 'each tab is offered its own run');
        }
        // A closed tab leaves its run to the next one that is opened; the second oldest of four, so not just the first slot.
        await tabs[1].visit.page.close();
        const next = await come();
        await next.state('waiting');
        assert.equal(await next.number('step'), tabs[1].step);
        await next.page.close();
        // All closed: the newest is offered first, then, after it is discarded, the previous one.
        for (const { visit } of tabs) if (!visit.page.isClosed()) await visit.page.close();
        const last = await come();
        const offered = [];
        for (let left = tabs.length; left > 0; left -= 1) {
          await last.state('waiting');
          offered.push(await last.page.$eval('#resume-banner', (banner) => Number(banner.dataset.step)));
          await discard(last);
        }
        assert.deepEqual(offered, tabs.map(({ step }) => step).reverse());
        // Whichever slot it uses now, it is offered its own run.
        const step = await trainTo(last, 3);
        await last.page.reload();
        await last.state('waiting');
        assert.equal(await last.number('step'), step);
        await discard(last);
        await last.page.close();
      });

      await t.test('a run that its tab dies in the middle of goes on in the next tab from its last save', async () => {
        const visit = await come();
        await settled(visit);
        const saved = await trainTo(visit, 25);
        await visit.page.click('#train');
        await visit.until((step) => Number(document.querySelector('#step').dataset.value) > step, saved);
        await visit.page.close();
        const next = await come();
        await next.state('waiting');
        assert.ok(await next.number('step') >= saved);
        await next.page.click('#train');
        await next.state('training');
        await next.page.click('#reset');
        await next.state('ready');
        await next.page.close();
      });

      for (const [name, [, says]] of Object.entries(REFUSALS)) {
        await t.test(`storage that refuses (${name}) is told once, and training goes on`, async () => {
          const visit = await come('?adapter=cpu', `/${name}/`);
          await settled(visit);
          const step = await trainTo(visit, 3);
          assert.match(await visit.fault(), says);
          assert.ok(await trainTo(visit, step + 3) > step);
          assert.equal(await visit.page.$('#fault .fault'), null, 'not reported again');
          await visit.page.close();
        });
      }

      await t.test('another recipe, a reset, and a walk away and back, all in the middle of training', async () => {
        const visit = await come();
        await fresh(visit);
        const { page } = visit;
        await page.click('#train');
        await visit.until(() => Number(document.querySelector('#step').dataset.value) > 2);
        await visit.write(edited(/^batch = .*$/m, 'batch = 32'));
        await visit.use();
        await visit.state('ready');
        assert.equal(await visit.number('step'), 0);
        assert.match(await visit.text('steps'), /900/, 'steps of the new recipe');
        await page.click('#train');
        await visit.until(() => Number(document.querySelector('#step').dataset.value) > 2);
        await page.click('#reset');
        await visit.state('ready');
        await visit.until(() => document.querySelector('#step').dataset.value === '0', undefined, 20_000);
        const step = await trainTo(visit, 5);
        await page.goto('about:blank');
        await page.goBack();
        await visit.until(() => ['waiting', 'paused'].includes(document.querySelector('#train').dataset.state), undefined, 60_000);
        assert.equal(await visit.number('step'), step);
        // An invalid recipe is refused at the faulty line, and nothing is lost.
        await page.$eval('#recipe', (area, text) => {
          area.value = text;
          area.dispatchEvent(new Event('input', { bubbles: true }));
        }, edited(/^epochs = .*$/m, 'epochs = 0'));
        await visit.until(() => document.querySelector('#recipe-error').dataset.line !== '', undefined, 20_000);
        assert.ok(await page.$eval('#recipe-use', (button) => button.disabled));
        await page.close();
      });

      await t.test('a learning rate that is far too high is told in words, on axes that can be read', async () => {
        const visit = await come();
        await visit.page.evaluateOnNewDocument(labels);
        await visit.page.goto(`${server.origin}${AT}?adapter=cpu`);
        await settled(visit);
        await visit.page.setViewport({ width: 320, height: 640 });
        for (const lr of ['1000.0', '1e30']) {
          await visit.write(edited(/^lr = .*$/m, `lr = ${lr}`));
          await visit.use();
          await visit.page.click('#train');
          await visit.until(() => /diverge/.test(document.querySelector('#status').textContent), undefined, 120_000);
          await visit.until(() => !['training', 'opening'].includes(document.querySelector('#train').dataset.state) || Number(document.querySelector('#step').dataset.value) > 60, undefined, 120_000);
          await visit.page.evaluate(() => (window.written.length = 0, window.dispatchEvent(new Event('resize'))));
          await visit.page.focus('#curve');
          await visit.page.keyboard.press('Home');
          await visit.until(() => window.written.some(({ text }) => text.includes('%')), undefined, 20_000);
          const axis = await visit.page.evaluate(() => window.written.slice(0, window.written.findIndex(({ text }) => text.includes('%'))));
          assert.ok(axis.length >= 2, JSON.stringify(axis));
          axis.slice(1).forEach(({ y }, at) => assert.ok(axis[at].y - y >= 16, `labels overlap: ${JSON.stringify(axis)}`));
          for (const { text, x, width } of axis) assert.ok(x - width >= 0, `${text} is cut off`);
          const cut = await visit.page.$$eval('.numbers dd', (boxes) => boxes.filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.textContent));
          assert.deepEqual(cut, [], 'no number is cut off');
          console.log(`${kind}: lr ${lr}: “${await visit.text('status')}”, loss ${await visit.text('loss')}, axis ${axis.map(({ text }) => text).join(' ')}`);
        }
        // The engine has stopped by itself: its network is finite again, and can be downloaded.
        await visit.state('diverged');
        assert.match(await visit.text('status'), /^Training diverged: found NaN or infinity in (layer|the parameter) .*, at step \d+\. The network was reset/);
        assert.match(await visit.fault(), /diverged.*lr/s);
        await visit.page.$eval('#checkpoint-download', (button) => button.click()); // cards above it may just have grown
        assert.ok((await visit.download()).length > 1000);
        await visit.page.click('#pad-random');
        await visit.until(() => /\d%/.test(document.querySelector('#prediction').textContent), undefined, 20_000);
        await visit.page.close();
      });

      await t.test('a run that patience has ended is over, and says so', async () => {
        const visit = await come();
        await fresh(visit);
        await visit.write(edited(/^lr = .*$/m, 'lr = 1e-9').replace(/^validation = 0 .*$/m, 'validation = 0.1').replace(/^\[train\]$/m, '[train]\npatience = 1'));
        await visit.use();
        await visit.page.click('#train');
        await visit.state('finished');
        assert.equal(await visit.text('curve-part'), 'validation');
        assert.match(await visit.text('status'), /^Stopped after epoch \d/);
        assert.ok(await visit.number('epoch') < 20);
        await visit.page.click('#reset');
        await visit.page.close();
      });

      await t.test('files: strays are named, a single class is refused, words are those of the network', async () => {
        const visit = await come();
        await fresh(visit);
        const { page } = visit;
        const say = (words) => visit.until((words) => document.querySelector('#data-summary').textContent.includes(words), words, 20_000);
        const classes = ['cat', 'dog'].flatMap((name) => Array.from({ length: 5 }, (_, at) => ({ path: `pets/${name}/${at}.png`, colour: name === 'cat' ? 'red' : 'blue' })));
        await page.evaluate(choose, [...classes, { path: 'pets/stray.png' }, { path: 'pets/notes.txt' }, { path: 'pets/@eaDir/cat/0.png' }, { path: 'pets/.cache/x.png' }]);
        await say('8 images to train on and 2 to test on, 2 classes (cat, dog)');
        await say('pets/stray.png – not in a folder named after its class');
        assert.match(await visit.text('data-summary'), /Skipped 2 files/);
        await page.evaluate(choose, classes.filter(({ path }) => path.includes('cat')));
        assert.match(await visit.fault(), /one class, in the folder “cat”/);
        await page.evaluate(choose, ['train', 'val'].flatMap((split) => classes.map(({ path, ...rest }) => ({ path: path.replace('pets/', `pets/${split}/`), ...rest }))));
        await say('10 images to train on and 10 to test on, 2 classes (cat, dog)');
        await page.click('#data-recipe');
        await visit.until(() => !document.querySelector('#recipe-use').disabled && document.querySelector('#recipe').value.includes('classes = 2'));
        await page.click('#recipe-use');
        // Progress is shown beside the button at once.
        assert.deepEqual(await page.evaluate(() => [document.querySelector('#recipe-use').textContent, document.querySelector('#recipe-use').disabled, document.querySelector('#recipe-state').textContent !== '']), ['Opening …', true, true]);
        await visit.until(() => document.querySelector('#recipe-state a')?.getAttribute('href') === '#main', undefined, 120_000);
        for (const id of ['lead', 'draw', 'status']) assert.doesNotMatch(await visit.text(id).then((text) => text.replace('Draw a digit', id === 'draw' ? '' : '$&')), /digit|GPU/i, id);
        assert.match(await visit.text('lead'), /2 classes of your own images/);
        assert.equal(await visit.text('draw-title'), 'Show it an image');
        // A network whose classes are in another order: the images' labels are matched by name.
        const named = () => page.$$eval('#probabilities .name', (names) => names.map(({ textContent }) => textContent));
        assert.deepEqual(await named(), ['cat', 'dog']);
        const file = path.join(scratch, `${kind}.safetensors`);
        writeFileSync(file, await dogsFirst(await page.$eval('#recipe', ({ value }) => value)));
        await visit.give('checkpoint-upload', file);
        await visit.until(() => /loaded/i.test(document.querySelector('#checkpoint-text').textContent), undefined, 120_000);
        assert.match(await visit.text('checkpoint-text'), /^Loaded .* step 1\.$/);
        await visit.until(() => document.querySelector('#probabilities .name').textContent === 'dog', undefined, 20_000);
        assert.deepEqual(await named(), ['dog', 'cat']);
        // Folders without the network's classes are refused by name, and the run is kept.
        await page.evaluate(choose, classes.map(({ path, ...rest }) => ({ path: path.replace('dog', 'bird'), ...rest })));
        await say('(bird, cat)');
        await visit.give('checkpoint-upload', file);
        assert.match(await visit.fault(), /bird|dog/);
        assert.match(await visit.text('checkpoint-text'), /not loaded; the run is unchanged/);
        await page.evaluate(choose, ['train', 'test'].map((split, at) => ({ path: `pets/${split}/${'ab'[at]}/0.png` })));
        assert.match(await visit.fault(), /there is test\/b, but no train\/b/i);
        await page.close();
      });

      await t.test('what is missing is named with a link to it; a blank picture is told', async () => {
        const visit = await come();
        await fresh(visit);
        const { page } = visit;
        await page.select('#recipe-choice', 'vgg-small');
        await visit.until(() => document.querySelector('#recipe-use').textContent === 'Use this recipe', undefined, 20_000);
        await page.click('#recipe-use');
        await page.waitForSelector('#fault a');
        const [target, name] = await page.$eval('#fault a', (link) => [link.getAttribute('href'), link.textContent]);
        assert.equal(await page.$eval(target, (heading) => heading.textContent), name);
        assert.match(await visit.text('recipe-state'), /not opened/);
        await visit.fault();
        await page.evaluate(async () => {
          const canvas = new OffscreenCanvas(40, 40);
          const context = canvas.getContext('2d');
          context.fillStyle = 'white';
          context.fillRect(0, 0, 40, 40);
          const input = document.querySelector('#classify');
          Object.defineProperty(input, 'files', { value: [new File([await canvas.convertToBlob()], 'paper.png', { type: 'image/png' })], configurable: true });
          input.dispatchEvent(new Event('change'));
        });
        assert.match(await visit.fault(), /picture paper\.png is blank/);
        await page.close();
      });

      await t.test('before the first step nothing is large and empty; figures have names and no hashes', async () => {
        const visit = await come();
        await fresh(visit);
        const { page } = visit;
        const tall = await page.$$eval('.weights, .confusion, .planes', (hosts) => hosts.filter((host) => host.querySelector('.empty') && host.clientHeight > 60).map(({ id, clientHeight }) => `${id}: ${clientHeight}`));
        assert.deepEqual(tall, []);
        await page.click('#pad-random');
        await page.waitForSelector('#planes figcaption');
        for (const caption of await page.$$eval('#planes figcaption', (captions) => captions.map(({ textContent }) => textContent))) assert.doesNotMatch(caption, /[0-9a-f]{16}/);
        for (const width of [320, 360, 1024]) {
          await page.setViewport({ width, height: 640 });
          assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} pixels`);
        }
        await page.close();
      });

      assert.deepEqual(server.violations, []);
      assert.deepEqual(logs.flat(), [], 'nothing on the console');
    });
  });
}
