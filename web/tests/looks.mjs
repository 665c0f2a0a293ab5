// What a page looks like: its width, and pictures of it.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

const { SCREENSHOTS } = process.env;

// Nothing is wider than the window.
export async function fits(page) {
  const outside = await page.evaluate(() => (document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map(({ id, className, tagName }) => `${tagName}#${id}.${className}`)));
  assert.deepEqual(outside, []);
}

// With SCREENSHOTS=FOLDER, pictures of a page as it is, or of a part: light, dark, and on a phone.
export async function pictures(page, kind, name, part) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  const viewport = page.viewport();
  for (const [scheme, shape] of [['light', viewport], ['dark', viewport], ['light', { width: 390, height: 844, deviceScaleFactor: 1 }]]) {
    await page.setViewport(shape);
    if (kind === 'chromium') await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    else if (scheme === 'dark') continue;
    await new Promise((settled) => setTimeout(settled, 500));
    const file = path.join(SCREENSHOTS, `${kind}-${name}-${scheme}-${shape.width}.png`);
    if (part) await (await page.$(part)).screenshot({ path: file });
    else await page.screenshot({ path: file });
  }
  if (kind === 'chromium') await page.emulateMediaFeatures([]);
  await page.setViewport(viewport);
}
