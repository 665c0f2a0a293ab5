"""A network from the layers of a recipe: parameters, running statistics, forward pass."""

import fixed_point
import philox
import torch
from layers import KINDS
from quantisers import Signal


class Network:
    """Parameters and statistics appear when the layers first ask for them, in the order of the layers."""

    def __init__(self, model, seed, bop=False):
        self.layers, self.seed, self.step, self.training = model["layers"], seed, 0, True
        self.parameters, self.statistics = {}, {}
        # Of parameters in fixed point: layer, format, rounding, window of a weight.
        self.fixed, self.saturated = {}, {}
        self.bop = bop
        self.generator = torch.Generator().manual_seed(seed)
        # Latent weights that are binary, for optimisers and clipping.
        self.binary = {l["name"] + ".weight" for l in self.layers if l.get("weights") == "binary"}
        self.clipped = {l["name"] + ".weight" for l in self.layers if l.get("clip_weights", False)}

    def parameter(self, name, shape, start=None, deviation=None, grid=None):
        """A constant, or normal numbers of this deviation, on the grid of a fixed-point format where there is one; float32 values, so that both sides start equal."""
        if name not in self.parameters:
            if start is not None:
                value = torch.full(shape, float(start))
            else:
                value = torch.randn(shape, generator=self.generator, dtype=torch.float64) * deviation
            if self.bop and name in self.binary:
                value = torch.where(value >= 0, 1.0, -1.0)  # Bop's weights have no latent ones
            if grid is not None:
                value, _ = fixed_point.round_to(value, grid)
            self.parameters[name] = value.float().to(torch.get_default_dtype()).requires_grad_(True)
        return self.parameters[name]

    def statistic(self, name, length, start):
        if name not in self.statistics:
            self.statistics[name] = torch.full((length,), start)
        return self.statistics[name]

    def uniform_parameter(self, name, what):
        """Random numbers for a parameter in fixed point; none where it is rounded to nearest."""
        _, _, rounding, window = self.fixed[name]
        if rounding == "nearest":
            return None
        return philox.uniform_weight(self.seed, self.step, f"{name}/{what}", self.parameters[name].shape, window)

    def count(self, layer, saturated):
        """Counts what saturated in a layer in fixed point, in training alone."""
        self.saturated.setdefault(layer, 0)
        if self.training and saturated is not None:
            self.saturated[layer] += int(saturated.sum())
        self.statistics[layer + ".saturated"] = fixed_point.digits(self.saturated[layer])

    def settle(self):
        """Rounds the parameters in fixed point after their update."""
        for name, (layer, form, _, _) in self.fixed.items():
            w = self.parameters[name]
            value, saturated = fixed_point.round_to(w, form, self.uniform_parameter(name, "update"))
            w.copy_(value)
            self.count(layer, saturated)

    def prepare(self, images):
        """Makes all parameters, without counting these images."""
        self.training = False
        with torch.no_grad():
            self(images)
        self.training = True

    def __call__(self, images):
        made = {"input": Signal(images)}
        last = "input"
        for layer in self.layers:
            source = layer.get("from", last)
            inputs = [made[name] for name in (source if isinstance(source, list) else [source])]
            last = layer["name"]
            made[last] = KINDS[layer["kind"]](self, layer, inputs)
        return made[last].value.flatten(1)
