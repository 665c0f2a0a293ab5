// A project with the package installed from the file that `npm pack` makes, as a user has it.
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './browsers.mjs';

/** Creates the project in an empty `folder`; `others` are packages of web/node_modules that it uses as well. */
export function installed(folder, others = []) {
  mkdirSync(folder, { recursive: true });
  const npm = (...args) => execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const [{ filename }] = JSON.parse(npm('pack', path.join(ROOT, 'web/pkg'), '--json', '--ignore-scripts'));
  writeFileSync(path.join(folder, 'package.json'), '{"private": true, "type": "module"}');
  npm('install', '--offline', '--no-audit', '--no-fund', '--loglevel', 'error', `./${filename}`);
  for (const name of others) symlinkSync(path.join(ROOT, 'web/node_modules', name), path.join(folder, 'node_modules', name));
}
