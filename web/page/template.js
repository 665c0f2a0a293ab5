/**
 * A recipe for the user's images: a small network with binary weights and 2-bit activations, as a starting point.
 */

/** @param {{kind: string, classes: string[], train_len: number, input?: number[]}} data @returns {string} */
export function recipeFor({ kind, classes, train_len, input = [3, 32, 32] }) {
  const set = kind === "cifar10" ? "cifar10" : "folder";
  const batch = Math.max(2, Math.min(64, train_len));
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
  return `# ${classes.length} classes of your own images, with 1-bit weights and 2-bit activations in the inner layers.
[model]
input = [${input.join(", ")}]         # channels, height, width
classes = ${classes.length}

${layers.join("\n")}
[data]
set = "${set}"

[train]
batch = ${batch}
epochs = 20
seed = 0

[train.optimizer]
kind = "sgd"
lr = 0.05
momentum = 0.9
weight_decay = 5e-4

[train.schedule]
kind = "linear"           # lr decreases to 0 over the run
`;
}

/** @param {string} name @param {string} kind @param {string} rest */
const layer = (name, kind, rest) => `[[model.layers]]\nname = "${name}"\nkind = "${kind}"\n${rest}`;

/** @param {string} name @param {number} filters @param {string} rest */
const block = (name, filters, rest) => layer(name, "conv", `filters = ${filters}\nkernel = 3\npadding = 1\n${rest}`);

/** @param {number} at */
const pool = (at) => layer(`pool${at}`, "max_pool", "kernel = 2\n");

/** @param {number} at */
const quantised = (at) => `${layer(`bn${at}`, "batch_norm", "affine = false\n")}\n${layer(`q${at}`, "hwgq", "bits = 2\n")}`;
