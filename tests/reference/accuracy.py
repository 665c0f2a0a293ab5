#!/usr/bin/env python3
"""Trains the recipe of a halfwave run on CIFAR-10 once more in PyTorch (float32), from the same start values, on the same files in the same order, and compares losses and test accuracy.

    halfwave train RECIPE --data-dir cifar-10-batches-bin --out RUN --dump DUMP.safetensors
    accuracy.py RUN DUMP.safetensors cifar-10-batches-bin [CONTROLS]

CONTROLS further runs of PyTorch begin at start values that are changed by up to a millionth: what rounding alone makes of a run. The recipe has shuffle = false, and neither augmentation nor a mean image. Needs torch, numpy, safetensors.
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


def trained(recipe, start, images, labels, noise=None):
    """The recipe's network after its run from these start values, and the loss of every step; with `noise`, from values that lie up to a millionth off."""
    train, optimizer = recipe["train"], recipe["train"]["optimizer"]
    batch, epoch_steps, total = train["batch"], *steps_of(train, len(labels))
    network = Network(recipe["model"], train["seed"], optimizer["kind"] == "bop")
    network.prepare(images[:2])
    with torch.no_grad():
        for name, value in network.parameters.items():
            value.copy_(start[f"init/{name}"])
            if noise is not None:
                value.mul_(1 + 1e-6 * (2 * torch.rand(value.shape, generator=noise) - 1))
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
        if step % 100 == 0:
            print(f"step {step} loss {losses[-1]:.4f}, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return network, losses


def steps_of(train, images):
    """Steps of an epoch, and of the run."""
    epoch_steps = -(-images // train["batch"])
    return epoch_steps, train.get("steps", train.get("epochs", 0) * epoch_steps)


def main():
    run, dump, folder = map(Path, sys.argv[1:4])
    controls = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    recipe = tomllib.loads((run / "recipe.toml").read_text())
    settings, augment = recipe["data"], recipe["data"]["augment"]
    assert not settings["shuffle"] and not settings["mean_image"] and not any(augment[k] for k in ("pad", "mirror", "cutout"))
    images, labels = cifar(folder, [f"data_batch_{i}.bin" for i in range(1, 6)], settings["scale"])
    test, start = cifar(folder, ["test_batch.bin"], settings["scale"]), load_file(dump)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    ours, reached = [row["loss"] for row in rows if "loss" in row], [row["test_accuracy"] for row in rows if "test_accuracy" in row][-1]
    _, total = steps_of(recipe["train"], len(labels))
    assert len(ours) == total, f"the run has {len(ours)} steps, its recipe {total}"
    tail = max(total // 20, 1)

    def line(name, losses, right):
        marks = [losses[0], losses[min(9, total - 1)], np.mean(losses[-tail:])]
        print(f"{name:<26}" + "".join(f"{mark:>12.4f}" for mark in marks) + f"{100 * right:>12.2f}%", flush=True)

    print(f"{total} steps of {recipe['train']['batch']} images; losses of the first and the tenth step, mean of the last {tail}; test accuracy")
    line("halfwave", ours, reached)
    accuracies = []
    for control in range(controls + 1):
        noise = torch.Generator().manual_seed(control) if control else None
        network, losses = trained(recipe, start, images, labels, noise)
        accuracies.append(accuracy(network, *test))
        line(f"PyTorch, start + 1e-6 ({control})" if control else "PyTorch", losses, accuracies[-1])
    print(f"difference {100 * (reached - accuracies[0]):+.2f}%; PyTorch's own runs lie within {100 * (max(accuracies) - min(accuracies)):.2f}%")


if __name__ == "__main__":
    main()
