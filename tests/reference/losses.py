"""Losses of logits z [n, classes] against labels: the mean over images of a sum over classes. t is 1 at the label and 0 elsewhere."""

import torch
import torch.nn.functional as F


def softmax_cross_entropy(z, labels, settings):
    """-sum_k q_k ln softmax(z)_k, q = (1 - s) t + s / K with label smoothing s."""
    smoothing, classes = settings.get("label_smoothing", 0.0), z.shape[1]
    q = (1 - smoothing) * F.one_hot(labels, classes).to(z.dtype) + smoothing / classes
    return -(q * torch.log_softmax(z, dim=1)).sum(dim=1)


def sigmoid_cross_entropy(z, labels, settings):
    """-sum_k t_k ln g(z_k) + (1 - t_k) ln(1 - g(z_k)), g the sigmoid."""
    t = F.one_hot(labels, z.shape[1]).to(z.dtype)
    return F.binary_cross_entropy_with_logits(z, t, reduction="none").sum(dim=1)


def squared_error(z, labels, settings):
    """1/2 sum_k (z_k - t_k)^2."""
    t = F.one_hot(labels, z.shape[1]).to(z.dtype)
    return ((z - t) ** 2).sum(dim=1) / 2


def squared_hinge(z, labels, settings):
    """1/K sum_k max(0, 1 - (2 t_k - 1) z_k)^2, the mean over K classes as in BNN (Courbariaux et al., 2016)."""
    t = 2 * F.one_hot(labels, z.shape[1]).to(z.dtype) - 1
    return ((1 - t * z).clamp(min=0) ** 2).mean(dim=1)


LOSSES = {f.__name__: f for f in (softmax_cross_entropy, sigmoid_cross_entropy, squared_error, squared_hinge)}


def loss(z, labels, settings):
    """The mean over images of the loss that the settings name."""
    return LOSSES[settings.get("kind", "softmax_cross_entropy")](z, labels, settings).mean()
