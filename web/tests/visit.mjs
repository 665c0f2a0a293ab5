// Actions of a user on the page, and what the page shows.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './browsers.mjs';

// Longer than training takes on software drivers that share two cores.
const PATIENCE_MS = 400_000;
const IMAGES = path.join(ROOT, 'docs/guide/images');
// No isMobile or hasTouch: changing those reloads the page.
const SIZES = { desktop: { width: 1280, height: 900, until: '#classes' }, phone: { width: 390, height: 844, deviceScaleFactor: 2, until: '#inside' } };

// Runs in the page before its scripts: records the time from the click to the first step, and files offered for download.
function watch() {
  const watched = window.watched = { blobs: [] };
  const { createObjectURL } = URL;
  URL.createObjectURL = (blob) => {
    watched.blobs.push(blob);
    return createObjectURL.call(URL, blob);
  };
  addEventListener('click', ({ target, timeStamp }) => {
    if (target.closest?.('#train')) watched.clicked ??= timeStamp;
  }, true);
  addEventListener('DOMContentLoaded', () => {
    const step = document.querySelector('#step');
    if (!step) return; // another page
    new MutationObserver(() => {
      if (Number(step.dataset.value) >= 1) watched.first ??= performance.now() - watched.clicked;
    }).observe(step, { attributes: true, attributeFilter: ['data-value'] });
  });
}

export class Visit {
  static async start(browser, address) {
    const visit = new Visit();
    visit.page = await browser.newPage();
    visit.log = [];
    visit.page.on('console', (message) => visit.log.push(`${message.type()}: ${message.text()}`));
    visit.page.on('pageerror', (error) => visit.log.push(`uncaught: ${error.message}`));
    await visit.page.evaluateOnNewDocument(watch);
    await visit.page.goto(address);
    return visit;
  }

  // Waits until `seen(argument)` is true in the page.
  until(seen, argument, timeout = PATIENCE_MS) {
    return this.page.waitForFunction(seen, { timeout, polling: 200 }, argument);
  }

  // Waits until the run is in this state.
  state(state) {
    return this.until((state) => document.querySelector('#train').dataset.state === state, state);
  }

  // A displayed number, in full precision.
  number(id) {
    return this.page.$eval(`#${id}`, (element) => Number(element.dataset.value));
  }

  // Milliseconds from the click to the first step.
  async first() {
    await this.until(() => window.watched.first !== undefined);
    return this.page.evaluate(() => window.watched.first);
  }

  // Starts recording the tasks of Chromium's threads.
  async record() {
    await this.page.tracing.start({ categories: ['toplevel', 'blink.user_timing'] });
    await this.page.evaluate(() => performance.mark('the main thread'));
  }

  // The longest task of the main thread since then: {cpu_ms, wall_ms}. They differ by the processor time that other threads took.
  async longestTask() {
    const { traceEvents } = JSON.parse(new TextDecoder().decode(await this.page.tracing.stop()));
    const { pid, tid } = traceEvents.find(({ name }) => name === 'the main thread');
    const tasks = traceEvents.filter((event) => event.pid === pid && event.tid === tid && event.name === 'ThreadControllerImpl::RunTask' && event.tdur !== undefined);
    const longest = (field) => Math.max(...tasks.map((task) => task[field])) / 1000;
    return { tasks: tasks.length, cpu_ms: longest('tdur'), wall_ms: longest('dur') };
  }

  // Waits for `count` further steps, counted from the step to which the run may be reset.
  async stepsOn(count) {
    const before = await this.number('step');
    await this.until((before) => Number(document.querySelector('#step').dataset.value) !== before, before);
    const from = Math.min(before, await this.number('step'));
    await this.until((to) => Number(document.querySelector('#step').dataset.value) >= to, from + count);
  }

  // Moves the focus to an element with the Tab key, from the top of the page.
  async tabTo(id) {
    await this.page.focus('.skip');
    for (let presses = 0; presses < 100; presses += 1) {
      await this.page.keyboard.press('Tab');
      if (await this.page.evaluate((id) => document.activeElement?.id === id, id)) return;
    }
    throw new Error(`the Tab key does not reach #${id}`);
  }

  // Draws strokes on the pad with the mouse.
  async draw(strokes) {
    const { page } = this;
    await page.click('#pad-clear');
    const pad = await page.$('#pad');
    await pad.scrollIntoView();
    const { x, y, width, height } = await pad.boundingBox();
    for (const stroke of strokes) {
      const [start, ...rest] = stroke.map(([column, row]) => [x + (column / 32) * width, y + (row / 32) * height]);
      await page.mouse.move(...start);
      await page.mouse.down();
      for (const to of rest) await page.mouse.move(...to, { steps: 3 });
      await page.mouse.up();
    }
  }

  // The bytes of the file offered for download, once.
  async download() {
    await this.until(() => window.watched.blobs.length > 0, undefined, 60_000);
    const base64 = await this.page.evaluate(() => new Promise((read) => {
      const reader = new FileReader();
      reader.onload = () => read(reader.result.slice(reader.result.indexOf(',') + 1));
      reader.readAsDataURL(window.watched.blobs.pop());
    }));
    return Buffer.from(base64, 'base64');
  }

  // Chooses a file in a file field.
  async give(id, file) {
    const field = await this.page.$(`#${id}`);
    await field.uploadFile(file);
  }

  // Writes another recipe into the editor and waits until it is checked.
  async write(recipe) {
    await this.page.$eval('#recipe', (area, recipe) => {
      area.value = recipe;
      area.dispatchEvent(new Event('input', { bubbles: true }));
    }, recipe);
    await this.until(() => document.querySelector('#recipe-use').textContent === 'Use this recipe' && !document.querySelector('#recipe-use').disabled, undefined, 20_000);
  }

  // Uses the recipe in the editor, and waits until it is open.
  async use() {
    await this.page.click('#recipe-use');
    await this.until(() => document.querySelector('#recipe-state a'), undefined, 120_000);
  }

  text(id) {
    return this.page.$eval(`#${id}`, (element) => element.textContent);
  }

  hidden(id) {
    return this.page.$eval(`#${id}`, (element) => element.hidden);
  }

  // Waits for a fault message, returns its text and closes it.
  async fault() {
    await this.page.waitForSelector('#fault .fault', { timeout: 120_000 });
    const said = await this.page.$eval('#fault .fault p', (sentence) => sentence.textContent);
    await this.page.$$eval('#fault .close', (buttons) => buttons.forEach((button) => button.click()));
    return said;
  }

  // With UPDATE_SCREENSHOTS=1, takes screenshots of the upper part of the page in Chromium: desktop and phone, light and dark.
  async pictures(kind) {
    if (kind !== 'chromium' || process.env.UPDATE_SCREENSHOTS !== '1') return;
    const { page } = this;
    const viewport = page.viewport();
    mkdirSync(IMAGES, { recursive: true });
    for (const [size, { until, ...shape }] of Object.entries(SIZES)) {
      await page.setViewport(shape);
      for (const scheme of ['light', 'dark']) {
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
        await page.evaluate(() => scrollTo(0, 0));
        await new Promise((settled) => setTimeout(settled, 1000));
        const height = await page.$eval(until, (section) => Math.floor(section.getBoundingClientRect().top + scrollY));
        await page.screenshot({ path: path.join(IMAGES, `web-${size}-${scheme}.png`), clip: { x: 0, y: 0, width: shape.width, height }, captureBeyondViewport: true });
      }
    }
    await page.emulateMediaFeatures([]);
    await page.setViewport(viewport);
  }
}
