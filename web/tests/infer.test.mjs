// The small runtime in Node.js: its size, its answers compared with the engine's to the bit, links, pictures, and files that are no networks.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { pathToFileURL } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { BUDGET_BYTES, sizes } from '../budget.mjs';
import { decode, encode, load, Network } from '../pkg/infer/node.js';
import init, { Dataset, Session, recipes } from '../pkg/node.js';
import { ROOT } from './browsers.mjs';
import { installed } from './installed.mjs';
import { halfwave } from './native.mjs';

const LINK_CHARACTERS = 20_000;
const PIXELS = 64;
const CLASSES = 10;
const scratch = mkdtempSync(path.join(tmpdir(), 'halfwave-infer-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const example = new Uint8Array(readFileSync(path.join(ROOT, 'web/page/digits.packed.safetensors')));

await init();
const data = Dataset.digits();
const images = data.pixels('test', 0, data.testLength);
const image = (at) => images.subarray(PIXELS * at, PIXELS * (at + 1));
const each = (answer) => Array.from({ length: data.testLength }, (_, at) => answer(image(at), at));
const session = await Session.open(recipes().find(({ name }) => name === 'digits').text, data, { adapter: 'cpu' });
while (session.position.step < 60) await session.advance(60 - session.position.step);
const bits = (floats) => Array.from(new Uint32Array(Float32Array.from(floats).buffer));
const refused = (kind, words) => (error) => {
  assert.deepEqual([error.name, error.kind], ['HalfwaveError', kind], error.stack);
  assert.match(error.message, words);
  return true;
};
const thrown = async (work) => Promise.resolve().then(work).then(() => null, (error) => error);

test('the runtime keeps its budget', () => {
  const { wasm, js, element } = sizes();
  console.log(`gzipped: ${wasm} bytes of WebAssembly and ${js} of JavaScript, ${wasm + js} of ${BUDGET_BYTES}; the element adds ${element}`);
  assert.ok(wasm > 10_000 && js > 1000 && element > 1000);
  assert.ok(wasm + js <= BUDGET_BYTES);
});

test('an exported network gives the logits of its session, bit for bit, on all test images', async () => {
  const packed = await session.exportPacked();
  const network = await load(packed);
  const expected = await session.logits(images);
  assert.equal(expected.length, CLASSES * data.testLength);
  assert.deepEqual(bits(each((image) => [...network.logits(image)]).flat()), bits(expected));
  const predicted = await session.predict(images);
  const answers = each((image) => network.classify(image));
  assert.deepEqual(answers.map((answer) => answer.class), predicted.map((answer) => answer.class));
  for (const [at, { probabilities, name, class: best }] of answers.entries()) {
    assert.equal(name, network.classes[best]);
    probabilities.forEach((share, of) => assert.ok(Math.abs(share - predicted[at].probabilities[of]) < 1e-6));
  }
  assert.deepEqual(network.classes, data.classes);
  assert.deepEqual(network.input, { height: 8, width: 8, channels: 1 });
  assert.equal(network.maxPixel, 16);
  assert.equal(network.card.steps, '60');
  assert.match(network.card.recipe, /set = "digits"/);
  const right = answers.filter((answer, at) => answer.class === data.label('test', at)).length;
  console.log(`${packed.length} bytes, ${network.bits} bits of numbers; ${right} of ${data.testLength} right after 60 steps`);
  network.free();

  const onnx = Buffer.from(await session.exportOnnx()).toString('latin1');
  for (const words of ['conv1', 'Conv', 'digits']) assert.ok(onnx.includes(words), words);
  assert.ok(Buffer.from(await session.exportOnnx({ weights: 'int2' })).length < onnx.length);
  refused('usage', /not "int3"/)(await thrown(() => session.exportOnnx({ weights: 'int3' })));

  const bare = await load(await session.exportPacked({ recipe: false, facts: { 'test accuracy': '0.5' } }));
  assert.equal(bare.card.recipe, undefined);
  assert.equal(bare.card['test accuracy'], '0.5');
  assert.deepEqual(refused('usage', /options/)(await thrown(() => session.exportPacked({ facts: 7 }))), true);
});

test('the native program reads the exported network, and counts the same images right', async () => {
  const file = path.join(scratch, 'exported.packed.safetensors');
  writeFileSync(file, await session.exportPacked());
  const network = await load(file);
  const right = each((image, at) => network.classify(image).class === data.label('test', at)).filter(Boolean).length;
  const said = halfwave('eval', file);
  assert.ok(said.includes(`(${right} of ${data.testLength})`), said);
  const same = await load(pathToFileURL(file));
  assert.deepEqual(bits(same.logits(image(3))), bits(network.logits(image(3))));
});

test('the example page’s network reads the digits', async () => {
  const network = await load(example);
  const right = each((image, at) => network.classify(image).class === data.label('test', at)).filter(Boolean).length;
  console.log(`the example: ${example.length} bytes, ${network.bits} bits, ${right} of ${data.testLength} right`);
  assert.equal((right / data.testLength).toFixed(4), network.card['test accuracy']);
  assert.ok(right / data.testLength > 0.95);
});

test('a link holds a network to the bit, in few characters', async () => {
  for (const [name, bytes] of [['the example', example], ['60 steps', await session.exportPacked({ recipe: false })]]) {
    const mark = await encode(bytes);
    const link = `https://example.org/some/path/${mark}`;
    console.log(`${name}: ${bytes.length} bytes in a link of ${link.length} characters`);
    assert.match(mark, /^#network=[\w-]+$/);
    assert.ok(link.length <= LINK_CHARACTERS);
    assert.deepEqual(await decode(link), bytes);
    const network = await load(link);
    assert.deepEqual(bits(network.logits(image(0))), bits((await load(bytes)).logits(image(0))));
  }
});

test('a link that is cut, changed or no network is told as such', async () => {
  const link = await encode(example);
  const begin = link.indexOf('=') + 1;
  for (const length of [0, 1, 2, 3, 10, 1000, link.length / 2, link.length - begin - 40, link.length - begin - 1].map(Math.floor)) {
    refused('link', /incomplete or damaged/)(await thrown(() => load(link.slice(0, begin + length))));
  }
  for (const garbage of ['#network=%%%', '#network=a b', '#network=ÿ', `${link}!`, '#network=', `#network=${'A'.repeat(5000)}`]) {
    refused('link', /incomplete or damaged/)(await thrown(() => load(garbage)));
  }
  let harmless = 0;
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (let at = begin; at < link.length; at += 37) {
    const other = letters[letters.indexOf(link[at]) ^ (1 << (at % 6))];
    const changed = link.slice(0, at) + other + link.slice(at + 1);
    const error = await thrown(async () => {
      const network = await load(changed);
      // Names of JSON's own, such as white space between fields, may differ.
      assert.deepEqual(each((image) => bits(network.logits(image))), each((image) => bits(known.logits(image))));
      harmless += 1;
    });
    assert.ok(error === null || ['link', 'file', 'network'].includes(error.kind), `${at}: ${error}`);
  }
  console.log(`${harmless} changed links still held the same network`);
  const url = (bytes) => `#network=${Buffer.from(deflateRawSync(bytes)).toString('base64url')}`;
  refused('link', /more than 16 MiB/)(await thrown(() => load(url(Buffer.alloc(40 << 20)))));
  refused('file', /not a complete packed network/)(await thrown(() => load(url(Buffer.from('hello')))));
});

const known = await load(example);

test('files that are cut, changed, foreign or no files are refused with a message', async () => {
  for (let length = 0; length < example.length; length += 97) {
    refused('file', /not a complete packed network/)(await thrown(() => load(example.slice(0, length))));
  }
  let harmless = 0;
  for (let at = 0; at < example.length; at += 31) {
    const changed = example.slice();
    changed[at] ^= 1 << (at % 8);
    const error = await thrown(async () => {
      const network = await load(changed);
      assert.deepEqual(bits(network.logits(image(1))), bits(known.logits(image(1))));
      network.free();
      harmless += 1;
    });
    assert.ok(error === null || ['file', 'network'].includes(error.kind), `byte ${at}: ${error}`);
  }
  console.log(`${harmless} changed files still held the same network`);
  refused('file', /a checkpoint of halfwave/)(await thrown(async () => load(await session.checkpoint())));
  for (const foreign of [new Uint8Array(0), new Uint8Array(100), new Uint8Array(64).fill(255), new TextEncoder().encode('PK\x03\x04 and so on'), readFileSync(path.join(ROOT, 'web/page/logo.svg'))]) {
    refused('file', /not a complete packed network.*halfwave export/)(await thrown(() => load(foreign)));
  }
  for (const nothing of [undefined, null, 7, {}, []]) refused('file', /address, a share link, or bytes/)(await thrown(() => load(nothing)));
  refused('file', /ENOENT/)(await thrown(() => load('/no/such/file')));
  refused('file', /could not be loaded from/)(await thrown(() => load('http://127.0.0.1:9/no')));
  assert.throws(() => new Network(example.slice(0, 500)), refused('file', /not a complete packed network/));
});

test('pictures are scaled, converted to grey, and put in the network’s range', () => {
  const picture = (width, height, pixel) => {
    const data = new Uint8ClampedArray(4 * width * height);
    for (let at = 0; at < width * height; at++) data.set(pixel(at % width, Math.floor(at / width)), 4 * at);
    return { width, height, data };
  };
  const grey = (value) => [value, value, value, 255];
  // As the native program rounds.
  const ramp = picture(8, 8, (x, y) => grey(4 * (8 * y + x)));
  assert.deepEqual([...known.prepare(ramp)], Array.from({ length: 64 }, (_, at) => Math.floor((4 * at * 16 + 127) / 255)));
  assert.deepEqual([...known.prepare(picture(8, 8, () => [255, 0, 0, 255]))], Array(64).fill(Math.floor((54 * 16 + 127) / 255)));
  // Four pixels become one, a pixel becomes four, thirds are shared.
  assert.deepEqual([...known.prepare(picture(16, 16, (x, y) => grey((x + y) % 2 ? 255 : 0)))], Array(64).fill(8));
  assert.deepEqual([...known.prepare(picture(4, 4, (x) => grey(x < 2 ? 0 : 255)))], Array.from({ length: 64 }, (_, at) => (at % 8 < 4 ? 0 : 16)));
  assert.deepEqual([...known.prepare(picture(12, 3, () => grey(255)))], Array(64).fill(16));
  assert.deepEqual([...known.prepare(picture(1, 1, () => [0, 0, 0, 0]))], Array(64).fill(16), 'white is behind transparent parts');
  assert.deepEqual([...known.prepare(picture(100, 100, () => grey(255)), { invert: true })], Array(64).fill(0));
  assert.deepEqual(known.prepare(image(5)), image(5), 'the network’s own input is left as it is');
  // A test image as a picture is the same image.
  const shown = picture(8, 8, (x, y) => grey(Math.min(255, 16 * image(5)[8 * y + x])));
  assert.deepEqual([...known.prepare(shown)], [...image(5)]);
  assert.equal(known.classify(shown).class, known.classify(image(5)).class);

  assert.throws(() => known.classify(new Uint8Array(63)), refused('image', /63|64/));
  assert.throws(() => known.classify({ width: 2, height: 2, data: new Uint8Array(5) }), refused('image', /5 values/));
  for (const nothing of [undefined, null, 'picture', {}, { width: 0, height: 0, data: [] }]) assert.throws(() => known.classify(nothing), refused('image', /ImageData/));
});

test('in an empty project with the package installed, the README’s example runs as printed, and the types fit', () => {
  const folder = path.join(scratch, 'project');
  installed(folder);
  const [, code] = /## Trained networks.*?```js\n(.*?)```/s.exec(readFileSync(path.join(ROOT, 'web/pkg/README.md'), 'utf8'));
  writeFileSync(path.join(folder, 'classify.mjs'), code);
  writeFileSync(path.join(folder, 'digits.packed.safetensors'), example);
  const said = execFileSync(process.execPath, ['classify.mjs'], { cwd: folder, encoding: 'utf8' });
  const [, answer, truth] = /^a (\d), and it is a (\d)\n$/.exec(said);
  assert.equal(answer, truth);
  const typed = (line) => {
    const text = `import { load, type Answer } from "halfwave/infer";\nimport "halfwave/infer/element";\nusing network = await load(new Uint8Array(0));\n${line}\n`;
    writeFileSync(path.join(folder, 'typed.ts'), text);
    const options = ['--noEmit', '--strict', '--target', 'es2023', '--lib', 'es2023,dom,esnext.disposable', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--types', ''];
    return spawnSync(path.join(ROOT, 'web/node_modules/.bin/tsc'), [...options, 'typed.ts'], { cwd: folder, encoding: 'utf8' });
  };
  const right = typed('const { name }: Answer = network.classify(new ImageData(8, 8), { invert: true });\nconst drawn: boolean = document.querySelector("halfwave-network")!.draws;\nawait document.querySelector("halfwave-network")!.open(name);');
  assert.equal(right.status, 0, right.stdout);
  assert.match(typed('network.classify(7);').stdout, /not assignable/);
});
