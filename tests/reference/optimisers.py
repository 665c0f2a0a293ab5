"""Optimisers, from their papers' equations with PyTorch's conventions. All take the gradient of the mean loss."""

from fnmatch import fnmatchcase

import torch


def clip_by_norm(gradients, largest):
    """All gradients together shrink to this norm where theirs is larger."""
    norm = torch.sqrt(sum((g**2).sum() for g in gradients.values()))
    return {name: g * min(1.0, largest / float(norm + 1e-6)) for name, g in gradients.items()}


class Optimiser:
    """State starts at zero. Weight decay acts on weights of conv and linear layers only, those of two axes or more, unless the parameter's group says otherwise."""

    def __init__(self, settings, network):
        self.settings, self.network, self.state, self.steps = settings, network, {}, 0

    def moment(self, what, name):
        return self.state.setdefault((what, name), torch.zeros_like(self.network.parameters[name]))

    def step(self, gradients, lr):
        self.steps += 1
        rule = getattr(self, self.settings["kind"])
        with torch.no_grad():
            for name, w in self.network.parameters.items():
                group = next((g for g in self.settings.get("groups", []) if fnmatchcase(name, g["match"])), {})
                usual = self.settings.get("weight_decay", 0.01 if self.settings["kind"] == "adamw" else 0.0)
                decay = group.get("weight_decay", usual if w.dim() > 1 else 0.0)
                rule(name, w, gradients[name], lr * group.get("lr_scale", 1.0), decay)
                if name in self.network.clipped:
                    w.clamp_(-1, 1)
            self.network.settle()

    def sgd(self, name, w, g, lr, decay):
        """v = mu v + g + decay w; w -= lr v, or lr (g + decay w + mu v) with Nesterov's momentum."""
        mu, v = self.settings.get("momentum", 0.0), self.moment("velocity", name)
        g = g + decay * w
        v.mul_(mu).add_(g)
        w -= lr * (g + mu * v if self.settings.get("nesterov", False) else v)

    def adam(self, name, w, g, lr, decay):
        """Adam (Kingma, Ba, 2015) with decay in the gradient; AdamW (Loshchilov, Hutter, 2019): w shrinks by lr decay first, apart from the gradient."""
        b1, b2 = self.settings.get("beta1", 0.9), self.settings.get("beta2", 0.999)
        if self.settings["kind"] == "adamw":
            w *= 1 - lr * decay
        else:
            g = g + decay * w
        m, v = self.moment("moment1", name), self.moment("moment2", name)
        m.mul_(b1).add_((1 - b1) * g)
        v.mul_(b2).add_((1 - b2) * g**2)
        c1, c2 = 1 - b1**self.steps, 1 - b2**self.steps
        w -= lr * (m / c1) / (torch.sqrt(v / c2) + self.settings.get("eps", 1e-8))

    adamw = adam

    def lion(self, name, w, g, lr, decay):
        """Lion (Chen et al., 2023, arXiv 2302.06675, algorithm 2): w shrinks by lr decay, and moves by lr against the sign of b1 m + (1 - b1) g; then m = b2 m + (1 - b2) g."""
        b1, b2 = self.settings.get("beta1", 0.9), self.settings.get("beta2", 0.99)
        m = self.moment("momentum", name)
        direction = torch.sign(b1 * m + (1 - b1) * g)
        w.mul_(1 - lr * decay).sub_(lr * direction)
        m.mul_(b2).add_((1 - b2) * g)

    def bop(self, name, w, g, lr, decay):
        """Bop (Helwegen et al., 2019) for binary weights: m = (1 - gamma) m + gamma g; w flips where |m| > threshold and m has w's sign. Adam for the rest."""
        if name not in self.network.binary:
            return self.adam(name, w, g, lr, decay)
        gamma, m = self.settings.get("gamma", 1e-4), self.moment("momentum", name)
        m.mul_(1 - gamma).add_(gamma * g)
        sign = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
        flips = (m.abs() > self.settings.get("threshold", 1e-8)) & (torch.sign(m) == sign)
        w.copy_(torch.where(flips, -w, w))
