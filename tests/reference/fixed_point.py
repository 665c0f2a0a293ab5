"""Fixed point (Gupta, Agrawal, Gopalakrishnan, Narayanan, ICML 2015): <IL, FL>, eps = 2^-FL, from -2^(IL - 1) to 2^(IL - 1) - eps, saturating."""

import philox
from estimators import mask


def round_to(net, x, form, rounding, stream):
    """x in the format [IL, FL], and where it saturated. "nearest": ties to even. "stochastic": the floor, and one eps more where u < (x - floor) / eps."""
    integer_bits, fraction_bits = form
    eps, bound = 2.0**-fraction_bits, 2.0 ** (integer_bits - 1)
    saturated = (x < -bound) | (x > bound - eps)
    scaled = x.detach() / eps
    if rounding == "nearest":
        value = scaled.round() * eps
    elif rounding == "stochastic":
        u = philox.uniform(net.seed, net.step, stream, x.shape)
        value = (scaled.floor() + mask(u < scaled - scaled.floor())) * eps
    else:
        raise ValueError(f"unknown rounding {rounding}")
    return value.clamp(-bound, bound - eps), saturated
