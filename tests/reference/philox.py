"""Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011), a function of seed, step, stream and place.

A tensor lies channels last, each row of channels padded to quads of 4. Quad i draws one block of four words with the key (seed low, seed high) and the
counter (i, stream, step low, step high); lane l of the quad has word l. The stream is the low half of the FNV-1a hash of "<layer>/<purpose>".
"""

import numpy as np
import torch

LOW = np.uint64(0xFFFF_FFFF)


def fnv_1a(text):
    """64-bit FNV-1a hash of a text (Fowler, Noll, Vo)."""
    value = 0xCBF2_9CE4_8422_2325
    for byte in text.encode():
        value = (value ^ byte) * 0x100_0000_01B3 % 2**64
    return value


def philox4x32(counter, key):
    """Four arrays of words from four arrays of counters and two words of key; all uint64 that hold 32 bits."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = c0 * np.uint64(0xD251_1F53), c2 * np.uint64(0xCD9E_8D57)
        half = np.uint64(32)
        c0, c1, c2, c3 = (b >> half) ^ c1 ^ k0, b & LOW, (a >> half) ^ c3 ^ k1, a & LOW
        k0, k1 = (k0 + np.uint64(0x9E37_79B9)) & LOW, (k1 + np.uint64(0xBB67_AE85)) & LOW
    return c0, c1, c2, c3


def words(seed, step, name, rows, channels):
    """Random words [rows, channels] of the stream called `name`."""
    quads = -(-channels // 4)
    place = np.arange(rows * quads, dtype=np.uint64)
    fixed = [np.full_like(place, value) for value in (fnv_1a(name) & 0xFFFF_FFFF, step & 0xFFFF_FFFF, step >> 32)]
    key = (np.uint64(seed & 0xFFFF_FFFF), np.uint64(seed >> 32))
    block = np.stack(philox4x32((place, *fixed), key), axis=1)
    return block.reshape(rows, quads * 4)[:, :channels]


def uniform(seed, step, name, shape):
    """Numbers in [0, 1), 24 random bits each, for an activation [n, c, h, w] or [n, c]."""
    n, c, *image = shape
    pixels = int(np.prod(image, dtype=np.int64))
    values = (words(seed, step, name, n * pixels, c) >> np.uint64(8)).astype(np.float64) / 2.0**24
    channels_last = torch.tensor(values).to(torch.get_default_dtype()).reshape(n, *image, c)
    return channels_last.movedim(-1, 1).contiguous()


def uniform_weight(seed, step, name, shape, window):
    """The same for a parameter: a weight of k filters over (c, r, s) lies as [r, s, c padded to 4, k], a bias [k] as one row. Shaped like the parameter."""
    if len(shape) == 1:
        values = words(seed, step, name, 1, shape[0])[0]
    else:
        c, r, s = window
        padded = -(-c // 4) * 4
        values = words(seed, step, name, r * s * padded, shape[0]).reshape(r, s, padded, shape[0])
        values = values[:, :, :c].transpose(3, 2, 0, 1).reshape(shape)
    return torch.tensor((values >> np.uint64(8)).astype(np.float64) / 2.0**24).to(torch.get_default_dtype())


def known_answers():
    """The answers published with Random123."""
    zero, full = np.zeros(1, np.uint64), np.full(1, LOW)
    assert [int(w[0]) for w in philox4x32([zero] * 4, [zero[0]] * 2)] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert [int(w[0]) for w in philox4x32([full] * 4, [full[0]] * 2)] == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
