"""Fixed point (Gupta, Agrawal, Gopalakrishnan, Narayanan, ICML 2015): <IL, FL>, eps = 2^-FL, from -2^(IL - 1) to 2^(IL - 1) - eps, saturating."""

import torch
from estimators import mask


def round_to(x, form, uniform=None):
    """x in the format [IL, FL], and where it saturated. To nearest, ties to even; or with numbers from [0, 1) stochastically: the floor, and one eps more where
    u < (x - floor) / eps."""
    integer_bits, fraction_bits = form
    eps, bound = 2.0**-fraction_bits, 2.0 ** (integer_bits - 1)
    saturated = (x < -bound) | (x > bound - eps)
    scaled = x.detach().clamp(-bound, bound - eps) / eps
    if uniform is None:
        return scaled.round() * eps, saturated
    return (scaled.floor() + mask(uniform < scaled - scaled.floor())) * eps, saturated


def digits(count):
    """A count as three digits of base 2^24, least first."""
    return torch.tensor([float(count >> (24 * i) & 0xFFFFFF) for i in range(3)])
