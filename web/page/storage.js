/**
 * Runs in the browser's own storage (OPFS), for the worker.
 *
 * There are a few slots, one for each tab that keeps a run; a tab holds a Web Lock on its slot, which ends with the tab.
 * In a slot two files take turns, so that one of them is whole whatever moment the page dies at. Each is: the length of a
 * JSON header as u32, the header, a checkpoint. A file whose size is not what its header says is torn, and is passed over.
 */

/** @typedef {{serial: number, when: string, name: string, recipe: string, step: number, epoch: number, total_steps: number, epoch_steps?: number, rows: any[], checkpoint_bytes: number}} Header */
/** @typedef {{header: Header, file: File, start: number}} Found */
/** @typedef {{header: Header, checkpoint: Uint8Array}} Saved */

/** Tabs that keep a run at the same time. */
const SLOTS = 4;
const LENGTH_BYTES = 4;
/** How long a page that is loaded again waits for its own slot, which the page before it may still hold. */
const PATIENCE_MS = 3000;

/** The slot that this tab holds. @type {number | undefined} */
let slot;
/** Gives the slot up. @type {(() => void) | undefined} */
let release;
let serial = 0;

/** @param {number} slot */
const names = (slot) => [`run-${2 * slot}.bin`, `run-${2 * slot + 1}.bin`];

/** Takes the lock on a slot and keeps it. @param {number} at @param {LockOptions} options @returns {Promise<boolean>} */
function take(at, options) {
  return new Promise((done) => {
    const held = navigator.locks.request(`halfwave run ${at}`, options, (lock) => {
      if (!lock) return done(false);
      slot = at;
      done(true);
      return new Promise((free) => (release = () => free(undefined)));
    });
    held.catch(() => done(false)); // the wait was too long
  });
}

/**
 * Takes a slot for this tab: the one it had before it was loaded again, else the free one whose run was saved last, else an empty one.
 * @param {number} [before]
 * @returns {Promise<{slot: number | undefined, others: number}>} no slot where all are taken, or where the browser has no locks; how many other tabs have one
 */
export async function claim(before) {
  if (!navigator.locks) return { slot, others: 0 };
  release?.();
  slot = release = undefined;
  const runs = await Promise.all(Array.from({ length: SLOTS }, (_, at) => newest(at)));
  if (before === undefined || !(before < SLOTS) || !(await take(before, { signal: AbortSignal.timeout(PATIENCE_MS) }))) {
    const order = [...runs.keys()].sort((a, b) => (runs[b]?.header.when ?? "").localeCompare(runs[a]?.header.when ?? ""));
    for (const at of order) if (await take(at, { ifAvailable: true })) break;
  }
  serial = Math.max(0, ...runs.map((run) => run?.header.serial ?? 0));
  const { held = [] } = await navigator.locks.query();
  const others = held.filter(({ name }) => name?.startsWith("halfwave run ")).length - Number(slot !== undefined);
  return { slot, others };
}

/** @param {FileSystemDirectoryHandle} folder @param {string} name @returns {Promise<Found | undefined>} */
async function find(folder, name) {
  try {
    const file = await (await folder.getFileHandle(name)).getFile();
    const header_bytes = new DataView(await file.slice(0, LENGTH_BYTES).arrayBuffer()).getUint32(0, true);
    const start = LENGTH_BYTES + header_bytes;
    const header = JSON.parse(await file.slice(LENGTH_BYTES, start).text());
    return file.size === start + header.checkpoint_bytes ? { header, file, start } : undefined;
  } catch {
    return undefined; // not there, or torn
  }
}

/** The newest whole run of a slot. @param {number} at @returns {Promise<Found | undefined>} */
async function newest(at) {
  try {
    const folder = await navigator.storage.getDirectory();
    const all = await Promise.all(names(at).map((name) => find(folder, name)));
    return all.reduce((a, b) => (!a || (b && b.header.serial > a.header.serial) ? b : a), undefined);
  } catch {
    return undefined; // a private window, for one, has no storage
  }
}

/** The run in this tab's slot, if there is one. @returns {Promise<Saved | undefined>} */
export async function load() {
  const found = slot === undefined ? undefined : await newest(slot);
  return found && { header: found.header, checkpoint: new Uint8Array(await found.file.slice(found.start).arrayBuffer()) };
}

/**
 * Keeps a run. Fails with a sentence for people.
 * @param {Omit<Header, "serial" | "when" | "checkpoint_bytes">} run
 * @param {Uint8Array} checkpoint
 * @returns {Promise<string>} when it was saved, ISO 8601
 */
export async function save(run, checkpoint) {
  const when = new Date().toISOString();
  const header = { ...run, serial: serial + 1, when, checkpoint_bytes: checkpoint.length };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, text.length, true);
  let handle;
  try {
    if (slot === undefined) throw new DOMException("", navigator.locks ? "NoModificationAllowedError" : "NotSupportedError");
    const folder = await navigator.storage.getDirectory();
    const file = await folder.getFileHandle(names(slot)[header.serial % 2], { create: true });
    handle = await file.createSyncAccessHandle();
    handle.truncate(0);
    let at = 0;
    for (const part of [length, text, checkpoint]) at += handle.write(part, { at });
    handle.flush();
    if (at !== LENGTH_BYTES + text.length + checkpoint.length) throw new DOMException("", "QuotaExceededError");
  } catch (error) {
    throw new Error(reason(error));
  } finally {
    handle?.close();
  }
  serial = header.serial;
  return when;
}

/** @param {any} error */
function reason(error) {
  switch (error?.name) {
    case "QuotaExceededError":
      return "The browser's storage is full: this run is not kept. Download its checkpoint to keep it.";
    case "NoModificationAllowedError":
      return `${SLOTS} other tabs of this page keep their runs in the browser's storage, as many as it holds: this one is not kept. Download its checkpoint to keep it.`;
    default:
      return "This browser lets the page store nothing (a private window?): this run is not kept. Download its checkpoint to keep it.";
  }
}

/** Deletes the run in this tab's slot. */
export async function forget() {
  if (slot === undefined) return;
  try {
    const folder = await navigator.storage.getDirectory();
    for (const name of names(slot)) await folder.removeEntry(name).catch(() => undefined);
  } catch {
    // Nothing can be stored, so nothing is.
  }
}
