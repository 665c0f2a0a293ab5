/**
 * Which folders of pictures are classes and which are splits, from their paths alone, as the native program has it:
 * `<class>/…`, or `train/<class>/…` beside `val` and `test`, in a folder or in folders inside each other that hold nothing else.
 */

/** @typedef {{name: string, part: "train" | "validation" | "test" | undefined}} Place */

/** What operating systems and tools make by themselves; so are all names that begin with a dot. */
const SYSTEM = new Set(["__macosx", "__pycache__", "@eadir", "@tmp", "#recycle", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini"]);
const SPLITS = /** @type {Record<string, "train" | "validation" | "test">} */ ({ train: "train", training: "train", val: "validation", valid: "validation", validation: "validation", dev: "validation", test: "test", testing: "test", eval: "test" });

const part = (/** @type {string} */ name) => SPLITS[name.toLowerCase()];

/** Whether no person made the file. @param {string} path */
export const isSystem = (path) => path.split("/").some((name) => name.startsWith(".") || SYSTEM.has(name.toLowerCase()));

/**
 * @param {string[]} paths of pictures
 * @returns {(Place | undefined)[]} where each belongs; nothing for one that is in no class
 */
export function arrange(paths) {
  const all = paths.map((path) => path.split("/").filter(Boolean));
  // folders that only hold one folder, which holds several or splits, wrap what is meant
  let root = 0;
  for (let depth = 0; ; depth++) {
    const inner = all.filter((parts) => parts.length > depth + 1);
    if (new Set(inner.map((parts) => parts[depth])).size !== 1) break;
    const deeper = new Set(inner.filter((parts) => parts.length > depth + 2).map((parts) => parts[depth + 1]));
    if (deeper.size > 1 || [...deeper].some((name) => part(name) === "train")) root = depth + 1;
  }
  const within = all.map((parts) => parts.slice(root));
  const outside = (/** @type {number} */ at) => root > 0 && all[at].length <= root;
  const folders = new Set(within.filter((parts) => parts.length > 1).map(([name]) => name));
  const trains = within.some(([name = "", ...rest]) => part(name) === "train" && rest.length > 1);
  const split = trains && (folders.size === 1 || [...folders].filter(part).length > 1);
  const tested = split && within.some(([name = "", ...rest]) => part(name) === "test" && rest.length > 1);
  const alone = split && [...folders].every((name) => part(name) !== "test" && part(name) !== "validation");
  return within.map((parts, at) => {
    if (outside(at)) return undefined;
    if (!split) return parts.length > 1 ? { name: parts[0], part: undefined } : undefined;
    const [folder, name, ...rest] = parts;
    const which = part(folder ?? "");
    if (!which || !rest.length) return undefined;
    // a validation split alone is tested on; training images alone are divided
    return { name, part: alone ? undefined : which === "validation" && !tested ? "test" : which };
  });
}
