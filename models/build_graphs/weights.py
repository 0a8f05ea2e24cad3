"""Moonshine's weights by name, out of the shipped graphs: byte matrices stay bytes, with their scale and zero point."""

import re
from typing import NamedTuple

import numpy as np

from . import ort_file


class Quantised(NamedTuple):
    """A matrix of unsigned bytes as shipped: value = (matrix - zero) * scale."""

    matrix: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    bias: np.ndarray | None

    def scaled(self, factor: float) -> "Quantised":
        """Multiplies the products by a factor (never the bias)."""
        return self._replace(scale=(np.float32(self.scale) * np.float32(factor)).astype(np.float32))

    def columns(self, start: int, end: int) -> "Quantised":
        bias = None if self.bias is None else self.bias[start:end]
        return self._replace(matrix=self.matrix[:, start:end], bias=bias)


# where the shipped graphs' fused products keep matrix, scale, zero point and bias
PRODUCTS = {"MatMulIntegerToFloat": (1, 3, 5, 6), "DynamicQuantizeMatMul": (1, 2, 3, 4)}
NORMS = {"LayerNormalization": 1, "SkipLayerNormalization": 2}


def _key(output: str, prefix: str, ending: str) -> str:
    return re.sub(rf"/({ending})_output_\d+$", "", output).replace(prefix, "").strip("/")


def _collect(graph: ort_file.Graph, constants: dict, prefix: str) -> dict:
    """Products and norms by the path of the layer in the name of the node's output."""
    found = {}
    for node in graph.nodes:
        if node.op in PRODUCTS:
            matrix, scale, zero, bias = PRODUCTS[node.op]
            has_bias = len(node.inputs) > bias and node.inputs[bias]
            found[_key(node.outputs[0], prefix, "MatMul|Add")] = Quantised(
                constants[node.inputs[matrix]],
                constants[node.inputs[scale]],
                constants[node.inputs[zero]],
                constants[node.inputs[bias]] if has_bias else None,
            )
        elif node.op in NORMS:
            weight = NORMS[node.op]
            if np.any(constants[node.inputs[weight + 1]]):
                raise ValueError(f"{node.outputs[0]} has a bias, which the lean graphs leave out")
            found[_key(node.outputs[0], prefix, "LayerNormalization")] = constants[node.inputs[weight]]
    return found


def _rotary(constants: dict) -> np.ndarray:
    """The inverse frequencies: the only constant of this shape."""
    return next(a for a in constants.values() if a is not None and a.shape == (1, 16, 1)).ravel()


def encoder(data: bytes) -> dict:
    graph = ort_file.read(data)
    constants = graph.constants
    found = _collect(graph, constants, "")
    for n in (1, 2, 3):
        found[f"conv{n}.weight"] = constants[f"conv{n}.weight_add_tensor"]
    for name in ("conv2.bias", "conv3.bias"):
        found[name] = constants[name]
    # the exporter lost the group norm's own names
    found["group_norm.weight"] = constants["onnx::Mul_2080"].ravel()
    found["group_norm.bias"] = constants["onnx::Add_2081"].ravel()
    found["rotary"] = _rotary(constants)
    return found


def decoder(data: bytes) -> dict:
    merged = ort_file.read(data)
    graph = merged.branches["else_branch"]
    constants = {**merged.constants, **graph.constants}
    found = _collect(graph, constants, "/model/decoder/")
    table = "model.decoder.embed_tokens.weight_merged_0_"
    found["embedding"] = Quantised(*(constants[table + part] for part in ("quantized", "scale", "zero_point")), None)
    found["rotary"] = _rotary(constants)
    return found
