// Makes web/page/digits.packed.safetensors, the network of web/page/embed.html: the recipe digits, trained on the CPU, which gives the
// same bytes on every machine. Needs web/pkg. The file is kept in the repository, so that a build does not train.
import { writeFileSync } from 'node:fs';
import init, { Dataset, Session, recipes } from './pkg/node.js';

await init();
const { text } = recipes().find(({ name }) => name === 'digits');
const session = await Session.open(text, Dataset.digits(), { adapter: 'cpu' });
while (!session.position.over) await session.advance();
const { accuracy } = await session.evaluate();
const bytes = await session.exportPacked({ recipe: false, facts: { 'test accuracy': accuracy.toFixed(4) } });
writeFileSync(new URL('page/digits.packed.safetensors', import.meta.url), bytes);
console.log(`${bytes.length} bytes, which read ${(100 * accuracy).toFixed(1)}% of the test images`);
