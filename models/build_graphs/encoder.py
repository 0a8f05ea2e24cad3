"""Moonshine's encoder behind the stem: rows of frames in, cross-attention keys and values of every decoder layer out."""

from . import stem
from .graph import FLOAT, INT64, Graph, Rows, join_columns
from .shape import Shape

# of the largest window, some 36 s at 41.5 frames a second
POSITIONS = 1536


def _layers(g: Graph, weights: dict, shape: Shape, x: str, rows: Rows, starts: str) -> Rows:
    tables = g.rotary_tables(weights["rotary"], POSITIONS)
    for layer in range(shape.layers):
        path = f"layers.{layer}/"
        attention = path + "self_attn/"
        joined = g.product(rows, join_columns([weights[f"{attention}{t}_proj"] for t in "qkv"]), path + "qkv")
        mixed = Rows(path + "mixed_bytes", path + "mixed_steps")
        g.own("EncoderAttention", [joined, rows.steps, starts, *tables], *mixed, layer=layer)
        after = weights[path + "post_attention_layernorm"]
        x, rows = g.add_norm(x, mixed, weights[attention + "o_proj"], path + "o", after)
        wide = g.activated("Gelu", rows, weights[path + "mlp/fc1"], path + "fc1")
        last = layer == shape.layers - 1
        following = weights["last_hidden_state" if last else f"layers.{layer + 1}/input_layernorm"]
        x, rows = g.add_norm(x, wide, weights[path + "mlp/fc2"], path + "fc2", following)
    return rows


def build(kind: type[Graph], weights: dict, decoder_weights: dict, shape: Shape) -> Graph:
    """linear [m, C]: what the stem made of some windows; starts [windows + 1], the first row of each; norms [windows, 2],
    mean and inverse deviation of each behind the first convolution.

    Gives `cross` [n, layers * 2 * width], keys and values of each layer in turn, and `cross_steps` [n].
    """
    g = kind()
    last = stem.quantised(weights["conv3.weight"])
    linear, starts = g.input("linear", FLOAT, ["m", shape.stem]), g.input("starts", INT64, ["w"])
    norms = g.input("norms", FLOAT, ["windows", 2])
    taken, added = (
        g.constant(name, value) for name, value in zip(("taken", "added"), stem.norm_constants(weights), strict=True)
    )
    patches, frames = Rows("patches", "patches_steps"), "frame_starts"
    g.own("NormPatches", [linear, starts, norms, taken, added], *patches, frames)
    first = Rows("first_bytes", "first_steps")
    g.own(
        "Frames",
        [
            g.fine_product(patches, last, "conv3"),
            g.constant("conv3_b", weights["conv3.bias"]),
            g.constant("norm_in", weights["layers.0/input_layernorm"]),
        ],
        "frames",
        *first,
    )
    rows = _layers(g, weights, shape, "frames", first, frames)
    parts = [
        decoder_weights[f"layers.{layer}/encoder_attn/{part}_proj"] for layer in range(shape.layers) for part in "kv"
    ]
    joined = join_columns(parts)
    g.product(rows, joined, "cross")
    g.output("cross", ["n", joined.matrix.shape[1]])
    # the same tensor under a name that does not depend on the number of layers
    g.node("Identity", [rows.steps], "cross_steps")
    g.output("cross_steps", ["n"])
    return g
