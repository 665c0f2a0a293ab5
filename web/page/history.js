/**
 * Measurements of a run so far: the loss of each step, the accuracies of each epoch, and the ranges of the axes.
 */

/** Number of steps before and after over which the loss is averaged for smoothing. */
const AROUND = 6;

/** Whole powers of ten in a range, evenly spaced, at most `most` of them. @param {number} low @param {number} high @param {number} most @returns {number[]} */
export function powers(low, high, most) {
  const pace = Math.max(1, Math.ceil((high - low) / most));
  const from = Math.ceil(low / pace) * pace;
  return Array.from({ length: Math.max(0, Math.floor((high - from) / pace) + 1) }, (_, at) => from + at * pace);
}

/** Accuracies on training images and on images that the network is not trained on. @typedef {{epoch: number, train?: number, test?: number}} Accuracies */

export class History {
  /** @param {number} [totalSteps] of the run @param {number} [epochSteps] of an epoch */
  constructor(totalSteps = 460, epochSteps = 23) {
    this.totalSteps = totalSteps;
    this.epochSteps = Math.max(1, epochSteps);
    /** @type {number[]} Loss of steps 1, 2, …; NaN if unknown. */
    this.loss = [];
    /** @type {number[]} */
    this.smooth = [];
    /** @type {Accuracies[]} */
    this.epochs = [];
    /** Images that the network is not trained on: those held out for validation, if there are any. */
    this.part = "test";
    /** Powers of ten at the ends of the loss axis. */
    this.decades = [-2, Math.log10(3)];
    /** Start of the accuracy axis. */
    this.floor = 0.5;
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
    // a run that was reset to a saved state measures its steps again
    if (step <= this.loss.length) this.cut(step - 1);
    while (this.loss.length < step - 1) this.push(NaN);
    this.push(loss ?? NaN);
  }

  /** @param {number} loss */
  push(loss) {
    this.loss.push(loss);
    // the smoothed loss of the last steps changes with each further step
    for (let at = Math.max(0, this.loss.length - 1 - AROUND); at < this.loss.length; at++) this.smooth[at] = this.mean(at);
    const power = Math.log10(Math.max(this.smooth[Math.max(0, this.loss.length - 1 - AROUND)], 1e-6)); // NaN if nothing is known
    if (Number.isFinite(power)) this.decades = [Math.min(this.decades[0], Math.floor(power + 0.1)), Math.max(this.decades[1], power + 0.1)];
  }

  /** Mean loss around a step. @param {number} at */
  mean(at) {
    let [sum, count] = [0, 0];
    for (let near = Math.max(0, at - AROUND); near <= Math.min(at + AROUND, this.loss.length - 1); near++) {
      if (!Number.isFinite(this.loss[near])) continue;
      sum += this.loss[near];
      count += 1;
    }
    return count ? sum / count : NaN;
  }

  /** @param {{epoch: number, train_accuracy?: number, validation_accuracy?: number, test_accuracy?: number}} row */
  epoch({ epoch, train_accuracy: train, validation_accuracy: validation, test_accuracy }) {
    if (validation != null) this.part = "validation";
    const test = validation ?? test_accuracy;
    this.epochs = [...this.epochs.filter((known) => known.epoch < epoch), { epoch, train: train ?? undefined, test: test ?? undefined }];
    for (const share of [train, test]) if (share != null) this.floor = Math.min(this.floor, Math.floor(share * 5) / 5);
  }

  /** Removes everything after that step. @param {number} step */
  cut(step) {
    const kept = this.loss.slice(0, step);
    [this.loss, this.smooth] = [[], []];
    kept.forEach((loss) => this.push(loss));
    this.epochs = this.epochs.filter(({ epoch }) => epoch * this.epochSteps <= step);
  }
}
