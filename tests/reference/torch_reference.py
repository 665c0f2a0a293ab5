#!/usr/bin/env python3
"""Reference runs in PyTorch, float64, written from the papers' equations. Needs torch, numpy, safetensors.

    torch_reference.py            every recipe of tests/reference/recipes
    torch_reference.py CASE …     some of them
    torch_reference.py --float32 [CASE …]
                                  writes nothing: how far PyTorch's own run in float32 is from what was written (relative norm, largest over tensors). A case is of use only
                                  where that is far below the bound of the tests: no value may lie so close to a threshold that rounding decides

A case trains on the digits in file order: step i takes images i*batch … (i+1)*batch. assets/reference/CASE.safetensors then holds, all float32:

    init/<layer>.<param>     parameters before the first step (weights are O, I, H, W; linear weights O, I)
    grad/<layer>.<param>     gradient of the mean loss in the first step, before weight decay and clipping
    final/<layer>.<param>    parameters and running statistics after the last step
    logits                   of the first batch, training mode, before any update
    loss                     one value a step
"""

import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import data  # noqa: E402
import philox  # noqa: E402
import schedules  # noqa: E402
import torch  # noqa: E402
from losses import loss as loss_of  # noqa: E402
from network import Network  # noqa: E402
from optimisers import Optimiser, clip_by_norm  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

RECIPES = Path(__file__).resolve().parent / "recipes"


def run(recipe):
    """The tensors of a run, and its losses."""
    train, optimizer = recipe["train"], recipe["train"]["optimizer"]
    images, labels = data.digits(recipe["data"].get("scale", [1 / 16, -0.5]))
    batch, total = train["batch"], train["steps"]
    epoch_steps = -(-1437 // batch)
    assert batch * total <= 1437, "the digits have 1437 images to train on, and a case stays in the first epoch"
    network = Network(recipe["model"], train.get("seed", 0), optimizer["kind"] == "bop")
    network.prepare(images[:2])
    parameters, optimiser = network.parameters, Optimiser(optimizer, network)
    out, losses = {f"init/{name}": w.detach().clone() for name, w in parameters.items()}, []
    for step in range(total):
        rows = slice(step * batch, (step + 1) * batch)
        network.step = step
        logits = network(images[rows])
        loss = loss_of(logits, labels[rows], train.get("loss", {}))
        gradients = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values()))))
        if step == 0:
            out["logits"] = logits.detach().clone()
            out |= {f"grad/{name}": g.clone() for name, g in gradients.items()}
        losses.append(loss.item())
        if "clip_norm" in optimizer:
            gradients = clip_by_norm(gradients, optimizer["clip_norm"])
        optimiser.step(gradients, schedules.rate(optimizer["lr"], train.get("schedule", {}), step, total, epoch_steps))
    out |= {f"final/{name}": value.detach() for name, value in (parameters | network.statistics).items()}
    out["loss"] = torch.tensor(losses)
    return out, losses


def distance(got, expected):
    """The largest relative norm of a difference, and whose."""
    norms = {name: float((got[name].float() - value).norm() / value.norm().clamp(min=1e-30)) for name, value in expected.items()}
    name = max(norms, key=norms.get)
    return f"{norms[name]:.1e} {name}"


def main():
    philox.known_answers()
    cases = [name for name in sys.argv[1:] if not name.startswith("--")] or sorted(path.stem for path in RECIPES.glob("*.toml"))
    single = "--float32" in sys.argv
    torch.set_default_dtype(torch.float32 if single else torch.float64)
    for case in cases:
        recipe = tomllib.loads((RECIPES / f"{case}.toml").read_text())
        out, losses = run(recipe)
        path = data.ROOT / "assets" / "reference" / f"{case}.safetensors"
        if single:
            print(f"{case:<32} {distance(out, load_file(path))}", flush=True)
            continue
        save_file({name: value.float().contiguous() for name, value in sorted(out.items())}, path)
        print(f"{case:<32} {path.stat().st_size:>7} bytes, loss {losses[0]:.6f} -> {losses[-1]:.6f}", flush=True)


if __name__ == "__main__":
    main()
