"""Images and labels: IDX files (big-endian, gzipped or not), in file order."""

import gzip
import struct
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]


def idx(path):
    """The array of an IDX file of bytes."""
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    axes = raw[3]
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def digits(scale):
    """All digits: images [n, 1, 8, 8] as floats, pixel * scale[0] + scale[1] rounded to float32 as an engine does, and labels [n]."""
    folder = ROOT / "assets" / "digits"
    pixels = idx(folder / "digits-images-idx3-ubyte.gz").astype(np.float32)
    images = pixels * np.float32(scale[0]) + np.float32(scale[1])
    labels = idx(folder / "digits-labels-idx1-ubyte.gz").astype(np.int64)
    return torch.tensor(images[:, None]).to(torch.get_default_dtype()), torch.tensor(labels)
