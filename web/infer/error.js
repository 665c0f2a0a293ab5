/** Errors of the small runtime. */

/** @param {string} kind @param {string} message @param {unknown} [cause] */
export function problem(kind, message, cause) {
  return Object.assign(new Error(message, { cause }), { name: "HalfwaveError", kind });
}
