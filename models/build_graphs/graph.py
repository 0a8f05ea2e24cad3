"""A small writer of ONNX graphs out of two kinds of nodes: products of bytes, which ONNX Runtime does, and Sotto's own
operators between them (`pipeline/src/recogniser/operators`), which work on rows."""

import math
from typing import NamedTuple

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from . import pairs
from .weights import Quantised

FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
CONTRIB, OWN = "com.microsoft", "sotto"
# activations are bytes around 128; the largest of a row becomes 128 +- 127
MIDDLE = np.array(128, np.uint8)
# numbers of sixteen bits reach as far as their two bytes can tell (`pipeline/src/recogniser/kernels/rows.rs`)
FINE_REACH = 127 * 254


class Rows(NamedTuple):
    """Rows of bytes, or of sixteen bits, and what one step of them is worth in each row."""

    numbers: str
    steps: str


def _centred(weight: Quantised) -> np.ndarray:
    return weight.matrix.astype(np.int64) - np.asarray(weight.zero).astype(np.int64)


def _check_fine(weight: Quantised, name: str) -> None:
    """Refuses weights whose sums with rows of sixteen bits a whole number of 32 bits may not hold. Those of either byte of
    a row then fit in the 24 bits of a float."""
    if np.abs(_centred(weight)).sum(0).max() * FINE_REACH >= 2**31:
        raise ValueError(f"the weights of {name} are too large for rows of sixteen bits")


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

    def node(self, op: str, inputs: list[str], name: str | list[str] | None = None, **attributes) -> str:
        outputs = name if isinstance(name, list) else [name or f"{op}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def own(self, op: str, inputs: list[str], *outputs: str, **attributes) -> None:
        """An operator of Sotto's."""
        self.nodes.append(helper.make_node(op, inputs, list(outputs), domain=OWN, **attributes))

    def input(self, name: str, kind: int, shape: list) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: list, kind: int = FLOAT) -> str:
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def model(self, name: str) -> ModelProto:
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, list(self.constants.values()))
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(CONTRIB, 1)]
        if any(node.domain == OWN for node in self.nodes):
            opsets.append(helper.make_opsetid(OWN, 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="sotto")

    def product(self, rows: Rows, weight: Quantised, name: str) -> str:
        """Rows times a matrix, in steps of the row: whoever reads it multiplies by the row's step and adds the bias.

        Weights are stored as signed bytes: the unsigned ones less 128 are the same numbers, and ONNX Runtime's kernel
        for unsigned by signed is over twice as fast as the one for unsigned by unsigned. Sums of bytes are exact, so
        a row comes out the same whatever rows are beside it.
        """
        self.constant(f"{name}_w", (weight.matrix.astype(np.int16) - 128).astype(np.int8))
        self.constant(f"{name}_s", np.asarray(weight.scale, np.float32))
        self.constant(f"{name}_z", (np.asarray(weight.zero).astype(np.int16) - 128).astype(np.int8))
        one, middle = self.constant("one", np.array(1, np.float32)), self.constant("middle", MIDDLE)
        inputs = [rows.numbers, f"{name}_w", one, f"{name}_s", middle, f"{name}_z"]
        return self.node("MatMulIntegerToFloat", inputs, name, domain=CONTRIB)

    def fine_product(self, rows: Rows, weight: Quantised, name: str) -> str:
        """Rows of sixteen bits times a matrix. Each is made two rows of bytes, whose products are put together in whole
        numbers, so what comes out does not depend on how it was multiplied."""
        _check_fine(weight, name)
        shorts, steps = rows
        halves = f"{name}_halves"
        self.own("Halves", [shorts], halves)
        # products in whole numbers: a step of one
        whole = weight._replace(scale=np.array(1, np.float32))
        products = self.product(Rows(halves, steps), whole, f"{name}_parts")
        self.own("Join", [products, steps, self._column_steps(weight, name)], name)
        return name

    def _column_steps(self, weight: Quantised, name: str) -> str:
        """What a step of each column is worth."""
        return self.constant(f"{name}_s", np.full(weight.matrix.shape[1], weight.scale, np.float32))

    def bias(self, weight: Quantised, name: str) -> str:
        width = weight.matrix.shape[1]
        if weight.bias is None:
            return self.constant(f"no_bias_{width}", np.zeros(width, np.float32))
        return self.constant(f"{name}_b", weight.bias)

    def norm(self, x: str, weight: np.ndarray, name: str) -> Rows:
        """Layer norm, as rows of bytes."""
        rows = Rows(f"{name}_bytes", f"{name}_steps")
        self.own("Norm", [x, self.constant(name, weight)], *rows)
        return rows

    def add_norm(self, x: str, rows: Rows, weight: Quantised, name: str, norm: np.ndarray) -> tuple[str, Rows]:
        """Adds rows times a matrix to `x`; the sum, and its layer norm as rows of bytes."""
        y = self.product(rows, weight, name)
        total, normed = f"{name}_sum", Rows(f"{name}_bytes", f"{name}_steps")
        inputs = [x, y, rows.steps, self.bias(weight, name), self.constant(f"{name}_norm", norm)]
        self.own("AddNorm", inputs, total, *normed)
        return total, normed

    def activated(self, op: str, rows: Rows, weight: Quantised, name: str) -> Rows:
        """Rows times a matrix through a function, as rows of bytes."""
        made = Rows(f"{name}_bytes", f"{name}_steps")
        self.own(op, [self.product(rows, weight, name), rows.steps, self.bias(weight, name)], *made)
        return made

    def rotary_tables(self, frequencies: np.ndarray, positions: int) -> list[str]:
        # through doubles, so that the tables are the same bytes whichever way numpy computes cosines here
        angles = (np.arange(positions, dtype=np.float32)[:, None] * frequencies[None]).astype(np.float64)
        return [
            self.constant(name, np.array([[function(a) for a in row] for row in angles.tolist()], np.float32))
            for name, function in (("cos", math.cos), ("sin", math.sin))
        ]


class PairsGraph(Graph):
    """The same for processors with AVX2 but without VNNI: there Sotto's own product is faster than ONNX Runtime's for many
    rows, with the same result."""

    def product(self, rows: Rows, weight: Quantised, name: str) -> str:
        weights = _centred(weight)
        packed, columns = pairs.pack(weights), weights.shape[1]
        inputs = [
            self.constant(f"{name}_w", packed.weights),
            self.constant(f"{name}_from", packed.sources),
            self.constant(f"{name}_starts", packed.starts),
            # bytes of rows are counted from nought there
            self.constant(f"{name}_much", (int(MIDDLE) * weights.sum(0)).astype(np.int32)),
            self.constant(f"{name}_s", np.broadcast_to(np.asarray(weight.scale, np.float32).ravel(), columns)),
        ]
        self.own("Product", [rows.numbers, *inputs], name)
        return name

    def fine_product(self, rows: Rows, weight: Quantised, name: str) -> str:
        _check_fine(weight, name)
        columns = self._column_steps(weight, name)
        packed = self.constant(f"{name}_w", pairs.by_panels(_centred(weight)))
        self.own("FineProduct", [*rows, packed, columns], name)
        return name


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
