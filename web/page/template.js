/**
 * Recipes for the user's images: small networks with binary weights and 2-bit activations, as a starting point.
 */

/** Side of the images, pixels. */
const SIDE = 32;
/** Number of steps that a network of a few classes is trained for, about, and the limits of its epochs. */
const STEPS = 300;
const EPOCHS = [20, 80];

/** Test images are evaluated after each epoch then, not only at the end. */
const ALL = "validation = 0            # train on all images; the last epoch counts\n";

/** A recipe for images in files. @param {{kind: string, classes: string[], train_len: number, input?: number[]}} data @returns {string} */
export function recipeFor({ kind, classes, train_len, input = [3, SIDE, SIDE] }) {
  const layers = [
    block("conv1", 32, ""),
    quantised(1),
    block("conv2", 64, 'weights = "binary"        # 1 bit each\n'),
    pool(2),
    quantised(2),
    block("conv3", 128, 'weights = "binary"\n'),
    pool(3),
    quantised(3),
    block("conv4", 128, 'weights = "binary"\n'),
    layer("bn4", "batch_norm", ""),
    layer("relu4", "relu", ""),
    layer("pool4", "global_avg_pool", ""),
    layer("fc", "linear", `units = ${classes.length}\n`),
  ];
  const data = `set = "${kind === "cifar10" ? "cifar10" : "folder"}"\n${ALL}`;
  return recipe({ classes, input, layers, data, batch: Math.max(2, Math.min(64, train_len)), epochs: 20, lr: 0.05 });
}

/**
 * A recipe for a few classes with a few dozen pictures each: small enough to be trained in seconds without a GPU.
 * @param {{classes: string[], train_len: number}} data @returns {string}
 */
export function recipeForClasses({ classes, train_len }) {
  const layers = [
    block("conv1", 16, ""),
    pool(1),
    quantised(1),
    block("conv2", 32, 'weights = "binary"        # 1 bit each\n'),
    pool(2),
    quantised(2),
    block("conv3", 64, 'weights = "binary"\n'),
    layer("bn3", "batch_norm", ""),
    layer("relu3", "relu", ""),
    layer("pool3", "avg_pool", "kernel = 4             # 2 × 2 places remain, so that left and right differ\n"),
    layer("fc", "linear", `units = ${classes.length}\n`),
  ];
  const batch = Math.max(2, Math.min(16, train_len));
  const epochs = Math.min(Math.max(Math.ceil(STEPS / Math.ceil(train_len / batch)), EPOCHS[0]), EPOCHS[1]);
  const data = `set = "folder"
dir = "pictures"          # for the native program: a folder with one folder of pictures for each class
${ALL}
[data.augment]            # shifts; no mirroring, because left and right may differ
pad = 4
padding = "replicate"
`;
  return recipe({ classes, input: [3, SIDE, SIDE], layers, data, batch, epochs, lr: 0.02 });
}

/** @param {{classes: string[], input: number[], layers: string[], data: string, batch: number, epochs: number, lr: number}} parts */
const recipe = ({ classes, input, layers, data, batch, epochs, lr }) => `# ${classes.length} classes of your own images, with 1-bit weights and 2-bit activations in the inner layers.
[model]
input = [${input.join(", ")}]         # channels, height, width
classes = ${classes.length}

${layers.join("\n")}
[data]
${data}
[train]
batch = ${batch}
epochs = ${epochs}
seed = 0

[train.optimizer]
kind = "sgd"
lr = ${lr}
momentum = 0.9
weight_decay = 5e-4

[train.schedule]
kind = "linear"           # lr decreases to 0 over the run
`;

/** @param {string} name @param {string} kind @param {string} rest */
const layer = (name, kind, rest) => `[[model.layers]]\nname = "${name}"\nkind = "${kind}"\n${rest}`;

/** @param {string} name @param {number} filters @param {string} rest */
const block = (name, filters, rest) => layer(name, "conv", `filters = ${filters}\nkernel = 3\npadding = 1\n${rest}`);

/** @param {number} at */
const pool = (at) => layer(`pool${at}`, "max_pool", "kernel = 2\n");

/** @param {number} at */
const quantised = (at) => `${layer(`bn${at}`, "batch_norm", "affine = false\n")}\n${layer(`q${at}`, "hwgq", "bits = 2\n")}`;
