// The npm package: its files, its types, and the example in its README, run as printed.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { KINDS, ROOT, withBrowser } from './browsers.mjs';
import { withEngine } from './engine.mjs';
import { installed } from './installed.mjs';
import { serve } from './server.mjs';

const folder = path.join(ROOT, 'web/pkg');
const example = /```js\n(.*?)```/s.exec(readFileSync(path.join(folder, 'README.md'), 'utf8'))[1];

test('the package holds what it names', () => {
  const { name, version, exports, files, types } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  assert.equal(name, 'halfwave');
  assert.equal(version, /^version = "(.*)"/m.exec(readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8'))[1]);
  for (const file of [...files, types, ...Object.values(exports).flatMap((way) => (typeof way === 'string' ? [way] : Object.values(way)))]) assert.ok(existsSync(path.join(folder, file)), file);
  const [{ files: packed }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  assert.deepEqual(packed.map(({ path }) => path).sort(),
    ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'halfwave.d.ts', 'halfwave.js', 'halfwave_bg.wasm',
      ...['element.d.ts', 'element.js', 'error.js', 'halfwave_infer.d.ts', 'halfwave_infer.js', 'halfwave_infer_bg.wasm', 'images.js', 'index.d.ts', 'index.js', 'link.js', 'look.js', 'node.js', 'normalise.js', 'strokes.js'].map((name) => `infer/${name}`),
      'node.js', 'package.json']);
});

test('on a machine with Rust alone, build.sh prints every command that is missing', (t) => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-build-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  for (const name of ['bin', 'web', 'tools']) mkdirSync(path.join(scratch, name));
  for (const [name, from, to] of [['web/build.sh'], ['tools/wasm-cargo.sh', /\/usr\/bin\//g, '/none/']]) {
    const text = readFileSync(path.join(ROOT, name), 'utf8');
    writeFileSync(path.join(scratch, name), from ? text.replace(from, to) : text, { mode: 0o755 });
  }
  // A rustc without the wasm32 target.
  writeFileSync(path.join(scratch, 'bin/rustc'), '#!/bin/sh\necho /none\n', { mode: 0o755 });
  const programs = (names) => names.forEach((name) => symlinkSync(execFileSync('which', [name], { encoding: 'utf8' }).trim(), path.join(scratch, 'bin', name)));
  const build = () => spawnSync(execFileSync('which', ['bash'], { encoding: 'utf8' }).trim(), [path.join(scratch, 'web/build.sh')], { encoding: 'utf8', env: { PATH: path.join(scratch, 'bin') } });
  programs(['bash', 'dirname', 'env', 'sed']);
  const [both, target] = [build(), (programs(['node', 'npm']), build())];
  assert.equal(both.status, 1);
  for (const words of ['sudo apt install nodejs npm', 'brew install node', 'rustup target add wasm32-unknown-unknown']) assert.ok(both.stderr.includes(words), both.stderr);
  assert.equal(target.status, 3, 'only the compiler is missing');
  assert.match(target.stderr, /rustup target add wasm32-unknown-unknown/);
  assert.doesNotMatch(target.stderr, /nodejs/);
});

test('its types fit its example', () => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-types-'));
  try {
    mkdirSync(path.join(scratch, 'node_modules'));
    symlinkSync(folder, path.join(scratch, 'node_modules/halfwave'));
    writeFileSync(path.join(scratch, 'package.json'), '{"type": "module"}');
    writeFileSync(path.join(scratch, 'example.ts'), example);
    const options = ['--noEmit', '--strict', '--target', 'es2023', '--lib', 'es2023,dom', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', ''];
    const tsc = (file) => execFileSync(path.join(ROOT, 'web/node_modules/.bin/tsc'), [...options, path.join(scratch, file)], { encoding: 'utf8', cwd: scratch });
    tsc('example.ts');
    // The check works: a misspelt method must not pass.
    writeFileSync(path.join(scratch, 'wrong.ts'), example.replace('session.evaluate()', 'session.evaluated()'));
    assert.throws(() => tsc('wrong.ts'), ({ stdout }) => stdout.includes('evaluated'));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});

test('the page’s own types and the package’s agree', () => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-page-types-'));
  try {
    // Files loaded by the main thread and by its Worker, and those embedded in the native program.
    for (const [file, world] of [['app.js', ['dom', 'dom.iterable']], ['shared.js', ['dom', 'dom.iterable']], ['../infer/element.js', ['dom', 'dom.iterable']], ['../infer/index.js', ['dom', 'dom.iterable']], ['report.js', ['dom', 'dom.iterable']], ['comparison.js', ['dom', 'dom.iterable']], ['worker.js', ['webworker', 'webworker.iterable']]]) {
      const compilerOptions = {
        noEmit: true, strict: true, noImplicitAny: false, allowJs: true, checkJs: true, target: 'es2023', lib: ['es2024', 'esnext.disposable', ...world],
        module: 'es2022', moduleResolution: 'bundler', types: [],
        // The page only finds the package beside it where it is deployed.
        rootDirs: ['page', '', 'infer', 'pkg/infer'].map((folder) => path.join(ROOT, 'web', folder)),
      };
      writeFileSync(path.join(scratch, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [path.join(ROOT, 'web/page', file)] }));
      execFileSync(path.join(ROOT, 'web/node_modules/.bin/tsc'), ['-p', scratch], { encoding: 'utf8' });
    }
  } catch (error) {
    assert.fail(error.stdout ?? error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});

test('in an empty project with the packed file installed, Vite builds the README’s Worker and page with its defaults, and they train', async (t) => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-vite-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const [, worker, page] = /```js\n(.*?)```.*?```js\n(.*?)```/s.exec(readFileSync(path.join(folder, 'README.md'), 'utf8'));
  installed(scratch);
  writeFileSync(path.join(scratch, 'worker.js'), worker);
  writeFileSync(path.join(scratch, 'main.js'), page);
  writeFileSync(path.join(scratch, 'index.html'), '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>');
  // Only sets the address under which it is served.
  execFileSync(path.join(ROOT, 'web/node_modules/.bin/vite'), ['build', '--base', '/app/', '--logLevel', 'error'], { cwd: scratch, encoding: 'utf8' });
  const server = await serve([{ at: '/app/', folder: path.join(scratch, 'dist') }]);
  t.after(() => server.close());
  await withBrowser('chromium', t, server.port, async (browser) => {
    const tab = await browser.newPage();
    const lines = [];
    const done = new Promise((resolve, reject) => {
      tab.on('console', (message) => lines.push(message.text()) && message.text().startsWith('a checkpoint of') && resolve());
      tab.on('pageerror', reject);
    });
    await tab.goto(`${server.origin}/app/`);
    await done;
    assert.equal(lines.filter((line) => /^step \d+: loss/.test(line)).length, 6);
    assert.ok(Number(/of (\d+) bytes/.exec(lines.at(-1))[1]) > 10_000, lines.at(-1));
  });
});

for (const kind of KINDS) {
  test(`the README's example in ${kind}`, (t) => withEngine(kind, t, async ({ call }) => {
    const body = example.replace(/^import .*\n/, '');
    const made = await call(async (halfwave, body) => {
      const lines = [];
      const run = new Function('init', 'Dataset', 'Session', 'recipes', 'console', 'postMessage', body);
      const checkpoint = await new Promise((done) => run(halfwave.default, halfwave.Dataset, halfwave.Session, halfwave.recipes, { log: (line) => lines.push(line) }, done));
      return [...lines, halfwave.recipeOf(checkpoint)];
    }, body);
    const [printed, recipe] = [made.slice(0, -1), made.at(-1)];
    assert.match(recipe, /set = "digits"/, 'it hands a checkpoint over');
    console.log(`${kind}: ${printed.join('; ')}`);
    assert.equal(printed.length, 1 + 6 + 1, 'adapter, six losses, accuracy');
    assert.match(printed.at(-1), /^\d+\.\d% of the test images/);
    assert.ok(parseFloat(printed.at(-1)) > 50, 'it learns');
  }));
}

for (const kind of KINDS) {
  test(`submissions are traced in ${kind}`, (t) => withEngine(kind, t, async ({ call }) => {
    const { trace, again, dispatches, hash } = await call(async ({ Dataset, Session, recipes }) => {
      const session = await Session.open(recipes()[0].text, Dataset.digits());
      await session.advance(3);
      await session.evaluate();
      const [trace, again] = [await session.trace(), await session.trace()];
      const { dispatches, hash } = session.plan;
      session.free();
      return { trace, again, dispatches, hash };
    });
    const training = trace.filter(({ plan }) => plan === hash);
    assert.ok(training.length > 0, 'training steps are measured');
    for (const { first, kernels, ms } of training) {
      assert.ok(kernels.length > 0 && first + kernels.length <= dispatches, `${first} and ${kernels.length} of ${dispatches}`);
      assert.ok(ms > 0, `${ms} ms`);
    }
    assert.deepEqual(again, [], 'submissions are reported only once');
    console.log(`${kind}: ${training.length} submissions of training steps, the longest ${Math.max(...training.map(({ ms }) => ms)).toFixed(1)} ms`);
  }));
}
