"""Moonshine's encoder: samples in, cross-attention keys and values of every decoder layer out."""

import numpy as np

from .graph import FLOAT, INT64, Graph, join_columns

WIDTH, HEADS, HEAD, LAYERS = 288, 8, 36, 6
# of the largest window, some 36 s at 41.5 frames a second
POSITIONS = 1536


def _patches(g: Graph, x: str, kernel: int, stride: int, channels: int, count: str) -> str:
    """[1, T, channels] -> [1, count, kernel * channels]: what each place of a convolution sees.

    Rows are grouped by the stride first, so that the patches are slices and no gather is needed.
    """
    groups = -(-kernel // stride)
    padded = g.node("Pad", [x, g.ints(0, 0, 0, 0, stride * groups, 0)])
    needed = g.node("Mul", [g.node("Add", [count, g.ints(groups - 1)]), g.ints(stride)])
    cut = g.node("Slice", [padded, g.ints(0), needed, g.ints(1)])
    grouped = g.node("Reshape", [cut, g.ints(1, -1, stride * channels)])
    parts = []
    for j in range(groups):
        end = g.node("Add", [count, g.ints(j)]) if j else count
        part = g.node("Slice", [grouped, g.ints(j), end, g.ints(1)])
        width = min(stride, kernel - j * stride) * channels
        if width < stride * channels:
            part = g.node("Slice", [part, g.ints(0), g.ints(width), g.ints(2)])
        parts.append(part)
    return g.node("Concat", parts, axis=2)


def _convolution(g: Graph, x: str, weights: dict, name: str, stride: int, count: str) -> str:
    """A convolution as one matrix product, then GELU."""
    kernel = weights[f"{name}.weight"]
    _, channels, length = kernel.shape
    matrix = kernel.transpose(2, 1, 0).reshape(-1, kernel.shape[0])
    y = g.node("MatMul", [_patches(g, x, length, stride, channels, count), g.constant(f"{name}_w", matrix)])
    y = g.node("Add", [y, g.constant(f"{name}_b", weights[f"{name}.bias"])])
    return g.contrib("Gelu", [y])


def _first_convolution(g: Graph, x: str, kernel: np.ndarray, count: str) -> str:
    """127 samples every 64: two neighbouring groups of 64 samples, with a last weight of zero."""
    matrix = np.zeros((128, WIDTH), np.float32)
    matrix[:127] = kernel[:, 0].T
    more = g.node("Add", [count, g.ints(1)])
    padded = g.node("Pad", [x, g.ints(0, 0, 0, 128)])
    cut = g.node("Slice", [padded, g.ints(0), g.node("Mul", [more, g.ints(64)]), g.ints(1)])
    grouped = g.node("Reshape", [cut, g.ints(1, -1, 64)])
    halves = [
        g.node("Slice", [grouped, g.ints(0), count, g.ints(1)]),
        g.node("Slice", [grouped, g.ints(1), more, g.ints(1)]),
    ]
    y = g.node("MatMul", [g.node("Concat", halves, axis=2), g.constant("conv1_w", matrix)])
    return g.node("Tanh", [y])


def _group_norm(g: Graph, x: str, weights: dict) -> str:
    """One group: mean and deviation over all of time and all channels."""
    mean = g.node("ReduceMean", [x], keepdims=1)
    centred = g.node("Sub", [x, mean])
    variance = g.node("ReduceMean", [g.node("Mul", [centred, centred])], keepdims=1)
    deviation = g.node("Sqrt", [g.node("Add", [variance, g.scalar("epsilon", 1e-5)])])
    scaled = g.node("Mul", [centred, g.node("Reciprocal", [deviation])])
    scaled = g.node("Mul", [scaled, g.constant("group_norm_w", weights["group_norm.weight"])])
    return g.node("Add", [scaled, g.constant("group_norm_b", weights["group_norm.bias"])])


def _stem(g: Graph, weights: dict) -> str:
    """Samples to frames. In floats: bytes with one scale a tensor break the model here."""
    x = g.input("x", FLOAT, [1, "n"])
    counts = [g.input(f"n{i}", INT64, [1]) for i in (1, 2, 3)]
    y = _group_norm(g, _first_convolution(g, x, weights["conv1.weight"], counts[0]), weights)
    y = _convolution(g, y, weights, "conv2", 3, counts[1])
    return _convolution(g, y, weights, "conv3", 2, counts[2])


def _layers(g: Graph, weights: dict, x: str) -> str:
    g.rotary_tables(weights["rotary"], POSITIONS)
    positions = g.input("pos", INT64, [1, "S"])
    norm = g.norm(x, weights["layers.0/input_layernorm"], "norm_in")
    for layer in range(LAYERS):
        path = f"layers.{layer}/"
        attention = path + "self_attn/"
        joined = join_columns([weights[f"{attention}{t}_proj"] for t in "qkv"])
        qkv = g.linear(norm, joined, path + "qkv")
        g.node("Split", [qkv, g.ints(WIDTH, WIDTH, WIDTH)], [path + t for t in "qkv"], axis=-1)
        q, k = (g.rotary(path + t, positions, HEADS, f"{path}{t}_turned") for t in "qk")
        mixed = g.contrib("MultiHeadAttention", [q, k, path + "v"], num_heads=HEADS, scale=1 / 6)
        out = g.linear(mixed, weights[attention + "o_proj"], path + "o")
        norm, x = g.add_norm(x, out, weights[path + "post_attention_layernorm"], path + "norm_mlp")
        wide = g.contrib("Gelu", [g.linear(norm, weights[path + "mlp/fc1"], path + "fc1")])
        last = layer == LAYERS - 1
        following = "last_hidden_state" if last else f"layers.{layer + 1}/input_layernorm"
        narrow = g.linear(wide, weights[path + "mlp/fc2"], path + "fc2")
        norm, x = g.add_norm(x, narrow, weights[following], path + "norm_out")
    return norm


def _cross(g: Graph, decoder_weights: dict, hidden: str) -> None:
    """Keys with frames last and values with frames first: the order the decoder multiplies them in."""
    quantised = g.quantise(hidden)
    for layer in range(LAYERS):
        for name, part, order, shape in (
            ("ck", "k", [0, 2, 3, 1], [1, HEADS, HEAD, "S"]),
            ("cv", "v", [0, 2, 1, 3], [1, HEADS, "S", HEAD]),
        ):
            weight = decoder_weights[f"layers.{layer}/encoder_attn/{part}_proj"]
            y = g.product(quantised, weight, f"cross_{part}{layer}")
            y = g.node("Reshape", [y, g.ints(0, 0, HEADS, HEAD)])
            g.output(g.node("Transpose", [y], f"{name}{layer}", perm=order), shape)


def build(weights: dict, decoder_weights: dict) -> Graph:
    """x [1, n] samples at 16 kHz; n1, n2, n3 frames after each convolution; pos [1, S] = 0..S, S = n3."""
    g = Graph()
    _cross(g, decoder_weights, _layers(g, weights, _stem(g, weights)))
    return g
