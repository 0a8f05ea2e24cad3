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


# where the shipped graphs' fused products keep matrix, scale, zero point and bias
PRODUCTS = {"MatMulIntegerToFloat": (1, 3, 5, 6), "DynamicQuantizeMatMul": (1, 2, 3, 4)}
# behind the name of a matrix that the graph makes floats each time it runs
WIDENED = "_add_tensor"
NORMS = {"LayerNormalization": 1, "SkipLayerNormalization": 2}


def _key(output: str, prefix: str, ending: str) -> str:
    path = re.sub(rf"/({ending})_output_\d+$", "", output).replace(prefix, "").strip("/")
    # base's exporter had other names for the same layers
    return path.replace("_attn/dense", "_attn/o_proj").replace("up_proj", "fc1").replace("down_proj", "fc2")


def _widened(constants: dict, name: str) -> Quantised:
    """A matrix of signed bytes that the graph makes floats each time: q * scale + shift, where shift / scale is whole."""
    matrix, scale, shift = (constants[name + part] for part in ("_quantized", "_scale", "_zero_point"))
    zero = shift / scale
    if matrix.dtype != np.int8 or scale.size != 1 or abs(zero - np.round(zero)) > 1e-2 or abs(zero) > 127:
        raise ValueError(f"{name} is not made of signed bytes with a whole zero point")
    unsigned = (matrix.astype(np.int16) + 128).astype(np.uint8)
    return Quantised(unsigned, scale.reshape(()), np.uint8(128 - int(np.round(zero[0]))).reshape(()), None)


def _collect(graph: ort_file.Graph, constants: dict, prefix: str) -> dict:
    """Products and norms by the path of the layer in the name of the node's output."""
    found = {}
    biases = {
        node.inputs[1 - place]: constants[node.inputs[place]]
        for node in graph.nodes
        for place in (0, 1)
        if node.op == "Add" and node.inputs[place] in constants and ".bias" in node.inputs[place]
    }
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
        elif node.op == "MatMul" and node.inputs[1].endswith(WIDENED):
            product = _widened(constants, node.inputs[1].removesuffix(WIDENED))
            found[_key(node.outputs[0], prefix, "MatMul")] = product._replace(bias=biases.get(node.outputs[0]))
        elif node.op in NORMS:
            weight = NORMS[node.op]
            if np.any(constants[node.inputs[weight + 1]]):
                raise ValueError(f"{node.outputs[0]} has a bias, which the lean graphs leave out")
            found[_key(node.outputs[0], prefix, "LayerNormalization")] = constants[node.inputs[weight]]
    # base's norms are nodes of several steps; their weights kept their names
    named = r"(?:model\.decoder\.)?(?:(layers\.\d+)\.(\w+layernorm)|layer_norm|norm)\.weight(?:_merged_0)?"
    for name, value in constants.items():
        if match := re.fullmatch(named, name):
            found.setdefault(f"{match[1]}/{match[2]}" if match[1] else "norm", value)
    return found


def _rotary(constants: dict) -> np.ndarray:
    """The inverse frequencies: the only constant of this shape."""
    return next(a for a in constants.values() if a is not None and a.shape == (1, 16, 1)).ravel()


def _group_norm(graph: ort_file.Graph, constants: dict) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of the only group norm: exporters lost their names, not those of the nodes."""
    steps = {node.outputs[0]: node for node in graph.nodes}
    weight, bias = (
        next(constants[name] for name in steps[f"/groupnorm/{step}_output_0"].inputs if name in constants)
        for step in ("Mul", "Add")
    )
    return weight.ravel(), bias.ravel()


def _convolution(constants: dict, name: str) -> np.ndarray:
    if name + "_quantized" not in constants:
        return constants[name + WIDENED]
    matrix, scale, shift = (constants[name + part] for part in ("_quantized", "_scale", "_zero_point"))
    return (matrix.astype(np.float32) * scale + shift).astype(np.float32)


def encoder(data: bytes) -> dict:
    graph = ort_file.read(data)
    constants = graph.constants
    found = _collect(graph, constants, "")
    for n in (1, 2, 3):
        found[f"conv{n}.weight"] = _convolution(constants, f"conv{n}.weight")
    for name in ("conv2.bias", "conv3.bias"):
        found[name] = constants[name]
    found["group_norm.weight"], found["group_norm.bias"] = _group_norm(graph, constants)
    found.setdefault("last_hidden_state", found.get("norm"))
    found["rotary"] = _rotary(constants)
    return found


def decoder(data: bytes) -> dict:
    """One table, `embedding`, serves both ends."""
    merged = ort_file.read(data)
    graph = merged.branches["else_branch"]
    constants = {**merged.constants, **graph.constants}
    found = _collect(graph, constants, "/model/decoder/")
    table = "model.decoder.embed_tokens.weight_merged_0"
    if table + "_quantized" in constants and constants[table + "_quantized"].dtype == np.int8:
        found["embedding"] = _widened(constants, table)
    else:
        parts = ("_quantized", "_scale", "_zero_point")
        embedding = found["embedding"] = Quantised(*(constants[table + part] for part in parts), None)
        logits = found.pop("logits")
        both = zip((logits.matrix.T, logits.scale, logits.zero), embedding[:3])
        if logits.bias is not None or not all(np.array_equal(np.squeeze(a), np.squeeze(b)) for a, b in both):
            raise ValueError("tokens have other weights at the end of the decoder than at its beginning")
    found["rotary"] = _rotary(constants)
    return found
