r"""Boxes cut into simplices: intervals, triangles or tetrahedra on a regular grid.

**Cell units.** Coordinate \( k \) runs from 0 to \( n_k \), so that every box of the grid has side
1. A square is cut into 4 triangles around its centre, a cube into 24 tetrahedra around its centre
and those of its faces. Beyond the grid lies a ring of unbounded boxes: a field there is that of
the nearest point of the grid, so it is continuous everywhere.

A *piece* is a set of points on which such a field is affine. Pieces are numbered box by box, the
ring's included, the first coordinate fastest.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from math import prod
from operator import index
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Chain = tuple[tuple[int, int], ...]
"""A simplex of a box: axes by falling distance from the box's centre, with the sides."""


class Grid(NamedTuple):
    """What finds the piece of a point."""

    cells: tuple[int, ...]
    """Numbers of boxes along each coordinate."""
    strides: tuple[int, ...]
    """How much further the piece is in the next box along each coordinate."""
    pieces: int
    """Number `C` of pieces."""


def grid_of(cells: Sequence[int]) -> Grid:
    """Return how the pieces of a grid of boxes are numbered."""
    parts = len(_chains(len(cells)))
    strides = tuple(parts * prod(n + 2 for n in cells[:k]) for k in range(len(cells) + 1))
    return Grid(tuple(cells), strides[:-1], strides[-1])


class Tessellation:
    """A grid of boxes cut into simplices, with its ring.

    Args:
        cells: Number of boxes along each of 1 to 3 coordinates, each at least 1.

    Attributes:
        dims: Number `D` of coordinates.
        grid: How the pieces, those of the ring included, are numbered.
        vertices: Corners of all simplices of the grid, `(V, D)` in cell units.

    Raises:
        ValueError: If `cells` is not 1 to 3 positive whole numbers.
    """

    def __init__(self, cells: Sequence[int]) -> None:
        whole = _whole(cells)
        if not 1 <= len(whole) <= 3 or min(whole) < 1:
            raise ValueError(
                f"cells is {cells}; expected 1 to 3 whole numbers, each at least 1. "
                "Give (columns, rows) for images, such as (2, 4)."
            )
        self.cells = whole
        self.dims = len(self.cells)
        self.chains = _chains(self.dims)
        self.grid = grid_of(self.cells)
        numbers: dict[tuple[float, ...], int] = {}
        self._corners = {
            (box, chain): [
                numbers.setdefault(tuple(corner), len(numbers)) for corner in _corners(box, chain)
            ]
            for box in self._boxes(0)
            for chain in self.chains
        }
        self.vertices = np.array(list(numbers), dtype=np.float64)

    def _boxes(self, ring: int) -> Iterator[tuple[int, ...]]:
        """Indices of the boxes with a ring of this width, the first coordinate fastest."""
        for box in product(*(range(-ring, n + ring) for n in reversed(self.cells))):
            yield box[::-1]

    def simplices(self) -> NDArray[np.int64]:
        """Return the vertices of the simplices of the grid, without the ring, `(S, D + 1)`."""
        return np.array(list(self._corners.values()))

    def interpolation(self) -> Floats:
        """Return what takes values at the vertices to the affine pieces of their interpolant.

        Returns:
            An array `(C, D + 1, V)`: the gradient of every piece in cell units, then its value at
            the origin.
        """
        inner = np.zeros((len(self._corners), self.dims + 1, len(self.vertices)))
        numbers = {key: i for i, key in enumerate(self._corners)}
        for i, corners in enumerate(self._corners.values()):
            columns = np.c_[self.vertices[corners], np.ones(self.dims + 1)]
            inner[i][:, corners] = np.linalg.inv(columns)
        pieces = np.empty((self.grid.pieces, self.dims + 1, len(self.vertices)))
        for i, (box, chain) in enumerate(product(self._boxes(1), self.chains)):
            nearest, outside, chain = self._nearest(box, chain)
            pieces[i] = inner[numbers[nearest, chain]]
            for axis, side in outside.items():
                pieces[i, -1] += pieces[i, axis] * (self.cells[axis] if side > 0 else 0)
                pieces[i, axis] = 0
        return pieces

    def faces(self) -> Floats:
        """Return what is not negative inside of each piece.

        Returns:
            An array `(C, D + 1, D + 1)`: per piece and face, the gradient in cell units and the
            value at the origin; distances from the face up to a factor.
        """
        faces = np.zeros((self.grid.pieces, self.dims + 1, self.dims + 1))
        faces[:, :, -1] = 1
        unit = np.eye(self.dims)
        for i, (box, chain) in enumerate(product(self._boxes(1), self.chains)):
            nearest, outside, chain = self._nearest(box, chain)
            free = [axis for axis in range(self.dims) if axis not in outside]
            # Where gradient @ (point - centre) + offset is not negative.
            bounds = [(side * unit[axis], -0.5) for axis, side in outside.items()]
            steps = [side * unit[axis] for axis, side in chain if axis in free]
            rest = unit[[axis for axis in free if axis not in dict(chain)]]
            if len(outside) > 1:
                steps, rest = [], unit[free]
            if len(rest) == 1 and not steps:
                bounds += [(rest[0], 0.5), (-rest[0], 0.5)]
            elif steps:
                bounds += [(-steps[0], 0.5)]
                bounds += [(near - far, 0.0) for near, far in pairwise(steps)]
                bounds += [(steps[-1] + rest[0], 0.0), (steps[-1] - rest[0], 0.0)]
            for face, (gradient, offset) in zip(faces[i], bounds, strict=False):
                face[:-1], face[-1] = gradient, offset - gradient @ (np.array(nearest) + 0.5)
        return faces

    def _nearest(
        self, box: tuple[int, ...], chain: Chain
    ) -> tuple[tuple[int, ...], dict[int, int], Chain]:
        """Return the box and simplex of the grid next to a piece, and its sides outside of it."""
        nearest = tuple(min(max(i, 0), n - 1) for i, n in zip(box, self.cells, strict=True))
        outside = {
            axis: 1 if i > 0 else -1
            for axis, (i, inner) in enumerate(zip(box, nearest, strict=True))
            if i != inner
        }
        if outside and chain and chain[0] not in outside.items():
            chain = next(other for other in self.chains if other[0] in outside.items())
        return nearest, outside, chain


def _whole(cells: Sequence[int]) -> tuple[int, ...]:
    """The numbers of boxes, none where one of them is no whole number."""
    try:
        return tuple(index(count) for count in cells)
    except TypeError:
        return ()


def _chains(dims: int) -> list[Chain]:
    """The simplices of a box, in the order in which `locate` numbers them."""
    if dims == 1:
        return [()]
    if dims == 2:
        return [((1, -1),), ((0, 1),), ((0, -1),), ((1, 1),)]
    return [
        ((axis, side), ((axis + 1 + second) % 3, other))
        for axis in range(3)
        for side in (-1, 1)
        for second, other in ((1, -1), (0, 1), (0, -1), (1, 1))
    ]


def _corners(box: tuple[int, ...], chain: Chain) -> Iterator[Floats]:
    """Corners of a simplex: the centres of ever smaller faces, then the ends of an edge."""
    point = np.array(box) + 0.5
    for axis, side in chain:
        yield point.copy()
        point[axis] += 0.5 * side
    last = next(axis for axis in range(len(box)) if axis not in dict(chain))
    for side in (-1, 1):
        end = point.copy()
        end[last] += 0.5 * side
        yield end
