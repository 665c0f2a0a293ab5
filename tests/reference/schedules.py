"""The learning rate of a step, counted from 0, of a run of `total` steps."""

import math


def factor(settings, step, total):
    kind = settings.get("kind", "constant")
    t = step / total
    if kind == "constant":
        return 1.0
    if kind == "linear":
        return 1 - t
    if kind == "step":
        return settings["factor"] ** (step // settings["every"])
    if kind == "multi_step":
        return settings["factor"] ** sum(step >= at for at in settings["at"])
    if kind == "polynomial":
        return (1 - t) ** settings["power"]
    if kind == "exponential":
        return settings["factor"] ** step
    if kind == "cosine":
        return (1 + math.cos(math.pi * t)) / 2
    raise ValueError(f"unknown schedule {kind}")


def rate(lr, settings, step, total):
    """With `warmup` steps w: lr (step + 1) / w before step w; from there on the schedule over the steps that are left."""
    warmup = settings.get("warmup", 0)
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * factor(settings, step - warmup, total - warmup)
