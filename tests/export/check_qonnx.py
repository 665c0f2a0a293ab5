"""Checks QONNX files with onnx.checker and runs them by the qonnx package; see check_common.py."""
import numpy as np
import onnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from check_common import main


def check(case):
    onnx.checker.check_model(onnx.load(case.path))
    model = ModelWrapper(str(case.path))
    logits, traces = [], []
    for at, image in enumerate(case.images):
        values = execute_onnx(model, {"images": image[None]}, return_full_exec_context=True)
        logits.append(values["logits"])
        if at < case.traced:
            traces.append(values)
    wrong = case.compare_logits(np.concatenate(logits).astype(np.float32))
    found = {name: np.concatenate([values[name] for values in traces]) for name in case.trace}
    return wrong + case.compare_trace(found)


main(check)
