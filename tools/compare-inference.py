#!/usr/bin/env python3
"""Compares halfwave-infer with onnxruntime and, where it is installed, PyTorch and Larq Compute Engine, in one
run on this processor: latency of one image, throughput of a batch, size of the file, peak memory.

    cargo bench -p halfwave-infer --no-run
    tools/compare-inference.py --bench PATH/latency-… --packed net.packed.safetensors --onnx net.onnx \
        [--float net-float.onnx] [--rounds 7]

    --torch PYTHON   VGG-small in floats with PyTorch, in a Python that has it
    --larq PYTHON    VGG-small with 1-bit weights and activations with Larq Compute Engine, in a Python with
                     tensorflow, larq and larq-compute-engine; its counterpart is vgg-small-bw-sign

All programs run alternately, each in a process of its own for every round; the medians of the rounds and of
their ratios are printed. --float is the same architecture with float weights and activations.
Needs Python 3.9 with numpy and onnxruntime.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def ort(path, threads, batch):
    """Seconds of one image, and images per second of a batch, with onnxruntime."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    shape = [side if isinstance(side, int) else 1 for side in entry.shape]
    kind = numpy.uint8 if "uint8" in entry.type else numpy.float32

    def seconds(images, limit):
        feed = {entry.name: (numpy.arange(numpy.prod([images] + shape[1:])) * 7919 % 251).astype(kind).reshape([images] + shape[1:])}
        times, begin = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - begin < limit:
            start = time.perf_counter()
            session.run(None, feed)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    return {"one": seconds(1, 2.0), "batch": batch / seconds(batch, 2.0)}


# VGG-small: filters of the 3x3 convolutions, and whether a max-pool follows.
LAYERS = [(128, False), (128, True), (256, False), (256, True), (512, False), (512, True)]


def timed(run, batch):
    """The same for a function that takes the number of images."""

    def seconds(images, limit=2.0):
        run(images)
        times, begin = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - begin < limit:
            start = time.perf_counter()
            run(images)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    return {"one": seconds(1), "batch": batch / seconds(batch)}


def torch_floats(threads, batch):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    layers, channels = [], 3
    for filters, pool in LAYERS:
        layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False)] + [nn.MaxPool2d(2)] * pool
        layers += [nn.BatchNorm2d(filters), nn.ReLU()]
        channels = filters
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8192, 10)).eval()
    images = torch.rand(batch, 3, 32, 32)
    model = torch.jit.optimize_for_inference(torch.jit.trace(model, images[:1]))
    with torch.inference_mode():
        return timed(lambda count: model(images[:count]), batch)


def larq_bits(threads, batch):
    import larq
    import larq_compute_engine as lce
    import numpy
    import tensorflow as tf
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    layers = [tf.keras.Input((32, 32, 3))]
    bits = dict(input_quantizer="ste_sign", kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
    for at, (filters, pool) in enumerate(LAYERS):
        layers.append(larq.layers.QuantConv2D(filters, 3, padding="same", use_bias=False, pad_values=1.0, **(bits if at else {})))
        layers += [tf.keras.layers.MaxPool2D(2)] if pool else []
        layers.append(tf.keras.layers.BatchNormalization())
    layers += [tf.keras.layers.ReLU(), tf.keras.layers.Flatten(), tf.keras.layers.Dense(10)]
    interpreter = Interpreter(lce.convert_keras_model(tf.keras.Sequential(layers)), num_threads=threads)
    images = numpy.random.rand(batch, 32, 32, 3).astype(numpy.float32)
    return timed(lambda count: interpreter.predict(images[:count]), batch)


def child(arguments):
    """Runs a measurement in a new process; adds the process's peak memory."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{arguments[0]} failed")
    return dict(json.loads(text.strip().splitlines()[-1]), memory=usage.ru_maxrss * 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="the compiled benchmark of halfwave-infer")
    parser.add_argument("--packed")
    parser.add_argument("--onnx")
    parser.add_argument("--float")
    parser.add_argument("--torch")
    parser.add_argument("--larq")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        others = {"torch": torch_floats, "larq": larq_bits}
        if args.measure in others:
            return print(json.dumps(others[args.measure](args.threads, args.batch)))
        return print(json.dumps(ort(args.measure, args.threads, args.batch)))
    own = [args.bench, args.packed, "--json", f"--threads={args.threads}", f"--batch={args.batch}"]
    python = [sys.executable, __file__, f"--threads={args.threads}", f"--batch={args.batch}", "--measure"]
    programs = {"halfwave-infer": (own, args.packed)}
    if args.onnx:
        programs["onnxruntime, our ONNX"] = (python + [args.onnx], args.onnx)
    if args.float:
        programs["onnxruntime, float network"] = (python + [args.float], args.float)
    for name, interpreter in (("torch", args.torch), ("larq", args.larq)):
        if interpreter:
            programs[f"{name}, VGG-small"] = ([interpreter] + python[1:] + [name], None)
    results = {name: [] for name in programs}
    for _ in range(args.rounds):
        for name, (command, _) in programs.items():
            results[name].append(child(command))
    base = results["halfwave-infer"]
    print(f"{'':28} {'one image':>11} {'ratio':>7} {'images/s':>10} {'ratio':>7} {'file':>11} {'peak memory':>12}")
    for name, (_, path) in programs.items():
        rounds = results[name]
        median = {key: statistics.median(entry[key] for entry in rounds) for key in ("one", "batch", "memory")}
        one = statistics.median(entry["one"] / own["one"] for entry, own in zip(rounds, base))
        many = statistics.median(own["batch"] / entry["batch"] for entry, own in zip(rounds, base))
        size = f"{os.path.getsize(path) / 1024:.1f} KiB" if path else "-"
        print(
            f"{name:28} {median['one'] * 1e3:8.3f} ms {one:7.2f} {median['batch']:10.0f} {many:7.2f} {size:>11} {median['memory'] / 2**20:8.1f} MiB"
        )
    print(f"{args.threads} thread(s), batch of {args.batch}, {args.rounds} rounds; ratios are to halfwave-infer, above 1 is slower")


if __name__ == "__main__":
    main()
