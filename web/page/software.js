/**
 * Handles browsers that offer no GPU but a software adapter: the page says so, and computes on the CPU directly, in
 * WebAssembly, unless the user chooses otherwise. `?adapter=gpu` or `?adapter=cpu` in the address also decides.
 */
import { $, write } from "./dom.js";

export class Software {
  /** @param {any} run */
  constructor(run) {
    this.run = run;
    /** The software adapter's name; "" if there is none. */
    this.name = "";
    this.cpu = false;
    $("software-switch").addEventListener("click", () => this.change());
  }

  /** The initial adapter. @param {string | false} name the software adapter's, if the browser has nothing better @returns {"cpu" | "gpu" | undefined} */
  found(name) {
    const wanted = new URLSearchParams(location.search).get("adapter");
    this.name = name === false ? "" : name || "software";
    if (wanted === "cpu" || wanted === "gpu") return wanted;
    return this.name ? "cpu" : undefined;
  }

  /** @param {any} adapter of the run that was opened */
  opened({ backend }) {
    this.cpu = backend === "cpu";
    $("software").hidden = !this.name;
    if (!this.name) return;
    const about = `This browser offers no GPU, only a software adapter (${this.name}), which emulates one on the CPU.`;
    write($("software-text"), `${about} ${this.cpu ? "So the page trains on the CPU directly, in WebAssembly, which is faster for small networks." : "The page uses it now; small networks train faster on the CPU directly, in WebAssembly."}`);
    write($("software-switch"), this.cpu ? "Use the software adapter" : "Use WebAssembly");
  }

  /** Reopens the run on the other adapter. */
  async change() {
    const { run } = this;
    const training = run.state === "training";
    const before = run.adapter;
    run.adapter = this.cpu ? "gpu" : "cpu";
    $("software-switch").disabled = true;
    if (!(await run.open({}))) run.adapter = before;
    else if (training) await run.train();
    $("software-switch").disabled = false;
  }
}
