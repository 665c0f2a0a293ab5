/**
 * What the page does where the browser has no GPU but a software adapter: it says so, and computes on the CPU directly, in
 * WebAssembly, unless a visitor wants it otherwise. `?adapter=gpu` or `?adapter=cpu` in the address decides too.
 */
import { $, write } from "./dom.js";

export class Software {
  /** @param {any} run */
  constructor(run) {
    this.run = run;
    /** The software adapter's name; "" where there is none. */
    this.name = "";
    this.cpu = false;
    $("software-switch").addEventListener("click", () => this.change());
  }

  /** What to compute on at first. @param {string | false} name the software adapter's, where the browser has nothing better @returns {"cpu" | "gpu" | undefined} */
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
    const about = `This browser offers no GPU, only an adapter in software (${this.name}), which emulates one on the CPU.`;
    write($("software-text"), `${about} ${this.cpu ? "So the page trains on the CPU directly, in WebAssembly, which is faster for small networks." : "The page uses it now; small networks train faster on the CPU directly, in WebAssembly."}`);
    write($("software-switch"), this.cpu ? "Use the software adapter" : "Use WebAssembly");
  }

  /** The same run on the other one. */
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
