"""Checks QONNX files with onnx.checker and runs them by the qonnx package; see check_common.py."""
import numpy as np
import onnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from check_common import main


def check(case):
    onnx.checker.check_model(onnx.load(case.path))
    model = ModelWrapper(str(case.path))
    kept = [layer["name"] for layer in case.layers if layer["exact"]]
    values = {name: [] for name in [*kept, "logits"]}
    for image in case.images:
        found = execute_onnx(model, {"images": image[None]}, return_full_exec_context=True)
        for name in values:
            values[name].append(found[name])
    values = {name: np.concatenate(parts) for name, parts in values.items()}
    return case.compare(values.pop("logits").astype(np.float32), values)


main(check)
