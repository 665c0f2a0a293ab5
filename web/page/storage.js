/**
 * The run in the browser's own storage (OPFS), for the worker.
 *
 * Two files take turns, so that one of them is whole whatever moment the page dies at. Each is: the length of a JSON
 * header as u32, the header, a checkpoint. A file whose size is not what its header says is torn, and is passed over.
 */

/** @typedef {{serial: number, when: string, name: string, recipe: string, step: number, epoch: number, total_steps: number, rows: any[], checkpoint_bytes: number}} Header */
/** @typedef {{header: Header, checkpoint: Uint8Array}} Saved */

const FILES = ["run-0.bin", "run-1.bin"];
const LENGTH_BYTES = 4;

let serial = 0;

/**
 * @param {FileSystemDirectoryHandle} folder
 * @param {string} name
 * @returns {Promise<Saved | undefined>}
 */
async function read(folder, name) {
  try {
    const file = await (await folder.getFileHandle(name)).getFile();
    const bytes = new Uint8Array(await file.arrayBuffer());
    const header_bytes = new DataView(bytes.buffer).getUint32(0, true);
    const start = LENGTH_BYTES + header_bytes;
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(LENGTH_BYTES, start)));
    return bytes.length === start + header.checkpoint_bytes ? { header, checkpoint: bytes.slice(start) } : undefined;
  } catch {
    return undefined; // not there, or torn
  }
}

/** The newest whole run, if there is one. @returns {Promise<Saved | undefined>} */
export async function load() {
  try {
    const folder = await navigator.storage.getDirectory();
    const all = await Promise.all(FILES.map((name) => read(folder, name)));
    const newest = all.reduce((a, b) => (!a || (b && b.header.serial > a.header.serial) ? b : a), undefined);
    serial = Math.max(serial, newest?.header.serial ?? 0);
    return newest;
  } catch {
    return undefined; // a private window, for one, has no storage
  }
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
    const folder = await navigator.storage.getDirectory();
    const file = await folder.getFileHandle(FILES[header.serial % FILES.length], { create: true });
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
      return "Another tab of this page keeps its run in the browser's storage: this one is not kept. Download its checkpoint to keep it.";
    default:
      return "This browser lets the page store nothing (a private window?): this run is not kept. Download its checkpoint to keep it.";
  }
}

/** Deletes every run. */
export async function forget() {
  try {
    const folder = await navigator.storage.getDirectory();
    for (const name of FILES) await folder.removeEntry(name).catch(() => undefined);
  } catch {
    // Nothing can be stored, so nothing is.
  }
}
