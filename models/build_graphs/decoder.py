"""Moonshine's decoder: several tokens a row on top of a cache that the caller keeps, rows of different lengths."""

from .encoder import HEAD, HEADS, LAYERS, WIDTH
from .graph import FLOAT, INT64, Graph
from .weights import Quantised

VOCABULARY = 32_768
POSITIONS = 1024
# half of the first matrix of the MLP is the gate
GATE = 1152


def _by_head(g: Graph, x: str, name: str) -> str:
    y = g.node("Reshape", [x, g.ints(0, 0, HEADS, HEAD)])
    return g.node("Transpose", [y], name, perm=[0, 2, 1, 3])


def _together(g: Graph, x: str) -> str:
    return g.node("Reshape", [g.node("Transpose", [x], perm=[0, 2, 1, 3]), g.ints(0, 0, WIDTH)])


def _embedding(g: Graph, table: Quantised, ids: str) -> str:
    rows = g.node("Gather", [g.constant("embedding", table.matrix), ids])
    return g.node(
        "DequantizeLinear",
        [rows, g.constant("embedding_s", table.scale), g.constant("embedding_z", table.zero)],
    )


def _scores(g: Graph, queries: str, keys: str) -> str:
    return g.contrib("FusedMatMul", [queries, keys], transB=1, alpha=1.0)


class _Inputs:
    """What every layer reads."""

    def __init__(self, g: Graph):
        self.ids = g.input("ids", INT64, ["B", "K"])
        self.positions = g.input("pos", INT64, ["B", "K"])
        self.self_mask = g.input("smask", FLOAT, ["B", 1, "K", "TK"])
        self.cross_mask = g.input("cmask", FLOAT, ["B", 1, 1, "S"])
        self.selected = g.input("sel", INT64, ["n"])
        self.splits = None

    def cache_and_new(self, g: Graph, cache: str) -> str:
        """Lengths of the cache and of what is fed, to part attention weights again."""
        if self.splits is None:
            lengths = [g.node("Shape", [cache], start=2, end=3), g.node("Shape", [self.ids], start=1, end=2)]
            self.splits = g.node("Concat", lengths, axis=0)
        return self.splits


def _self_attention(g: Graph, weights: dict, layer: int, norm: str, inputs: _Inputs) -> str:
    """Scores over the cache and over the new tokens apart, joined for the softmax: the cache is never copied."""
    path = f"layers.{layer}/self_attn/"
    quantised = g.quantise(norm)
    # 1 / 6 = 1 / sqrt(36) goes into the scale of the weights: products with a factor of their own miss the fast kernel
    parts = {
        "q": weights[path + "q_proj"].scaled(1 / 6),
        "k": weights[path + "k_proj"],
        "v": weights[path + "v_proj"],
    }
    q, k = (_by_head(g, g.product(quantised, parts[t], path + t), f"{path}{t}_heads") for t in "qk")
    values = _by_head(g, g.product(quantised, parts["v"], path + "v"), f"nv{layer}")
    queries = g.rotary(q, inputs.positions, HEADS, f"{path}q_turned")
    keys = g.rotary(k, inputs.positions, HEADS, f"nk{layer}")
    for name in ("nk", "nv"):
        g.output(f"{name}{layer}", ["B", HEADS, "K", HEAD])
    old_keys, old_values = (g.input(f"{t}{layer}", FLOAT, ["B", HEADS, "T", HEAD]) for t in ("pk", "pv"))
    scores = g.node("Concat", [_scores(g, queries, old_keys), _scores(g, queries, keys)], axis=-1)
    shares = g.node("Softmax", [g.node("Add", [scores, inputs.self_mask])], axis=-1)
    halves = [path + "old", path + "new"]
    g.node("Split", [shares, inputs.cache_and_new(g, old_keys)], halves, axis=-1)
    mixed = [g.node("MatMul", [share, v]) for share, v in zip(halves, (old_values, values), strict=True)]
    return g.linear(_together(g, g.node("Add", mixed)), weights[path + "o_proj"], path + "o")


def _cross_attention(g: Graph, weights: dict, layer: int, norm: str, inputs: _Inputs) -> str:
    path = f"layers.{layer}/encoder_attn/"
    queries = g.linear(norm, weights[path + "q_proj"].scaled(1 / 6), path + "q")
    queries = _by_head(g, queries, path + "q_heads")
    keys = g.input(f"ck{layer}", FLOAT, ["B", HEADS, HEAD, "S"])
    values = g.input(f"cv{layer}", FLOAT, ["B", HEADS, "S", HEAD])
    scores = g.node("Add", [g.node("MatMul", [queries, keys]), inputs.cross_mask])
    mixed = g.node("MatMul", [g.node("Softmax", [scores], axis=-1), values])
    return g.linear(_together(g, mixed), weights[path + "o_proj"], path + "o")


def _mlp(g: Graph, weights: dict, layer: int, norm: str) -> str:
    path = f"layers.{layer}/mlp/"
    quantised = g.quantise(norm)
    first = weights[path + "fc1"]
    up = g.product(quantised, first.columns(0, GATE), path + "up")
    gate = g.product(quantised, first.columns(GATE, 2 * GATE), path + "gate")
    # with alpha = 1 this is SiLU
    opened = g.contrib("QuickGelu", [gate], alpha=1.0)
    return g.linear(g.node("Mul", [opened, up]), weights[path + "fc2"], path + "fc2")


def build(weights: dict) -> Graph:
    """ids, pos [B, K]; pk*, pv* [B, 8, T, 36]; smask [B, 1, K, T + K] and cmask [B, 1, 1, S], added to scores;
    ck* [B, 8, 36, S], cv* [B, 8, S, 36]; sel [n], the places of B * K whose logits are wanted.
    Gives logits [n, vocabulary] and nk*, nv* [B, 8, K, 36], for the caller to append where tokens are accepted.
    The best token is the caller's to find: ONNX Runtime's ArgMax is slower than a plain loop."""
    g = Graph()
    inputs = _Inputs(g)
    g.rotary_tables(weights["rotary"], POSITIONS)
    x = _embedding(g, weights["embedding"], inputs.ids)
    norm = g.norm(x, weights["layers.0/input_layernorm"], "norm_in")
    for layer in range(LAYERS):
        path = f"layers.{layer}/"
        out = _self_attention(g, weights, layer, norm, inputs)
        norm, x = g.add_norm(x, out, weights[path + "post_attention_layernorm"], path + "norm_cross")
        out = _cross_attention(g, weights, layer, norm, inputs)
        norm, x = g.add_norm(x, out, weights[path + "final_layernorm"], path + "norm_mlp")
        following = "norm" if layer == LAYERS - 1 else f"layers.{layer + 1}/input_layernorm"
        norm, x = g.add_norm(x, _mlp(g, weights, layer, norm), weights[following], path + "norm_out")
    chosen = g.node("Gather", [g.node("Reshape", [norm, g.ints(-1, WIDTH)]), inputs.selected], axis=0)
    g.node("Identity", [g.linear(chosen, weights["logits"], "vocabulary")], "logits")
    g.output("logits", ["n", VOCABULARY])
    return g
