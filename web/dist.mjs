// Makes web/dist, what is deployed: the page, the package's files that it loads in dist/pkg, and each text and wasm file once more as
// .br and .gz for web servers that send those. The page's modules and styles are copied without comments and indentation, a fifth of
// what they take compressed. Prints the sizes; fails when what training loads, gzipped, exceeds the budget. Networks in
// links and the example of an element load the small runtime instead, which has a budget of its own (budget.mjs); the page that
// a profile is downloaded in is fetched for that only.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const BUDGET_BYTES = 1.52e6; // Equal sources differ by some kilobytes, depending on what is inlined.
// What is only loaded without the engine.
const SMALL = /^(embed\.html|shared\.js|.*\.packed\.safetensors|pkg.infer.(?!(error|link|normalise|strokes)\.js).*)$/;
// What is only fetched to be downloaded.
const DOWNLOADS = /^profile-page\.html$/;
const COMPRESSIBLE = new Set(['.css', '.html', '.js', '.json', '.svg', '.toml', '.wasm', '.webmanifest']);
const here = fileURLToPath(new URL('.', import.meta.url));
const dist = path.join(here, 'dist');
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(10);

const files = new Map();
for (const name of readdirSync(path.join(here, 'page'), { recursive: true })) {
  // The page never shows a report or a comparison; the native program embeds what draws them.
  if (!/^(report|comparison)/.test(name)) files.set(name, path.join(here, 'page', name));
}
// What a profile is downloaded in: the page that the native program embeds.
files.set('profile-page.html', path.join(here, 'bundles/profile.html'));
const infer = readdirSync(path.join(here, 'pkg/infer')).filter((name) => /\.(js|wasm)$/.test(name) && name !== 'node.js');
for (const name of ['halfwave.js', 'halfwave_bg.wasm', ...infer.map((name) => path.join('infer', name))]) files.set(path.join('pkg', name), path.join(here, 'pkg', name));

const { transformSync } = await import('esbuild').catch(() => ({})); // without npm's registry everything is copied as it is
const LOADERS = { '.js': 'js', '.css': 'css' };
const contents = (name, source) => {
  const loader = LOADERS[path.extname(name)];
  const bytes = readFileSync(source);
  return transformSync && loader ? Buffer.from(transformSync(bytes.toString(), { loader, minifyWhitespace: true, charset: 'utf8', legalComments: 'none' }).code) : bytes;
};

const sum = () => ({ raw: 0, gzip: 0, brotli: 0 });
const [training, small, downloads] = [sum(), sum(), sum()];
const wanted = new Set();
for (const [name, source] of [...files].sort()) {
  if (statSync(source).isDirectory()) continue;
  const target = path.join(dist, name);
  const bytes = contents(name, source);
  const copies = COMPRESSIBLE.has(path.extname(name)) ? [`${target}.br`, `${target}.gz`] : [];
  for (const file of [target, ...copies]) wanted.add(file);
  if (![target, ...copies].every(existsSync) || !bytes.equals(readFileSync(target))) {
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, bytes);
    if (copies.length) {
      writeFileSync(copies[0], brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 22 } }));
      writeFileSync(copies[1], gzipSync(bytes, { level: 9 }));
    }
  }
  const [brotli, gzip] = copies.length ? copies.map((file) => statSync(file).size) : [bytes.length, bytes.length];
  const part = SMALL.test(name) ? small : DOWNLOADS.test(name) ? downloads : training;
  part.raw += bytes.length;
  part.gzip += gzip;
  part.brotli += brotli;
  console.log(`${kilobytes(bytes.length)} raw ${kilobytes(gzip)} gz ${kilobytes(brotli)} br   ${name}`);
}
for (const name of existsSync(dist) ? readdirSync(dist, { recursive: true }) : []) {
  const file = path.join(dist, name);
  if (existsSync(file) && statSync(file).isFile() && !wanted.has(file)) rmSync(file);
}
for (const [what, { raw, gzip, brotli }] of [[`training (budget ${BUDGET_BYTES / 1e6} MB gz)`, training], ['networks in links and the element', small], ['downloads', downloads]]) {
  console.log(`${kilobytes(raw)} raw ${kilobytes(gzip)} gz ${kilobytes(brotli)} br   ${what}`);
}
if (training.gzip > BUDGET_BYTES) {
  console.error(`build: error: the page is ${kilobytes(training.gzip).trim()} compressed, more than its budget of ${BUDGET_BYTES / 1e6} MB`);
  process.exit(1);
}
