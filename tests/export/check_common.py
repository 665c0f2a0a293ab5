"""What the checks of ONNX and of QONNX files share: cases in a folder, and the comparison.

A case NAME is NAME.onnx with NAME.json (shapes), NAME.images (bytes N, H, W, C), NAME.logits and
NAME.trace: what halfwave-infer computes, as 32-bit floats.

Codes and sums must be equal, and logits may differ by 1e-4 of the largest logit's magnitude, or by
1e-4 if that is below 1. Exempt is an image with a code that differs because its float lies within
1e-5 of a threshold, but not at it: programs add floats in different orders. That is rare, and
printed.
"""
import json
import sys
from pathlib import Path

import numpy as np

TOLERANCE = 1e-4


class Case:
    def __init__(self, path):
        facts = json.loads(path.with_suffix(".json").read_text())
        self.name, self.path = path.stem, path
        self.images = np.fromfile(path.with_suffix(".images"), np.uint8).reshape(-1, *facts["input"])
        self.logits = np.fromfile(path.with_suffix(".logits"), np.float32).reshape(-1, facts["classes"])
        self.layers = facts["layers"]
        sizes = [int(np.prod(layer["shape"])) for layer in self.layers]
        trace = np.fromfile(path.with_suffix(".trace"), np.float32).reshape(len(self.images), sum(sizes))
        self.trace = {}
        for layer, values in zip(self.layers, np.split(trace, np.cumsum(sizes)[:-1], axis=1)):
            # From N, H, W, C to N, C, H, W.
            self.trace[layer["name"]] = values.reshape(-1, *layer["shape"]).transpose(0, 3, 1, 2)

    def compare(self, logits, values):
        """Returns what is wrong with the logits and the layers' values, and prints what is right."""
        if logits.shape != self.logits.shape or logits.dtype != np.float32:
            return [f"the logits are {logits.dtype} {logits.shape} instead of {self.logits.shape}"]
        wrong, counted = [], np.ones(len(logits), bool)
        exact = [layer for layer in self.layers if layer["exact"]]
        for layer in exact:
            name, expected = layer["name"], self.trace[layer["name"]]
            differs = (values[name] != expected) & counted[:, None, None, None]
            if not differs.any():
                continue
            if layer["of"]:
                of = self.trace[layer["of"]]
                near = np.min([np.abs(of - threshold) for threshold in layer["thresholds"]], axis=0)
                ties = differs & (near > 0) & (near <= 1e-5 * np.maximum(1, np.abs(of)))
                counted &= ~ties.any((1, 2, 3))
                differs &= counted[:, None, None, None]
            if differs.any():
                wrong.append(f"layer {name}: {differs.sum()} of {differs.size} integers differ")
        if not counted.all():
            print(f"{self.name}: {(~counted).sum()} of {len(counted)} images have a float at a threshold: not compared")
        same = (logits.argmax(1) == self.logits.argmax(1)) | ~counted
        error = np.abs(logits - self.logits)[counted].max(initial=0) / max(1.0, np.abs(self.logits).max())
        if error > TOLERANCE:
            wrong.append(f"logits differ by {error:.1e}")
        if not same.all():
            wrong.append(f"top-1 differs for {(~same).sum()} of {len(same)} images")
        print(
            f"{self.name}: {len(exact)} layers of integers; logits differ by {error:.1e}, "
            f"top-1 for {(~same).sum()} of {len(same)} images"
        )
        return wrong


def main(check):
    """Checks all cases of the folder that is given; `check` returns what is wrong with one."""
    paths = sorted(Path(sys.argv[1]).glob("*.onnx"))
    if not paths:
        sys.exit("there are no files to check")
    failed = []
    for path in paths:
        failed += [f"{path.stem}: {what}" for what in check(Case(path))]
    if failed:
        sys.exit("\n".join(failed))
