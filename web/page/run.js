/**
 * The run: its one big button, its numbers, and the engine's states in words.
 */
import { $, percent, short, whole, write } from "./dom.js";
import { attempt } from "./fault.js";
import { redraw } from "./frame.js";

/** What the button says, per state. */
const LABELS = /** @type {Record<string, string>} */ ({ training: "Pause", paused: "Resume", finished: "Train again", lost: "Resume" });

export class Run extends EventTarget {
    /** @param {any} engine */
    constructor(engine) {
        super();
        this.engine = engine;
        this.state = "opening";
        this.message = "";
        /** "cpu" where that was chosen. @type {"cpu" | undefined} */
        this.adapter = undefined;
        /** What the button does instead while a saved run waits for an answer. @type {(() => void) | null} */
        this.instead = null;
        /** The button was pressed before the engine was ready. */
        this.eager = false;
        /** @type {any} */
        this.opened = null;
        /** @type {any} */
        this.position = null;
        /** @type {{loss?: number, test?: number, rate?: number}} */
        this.latest = {};
        this.draw = () => this.paint();
        this.button = $("train");
        this.button.addEventListener("click", () => this.press());
        $("reset").addEventListener("click", () => this.reset());
        engine.addEventListener("state", (/** @type {any} */ { detail }) => this.turn(detail));
        engine.addEventListener("progress", (/** @type {any} */ { detail }) => this.progress(detail));
    }

    /** Opens a run: a recipe, a checkpoint or the saved one. @param {any} request as Engine.open takes it @returns {Promise<boolean>} whether it is open */
    async open(request) {
        this.turn({ state: "opening" });
        const opened = await attempt(() => this.engine.open({ ...request, adapter: this.adapter }));
        if (!opened) {
            // what was open before may still be
            this.turn(this.opened ? { state: this.position?.step ? "paused" : "ready" } : { state: "closed", message: "No run is open. Choose a recipe below, or reload the page." });
            return false;
        }
        this.opened = opened;
        this.latest = {};
        this.position = opened.position;
        this.dispatchEvent(new CustomEvent("opened", { detail: { opened, request } }));
        this.rows(opened.rows ?? []);
        if (this.state === "opening") this.turn({ state: opened.position.over ? "finished" : opened.position.step ? "paused" : "ready" });
        redraw(this.draw);
        return true;
    }

    async press() {
        if (this.instead) return this.instead();
        if (this.state === "opening") {
            this.eager = !this.eager;
            return redraw(this.draw);
        }
        if (this.state === "training") return attempt(() => this.engine.pause());
        if (this.state === "finished") await this.reset();
        return this.train();
    }

    async train() {
        this.eager = false;
        await attempt(() => this.engine.train());
    }

    async reset() {
        await attempt(async () => {
            if (this.state === "training") await this.engine.pause();
            await this.engine.reset();
            this.latest = {};
            this.position = { ...this.position, step: 0, epoch: 0, batch: 0, over: false };
            this.dispatchEvent(new Event("reset"));
            this.turn({ state: "ready" });
        });
    }

    /** @param {{state: string, message?: string}} detail */
    turn({ state, message = "" }) {
        [this.state, this.message] = [state, message];
        redraw(this.draw);
        this.dispatchEvent(new Event("state"));
        if (this.eager && state === "ready") this.train();
    }

    /** @param {any} detail */
    progress({ rows, position, images_per_s }) {
        if (position) this.position = position;
        if (images_per_s) this.latest.rate = images_per_s;
        this.rows(rows ?? []);
        redraw(this.draw);
    }

    /** @param {any[]} rows */
    rows(rows) {
        for (const row of rows) {
            if (row.loss !== undefined) this.latest.loss = row.loss ?? NaN;
            if (row.test_accuracy != null) this.latest.test = row.test_accuracy;
            if (row.images_per_s != null && !this.latest.rate) this.latest.rate = row.images_per_s;
        }
        if (rows.length) this.dispatchEvent(new CustomEvent("rows", { detail: rows }));
    }

    /** A sentence for the state. */
    said() {
        const where = this.opened ? ` on ${this.opened.adapter.name || "your GPU"}` : "";
        if (this.message) return this.message;
        switch (this.state) {
            case "opening":
                return this.eager ? "Preparing the kernels; training begins at once …" : "Preparing the kernels …";
            case "ready":
                return `Ready${where}.`;
            case "training":
                return `Training${where}.`;
            case "paused":
                return "Paused. Nothing is lost.";
            case "finished":
                return `Done: ${this.latest.test === undefined ? "the run is over" : `reads ${percent(this.latest.test)} of the test images rightly`}. Draw a digit below.`;
            case "lost":
                return "The GPU was taken away; opening it again …";
            case "missing":
                return "No GPU is accessible; see below.";
            default:
                return "";
        }
    }

    paint() {
        const { position, latest, state, button } = this;
        const idle = state === "missing" || state === "closed" || state === "lost";
        button.disabled = idle && !this.instead;
        const label = this.instead ? "Resume" : this.eager ? "Starting …" : (LABELS[state] ?? "Train");
        write(button, label);
        button.dataset.state = state;
        $("reset").disabled = !position?.step || state === "opening" || state === "lost";
        write($("status"), this.said());
        $("status").dataset.state = state;
        $("checkpoint-download").disabled = !this.opened || state === "opening" || state === "lost";
        if (!position) return;
        const { step, epoch, total_steps: total, epoch_steps: each } = position;
        number("epoch", Math.min(epoch, Math.ceil(total / each) || epoch), whole);
        number("step", step, whole);
        number("loss", latest.loss, short);
        number("test-accuracy", latest.test, percent);
        number("images-per-second", latest.rate, whole);
        write($("epochs"), ` / ${whole(Math.ceil(total / each))}`);
        write($("steps"), ` / ${whole(total)}`);
        const done = total ? Math.min(step / total, 1) : 0;
        const bar = $("progress");
        bar.firstElementChild.style.transform = `scaleX(${done})`;
        bar.setAttribute("aria-valuenow", String(Math.round(100 * done)));
    }
}

/** @param {string} id @param {number | undefined} value @param {(value: number) => string} say */
function number(id, value, say) {
    const element = $(id);
    element.dataset.value = value === undefined ? "" : String(value);
    write(element, value === undefined ? "–" : Number.isFinite(value) ? say(value) : "not a number");
}
