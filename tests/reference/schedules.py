"""The learning rate of step s, counted from 0, of a run of T steps, W of them a warm-up: the curve, times (s + 1) / W before step W.

"linear", "polynomial" and "cosine" go by x, the share of the steps behind the warm-up that is done; "step", "multi_step" and "exponential" count epochs or steps from the beginning.
"""

import math


def curve(lr, settings, x, count):
    kind, end, factor = settings.get("kind", "constant"), settings.get("end", 0.0), settings.get("factor", 0.1)
    if kind == "constant":
        return lr
    if kind == "linear":
        return lr * (1 - x)
    if kind == "polynomial":
        return end + (lr - end) * (1 - x) ** settings["power"]
    if kind == "cosine":
        return end + (lr - end) * (1 + math.cos(math.pi * x)) / 2
    if kind == "step":
        return lr * factor ** (count // settings["every"])
    if kind == "multi_step":
        return lr * factor ** sum(count >= milestone for milestone in settings["milestones"])
    if kind == "exponential":
        return lr * factor**count
    raise ValueError(f"unknown schedule {kind}")


def rate(lr, settings, step, total, epoch_steps):
    warmup = settings.get("warmup_steps", settings.get("warmup_epochs", 0) * epoch_steps)
    x = min(max(step - warmup, 0) / max(total - warmup, 1), 1)
    count = step if settings.get("unit", "epochs") == "steps" else step // epoch_steps
    return curve(lr, settings, x, count) * ((step + 1) / warmup if step < warmup else 1)
