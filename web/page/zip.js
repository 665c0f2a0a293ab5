/**
 * Archives of files, not compressed: pictures are already.
 */

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ TABLE[(sum ^ byte) & 255];
  return ~sum >>> 0;
}

/** Numbers in little-endian order, each with its size in bytes. @param {[number, 2 | 4][]} fields */
function fields(...fields) {
  return Uint8Array.from(fields.flatMap(([value, size]) => Array.from({ length: size }, (_, at) => (value >>> (8 * at)) & 255)));
}

/** Names are in UTF-8. */
const UTF8 = 1 << 11;
/** 1 January 1980: the files have no other date. */
const DATE = (1 << 5) | 1;

/** The archive as a file. @param {{path: string, file: Blob}[]} files @returns {Promise<Uint8Array>} */
export async function zip(files) {
  /** @type {Uint8Array<ArrayBuffer>[][]} */
  const [parts, directory] = [[], []];
  let at = 0;
  for (const { path, file } of files) {
    const [name, bytes] = [new TextEncoder().encode(path), new Uint8Array(await file.arrayBuffer())];
    /** @type {[number, 2 | 4][]} */
    const about = [[20, 2], [UTF8, 2], [0, 2], [0, 2], [DATE, 2], [crc(bytes), 4], [bytes.length, 4], [bytes.length, 4], [name.length, 2], [0, 2]];
    const head = [fields([0x04034b50, 4], ...about), name, bytes];
    directory.push(fields([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), name);
    parts.push(...head);
    at += head.reduce((sum, { length }) => sum + length, 0);
  }
  const length = directory.reduce((sum, { length }) => sum + length, 0);
  const end = fields([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [length, 4], [at, 4], [0, 2]);
  return new Uint8Array(await new Blob([...parts, ...directory, end]).arrayBuffer());
}
