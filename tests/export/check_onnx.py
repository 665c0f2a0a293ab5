"""Checks ONNX files with onnx.checker and onnxruntime; see check_common.py."""
import json

import numpy as np
import onnx
import onnxruntime

from check_common import main


def run(model, images, outputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(outputs, {"images": images})


def check(case):
    model = onnx.load(case.path)
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    wrong = [] if len(json.loads(facts["classes"])) == case.logits.shape[1] else ["the class names are missing"]
    # In two batches of different sizes.
    half = (len(case.images) + 1) // 2
    batches = [batch for batch in (case.images[:half], case.images[half:]) if len(batch)]
    logits = [run(model.SerializeToString(), batch, ["logits"])[0] for batch in batches]
    # Once more with the integers of all layers as outputs.
    names = [layer["name"] for layer in case.layers if layer["exact"]]
    infos = {info.name: info for info in model.graph.value_info}
    model.graph.output.extend(infos[name] for name in names)
    found = run(model.SerializeToString(), case.images, names) if names else []
    return wrong + case.compare(np.concatenate(logits), dict(zip(names, found)))


main(check)
