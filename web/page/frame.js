/**
 * Drawing is asked for, and done once in the next frame, however often it was asked for.
 *
 * **Invariant** A frame's jobs stop after 8 ms; what is left waits for the next frame. So no task grows long with what changed.
 */
const BUDGET_MS = 8;
/** @type {Set<() => void>} */
const jobs = new Set();
let asked = false;

/** Runs `job` in a frame; the same function asked twice runs once. @param {() => void} job */
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
