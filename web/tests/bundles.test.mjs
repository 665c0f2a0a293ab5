// The pages that the native program embeds are made of the modules and styles as they are now.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { PAGES, bundle, bundlePath } from '../bundle.mjs';

for (const name of PAGES) {
  test(`the page of a ${name} is up to date`, async () => {
    assert.ok(readFileSync(bundlePath(name), 'utf8') === (await bundle(name)), `web/bundles/${name}.html is out of date: run web/build.sh --bundles`);
  });
}
