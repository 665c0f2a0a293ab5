/**
 * What a run has measured so far: the loss of each step, the accuracies of each epoch, and the axes that hold them.
 */

/** Steps that the smoothed loss looks back on, roughly. */
const MEMORY = 12;

/** @typedef {{epoch: number, train?: number, test?: number}} Accuracies */

export class History {
  /** @param {number} [totalSteps] of the run @param {number} [epochSteps] of an epoch */
  constructor(totalSteps = 460, epochSteps = 23) {
    this.totalSteps = totalSteps;
    this.epochSteps = Math.max(1, epochSteps);
    /** @type {number[]} Of the steps 1, 2, …; NaN where it is not known. */
    this.loss = [];
    /** @type {number[]} */
    this.smooth = [];
    /** @type {Accuracies[]} */
    this.epochs = [];
    /** Powers of ten that the loss's axis ends at. */
    this.decades = [-2, Math.log10(3)];
    /** Where the accuracy's axis begins. */
    this.floor = 0.5;
    this.sum = 0;
    this.weight = 0;
  }

  /** Steps that the horizontal axis spans. */
  get span() {
    return Math.max(this.totalSteps, this.loss.length, 1);
  }

  /** @param {any[]} rows as in metrics.jsonl */
  add(rows) {
    for (const row of rows) {
      if (row.loss !== undefined) this.step(row);
      else this.epoch(row);
    }
  }

  /** @param {{step: number, loss: number | null}} row */
  step({ step, loss }) {
    // a run that went back to a saved state measures the steps again
    if (step <= this.loss.length) this.cut(step - 1);
    while (this.loss.length < step - 1) this.push(NaN);
    this.push(loss ?? NaN);
  }

  /** @param {number} loss */
  push(loss) {
    if (Number.isFinite(loss)) {
      this.sum += (loss - this.sum) / MEMORY;
      this.weight += (1 - this.weight) / MEMORY;
      const value = Math.log10(Math.max(this.sum / this.weight, 1e-9));
      this.decades = [Math.min(this.decades[0], Math.max(-6, Math.floor(value + 0.1))), Math.max(this.decades[1], value + 0.1)];
    }
    this.loss.push(loss);
    this.smooth.push(this.weight ? this.sum / this.weight : NaN);
  }

  /** @param {{epoch: number, train_accuracy?: number, test_accuracy?: number}} row */
  epoch({ epoch, train_accuracy: train, test_accuracy: test }) {
    this.epochs = [...this.epochs.filter((known) => known.epoch < epoch), { epoch, train: train ?? undefined, test: test ?? undefined }];
    for (const share of [train, test]) if (share != null) this.floor = Math.min(this.floor, Math.floor(share * 5) / 5);
  }

  /** Forgets all after that step. @param {number} step */
  cut(step) {
    const kept = this.loss.slice(0, step);
    [this.loss, this.smooth, this.sum, this.weight] = [[], [], 0, 0];
    kept.forEach((loss) => this.push(loss));
    this.epochs = this.epochs.filter(({ epoch }) => epoch * this.epochSteps <= step);
  }
}
