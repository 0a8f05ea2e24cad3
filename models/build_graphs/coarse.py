"""The weights of a vocabulary in four bits, and how far from that they are.

In whole numbers, and then by single operations on doubles, so that the bytes come out the same on every machine.
"""

from typing import NamedTuple

import numpy as np

# tokens side by side, and numbers of each
PANEL, GROUP = 16, 4
# groups that are added up together
HELD = 8
# parts of a weight's step that a step of the four bits is a whole number of
PARTS = 256
# steps are tried that reach so many sixteenths of a token's largest weight: what lies beyond is cut off
REACHES = range(9, 17)


class Coarse(NamedTuple):
    # [token, number], from 0 to 15: less 7.5, so many steps
    numbers: np.ndarray
    # of each token, in parts
    step: np.ndarray
    # [token]: sums of the squares of what is left out, in half parts, and of the weights
    left_out: np.ndarray
    squares: np.ndarray

    def steps(self, scale: np.float32) -> np.ndarray:
        return (self.step * np.float64(scale) / PARTS).astype(np.float32)

    def errors(self, scale: np.float32) -> np.ndarray:
        """Lengths of what is left out, and a little more: floats lose less than 3e-7 of the length of all the weights."""
        lengths = np.sqrt(self.left_out.astype(np.float64)) / (2 * PARTS) * 1.00001
        return ((lengths + np.sqrt(self.squares.astype(np.float64)) * 1e-6) * np.float64(scale)).astype(np.float32)


def _in_steps(weights: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four bits of each number, and what they leave out of each token."""
    numbers = np.clip(weights * PARTS // step[:, None] + 8, 0, 15)
    left_out = ((weights * (2 * PARTS) - (2 * numbers - 15) * step[:, None]) ** 2).sum(1)
    return numbers.astype(np.uint8), left_out


def quantise(weights: np.ndarray) -> Coarse:
    """Of whole numbers [token, number]: each token by the step that leaves the least out."""
    most = np.maximum(np.abs(weights).max(1), 1)
    steps = np.array([np.maximum(most * PARTS * 2 * reach // (15 * 16), 1) for reach in REACHES])
    least = np.array([_in_steps(weights, step)[1] for step in steps]).argmin(0)
    step = np.take_along_axis(steps, least[None], 0)[0]
    numbers, left_out = _in_steps(weights, step)
    return Coarse(numbers, step, left_out, (weights**2).sum(1))


def packed(numbers: np.ndarray) -> np.ndarray:
    """[panel, group, token, number], two tokens a byte: one of the first half of a panel in its low bits, one of the second
    in its high ones."""
    tokens, width = numbers.shape
    if tokens % PANEL or width % (GROUP * HELD):
        raise ValueError(f"{tokens} tokens of {width} numbers cannot be packed")
    panels = numbers.reshape(tokens // PANEL, PANEL, width // GROUP, GROUP).transpose(0, 2, 1, 3)
    low, high = panels[:, :, : PANEL // 2], panels[:, :, PANEL // 2 :]
    return (low | (high << 4)).astype(np.uint8).reshape(tokens // PANEL, -1)
