#!/usr/bin/env python3
"""Trains the recipe of a halfwave run on CIFAR-10 once more in PyTorch (float32), from the same start values, on the same files in the same order, and compares losses and test accuracy.

    halfwave train RECIPE --data-dir cifar-10-batches-bin --out RUN --dump DUMP.safetensors
    accuracy.py RUN DUMP.safetensors cifar-10-batches-bin

The recipe has shuffle = false, and neither augmentation nor a mean image. Needs torch, numpy, safetensors.
"""

import json
import sys
import time
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import schedules  # noqa: E402
import torch  # noqa: E402
from losses import loss as loss_of  # noqa: E402
from network import Network  # noqa: E402
from optimisers import Optimiser, clip_by_norm  # noqa: E402
from safetensors.torch import load_file  # noqa: E402


def cifar(folder, names, scale):
    """Images [n, 3, 32, 32] as floats, pixel * scale[0] + scale[1], and labels [n]."""
    records = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in names])
    images = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) * np.float32(scale[0]) + np.float32(scale[1])
    return torch.tensor(images), torch.tensor(records[:, 0].astype(np.int64))


def accuracy(network, images, labels):
    network.training = False
    with torch.no_grad():
        right = sum(int((network(x).argmax(1) == y).sum()) for x, y in zip(images.split(500), labels.split(500)))
    network.training = True
    return right / len(labels)


def main():
    run, dump, folder = map(Path, sys.argv[1:4])
    recipe = tomllib.loads((run / "recipe.toml").read_text())
    settings, train, optimizer = recipe["data"], recipe["train"], recipe["train"]["optimizer"]
    augment = settings["augment"]
    assert not settings["shuffle"] and not settings["mean_image"] and not any(augment[k] for k in ("pad", "mirror", "cutout"))
    images, labels = cifar(folder, [f"data_batch_{i}.bin" for i in range(1, 6)], settings["scale"])
    batch = train["batch"]
    epoch_steps = -(-len(labels) // batch)
    total = train.get("steps", train.get("epochs", 0) * epoch_steps)
    network = Network(recipe["model"], train["seed"], optimizer["kind"] == "bop")
    network.prepare(images[:2])
    start = load_file(dump)
    with torch.no_grad():
        for name, value in network.parameters.items():
            value.copy_(start[f"init/{name}"])
    parameters, optimiser = network.parameters, Optimiser(optimizer, network)
    begun, losses = time.monotonic(), []
    for step in range(total):
        at = step % epoch_steps * batch
        network.step = step
        loss = loss_of(network(images[at : at + batch]), labels[at : at + batch], train["loss"])
        gradients = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values()))))
        losses.append(loss.item())
        if "clip_norm" in optimizer:
            gradients = clip_by_norm(gradients, optimizer["clip_norm"])
        optimiser.step(gradients, schedules.rate(optimizer["lr"], train["schedule"], step, total, epoch_steps))
        if step % 50 == 0:
            print(f"step {step} loss {losses[-1]:.4f}, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    seconds = time.monotonic() - begun
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    ours = [row["loss"] for row in rows if "loss" in row]
    theirs = accuracy(network, *cifar(folder, ["test_batch.bin"], settings["scale"]))
    reached = [row["test_accuracy"] for row in rows if "test_accuracy" in row][-1]
    assert len(ours) == total, f"the run has {len(ours)} steps, its recipe {total}"
    tail = max(total // 20, 1)
    print(f"{total} steps of {batch} images, PyTorch in {seconds:.0f} s")
    for name, at in [("first", slice(0, 1)), ("tenth", slice(9, 10)), (f"mean of the last {tail}", slice(total - tail, total))]:
        print(f"{name} loss: halfwave {np.mean(ours[at]):.4f}, PyTorch {np.mean(losses[at]):.4f}")
    print(f"test accuracy: halfwave {100 * reached:.2f} %, PyTorch {100 * theirs:.2f} %, difference {100 * (reached - theirs):+.2f}")


if __name__ == "__main__":
    main()
