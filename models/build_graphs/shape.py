"""Sizes of a Moonshine model."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    heads: int
    # channels after the second convolution
    stem: int
    vocabulary: int

    def described(self) -> dict:
        return asdict(self)


TINY = Shape(layers=6, width=288, heads=8, stem=576, vocabulary=32_768)
