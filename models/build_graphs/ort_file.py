"""Reading the shipped `.ort` files (flatbuffers) with the schema classes that come inside the ONNX Runtime wheel.

Only those pure Python classes are used, never the wheel's native module, so that one wheel serves every Python version.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto
from onnx.helper import tensor_dtype_to_np_dtype

SCHEMA = "onnxruntime/tools/ort_format_model/ort_flatbuffers_py/"


@dataclass
class Node:
    op: str
    inputs: list[str]
    outputs: list[str]


@dataclass
class Graph:
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    branches: dict[str, "Graph"]


def use_schema(folder: Path) -> None:
    """Makes the schema classes importable; `folder` is the one named ort_flatbuffers_py."""
    sys.path.insert(0, str(folder.parent))


def read(data: bytes) -> Graph:
    """The graph of a file."""
    from ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    return _graph(InferenceSession.GetRootAs(data, 0).Model().Graph())


def _tensor(tensor) -> np.ndarray | None:
    if tensor.DataType() == TensorProto.STRING:
        return None
    shape = [tensor.Dims(i) for i in range(tensor.DimsLength())]
    raw = tensor.RawDataAsNumpy().tobytes() if tensor.RawDataLength() else b""
    return np.frombuffer(raw, tensor_dtype_to_np_dtype(tensor.DataType())).reshape(shape)


def _graph(source) -> Graph:
    from ort_flatbuffers_py.fbs.AttributeType import AttributeType

    tensors = (source.Initializers(i) for i in range(source.InitializersLength()))
    graph = Graph([], {t.Name().decode(): _tensor(t) for t in tensors}, {})
    for node in filter(None, map(source.Nodes, range(source.NodesLength()))):
        inputs = [node.Inputs(i).decode() for i in range(node.InputsLength())]
        outputs = [node.Outputs(i).decode() for i in range(node.OutputsLength())]
        graph.nodes.append(Node(node.OpType().decode(), inputs, outputs))
        for attribute in map(node.Attributes, range(node.AttributesLength())):
            if attribute.Type() == AttributeType.GRAPH:
                graph.branches[attribute.Name().decode()] = _graph(attribute.G())
    return graph
