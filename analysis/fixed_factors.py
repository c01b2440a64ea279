"""Codes of data that share the value of one factor, for scores that hold a factor fixed."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .factor_kinds import class_columns
from .score_inputs import Values, check_varies, code_rows

Encode = Callable[[NDArray[np.integer]], Values]
"""Maps factors, integers `(N, F)`, to the codes `(N, K)` of data that have them."""

POPULATION = 10_000


class FixedFactors(Protocol):
    """Where codes with a fixed factor come from."""

    factor_count: int

    def population(self, random: np.random.Generator) -> NDArray[np.floating]:
        """Return codes `(P, K)` in which all factors vary."""
        ...

    def draw(
        self, fixed: NDArray[np.integer], count: int, random: np.random.Generator
    ) -> NDArray[np.floating]:
        """Return codes `(G, count, K)`: in group `g`, factor `fixed[g]` has one random value."""
        ...


class GivenCodes:
    """Codes of given data; those that share a value are drawn with replacement.

    A value is drawn as often as the data have it. What a single datum has is never fixed, since
    nothing else varies then.

    Args:
        codes: `(N, K)`.
        factors: Integers `(N, F)`, each with at least two values, one of them in several data.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, or a factor is none of these.
    """

    def __init__(self, codes: Values, factors: Values) -> None:
        self._codes = code_rows("codes", codes).astype(np.float64)
        columns = class_columns("factors", factors, len(self._codes))
        check_varies("factors", columns)
        self.factor_count = columns.shape[1]
        self._groups = [_group(f, column) for f, column in enumerate(columns.T)]

    def population(self, random: np.random.Generator) -> NDArray[np.floating]:
        """Return all codes."""
        return self._codes

    def draw(
        self, fixed: NDArray[np.integer], count: int, random: np.random.Generator
    ) -> NDArray[np.floating]:
        """Return codes `(G, count, K)` with factor `fixed[g]` fixed in group `g`.

        Two are always of different data.
        """
        rows = np.empty((len(fixed), count), np.int64)
        for f, (order, starts, sizes) in enumerate(self._groups):
            groups = np.flatnonzero(fixed == f)
            value = random.choice(len(sizes), len(groups), p=sizes / sizes.sum())
            size = sizes[value][:, None]
            places = random.integers(size, size=(len(groups), count))
            if count == 2:  # else pairs of one datum give away how many data share the value
                places[:, 1:] = (places[:, :1] + random.integers(1, size)) % size
            rows[groups] = order[starts[value][:, None] + places]
        return self._codes[rows]


class EncodedCodes:
    """Codes of data made to order; every value of a factor is as likely.

    Args:
        encode: From factors `(N, F)` to codes `(N, K)`.
        sizes: Number of values of each factor, at least 2; they are counted from 0.

    Raises:
        ValueError: If a size is out of range.
    """

    def __init__(self, encode: Encode, sizes: Sequence[int]) -> None:
        for f, size in enumerate(sizes):
            if size < 2:
                raise ValueError(
                    f"sizes[{f}] is {size}; expected at least 2 values. Leave out that factor."
                )
        self._encode, self._sizes = encode, np.array(sizes)
        self.factor_count = len(sizes)

    def population(self, random: np.random.Generator) -> NDArray[np.floating]:
        """Return the codes of random factors."""
        return self._codes(random.integers(self._sizes, size=(POPULATION, self.factor_count)))

    def draw(
        self, fixed: NDArray[np.integer], count: int, random: np.random.Generator
    ) -> NDArray[np.floating]:
        """Return codes `(G, count, K)` with factor `fixed[g]` fixed in group `g`."""
        shape = (len(fixed), count, self.factor_count)
        factors = random.integers(self._sizes, size=shape)
        groups = np.arange(len(fixed))
        factors[groups, :, fixed] = factors[groups, :1, fixed]
        codes = self._codes(factors.reshape(-1, self.factor_count))
        return codes.reshape(len(fixed), count, -1)

    def _codes(self, factors: NDArray[np.integer]) -> NDArray[np.floating]:
        codes = code_rows("codes that encode returned", self._encode(factors))
        if len(codes) != len(factors):
            raise ValueError(
                f"encode returned {len(codes)} codes; expected {len(factors)}, one per row of "
                "factors. Return an array (N, K)."
            )
        return codes.astype(np.float64)


def _group(f: int, column: NDArray[np.integer]) -> tuple[NDArray[Any], ...]:
    """Return the data in the order of their value; where each value starts, and how many it has.

    Values of a single datum are left out.
    """
    _, starts, sizes = np.unique(np.sort(column), return_index=True, return_counts=True)
    several = sizes > 1
    if not several.any():
        raise ValueError(
            f"factors[:, {f}] have another value in each of {len(column)} data; expected values "
            "that several data share. Leave that column out, or give more data."
        )
    return np.argsort(column, kind="stable"), starts[several], sizes[several]
