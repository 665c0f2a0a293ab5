"""How a layer uses its latent weights W (filters first), from the papers' equations.

`effective` returns the weight that the product sees, with the gradient rule of the paper, and what it is made of: [(coefficient, integers)], the coefficient one number or
one a filter; None for float weights.
"""

import torch
from estimators import mask, stand_in


def signs(w):
    """+1 for w >= 0, else -1."""
    return torch.where(w >= 0, 1.0, -1.0).to(w.dtype)


def per_filter(w):
    """The axes of one filter."""
    return tuple(range(1, w.dim()))


def binary(w, layer):
    """alpha sign(W). alpha: the mean |W| of a filter or of the layer, or 1.

    Gradient "identity" (HWGQ, BNN): dW = g. "xnor" (XNOR-Net, in its corrected form): dW_i = sign(W_i) / n sum_j g_j sign(W_j) + alpha g_i [|W_i| <= 1], n weights to an
    alpha; without alpha the first term is not there."""
    latent, kind = w.detach(), layer.get("alpha", "filter")
    b = signs(latent)
    axes = {"filter": per_filter(w), "layer": tuple(range(w.dim())), "none": None}[kind]
    alpha = torch.ones((), dtype=w.dtype) if axes is None else latent.abs().mean(dim=axes, keepdim=True)

    def xnor(g):
        through_sign = alpha * g * mask(latent.abs() <= 1)
        if axes is None:
            return through_sign
        return b * (g * b).mean(dim=axes, keepdim=True) + through_sign

    rules = {"identity": lambda g: g, "xnor": xnor}
    return stand_in(w, alpha * b, rules[layer.get("weight_gradient", "identity")]), [(alpha, b)]


def dorefa(w, layer):
    """DoReFa-Net. k = 1: sign(W) E|W|, one scale a layer, dW = g. k > 1: 2 quantize_k(tanh W / (2 max |tanh W|) + 1/2) - 1, where quantize_k alone is passed
    straight through: the derivative goes on through tanh and through the maximum."""
    bits = layer.get("weight_bits", 1)
    if bits == 1:
        return binary(w, {"alpha": "layer"})
    steps = 2**bits - 1
    bounded = torch.tanh(w)
    unit = bounded / (2 * bounded.abs().max()) + 0.5
    code = (unit.detach() * steps).round()
    quantised = 2 * stand_in(unit, code / steps, lambda g: g) - 1
    return quantised, [(torch.tensor(1 / steps, dtype=w.dtype), 2 * code - steps)]


def abc(w, layer):
    """ABC-Net (Lin, Zhao, Pan, 2017): M bases B_j = sign(W - mean + u_j std), u_j = -1 + 2 (j - 1) / (M - 1), mean and (biased) deviation over the layer; coefficients by
    least squares, min |W - sum_j a_j B_j|^2. Straight through every sign: dW = sum_j a_j g."""
    latent, count = w.detach(), layer.get("bases", 3)
    shifts = [-1 + 2 * j / (count - 1) for j in range(count)] if count > 1 else [0.0]
    deviation = latent.std(unbiased=False)
    bases = [signs(latent - latent.mean() + u * deviation) for u in shifts]
    matrix = torch.stack([b.flatten() for b in bases], dim=1)
    coefficients = torch.linalg.lstsq(matrix, latent.flatten()[:, None], driver="gelsd").solution[:, 0]
    value = sum(a * b for a, b in zip(coefficients, bases))
    total = coefficients.sum()
    return stand_in(w, value, lambda g: g * total), list(zip(coefficients, bases))


def effective(w, layer):
    """The weight that the product sees, and its parts. Weights in fixed point lie on their grid and are used as they are."""
    kind = layer.get("weights", "float")
    if kind in ("float", "fixed"):
        return w, None
    return {"binary": binary, "dorefa": dorefa, "abc": abc}[kind](w, layer)
