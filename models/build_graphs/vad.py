"""Silero's voice activity model (16 kHz) as plain nodes, for many channels at once."""

import numpy as np
import onnx
from onnx import numpy_helper

from .graph import FLOAT, Graph

HIDDEN = 128
# samples of a window of the spectrum, and windows of a frame
SPAN, WINDOWS = 256, 4
# windows that the first convolution sees at once
NEIGHBOURS = 3
BINS = 129
# of the convolutions after the first
STRIDES = {1: 2, 2: 2, 3: 1}


def _weights(data: bytes) -> dict[str, np.ndarray]:
    tensors = onnx.load_from_string(data).graph.initializer
    return {t.name.split("model.", 1)[1]: numpy_helper.to_array(t) for t in tensors if "model." in t.name}


def _check_spectrum(weights: dict) -> None:
    """Sotto makes the spectrum itself (`pipeline/src/vad/spectrum.rs`), by a Fourier transform in place of a product with
    every wave: of windows that Hann's function shapes."""
    basis = weights["stft.forward_basis_buffer"][:, 0]
    turns = 2 * np.pi / SPAN * np.arange(SPAN)
    angles = np.outer(np.arange(BINS), turns)
    waves = np.concatenate([np.cos(angles), -np.sin(angles)]) * (0.5 - 0.5 * np.cos(turns))
    if np.abs(basis - waves).max() > 1e-6:
        raise ValueError("the published spectrum is not a Fourier transform of windows shaped by Hann's function")


def _first(g: Graph, x: str, weights: dict) -> str:
    """The first convolution, of windows with their neighbours; what comes of the windows of a frame side by side."""
    kernel = weights["encoder.0.reparam_conv.weight"].transpose(2, 1, 0)
    y = g.node("MatMul", [x, g.constant("conv0_w", kernel.reshape(NEIGHBOURS * BINS, -1))])
    y = g.node("Relu", [g.node("Add", [y, g.constant("conv0_b", weights["encoder.0.reparam_conv.bias"])])])
    return g.node("Reshape", [y, g.ints(-1, WINDOWS * kernel.shape[2])])


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
    """spectrum [n * 4, 3 * 129], every window of a frame between its neighbours, h and c [n, 128] -> p [n, 1], h2, c2."""
    weights = _weights(data)
    _check_spectrum(weights)
    g = Graph()
    x, length = _first(g, g.input("spectrum", FLOAT, ["windows", NEIGHBOURS * BINS]), weights), WINDOWS
    hidden, cell = (g.input(name, FLOAT, ["n", HIDDEN]) for name in "hc")
    for index in STRIDES:
        x, length = _convolution(g, x, weights, index, length)
    _lstm(g, weights, x, hidden, cell)
    last = g.constant("out_w", weights["decoder.decoder.2.weight"].reshape(HIDDEN, 1))
    logit = g.node("MatMul", [g.node("Relu", ["h2"]), last])
    g.node("Sigmoid", [g.node("Add", [logit, g.constant("out_b", weights["decoder.decoder.2.bias"])])], "p")
    g.output("p", ["n", 1])
    for name in ("h2", "c2"):
        g.output(name, ["n", HIDDEN])
    return g
