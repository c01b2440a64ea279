"""The sets that are known by name. This module imports no torch, so that a command line is quick to answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A set that `load` knows by name: what it holds, the shape `(C, H, W)` and who may use it."""

    summary: str
    shape: tuple[int, int, int]
    licence: str


_MNIST_LICENCE = (
    "none stated by its authors (LeCun, Cortes, Burges); commonly listed as CC BY-SA 3.0"
)

SOURCES: dict[str, Source] = {
    "mnist-small": Source(
        "12 000 of MNIST's handwritten digits, balanced; comes with the package",
        (1, 28, 28),
        _MNIST_LICENCE,
    ),
}
