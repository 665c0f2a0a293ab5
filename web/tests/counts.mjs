// A reporter for tools/test.sh: one line per file, "web/NAME passed failed skipped". A test with steps is counted by its steps.
import path from 'node:path';

export default async function* counts(events) {
  const files = new Map();
  const inner = [];
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { file, nesting } = data;
    const steps = inner[nesting + 1] ?? { passed: 0, failed: 0 };
    inner[nesting + 1] = undefined;
    inner[nesting] ??= { passed: 0, failed: 0 };
    inner[nesting][type === 'test:pass' ? 'passed' : 'failed'] += 1;
    // A test that fails although its steps passed is counted; one that only summarises its steps is not.
    if (steps.failed > 0 || (type === 'test:pass' && steps.passed > 0)) continue;
    const name = `web/${path.basename(file ?? 'tests', '.test.mjs')}`;
    const count = files.get(name) ?? { passed: 0, failed: 0, skipped: 0 };
    count[data.skip !== undefined ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed'] += 1;
    files.set(name, count);
  }
  for (const [name, { passed, failed, skipped }] of files) yield `${name} ${passed} ${failed} ${skipped}\n`;
}
