"""The part of Moonshine's stem that is local in time: two convolutions, up to the norm between them.

A GroupNorm over all of time stands between the first convolution and the second. What is linear can change places with
it: the second convolution runs on what is not yet normed (times the norm's weight), the caller keeps what comes of it with
running sums of the first one's output, and norms the whole window when it is wanted. So new sound costs its own
frames only, and the result is that of the published graph.
"""

import numpy as np

from .graph import FLOAT, INT64, Graph, Rows
from .weights import Quantised

STRIDES = (64, 3, 2)
TAPS = (127, 7, 3)


def quantised(kernel: np.ndarray) -> Quantised:
    """A convolution [out, in, taps] as a matrix of bytes [taps * in, out]: shipped kernels are bytes made floats."""
    matrix = kernel.transpose(2, 1, 0).reshape(-1, kernel.shape[0])
    levels = np.unique(matrix).astype(np.float64)
    step = np.diff(levels).min()
    # the smallest gap is one step, give or take its rounding; the whole range tells it more exactly
    step = (levels[-1] - levels[0]) / round((levels[-1] - levels[0]) / step)
    lowest = round(levels[0] / step)
    numbers = np.round(matrix / step).astype(np.int64) - lowest
    back = (numbers + lowest) * step
    if numbers.max() > 255 or not 0 <= -lowest <= 255 or np.abs(back - matrix).max() > 1e-4 * step:
        raise ValueError("a convolution does not hold bytes")
    return Quantised(numbers.astype(np.uint8), np.array(step, np.float32), np.array(-lowest, np.uint8), None)


def build(kind: type[Graph], weights: dict) -> Graph:
    """x [n, 128], every 64 samples; starts [pieces + 1], the first row of each piece.

    Gives `linear` [m, C] of the second convolution, and `sums` [n, 2]: sum and sum of squares of each frame of the first.
    """
    g = kind()
    x, starts = g.input("x", FLOAT, ["n", 128]), g.input("starts", INT64, ["pieces"])
    kernel = weights["conv1.weight"]
    first = np.zeros((128, kernel.shape[0]), np.float32)
    first[: TAPS[0]] = kernel[:, 0].T
    y = g.node("MatMul", [x, g.constant("conv1", first)])
    # in sixteen bits, for this model breaks when its stem is rounded to eight
    rows = Rows("patches", "patches_steps")
    gain = g.constant("gain", weights["group_norm.weight"])
    g.own("TanhPatches", [y, gain, starts], *rows, "sums")
    g.fine_product(rows, quantised(weights["conv2.weight"]), "linear")
    g.output("linear", ["m", weights["conv2.weight"].shape[0]])
    g.output("sums", ["n", 2])
    return g


def norm_constants(weights: dict) -> tuple[np.ndarray, np.ndarray]:
    """What the norm in the middle takes from, and adds to, each channel behind the second convolution."""
    kernel = weights["conv2.weight"].astype(np.float64)
    taken = (kernel * weights["group_norm.weight"][None, :, None]).sum((1, 2))
    added = (kernel * weights["group_norm.bias"][None, :, None]).sum((1, 2)) + weights["conv2.bias"]
    return taken.astype(np.float32), added.astype(np.float32)
