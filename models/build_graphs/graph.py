"""A small writer of ONNX graphs, with the one kind of matrix product the lean graphs use."""

import math

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from .weights import Quantised

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
CONTRIB = "com.microsoft"
# activations are bytes around 128; the largest of a row becomes 128 +- 127
STEP = np.array(1 / 127, np.float32)
MIDDLE = np.array(128, np.uint8)


class Graph:
    """Collects nodes, constants, inputs and outputs; every method gives the name of what it made."""

    def __init__(self):
        self.nodes, self.constants, self.inputs, self.outputs = [], {}, [], []

    def constant(self, name: str, value) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def scalar(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, np.float32))

    def node(self, op: str, inputs: list[str], name: str | list[str] | None = None, **attributes) -> str:
        outputs = [name or f"{op}_{len(self.nodes)}"] if not isinstance(name, list) else name
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def contrib(self, op: str, inputs: list[str], name: str | None = None, **attributes) -> str:
        """An operator of ONNX Runtime's own."""
        return self.node(op, inputs, name, domain=CONTRIB, **attributes)

    def input(self, name: str, kind: int, shape: list) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: list) -> str:
        self.outputs.append(helper.make_tensor_value_info(name, FLOAT, shape))
        return name

    def model(self, name: str) -> ModelProto:
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, list(self.constants.values()))
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="sotto")

    # -- matrix products ------------------------------------------------------------------------------------------

    def quantise(self, x: str) -> tuple[str, str]:
        """Bytes and the largest magnitude of every row.

        One scale a row rather than one for the whole tensor: what is beside a row in the batch, or padded to it, must
        not change how it is rounded.
        """
        largest = self.node("ReduceMax", [self.node("Abs", [x]), self.ints(-1)], keepdims=1)
        # a row of zeros must not divide by zero
        largest = self.node("Max", [largest, self.scalar("tiny", 1e-9)])
        quantised = self.node("QuantizeLinear", [self.node("Div", [x, largest]), *self._activation()])
        return quantised, largest

    def product(self, quantised: tuple[str, str], weight: Quantised, name: str) -> str:
        """`quantise`d rows times a matrix.

        Weights are stored as signed bytes: the unsigned ones less 128 are the same numbers, and ONNX Runtime's kernel
        for unsigned by signed is over twice as fast as the one for unsigned by unsigned.
        """
        rows, largest = quantised
        self.constant(f"{name}_w", (weight.matrix.astype(np.int16) - 128).astype(np.int8))
        self.constant(f"{name}_s", np.asarray(weight.scale, np.float32))
        self.constant(f"{name}_z", (np.asarray(weight.zero).astype(np.int16) - 128).astype(np.int8))
        step, middle = self._activation()
        y = self.contrib("MatMulIntegerToFloat", [rows, f"{name}_w", step, f"{name}_s", middle, f"{name}_z"])
        y = self.node("Mul", [y, largest])
        return y if weight.bias is None else self.node("Add", [y, self.constant(f"{name}_b", weight.bias)])

    def linear(self, x: str, weight: Quantised, name: str) -> str:
        return self.product(self.quantise(x), weight, name)

    def _activation(self) -> tuple[str, str]:
        return self.constant("activation_step", STEP), self.constant("activation_middle", MIDDLE)

    # -- pieces both halves of the recogniser use ---------------------------------------------------------------------

    def norm(self, x: str, weight: np.ndarray, name: str) -> str:
        zero = self.constant("no_bias", np.zeros(weight.shape[0], np.float32))
        return self.node("LayerNormalization", [x, self.constant(name, weight), zero], epsilon=1e-5, axis=-1)

    def add_norm(self, x: str, y: str, weight: np.ndarray, name: str) -> tuple[str, str]:
        """Norm of a sum, and the sum. As two nodes: ONNX Runtime's fused one is several times slower on a processor."""
        total = self.node("Add", [x, y])
        return self.norm(total, weight, name), total

    def rotary_tables(self, frequencies: np.ndarray, positions: int) -> None:
        # through doubles, so that the tables are the same bytes whichever way numpy computes cosines here
        angles = (np.arange(positions, dtype=np.float32)[:, None] * frequencies[None]).astype(np.float64)
        for name, function in (("cos", math.cos), ("sin", math.sin)):
            table = np.array([[function(a) for a in row] for row in angles.tolist()], np.float32)
            self.constant(name, table)

    def rotary(self, x: str, positions: str, heads: int, name: str) -> str:
        inputs = [x, positions, "cos", "sin"]
        return self.contrib(
            "RotaryEmbedding", inputs, name, interleaved=1, num_heads=heads, rotary_embedding_dim=32
        )


def join_columns(weights: list[Quantised]) -> Quantised:
    """Several matrices side by side, scale and zero point then by column."""
    width = [w.matrix.shape[1] for w in weights]

    def spread(values: list, kind) -> np.ndarray:
        columns = (np.broadcast_to(np.asarray(v, kind).ravel(), n) for v, n in zip(values, width, strict=True))
        return np.concatenate(list(columns))

    biases = [w.bias for w in weights if w.bias is not None]
    if biases and len(biases) != len(weights):
        raise ValueError("some of the joined matrices have a bias and some have none")
    return Quantised(
        np.concatenate([w.matrix for w in weights], 1),
        spread([w.scale for w in weights], np.float32),
        spread([w.zero for w in weights], np.uint8),
        np.concatenate(biases) if biases else None,
    )
