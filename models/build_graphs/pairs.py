"""Weights in the order in which processors with AVX2 but without VNNI multiply bytes fastest
(`pipeline/src/recogniser/kernels/product.rs`).

AVX2 multiplies bytes in pairs and adds each pair up in sixteen bits; to add those up in thirty-two is as dear again. Two
pairs fit in sixteen bits if the weights of either sign come to no more than 128 together, as they nearly always do. So four
numbers of a row at a time are multiplied by a *group* of weights, groups are put together in *twos* for which that is so in
every column, in whatever order that takes, and a group whose pairs alone come to more is divided among several.

In whole numbers, so that the bytes come out the same on every machine.
"""

from typing import NamedTuple

import numpy as np

# columns side by side, and numbers of each
PANEL, GROUP = 16, 4
# what the weights of either sign may come to where sixteen bits hold the sum of 255 times that
MOST = 128


class Packed(NamedTuple):
    # [two, 2, column, number]
    weights: np.ndarray
    # [two, 2]: which four numbers of a row each group belongs to
    sources: np.ndarray
    # [panel + 1]: the first two of each panel
    starts: np.ndarray


def _sides(groups: np.ndarray) -> np.ndarray:
    """What the weights of either sign come to, for each pair: [group, column * 2 * sign]."""
    parts = groups.reshape(len(groups), PANEL * 2, GROUP // 2)
    return np.concatenate([np.maximum(parts, 0).sum(2), np.maximum(-parts, 0).sum(2)], 1)


def _divided(groups: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Halves what is too much, into groups more, until nothing is."""
    while True:
        sides = _sides(groups)
        much = np.maximum(sides[:, : PANEL * 2], sides[:, PANEL * 2 :]) > MOST
        # a byte holds one less above nought than below it
        much |= groups.reshape(len(groups), PANEL * 2, GROUP // 2).max(2) > 127
        which = much.any(1)
        if not which.any():
            return groups, sources
        divided = groups[which]
        rest = np.where(much[which].repeat(GROUP // 2, 1).reshape(divided.shape), divided // 2, 0)
        groups = np.concatenate([groups, rest])
        groups[: len(sources)][which] -= rest
        sources = np.concatenate([sources, sources[which]])


def _twos(groups: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Puts groups together: each, the heaviest first, with the heaviest that it can be with, or with none."""
    sides = _sides(groups)
    order = np.argsort(-sides.max(1), kind="stable")
    half = len(order) // 2
    first, second = order[:half], order[::-1][:half]
    if len(order) % 2 or (sides[first] + sides[second] > MOST).any():
        left, twos = list(order), []
        while left:
            one, left = left[0], left[1:]
            fits = (sides[one] + sides[left] <= MOST).all(1).nonzero()[0]
            twos.append((one, left.pop(fits[0]) if len(fits) else None))
        empty = len(groups)
        groups, sources = np.concatenate([groups, np.zeros_like(groups[:1])]), np.append(sources, 0)
        first, second = (np.array([empty if i is None else i for i in side]) for side in zip(*twos, strict=True))
    pick = np.stack([first, second], 1)
    return groups[pick], sources[pick]


def _check(weights: np.ndarray, twos: np.ndarray, sources: np.ndarray, starts: np.ndarray) -> None:
    """Sixteen bits overflow without a sound, so what was made is held against what it was made of."""
    if twos.min() < -128 or twos.max() > 127 or sum(_sides(twos[:, half]) for half in (0, 1)).max() > MOST:
        raise ValueError("a group is more than sixteen bits hold")
    numbers, columns = weights.shape
    panels = np.repeat(np.arange(columns // PANEL), np.diff(starts))
    whole = np.zeros((columns // PANEL, numbers // GROUP, PANEL, GROUP), np.int64)
    for half in (0, 1):
        np.add.at(whole, (panels, sources[:, half]), twos[:, half])
    if (whole.transpose(1, 3, 0, 2).reshape(weights.shape) != weights).any():
        raise ValueError("the groups do not come to the weights")


def by_panels(weights: np.ndarray) -> np.ndarray:
    """For rows of sixteen bits (`pipeline/src/recogniser/kernels/fine.rs`), of whole numbers [number, column]: two numbers at
    a time, [panel, pair, column, number]."""
    numbers, columns = weights.shape
    if numbers % 2 or columns % PANEL:
        raise ValueError(f"{numbers} numbers for {columns} columns cannot be packed")
    return weights.reshape(numbers // 2, 2, columns // PANEL, PANEL).transpose(2, 0, 3, 1).astype(np.int16)


def pack(weights: np.ndarray) -> Packed:
    """Of whole numbers [number, column]."""
    numbers, columns = weights.shape
    if numbers % GROUP or columns % PANEL:
        raise ValueError(f"{numbers} numbers for {columns} columns cannot be packed")
    panels = weights.reshape(numbers // GROUP, GROUP, columns // PANEL, PANEL).transpose(2, 0, 3, 1)
    packed = [_twos(*_divided(groups, np.arange(len(groups)))) for groups in panels]
    starts = np.cumsum([0] + [len(groups) for groups, _ in packed])
    groups, sources = (np.concatenate(parts) for parts in zip(*packed, strict=True))
    _check(weights, groups, sources, starts)
    return Packed(groups.astype(np.int8), sources.astype(np.uint16), starts.astype(np.int64))
