"""Quantisers of activations, from their papers' equations.

Each returns a Signal whose value x = sum of coefficient * integers over its parts. A binary convolution multiplies the integers, so that equal sums stay equal
to the last bit: a max-pool behind it sees true ties, and takes the first in row order.
"""

import math
from dataclasses import dataclass
from typing import Callable, Optional

import torch
from estimators import mask, stand_in, stand_in_learned


@dataclass
class Signal:
    """What a layer hands on."""

    value: torch.Tensor
    # From a value of this kind to [(coefficient, integers)]; None for plain floats.
    parts: Optional[Callable] = None
    # What a convolution's border counts as.
    border: float = 0.0
    # What the quantiser read, for XNOR-Net's scale of the input.
    real: Optional[torch.Tensor] = None

    def pooled(self, value):
        """The same encoding with values chosen among these."""
        return Signal(value, self.parts, self.border)


# By the word that recipes use: functions of the input and the layer's keys.
FIXED = {}
# By the word that recipes use: the learned scale's name, its start as a function of the layer's keys, and a function of the input, the scale and the keys. A key with the
# scale's name sets the start.
LEARNED = {}


def fixed(function):
    """Registers a quantiser without learned parameters."""
    FIXED[function.__name__] = function
    return function


def learned(scale, start):
    """Registers a quantiser with a learned scale."""

    def register(function):
        LEARNED[function.__name__] = (scale, start, function)
        return function

    return register


def coded(value, step):
    """Integers times one step."""
    scale = float(step)
    return Signal(value, lambda v: [(scale, (v / scale).round())])


# ---- half-wave Gaussian quantisation: Cai, He, Sun, Vasconcelos, CVPR 2017

# Steps that "uniform" means: the optima for the half-wave Gaussian, with the authors' rounding at 2 and 3 bits.
UNIFORM = {1: 0.7978845608, 2: 0.538, 3: 0.3217, 4: 0.1842433428}
# The optima where the zero bin reaches to half of the first level.
UNIFORM_HALF = {1: 1.2240063619, 2: 0.6507697040, 3: 0.3534113156, 4: 0.1932485244}


def lloyd(count, zero_bin="zero"):
    """Lloyd's algorithm for `count` positive levels on N(0, 1) restricted to x > 0: levels are the means of their bins, inner thresholds midpoints."""

    def density(x):
        return math.exp(-x * x / 2) / math.sqrt(2 * math.pi) if x < math.inf else 0.0

    def above(x):
        return math.erfc(x / math.sqrt(2)) / 2 if x < math.inf else 0.0

    levels = [3.0 * (i + 1) / (count + 1) for i in range(count)]
    for _ in range(200_000):
        first = levels[0] / 2 if zero_bin == "half" else 0.0
        edges = [first] + [(a + b) / 2 for a, b in zip(levels, levels[1:])] + [math.inf]
        new = [(density(a) - density(b)) / (above(a) - above(b)) for a, b in zip(edges, edges[1:])]
        change = max(abs(a - b) for a, b in zip(new, levels))
        levels = new
        if change < 1e-14:
            break
    return levels


def hwgq_levels(layer):
    """The positive levels of a layer, and whether they are multiples of the first."""
    bits, levels, half = layer.get("bits", 2), layer.get("levels", "uniform"), layer.get("zero_bin", "zero") == "half"
    if levels == "uniform":
        step = layer.get("step", (UNIFORM_HALF if half else UNIFORM)[bits])
        step = float(torch.tensor(step, dtype=torch.float32))
        return [step * (i + 1) for i in range(2**bits - 1)], True
    if levels == "lloyd":
        levels = lloyd(2**bits - 1, "half" if half else "zero")
    return [float(v) for v in torch.tensor(levels, dtype=torch.float32)], False


def surrogate_slope(name, x, top):
    """Derivative of the function that stands in for the quantiser."""
    inside = mask((x > 0) & (x <= top))
    if name == "identity":
        return torch.ones_like(x)
    if name == "vanilla":
        return mask(x > 0)
    if name == "clipped":
        return inside
    if name == "log_tailed":
        return torch.where(x > top, 1 / (x - top + 1).clamp(min=1), inside)
    raise ValueError(f"unknown surrogate {name}")


@fixed
def hwgq(x, layer):
    """0 in the zero bin, else the level whose bin, closed on the right, holds x. The zero bin is x <= 0, or x <= q_1 / 2."""
    levels, uniform = hwgq_levels(layer)
    first = levels[0] / 2 if layer.get("zero_bin", "zero") == "half" else 0.0
    thresholds = [first] + [(a + b) / 2 for a, b in zip(levels, levels[1:])]
    rises = [b - a for a, b in zip([0.0] + levels, levels)]
    if uniform:
        value = sum(mask(x > t) for t in thresholds) * levels[0]
    else:
        value = sum(rise * mask(x > t) for rise, t in zip(rises, thresholds))
    slope = surrogate_slope(layer.get("surrogate", "clipped"), x, levels[-1])
    y = stand_in(x, value, lambda dy: dy * slope)
    if uniform:
        return coded(y, levels[0])
    between = [(a + b) / 2 for a, b in zip([0.0] + levels, levels)]  # thermometer: plane i says that the level is at least q_i
    return Signal(y, lambda v: [(rise, mask(v > t)) for rise, t in zip(rises, between)])


# ---- sign


@fixed
def sign(x, layer):
    """+1 for x >= 0, else -1. Hard tanh (Courbariaux et al., 2016) or Bi-Real's polynomial (Liu et al., 2018) stands in for it."""
    name = layer.get("surrogate", "hard_tanh")
    if name == "hard_tanh":
        slope = mask(x.abs() <= 1)
    elif name == "polynomial":
        slope = torch.where(x < 0, 2 + 2 * x, 2 - 2 * x) * mask((x >= -1) & (x < 1))
    else:
        raise ValueError(f"unknown surrogate {name}")
    y = stand_in(x, torch.where(x >= 0, 1.0, -1.0).to(x.dtype), lambda dy: dy * slope)
    border = {"zero": 0.0, "one": 1.0}[layer.get("padding", "zero")]
    return Signal(y, lambda v: [(1.0, v)], border, real=x.detach())


# ---- DoReFa-Net: Zhou et al., 2016


@fixed
def dorefa(x, layer):
    """quantize_k(clip(x, 0, 1)), ties to even; the derivative is the clip's, 1 on [0, 1]."""
    steps = 2 ** layer.get("bits", 2) - 1
    inside = mask((x >= 0) & (x <= 1))
    y = stand_in(x, (x.clamp(0, 1) * steps).round() / steps, lambda dy: dy * inside)
    return coded(y, 1 / steps)


# ---- uniform, with a fixed clip: Jacob et al., 2018


@fixed
def uniform(x, layer):
    """round(clip(x, 0, c) (2^k - 1) / c) c / (2^k - 1); the derivative is the clip's, 1 on [0, c]."""
    steps, clip = 2 ** layer.get("bits", 2) - 1, layer.get("clip", 6.0)
    inside = mask((x >= 0) & (x <= clip))
    y = stand_in(x, (x.clamp(0, clip) * steps / clip).round() * clip / steps, lambda dy: dy * inside)
    return coded(y, clip / steps)


# ---- PACT: Choi et al., 2018


@learned("clip", lambda layer: 10.0)
def pact(x, clip, layer):
    """round(clip(x, 0, a) (2^k - 1) / a) a / (2^k - 1) with learned a; dx = dy on [0, a), da = sum of dy where x >= a."""
    steps = 2 ** layer.get("bits", 2) - 1
    a = clip.detach()
    inside, over = mask((x >= 0) & (x < a)), mask(x >= a)
    value = (x.clamp(min=0).minimum(a) * steps / a).round() * a / steps
    y = stand_in_learned(x, clip, value, lambda dy: dy * inside, lambda dy: (dy * over).sum().reshape(clip.shape))
    return coded(y, a / steps)


# ---- LSQ: Esser et al., 2020


@learned("step", lambda layer: UNIFORM[layer.get("bits", 2)])
def lsq(x, step, layer):
    """round(clip(x / s, 0, Q)) s with learned s, Q = 2^k - 1; dx = dy where 0 < x / s < Q. ds = sum of dy times (round(v) - v inside, 0 below, Q above), v = x / s, times
    1 / sqrt(N Q), N the number of elements of the whole tensor, batch included."""
    top = 2 ** layer.get("bits", 2) - 1
    s = step.detach()
    v = x / s
    code = v.clamp(0, top).round()
    inside = (v > 0) & (v < top)
    slope = torch.where(inside, code - v, torch.where(v >= top, float(top), 0.0))
    scale = 1 / math.sqrt(x.numel() * top)
    to_step = lambda dy: ((dy * slope).sum() * scale).reshape(step.shape)
    y = stand_in_learned(x, step, code * s, lambda dy: dy * mask(inside), to_step)
    return coded(y, s)


# ---- APoT: Li, Dong, Wang, 2020

# By bits: the sets of powers of two of which a level is the sum, one term of each; a set also has 0.
APOT = {2: ([-1, -2, -3], []), 3: ([-1, -2, -4], [-3]), 4: ([-1, -3, -5], [-2, -4, -6])}


@learned("clip", lambda layer: 8.0)
def apot(x, clip, layer):
    """Q(clip(x / a, 0, 1)) a with learned a, Q to the nearest level, the lower of two. The clipping function is reparametrised: dx = dy where 0 < x / a < 1,
    da = sum of dy times (Q(v) - v inside, 0 below, 1 above), v = x / a."""
    first, second = APOT[layer.get("bits", 2)]
    sums = sorted((2.0**i if i else 0.0) + (2.0**j if j else 0.0) for i in first + [0] for j in second + [0])
    levels = [value / sums[-1] for value in sums]
    a = clip.detach()
    v = x / a
    rises = [(b - c, (b + c) / 2) for c, b in zip(levels, levels[1:])]
    q = sum(rise * mask(v > middle) for rise, middle in rises)
    inside = (v > 0) & (v < 1)
    slope = torch.where(inside, q - v, torch.where(v >= 1, 1.0, 0.0))
    to_clip = lambda dy: (dy * slope).sum().reshape(clip.shape)
    y = stand_in_learned(x, clip, q * a, lambda dy: dy * mask(inside), to_clip)
    scale = float(a)
    # Thermometer: plane i says that the value is at least level i.
    return Signal(y, lambda value: [(rise * scale, mask(value > middle * scale)) for rise, middle in rises])
