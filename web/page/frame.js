/**
 * Drawing jobs: requested any number of times, executed once in the next frame.
 *
 * **Invariant** Jobs of a frame stop after 8 ms; the rest waits for the next frame. So no task grows with the number of changes.
 */
const BUDGET_MS = 8;
/** @type {Set<() => void>} */
const jobs = new Set();
let asked = false;

/** Runs `job` in the next frame; a function requested twice runs once. @param {() => void} job */
export function redraw(job) {
  jobs.add(job);
  if (!asked) requestAnimationFrame(run);
  asked = true;
}

function run() {
  const start = performance.now();
  asked = false;
  try {
    for (const job of [...jobs]) {
      if (performance.now() - start > BUDGET_MS) break;
      jobs.delete(job);
      job();
    }
  } finally {
    if (jobs.size && !asked) {
      asked = true;
      requestAnimationFrame(run);
    }
  }
}
