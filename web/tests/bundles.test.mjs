// The pages that the native program embeds are made of the modules and styles as they are now.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { PAGES, bundle, bundlePath } from '../bundle.mjs';
import { ticks } from '../page/report-scale.js';

for (const name of PAGES) {
  test(`the page of a ${name} is up to date`, async () => {
    assert.ok(readFileSync(bundlePath(name), 'utf8') === (await bundle(name)), `web/bundles/${name}.html is out of date: run web/build.sh --bundles`);
  });
}

test('axes of numbers beyond 2^53 have ticks, and finitely many', () => {
  assert.deepEqual(ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(ticks(2 ** 53, 1.2 * 2 ** 53, 5), [9.5e15, 1e16, 1.05e16]);
  for (const low of [2 ** 53, 2 ** 60, 1e300]) assert.ok(ticks(low, low + 4, 5, 1).length <= 9);
});

// dist.mjs leaves out the modules of reports and comparisons, which the page never shows.
test('what the page loads needs no module that only reports have', () => {
  const left = /^(report|comparison)/;
  const folder = fileURLToPath(new URL('../page/', import.meta.url));
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.js') && !left.test(name))) {
    const imported = [...readFileSync(folder + name, 'utf8').matchAll(/(?:from|import\()\s*["']\.\/([\w.-]+)["']/g)].map(([, other]) => other);
    assert.deepEqual(imported.filter((other) => left.test(other)), [], name);
  }
});
