/**
 * Determines what the browser offers to compute on, for the worker.
 */

/** Names of software drivers. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|\bwarp\b|basic render/i;

/**
 * The GPU that the browser offers: why there is none, or its vendor and architecture, which the browser gives to scripts but not
 * to the engine, and whether it is emulated by the CPU.
 * @returns {Promise<{reason?: string, name: string, software: boolean}>}
 */
export async function gpu() {
  const none = (/** @type {string} */ reason) => ({ reason, name: "", software: false });
  const { gpu } = /** @type {any} */ (navigator);
  if (!gpu && !isSecureContext) return none("Browsers offer WebGPU only on https:// and on localhost; this page was loaded in another way.");
  if (!gpu) return none("This browser has no WebGPU.");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return none("This browser has WebGPU but finds no GPU for it: hardware acceleration may be off, or this GPU may be blocked.");
  if (!adapter.info) return none("This browser's WebGPU is too old for this page.");
  const { vendor = "", architecture = "", device = "", description = "", isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ");
  return { name, software: Boolean(isFallbackAdapter ?? adapter.isFallbackAdapter) || SOFTWARE.test(`${name} ${device}`) };
}

/** The adapter in use, as far as the browser reports it. @param {{session: import("./pkg/halfwave.js").Session, adapter: "gpu" | "cpu"}} open */
export async function adapterOf({ session, adapter }) {
  if (adapter === "cpu") return session.adapter;
  const { name, software } = await gpu().catch(() => ({ name: "", software: false }));
  const emulated = session.adapter.software || software;
  // Firefox reports no names.
  return { ...session.adapter, software: emulated, name: name || (emulated ? "a software adapter" : "your GPU") };
}
