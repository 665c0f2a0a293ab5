"""The layers: each takes the network, its keys and its inputs' signals, and returns a signal. Names and keys are those of recipes (KEYS.md)."""

import math

import fixed_point
import philox
import quantisers
import torch
import torch.nn.functional as F
import weights
from estimators import exactly, mask, stand_in
from quantisers import Signal

# By the word that recipes use for them.
KINDS = {}


def kind(name):
    def register(function):
        KINDS[name] = function
        return function

    return register


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


# ---- products


def product(net, layer, x, shape, fan_in, apply):
    """apply(input, weight) with the layer's weights. Where both are codes, the value is the sum over parts of the exact integers, scaled once."""
    name, is_fixed = layer["name"], layer.get("weights") == "fixed"
    grid = layer.get("weight_format", [2, 14]) if is_fixed else None
    w = net.parameter(name + ".weight", shape, deviation=math.sqrt(2 / fan_in), grid=grid)
    if is_fixed:
        window = shape[1:] if len(shape) == 4 else tuple(x.value.shape[1:]) + (1,) * (4 - x.value.dim())
        w = fixed_parameter(net, layer, name + ".weight", window)
        net.count(name, None)
    effective, weight_parts = weights.effective(w, layer)
    y = apply(x.value, effective, x.border)
    if x.parts is not None and weight_parts is not None:
        column = (1, -1) + (1,) * (y.dim() - 2)
        total = 0
        for weight_coefficient, integers in weight_parts:
            sums = sum(c * apply(codes.detach(), integers, x.border) for c, codes in x.parts(x.value.detach()))
            scale = weight_coefficient.reshape(column) if weight_coefficient.numel() > 1 else weight_coefficient.reshape(())
            total = total + sums * scale
        y = exactly(total, y)
    if layer.get("input_scale", False):
        y = y * input_scale(layer, x.real, y)
    if layer.get("bias", layer["kind"] == "linear" and weight_parts is None):
        b = net.parameter(name + ".bias", (shape[0],), start=0.0)
        if is_fixed:
            b = fixed_parameter(net, layer, name + ".bias")
        y = y + b.reshape((1, -1) + (1,) * (y.dim() - 2))
    if "gradient_bits" in layer:
        y = dorefa_gradient(net, layer, y)
    return Signal(y)


def input_scale(layer, real, y):
    """XNOR-Net's K: the mean |I| over channels, then over the window (padding counts as 0). No gradient goes through it."""
    if y.dim() == 2:
        return real.abs().mean(dim=tuple(range(1, real.dim())))[:, None]
    r, s = pair(layer.get("kernel", 3))
    mean = real.abs().mean(dim=1, keepdim=True)
    box = torch.full((1, 1, r, s), 1 / (r * s), dtype=y.dtype)
    stride, padding, dilation = (pair(layer.get(key, default)) for key, default in (("stride", 1), ("padding", 0), ("dilation", 1)))
    return F.conv2d(mean, box, None, stride, padding, dilation).detach()


def dorefa_gradient(net, layer, y):
    """DoReFa-Net's gradients: 2m (quantize_k(dr / 2m + 1/2 + N) - 1/2), m the sample's max |dr|, N uniform in half a step to both sides. That is a stochastic
    rounding: of v = (2^k - 1)(dr / 2m + 1/2), the floor, and one more where u < v - floor(v), u from the stream "<layer>/gradient"."""
    steps, name = 2 ** layer["gradient_bits"] - 1, layer["name"] + "/gradient"

    def rule(dy):
        u = philox.uniform(net.seed, net.step, name, dy.shape)
        m = dy.abs().amax(dim=tuple(range(1, dy.dim())), keepdim=True)
        v = (dy / (2 * m) + 0.5) * steps
        rounded = v.floor() + mask(u < v - v.floor())
        return torch.where(m > 0, 2 * m * (rounded / steps - 0.5), 0.0)

    return stand_in(y, y, rule)


@kind("conv")
def conv(net, layer, inputs):
    (x,) = inputs
    groups, channels = layer.get("groups", 1), x.value.shape[1]
    r, s = pair(layer.get("kernel", 3))
    stride, padding, dilation = (pair(layer.get(key, default)) for key, default in (("stride", 1), ("padding", 0), ("dilation", 1)))

    def apply(a, w, border):
        rim = (padding[1], padding[1], padding[0], padding[0])
        return F.conv2d(F.pad(a, rim, value=border), w, None, stride, 0, dilation, groups)

    shape = (layer["filters"], channels // groups, r, s)
    return product(net, layer, x, shape, channels // groups * r * s, apply)


@kind("linear")
def linear(net, layer, inputs):
    """Over the input flattened in C, H, W order."""
    (x,) = inputs
    features = x.value[0].numel()
    return product(net, layer, x, (layer["units"], features), features, lambda a, w, border: F.linear(a.flatten(1), w))


# ---- normalisation, quantisers, activations


@kind("batch_norm")
def batch_norm(net, layer, inputs):
    (x,) = inputs
    name, c, affine = layer["name"], inputs[0].value.shape[1], layer.get("affine", True)
    gamma = net.parameter(name + ".weight", (c,), start=1.0) if affine else None
    beta = net.parameter(name + ".bias", (c,), start=0.0) if affine else None
    mean, variance = net.statistic(name + ".running_mean", c, 0.0), net.statistic(name + ".running_var", c, 1.0)
    momentum, eps = layer.get("momentum", 0.1), layer.get("eps", 1e-5)
    return Signal(F.batch_norm(x.value, mean, variance, gamma, beta, net.training, momentum, eps))


for name, function in quantisers.FIXED.items():
    KINDS[name] = lambda net, layer, inputs, function=function: function(inputs[0].value, layer)


def learned(what, start, function):
    """A quantiser with a learned scale, the layer's parameter `what`."""

    def apply(net, layer, inputs):
        return function(inputs[0].value, net.parameter(f"{layer['name']}.{what}", (1,), start=layer.get(what, start(layer))), layer)

    return apply


for name, parts in quantisers.LEARNED.items():
    KINDS[name] = learned(*parts)


@kind("fixed")
def fixed(net, layer, inputs):
    """Fixed point (Gupta et al., 2015), see fixed_point.py; in inference always to nearest. Saturated numbers are counted and have no gradient; the others' may be rounded to a
    format of its own."""
    (x,) = inputs
    name = layer["name"]

    def uniform(shape, what):
        if layer.get("rounding", "nearest") == "nearest" or not net.training:
            return None
        return philox.uniform(net.seed, net.step, f"{name}/{what}", shape)

    value, saturated = fixed_point.round_to(x.value, layer["format"], uniform(x.value.shape, "rounding"))
    net.count(name, saturated)

    def rule(dy):
        if "gradient_format" in layer:
            dy, _ = fixed_point.round_to(dy, layer["gradient_format"], uniform(dy.shape, "gradient"))
        return dy * mask(~saturated)

    return Signal(stand_in(x.value, value, rule))


def fixed_parameter(net, layer, name, window=None):
    """A parameter that lies on its grid; its gradient may be rounded to a format of its own."""
    w = net.parameters[name]
    net.fixed[name] = (layer["name"], layer.get("weight_format", [2, 14]), layer.get("weight_rounding", "nearest"), window)
    if "gradient_format" not in layer:
        return w

    def rule(dw):
        return fixed_point.round_to(dw, layer["gradient_format"], net.uniform_parameter(name, "gradient"))[0]

    return stand_in(w, w, rule)


# The largest level of the 2-bit half-wave Gaussian quantiser, which clipped and log-tailed ReLU stand in for.
TOP = 3 * quantisers.UNIFORM[2]


def log_tailed_relu(x, top):
    return torch.where(x > top, top + torch.log((x - top + 1).clamp(min=1)), x.clamp(min=0))


ACTIVATIONS = {
    "relu": lambda x, layer: F.relu(x),
    "clipped_relu": lambda x, layer: x.clamp(0, layer.get("top", TOP)),
    "log_tailed_relu": lambda x, layer: log_tailed_relu(x, layer.get("top", TOP)),
    "tanh": lambda x, layer: torch.tanh(x),
    "hard_tanh": lambda x, layer: F.hardtanh(x),
    "sigmoid": lambda x, layer: torch.sigmoid(x),
    "silu": lambda x, layer: F.silu(x),
    "leaky_relu": lambda x, layer: F.leaky_relu(x, layer.get("slope", 0.01)),
}
for name, function in ACTIVATIONS.items():
    KINDS[name] = lambda net, layer, inputs, function=function: Signal(function(inputs[0].value, layer))


@kind("prelu")
def prelu(net, layer, inputs):
    slopes = net.parameter(layer["name"] + ".weight", (inputs[0].value.shape[1],), start=0.25)
    return Signal(F.prelu(inputs[0].value, slopes))


# ---- structure


@kind("max_pool")
def max_pool(net, layer, inputs):
    """Of equal values the first in row order wins. What was coded stays so."""
    kernel = pair(layer["kernel"])
    stride = pair(layer.get("stride", layer["kernel"]))
    return inputs[0].pooled(F.max_pool2d(inputs[0].value, kernel, stride, pair(layer.get("padding", 0))))


@kind("avg_pool")
def avg_pool(net, layer, inputs):
    kernel = pair(layer["kernel"])
    stride = pair(layer.get("stride", layer["kernel"]))
    return Signal(F.avg_pool2d(inputs[0].value, kernel, stride, pair(layer.get("padding", 0))))


@kind("global_avg_pool")
def global_avg_pool(net, layer, inputs):
    return Signal(inputs[0].value.mean((2, 3), keepdim=True))


@kind("slice")
def slice_channels(net, layer, inputs):
    """Channels first .. first + count."""
    first = layer.get("first", 0)
    return Signal(inputs[0].value[:, first : first + layer["count"]])


@kind("flatten")
def flatten(net, layer, inputs):
    """All values as channels of one pixel, in C, H, W order."""
    x = inputs[0]
    return Signal(x.value.flatten(1)[:, :, None, None], x.parts, x.border, x.real)


@kind("add")
def add(net, layer, inputs):
    return Signal(sum((x.value for x in inputs[1:]), inputs[0].value))


@kind("concat")
def concat(net, layer, inputs):
    """Channels behind each other; codes of equal steps stay codes."""
    value = torch.cat([x.value for x in inputs], dim=1)
    if any(x.parts is None for x in inputs):
        return Signal(value)
    steps = [[float(c) for c, _ in x.parts(x.value.detach())] for x in inputs]
    return inputs[0].pooled(value) if all(step == steps[0] for step in steps) else Signal(value)


@kind("dropout")
def dropout(net, layer, inputs):
    """Each value is dropped with probability `rate`, the others grow by 1 / (1 - rate): dropped where u < rate, u from the stream "<layer>/dropout"."""
    x, rate = inputs[0].value, layer.get("rate", 0.5)
    if not net.training:
        return Signal(x)
    keep = mask(philox.uniform(net.seed, net.step, layer["name"] + "/dropout", x.shape) >= rate)
    return Signal(x * keep / (1 - rate))
