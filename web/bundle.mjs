// Makes web/bundles: the pages of a report, of a profile and of the difference between two profiles, each a single file with its style and its program, which the native program
// embeds. They are kept in the repository, so that cargo build does not need Node.js; web/tests/bundles.test.mjs fails if they are out of date.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const STYLES = { report: ['theme', 'style', 'inside', 'report', 'report-chart'], profile: ['theme', 'style', 'profile'], comparison: ['theme', 'style', 'profile', 'comparison'] };
export const PAGES = Object.keys(STYLES);
const page = fileURLToPath(new URL('page', import.meta.url));
export const bundlePath = (name) => new URL(`bundles/${name}.html`, import.meta.url);

async function bundled(loader, contents) {
  const input = { stdin: { contents, loader, resolveDir: page }, absWorkingDir: page };
  const { outputFiles } = await build({ ...input, bundle: true, format: loader === 'js' ? 'esm' : undefined, charset: 'utf8', write: false });
  return outputFiles[0].text.trimEnd();
}

/** The page with two places left, `@TITLE@` and `@DATA@`. */
export async function bundle(name) {
  const style = await bundled('css', STYLES[name].map((file) => `@import "./${file}.css";\n`).join(''));
  const call = 'render(document.getElementById("view"), JSON.parse(document.getElementById("data").textContent));';
  const program = await bundled('js', `import { render } from "./${name}.js";\n${call}`);
  return readFileSync(new URL('template.html', import.meta.url), 'utf8').replace('@STYLE@', () => style).replace('@PROGRAM@', () => program);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of PAGES) writeFileSync(bundlePath(name), await bundle(name));
}
