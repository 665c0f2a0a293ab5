/**
 * Saved runs in the browser's storage (OPFS), for the worker.
 *
 * There are a few slots, one for each tab that saves a run; a tab holds a Web Lock on its slot, which ends with the tab.
 * In a slot two files are written alternately, so that one of them is always complete. Each consists of the length of a
 * JSON header as u32, the header, and a checkpoint. A file whose size does not match its header is incomplete, and is ignored.
 */

/** @typedef {{serial: number, when: string, name: string, recipe: string, step: number, epoch: number, total_steps: number, epoch_steps?: number, rows: any[], checkpoint_bytes: number}} Header */
/** @typedef {{header: Header, file: File, start: number}} Found */
/** @typedef {{header: Header, checkpoint: Uint8Array}} Saved */

/** Maximum number of tabs that can save a run. */
const SLOTS = 4;
const LENGTH_BYTES = 4;
/** How long a reloaded page waits for its slot, which the previous page may still hold. */
const PATIENCE_MS = 3000;

/** The slot held by this tab. @type {number | undefined} */
let slot;
/** Releases the slot. @type {(() => void) | undefined} */
let release;
let serial = 0;

/** @param {number} slot */
const names = (slot) => [`run-${2 * slot}.bin`, `run-${2 * slot + 1}.bin`];

/** Acquires and holds the lock on a slot. @param {number} at @param {LockOptions} options @returns {Promise<boolean>} */
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
 * Acquires a slot for this tab: the one it had before a reload, else the free one whose run was saved last, else an empty one.
 * @param {number} [before]
 * @returns {Promise<{slot: number | undefined, others: number}>} undefined if all slots are taken, or if the browser has no locks; and the number of other tabs that have a slot
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
    return undefined; // missing or incomplete
  }
}

/** The newest complete run of a slot. @param {number} at @returns {Promise<Found | undefined>} */
async function newest(at) {
  try {
    const folder = await navigator.storage.getDirectory();
    const all = await Promise.all(names(at).map((name) => find(folder, name)));
    return all.reduce((a, b) => (!a || (b && b.header.serial > a.header.serial) ? b : a), undefined);
  } catch {
    return undefined; // there is no storage, as in a private window
  }
}

/** The run in this tab's slot, if there is one. @returns {Promise<Saved | undefined>} */
export async function load() {
  const found = slot === undefined ? undefined : await newest(slot);
  return found && { header: found.header, checkpoint: new Uint8Array(await found.file.slice(found.start).arrayBuffer()) };
}

/**
 * Saves a run. Fails with a message for the user.
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
      return "The browser's storage is full: this run is not saved. Download its checkpoint to keep it.";
    case "NoModificationAllowedError":
      return `${SLOTS} other tabs of this page save their runs in the browser's storage, the maximum number: this one is not saved. Download its checkpoint to keep it.`;
    default:
      return "This browser does not let the page store anything (a private window?): this run is not saved. Download its checkpoint to keep it.";
  }
}

/** Deletes the run in this tab's slot. */
export async function forget() {
  if (slot === undefined) return;
  try {
    const folder = await navigator.storage.getDirectory();
    for (const name of names(slot)) await folder.removeEntry(name).catch(() => undefined);
  } catch {
    // Nothing can be stored, so there is nothing to delete.
  }
}
