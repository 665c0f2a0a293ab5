// The walk of a web developer, in a project with the installed package; tests/walks.rs runs the others.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { ROOT } from './browsers.mjs';
import { installed } from './installed.mjs';
import { folderOf } from './native.mjs';

test('a web developer trains a network, and classifies an image with it in Node.js', (t) => {
  const [project, home] = ['project', 'home'].map((name) => mkdtempSync(path.join(tmpdir(), `halfwave-${name}-`)));
  t.after(() => [project, home].forEach((folder) => rmSync(folder, { recursive: true, force: true })));
  installed(project);
  const env = { PATH: [folderOf('halfwave'), process.env.PATH].join(path.delimiter), HOME: home, XDG_RUNTIME_DIR: home, VK_DRIVER_FILES: 'none', VK_ICD_FILENAMES: 'none' };
  const { status, stdout, stderr } = spawnSync('bash', [path.join(ROOT, 'tests/walks/web-developer.sh')], { cwd: project, encoding: 'utf8', env });
  assert.equal(status, 0, `${stdout}\n${stderr}`);
});
