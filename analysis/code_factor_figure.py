"""What each code tells of each known factor, as an annotated heat map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .correlations import spearman
from .factor_kinds import which_discrete
from .mutual_information import binned_information, factor_entropies
from .neighbours import UNKNOWN
from .score_inputs import Values, check_varies, code_rows, target_columns
from .style import DPI, WIDTH, label

BINS, MOST_CODES, DATA_PER_CELL = 20, 16, 5
CELL = 0.27  # inches, the height of a row
LETTER, EDGE, TOP = 0.068, 0.1, 0.35
MAP = "Blues"
CLASS, NUMBER = "I / H", "|rank corr.|"


@dataclass(frozen=True, eq=False)
class CodeFactors:
    """How much each code tells of each factor, from 0 to 1.

    Attributes:
        values: `(K, F)`: of classes, the mutual information as a share of the factor's entropy; of
            numbers, the absolute rank correlation.
        discrete: Which factors are classes, `(F,)`.
    """

    values: NDArray[np.floating]
    discrete: NDArray[np.bool_]


def code_factors(
    codes: Values,
    factors: Values,
    *,
    discrete: Sequence[bool] | None = None,
    bins: int | None = None,
) -> CodeFactors:
    """Measure how much single codes tell of single factors.

    Of a class: mutual information of the code, cut into bins of equal width, over the factor's
    entropy. It is too high by about `(bins - 1)(values - 1) / 2N` nats: by default a tenth of one
    at most, or what two bins come to. Of a number: Spearman's
    rank correlation without its sign, which is 0 also of a code that goes up and then down.

    Args:
        codes: Means of q, `(N, K)`.
        factors: Classes or numbers, `(N,)` or `(N, F)`; -1 is an unknown class, whose datum
            is left out where that factor is looked at.
        discrete: Which factors are classes; all if they are integers, else none, unless given.
        bins: Number of bins of a code, at least 2; unless given, 20, or fewer where there are not
            five data for each bin of each class.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, a factor has one value only, or
            there are fewer than two bins.
    """
    if bins is not None and bins < 2:
        raise ValueError(f"bins is {bins}; expected at least 2. The default is at most 20.")
    rows = code_rows("codes", codes).astype(np.float64)
    columns = target_columns("factors", factors, len(rows))
    classes = which_discrete(factors, discrete, columns.shape[1])
    known = ~(classes & (columns == UNKNOWN))
    check_varies("factors", columns, known)
    values = [
        _told(rows[counted], column[counted], bins) if is_class else _ranked(rows, column)
        for column, counted, is_class in zip(columns.T, known.T, classes, strict=True)
    ]
    return CodeFactors(np.stack(values, 1), classes)


def _told(
    codes: NDArray[np.floating], factor: NDArray[np.floating], bins: int | None
) -> NDArray[np.floating]:
    """How much each code tells of one class, `(K,)`."""
    numbered = np.unique(factor, return_inverse=True)[1][:, None]
    if bins is None:
        cells = DATA_PER_CELL * (int(numbered.max()) + 1)
        bins = min(BINS, max(2, len(factor) // cells))
    return binned_information(codes, numbered, bins)[:, 0] / factor_entropies(numbered)


def _ranked(codes: NDArray[np.floating], factor: NDArray[np.floating]) -> NDArray[np.floating]:
    """How much each code tells of one number, `(K,)`."""
    return np.abs(spearman(codes, factor[:, None])[:, 0])


def code_factor_figure(
    codes: Values,
    factors: Values,
    *,
    factor_names: Sequence[str] = (),
    discrete: Sequence[bool] | None = None,
    site: str = "z",
    order: Sequence[int] | None = None,
    bins: int | None = None,
) -> Figure:
    """Draw what each code tells of each factor; see `code_factors`.

    In a disentangled code a row has one dark cell, and so has a column.

    Args:
        codes: Means of q, `(N, K)`.
        factors: Classes or numbers, `(N,)` or `(N, F)`; -1 is an unknown class.
        factor_names: Name of each factor; its number unless given.
        discrete: Which factors are classes.
        site: What the codes are called.
        order: The dimensions shown, from the top; the 16 that tell most unless given.
        bins: Number of bins of a code, where a factor is a class; as of `code_factors`.

    Raises:
        ValueError: As `code_factors`, or if there is not a name for each factor or no such code.
    """
    found = code_factors(codes, factors, discrete=discrete, bins=bins)
    count, width = found.values.shape
    names = [str(i) for i in range(width)] if not factor_names else list(factor_names)
    if len(names) != width:
        raise ValueError(
            f"factor_names has {len(names)} entries; expected {width}. Give one per factor."
        )
    if order is None:
        most = np.argsort(-found.values.max(1), kind="stable")[:MOST_CODES]
        order = sorted(most.tolist())
    if not order or not 0 <= min(order) <= max(order) < count:
        raise ValueError(
            f"order is {list(order)}; expected some of the codes 0 to {count - 1}. Leave it out."
        )
    shown = found.values[list(order)]
    ticks = [
        f"{_wrapped(n)}\n{CLASS if d else NUMBER}"
        for n, d in zip(names, found.discrete, strict=True)
    ]
    return _drawn(shown, [f"{site}[{dim}]" for dim in order], ticks)


def _drawn(values: NDArray[np.floating], rows: list[str], columns: list[str]) -> Figure:
    lines = max(name.count("\n") for name in columns) + 1
    left = EDGE + LETTER * max(map(len, rows))
    longest = max(len(line) for name in columns for line in name.split("\n"))
    cell = max(0.42, LETTER * longest + 0.06)
    across = min(cell * len(columns), max(WIDTH - left - EDGE, 0.42 * len(columns)))
    size = (max(left + across + EDGE, WIDTH), TOP + CELL * len(rows) + 0.13 * lines + EDGE)
    figure = Figure(figsize=size, dpi=DPI)
    bottom = 0.13 * lines + EDGE
    axis = figure.add_axes(
        (left / size[0], bottom / size[1], across / size[0], CELL * len(rows) / size[1])
    )
    axis.imshow(values, cmap=MAP, vmin=0, vmax=1, aspect="auto")
    axis.spines[:].set_visible(False)
    for row, line in enumerate(values):
        for column, value in enumerate(line.tolist()):
            axis.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=7,
                color="white" if value > 0.55 else "black",
            )  # fmt: skip
    axis.set_xticks(range(len(columns)), labels=columns, parse_math=False)
    axis.set_yticks(range(len(rows)), labels=rows, parse_math=False)
    axis.tick_params(length=0, labelsize=7, pad=2)
    label(axis, title="What codes tell of factors, 0 to 1")
    axis.title.set_x(-(left - EDGE) / across)
    return figure


def _wrapped(name: str) -> str:
    return name.replace(" ", "\n").replace("_", "\n")
