"""Moonshine's decoder over rows of tokens of any sequences: caches are the operators' own, so nothing is padded."""

import numpy as np

from . import coarse
from .graph import FLOAT, INT32, INT64, Graph, Rows, join_columns
from .shape import Shape
from .weights import Quantised

POSITIONS = 1024


def _embedding(g: Graph, table: Quantised, vocabulary: int, tokens: str) -> str:
    # base pads its table beyond the tokens there are
    rows = g.node("Gather", [g.constant("embedding", table.matrix[:vocabulary]), tokens])
    return g.node(
        "DequantizeLinear",
        [rows, g.constant("embedding_s", table.scale), g.constant("embedding_z", table.zero)],
        "embedded",
    )


def _self_attention(g: Graph, weights: dict, layer: int, rows: Rows, tables: list[str]) -> Rows:
    path = f"layers.{layer}/self_attn/"
    joined = g.product(rows, join_columns([weights[f"{path}{t}_proj"] for t in "qkv"]), path + "qkv")
    mixed = Rows(path + "mixed_bytes", path + "mixed_steps")
    g.own("SelfAttention", [joined, rows.steps, *tables], *mixed, layer=layer)
    return mixed


def _cross_attention(g: Graph, weights: dict, layer: int, rows: Rows) -> Rows:
    path = f"layers.{layer}/encoder_attn/"
    queries = g.product(rows, weights[path + "q_proj"], path + "q")
    mixed = Rows(path + "mixed_bytes", path + "mixed_steps")
    g.own("CrossAttention", [queries, rows.steps], *mixed, layer=layer)
    return mixed


def _vocabulary(g: Graph, rows: Rows, weights: Quantised, tokens: int) -> None:
    """The likeliest tokens, by four bits of each weight and the bytes of the few tokens that can be it
    (`pipeline/src/recogniser/kernels/vocabulary.rs`)."""
    table, nought, step = weights.matrix[:tokens], int(weights.zero.item()), np.float32(weights.scale.item())
    fours = coarse.quantise(table.astype(np.int64) - nought)
    inputs = [
        g.constant("embedding", table),
        g.constant("vocabulary_coarse", coarse.packed(fours.numbers)),
        g.constant("vocabulary_steps", fours.steps(step)),
        g.constant("vocabulary_errors", fours.errors(step)),
    ]
    g.own("Vocabulary", [*rows, *inputs], "best", "log_probability", nought=nought, step=float(step))


def build(weights: dict, shape: Shape) -> Graph:
    """tokens [rows], of the sequences that the operators were told of; selected [n], the rows whose next token is wanted.

    Gives `best` [n], the likeliest next tokens, and `log_probability` [n] of each.
    """
    g = Graph()
    tokens, selected = g.input("tokens", INT64, ["rows"]), g.input("selected", INT64, ["n"])
    tables = g.rotary_tables(weights["rotary"], POSITIONS)
    x = _embedding(g, weights["embedding"], shape.vocabulary, tokens)
    rows = g.norm(x, weights["layers.0/input_layernorm"], "norm_in")
    for layer in range(shape.layers):
        path = f"layers.{layer}/"
        mixed = _self_attention(g, weights, layer, rows, tables)
        norm = weights[path + "post_attention_layernorm"]
        x, rows = g.add_norm(x, mixed, weights[path + "self_attn/o_proj"], path + "self_o", norm)
        mixed = _cross_attention(g, weights, layer, rows)
        norm = weights[path + "final_layernorm"]
        x, rows = g.add_norm(x, mixed, weights[path + "encoder_attn/o_proj"], path + "cross_o", norm)
        # one half is what passes, the other the gate
        opened = g.activated("Gate", rows, weights[path + "mlp/fc1"], path + "fc1")
        following = weights["norm" if layer == shape.layers - 1 else f"layers.{layer + 1}/input_layernorm"]
        x, rows = g.add_norm(x, opened, weights[path + "mlp/fc2"], path + "fc2", following)
    wanted = Rows(
        g.node("Gather", [rows.numbers, selected], "wanted_bytes", axis=0),
        g.node("Gather", [rows.steps, selected], "wanted_steps", axis=0),
    )
    _vocabulary(g, wanted, weights["embedding"], shape.vocabulary)
    g.output("best", ["n"], INT32)
    g.output("log_probability", ["n"])
    return g
