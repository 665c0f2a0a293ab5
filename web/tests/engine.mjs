// The package in a Worker of a browser, for tests: `await call((halfwave, argument) => ..., argument)`.
import path from 'node:path';
import { ROOT, withBrowser } from './browsers.mjs';
import { decode, encode } from './fixtures/codec.js';
import { serve } from './server.mjs';

// An error thrown by a test function in the Worker.
export class Thrown extends Error {
  constructor(thrown) {
    super(thrown.message);
    Object.assign(this, thrown);
  }
}

// Opens a page whose Worker loads the package, and runs `use({call, page, log, server})`. `log` holds the console's lines and uncaught errors.
export async function withEngine(kind, t, use) {
  const server = await serve([
    { at: '/some/path/pkg/', folder: path.join(ROOT, 'web/pkg') },
    { at: '/assets/', folder: path.join(ROOT, 'assets') },
    { at: '/tests/', folder: path.join(ROOT, 'web/tests/fixtures') },
  ]);
  try {
    return await withBrowser(kind, t, server.port, async (browser) => {
      const page = await browser.newPage();
      const log = [];
      page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
      page.on('pageerror', (error) => log.push(`uncaught: ${error.message}`));
      await page.goto(`${server.origin}/tests/engine.html`);
      await page.waitForFunction(() => typeof window.call === 'function');
      const call = async (run, argument) => {
        const answer = await page.evaluate(
          (source, value) => window.call(source, value).then((value) => ({ value }), (error) => ({ error: error.message })), String(run), encode(argument) ?? null);
        if (answer.error) throw new Thrown(JSON.parse(answer.error));
        return decode(answer.value);
      };
      return await use({ call, page, log, server });
    });
  } finally {
    await server.close();
  }
}
