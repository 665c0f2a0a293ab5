#!/bin/bash
# A researcher who works in Python writes a recipe that extends a built-in one, sweeps over learning rates
# with two seeds, and reads tables, metrics and weights with Python's standard library. What the researcher
# came for: the best learning rate, and the weights trained with it, in files of other programs.
set -euo pipefail
fail() { echo "researcher: $*" >&2; exit 1; }

cat >study.toml <<'RECIPE'
extends = "digits"

[data]
validation = 0.1
limit = 200
test_limit = 60

[train]
batch = 16
epochs = 1
RECIPE
halfwave summary study.toml --json >summary.json
halfwave sweep study.toml --set 'train.optimizer.lr=[0.1, 0.0001]' --fix train.optimizer.momentum=0.8 --seeds 2
halfwave sweep study.toml --set 'train.optimizer.lr=[0.1, 0.0001]' --fix train.optimizer.momentum=0.8 --seeds 2 |
  grep -q 'all 4 runs were already finished' || fail "the same command has trained again"
best=runs/study-sweep/lr=0.1-seed0
halfwave eval "$best" --json >eval.json
for format in onnx safetensors; do halfwave export "$best" --format "$format" --out "network.$format"; done

python3 - "$best" <<'PYTHON'
import csv, json, struct, sys

rows = list(csv.DictReader(open("runs/study-sweep/table.csv")))
means = {row["combination"]: float(row["mean_percent"]) for row in rows}
assert set(means) == {"lr=0.1", "lr=0.0001"} and all(row["runs"] == "2" for row in rows), rows
assert max(means, key=means.get) == "lr=0.1", means

run = sys.argv[1]
steps = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
losses = [row["loss"] for row in steps if "loss" in row]
assert losses[-1] < losses[0], losses
about = json.load(open(f"{run}/run.json"))
evaluated = json.load(open("eval.json"))
assert abs(about["result"]["test_accuracy"] - evaluated["accuracy"]) < 1e-6, (about["result"], evaluated)

# The header of a safetensors file: its length, then JSON.
def tensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        start = file.tell()
        header.pop("__metadata__", None)
        for name, about in header.items():
            first, last = about["data_offsets"]
            file.seek(start + first)
            yield name, about["shape"], struct.unpack(f"<{(last - first) // 4}f", file.read(last - first))

weights = {name: (shape, values) for name, shape, values in tensors("network.safetensors")}
shape, values = weights["conv2.weight"]
assert shape == [32, 16, 3, 3], shape
filters = [values[at : at + 144] for at in range(0, len(values), 144)]
assert all(len({abs(value) for value in filter}) == 1 for filter in filters), "the weights of a filter are ±α"
parameters = sum(layer["parameters"] for layer in json.load(open("summary.json"))["layers"])
print(f"{means}; {parameters} parameters; {len(weights)} tensors")
PYTHON
[[ $(head -c 100 network.onnx | tr -cd '[:print:]') == *halfwave* ]] || fail "network.onnx does not begin as an ONNX file of halfwave"
