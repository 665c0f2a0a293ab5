/**
 * The page's interface to the engine: calls go to a Worker, events come back. Nothing is computed here.
 *
 * Events (`CustomEvent.detail`): "progress", "state", "profiled", "saved", "fault"; see `worker.js`, which sends them.
 */

/** @typedef {Error & { kind?: string, line?: number }} EngineError */

export class Engine extends EventTarget {
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: EngineError) => void }>} */
  #waiting = new Map();
  #next = 0;
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "halfwave" });

  constructor() {
    super();
    this.#worker.onmessage = ({ data }) => {
      if (data.event) {
        this.dispatchEvent(new CustomEvent(data.event, { detail: data.detail }));
        return;
      }
      const call = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error) call?.reject(Object.assign(new Error(data.error.message), data.error));
      else call?.resolve(data.value);
    };
    // The worker's script, or the module it imports, could not be loaded, or it failed unexpectedly.
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const message = `The engine could not be ${this.#next ? "kept running" : "started"}: ${event.message || "its files are missing"}. Reload the page.`;
      const error = Object.assign(new Error(message), { kind: "engine" });
      for (const call of this.#waiting.values()) call.reject(error);
      this.#waiting.clear();
      this.dispatchEvent(new CustomEvent("fault", { detail: { kind: "engine", message, recoverable: false } }));
    };
  }

  /**
   * @param {string} name
   * @param {any} [argument]
   * @returns {Promise<any>}
   */
  #call(name, argument) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, name, argument });
    });
  }

  /** Reports what is available: WebGPU or why not, the built-in recipes, a run in the browser's storage. @param {number} [slot] the storage slot that this tab had before */
  start(slot) {
    return this.#call("start", slot);
  }

  /** Reads a recipe's text: `{summary}` or `{error: {message, line}}`. @param {string} recipe */
  check(recipe) {
    return this.#call("check", recipe);
  }

  /** Loads files to train on: CIFAR-10's or class folders of pictures. @param {{path: string, file: File}[]} list */
  files(list) {
    return this.#call("files", list);
  }

  /** Takes pictures to train on, by class. @param {{name: string, pictures: (Blob | ImageData)[]}[]} classes */
  collected(classes) {
    return this.#call("collected", classes);
  }

  /**
   * Opens a recipe, a checkpoint or the saved run, or the open run on another adapter. If that fails, the previous run stays open.
   * @param {{recipe?: string, name?: string, checkpoint?: Uint8Array, saved?: boolean, adapter?: "gpu" | "cpu"}} what
   */
  open(what) {
    return this.#call("open", what);
  }

  train() {
    return this.#call("train");
  }

  pause() {
    return this.#call("pause");
  }

  /** Restarts the run. */
  reset() {
    return this.#call("reset");
  }

  /** Measures a training step, launch by launch, between two steps of the run, without changing it. "profiled" events report the progress. */
  profile() {
    return this.#call("profile");
  }

  evaluate() {
    return this.#call("evaluate");
  }

  /** Classifies pixels, a picture, or a test image; `brief` leaves out the activations. @param {{pixels?: Uint8Array, file?: Blob | ImageBitmap, test?: number, brief?: boolean}} image */
  classify(image) {
    return this.#call("classify", image);
  }

  /** The run as a safetensors file. @returns {Promise<Uint8Array>} */
  checkpoint() {
    return this.#call("checkpoint");
  }

  /** The trained network as a packed file, with the test accuracy in its card. @param {{recipe: boolean}} options whether the file holds the recipe @returns {Promise<Uint8Array>} */
  packed(options) {
    return this.#call("packed", options);
  }

  /** The trained network as an ONNX file. @returns {Promise<Uint8Array>} */
  onnx() {
    return this.#call("onnx");
  }

  /** Deletes this tab's run from the browser's storage. @returns {Promise<any>} this tab's new slot, with another saved run if there is one that no tab uses */
  forget() {
    return this.#call("forget");
  }
}
