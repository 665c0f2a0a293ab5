"""What the checks of ONNX and of QONNX files share: cases in a folder, and the comparison.

A case NAME is NAME.onnx with NAME.json (shapes), NAME.images (bytes N, H, W, C), NAME.logits and
NAME.trace: what halfwave-infer computes, as 32-bit floats.

Logits may differ by 1e-4 of the largest logit's magnitude, or by 1e-4 if that is below 1. Codes and
sums must be equal.
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
        self.layers, self.traced = facts["layers"], facts["traced"]
        sizes = [int(np.prod(layer["shape"])) for layer in self.layers]
        trace = np.fromfile(path.with_suffix(".trace"), np.float32).reshape(self.traced, sum(sizes))
        self.trace = {}
        for layer, values in zip(self.layers, np.split(trace, np.cumsum(sizes)[:-1], axis=1)):
            # From N, H, W, C to N, C, H, W.
            self.trace[layer["name"]] = values.reshape(-1, *layer["shape"]).transpose(0, 3, 1, 2)

    def compare_logits(self, found):
        """Returns what is wrong, and prints what is right."""
        if found.shape != self.logits.shape or found.dtype != np.float32:
            return [f"the logits are {found.dtype} {found.shape} instead of {self.logits.shape}"]
        error = np.abs(found - self.logits).max() / max(1.0, np.abs(self.logits).max())
        same = (found.argmax(1) == self.logits.argmax(1)).mean()
        print(f"{self.name}: logits differ by {error:.1e}, top-1 is equal for {same:.2%} of {len(found)} images")
        wrong = [] if error <= TOLERANCE else [f"logits differ by {error:.1e}"]
        return wrong if same == 1 else [*wrong, f"top-1 differs for {1 - same:.2%} of {len(found)} images"]

    def compare_trace(self, found):
        """`found` has the values of layers of the traced images by name."""
        wrong, count = [], 0
        for layer in self.layers:
            name, expected = layer["name"], self.trace[layer["name"]]
            if not layer["exact"]:
                continue
            count += 1
            differing = int((found[name] != expected).sum())
            if differing:
                wrong.append(f"layer {name}: {differing} of {expected.size} integers differ")
        print(f"{self.name}: codes and sums of {count} layers compared")
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
