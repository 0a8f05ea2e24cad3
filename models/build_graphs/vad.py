"""Silero's voice activity model (16 kHz) as plain nodes, for many channels at once."""

import numpy as np
import onnx
from onnx import numpy_helper

from .graph import FLOAT, Graph

INPUT, HIDDEN = 576, 128
# the spectrum looks at 256 samples every 128, of the input and 64 samples reflected at its end
SPAN, HOP, WINDOWS, REFLECTED = 256, 128, 4, 64
BINS = 129
STRIDES = (1, 2, 2, 1)


def _weights(data: bytes) -> dict[str, np.ndarray]:
    tensors = onnx.load_from_string(data).graph.initializer
    return {t.name.split("model.", 1)[1]: numpy_helper.to_array(t) for t in tensors if "model." in t.name}


def _spectrum(g: Graph, weights: dict, samples: str) -> str:
    """Magnitudes of four windows, cut by one gather with the reflection in its indices."""
    places = np.concatenate([np.arange(INPUT), INPUT - 2 - np.arange(REFLECTED)])
    index = np.concatenate([places[HOP * k : HOP * k + SPAN] for k in range(WINDOWS)]).astype(np.int64)
    windows = g.node("Gather", [samples, g.constant("windows", index)], axis=1)
    windows = g.node("Reshape", [windows, g.ints(-1, SPAN)])
    basis = g.constant("basis", weights["stft.forward_basis_buffer"][:, 0].T)
    waves = g.node("MatMul", [windows, basis])
    g.node("Split", [g.node("Mul", [waves, waves]), g.ints(BINS, BINS)], ["real", "imaginary"], axis=1)
    power = g.node("Add", ["real", "imaginary"])
    return g.node("Reshape", [g.node("Sqrt", [power]), g.ints(-1, BINS * WINDOWS)])


def _convolution(g: Graph, x: str, weights: dict, index: int, length: int) -> tuple[str, int]:
    """A convolution over so few places (four at most) that one dense product over all of them is cheapest."""
    kernel = weights[f"encoder.{index}.reparam_conv.weight"]
    outputs, inputs, taps = kernel.shape
    stride = STRIDES[index]
    after = (length - 1) // stride + 1
    dense = np.zeros((length, inputs, after, outputs), np.float32)
    for place in range(after):
        for tap in range(taps):
            source = place * stride + tap - 1
            if 0 <= source < length:
                dense[source, :, place] = kernel[:, :, tap].T
    matrix = g.constant(f"conv{index}_w", dense.reshape(length * inputs, after * outputs))
    bias = g.constant(f"conv{index}_b", np.tile(weights[f"encoder.{index}.reparam_conv.bias"], after))
    return g.node("Relu", [g.node("Add", [g.node("MatMul", [x, matrix]), bias])]), after


def _lstm(g: Graph, weights: dict, x: str, hidden: str, cell: str) -> None:
    """One step, written out; gates in the order input, forget, candidate, output."""
    joined = np.concatenate([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], 1).T
    bias = weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]
    gates = g.node("MatMul", [g.node("Concat", [x, hidden], axis=1), g.constant("lstm_w", joined)])
    gates = g.node("Add", [gates, g.constant("lstm_b", bias)])
    names = ["gate_in", "gate_forget", "candidate", "gate_out"]
    g.node("Split", [gates, g.ints(*[HIDDEN] * 4)], names, axis=1)
    take, keep, show = (g.node("Sigmoid", [name]) for name in ("gate_in", "gate_forget", "gate_out"))
    new = g.node("Mul", [take, g.node("Tanh", ["candidate"])])
    g.node("Add", [g.node("Mul", [keep, cell]), new], "c2")
    g.node("Mul", [show, g.node("Tanh", ["c2"])], "h2")


def build(data: bytes) -> Graph:
    """input [n, 576] (64 samples of before and 512 new ones), h and c [n, 128] -> p [n, 1], h2, c2."""
    weights = _weights(data)
    g = Graph()
    samples = g.input("input", FLOAT, ["n", INPUT])
    hidden, cell = (g.input(name, FLOAT, ["n", HIDDEN]) for name in "hc")
    x, length = _spectrum(g, weights, samples), WINDOWS
    for index in range(len(STRIDES)):
        x, length = _convolution(g, x, weights, index, length)
    _lstm(g, weights, x, hidden, cell)
    last = g.constant("out_w", weights["decoder.decoder.2.weight"].reshape(HIDDEN, 1))
    logit = g.node("MatMul", [g.node("Relu", ["h2"]), last])
    g.node("Sigmoid", [g.node("Add", [logit, g.constant("out_b", weights["decoder.decoder.2.bias"])])], "p")
    g.output("p", ["n", 1])
    for name in ("h2", "c2"):
        g.output(name, ["n", HIDDEN])
    return g
