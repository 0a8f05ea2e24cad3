"""Sizes of Moonshine's models, and where each comes from."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    heads: int
    # channels after the second convolution
    stem: int
    vocabulary: int


@dataclass(frozen=True)
class Recogniser:
    # its folder, and what settings call it
    name: str
    # goes into every final: change it with anything that changes what comes out
    version: str
    package: str
    # where in the package its files lie
    assets: str
    shape: Shape

    def described(self) -> dict:
        return {"version": self.version, "shape": asdict(self.shape)}


RECOGNISERS = (
    Recogniser(
        name="tiny",
        version="moonshine-tiny-en-lean-4",
        package="moonshine_voice",
        assets="/tiny-en/",
        shape=Shape(layers=6, width=288, heads=8, stem=576, vocabulary=32_768),
    ),
    Recogniser(
        name="base",
        version="moonshine-base-en-lean-3",
        package="moonshine_cpp",
        assets="/base-en/",
        shape=Shape(layers=8, width=416, heads=8, stem=832, vocabulary=32_000),
    ),
)
