#!/usr/bin/env python3
"""Writes the archives in this folder with NumPy (Debian's python3-numpy): make.py."""
import gzip
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
DIGITS = HERE.parents[2] / "assets/digits"


def images(count, *shape):
    return np.arange(count * np.prod(shape), dtype="uint8").reshape(count, *shape)


def digits():
    """Keras' names, with the first of the embedded digits."""
    read = lambda name, start: np.frombuffer(gzip.open(DIGITS / name).read(), "uint8")[start:]
    pixels = read("digits-images-idx3-ubyte.gz", 16).reshape(-1, 8, 8)
    labels = read("digits-labels-idx1-ubyte.gz", 8)
    return dict(x_train=pixels[:120], y_train=labels[:120], x_test=pixels[120:160], y_test=labels[120:160])


keras = dict(x_train=images(4, 2, 3), y_train=np.array([0, 1, 2, 0]), x_test=images(2, 2, 3), y_test=np.array([2, 1]))
medmnist = dict(
    train_images=images(4, 2, 3, 3),
    train_labels=np.array([[0], [1], [2], [0]], "uint8"),
    val_images=images(1, 2, 3, 3),
    val_labels=np.array([[2]], "uint8"),
    test_images=images(2, 2, 3, 3),
    test_labels=np.array([[1], [2]], "uint8"),
)

np.savez_compressed(HERE / "digits.npz", **digits())
np.savez(HERE / "keras.npz", **keras)
np.savez_compressed(HERE / "medmnist.npz", **medmnist)
np.savez(HERE / "big_endian.npz", **keras | dict(y_train=np.array([0, 1, 2, 0], ">i4"), y_test=np.array([2, 1], ">u2")))
first = {name: np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array for name, array in medmnist.items()}
np.savez(HERE / "channels_first.npz", **first)

# Archives that are refused.
ragged = np.array([np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(3)], object)
faulty = dict(
    floats=dict(x_train=keras["x_train"] / np.float32(255)),
    flags=dict(x_train=keras["x_train"] > 3),
    objects=dict(x_train=ragged),
    flat=dict(x_train=images(4, 6)),
    large=dict(x_train=images(4, 3, 3)),
    fortran=dict(x_train=np.asfortranarray(keras["x_train"])),
    records=dict(x_train=np.zeros(4, [("a", "u1"), ("b", "u1")])),
    empty=dict(x_train=images(0, 2, 3), y_train=np.array([], int)),
    one_hot=dict(y_train=np.eye(4, 3, dtype=int)),
    float_labels=dict(y_train=np.array([0.0, 1.0, 2.0, 0.0])),
    few_labels=dict(y_train=np.array([0, 1, 2])),
    high_label=dict(y_train=np.array([0, 1, 3, 0])),
    from_one=dict(y_train=np.array([1, 2, 3, 1])),
    negative=dict(y_train=np.array([0, -1, 2, 0], "int8")),
)
train = {name: keras[name] for name in ("x_train", "y_train")}
for name, changed in faulty.items():
    np.savez_compressed(HERE / f"{name}.npz", **train | changed)
np.savez_compressed(HERE / "unnamed.npz", keras["x_train"], keras["y_train"])
np.savez_compressed(HERE / "no_labels.npz", **{name: array for name, array in keras.items() if name != "y_test"})
