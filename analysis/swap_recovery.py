"""Whether swapped frames, encoded again, give back the codes that they were decoded from."""

from dataclasses import dataclass
from math import nan, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .clustered import clustered_error
from .known_sequences import frame_mask
from .score_inputs import Values, check_widths, class_column, code_rows, host_array

_Floats: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True)
class Distance:
    """How far codes are from where they should be, in units of the spread of the original codes.

    Attributes:
        distance: Root mean square distance to the codes that the frames were decoded from, 0 when
            these come back; 1 is as far as the mean of all codes, the square root of 2 as far as
            the codes of something else.
        standard_error: Of the distance, over the swapped clips, NaN of a single one; the spread is
            taken as given.
        other: The same distance to the codes of the clip that gave the other part; NaN where the
            two clips never have frames at the same place.
        nearer: Share of the swapped clips that are nearer, on average over their frames, to the
            right codes than to those of the other clip, in [0, 1]; a tie counts half.
    """

    distance: float
    standard_error: float
    other: float
    nearer: float


@dataclass(frozen=True)
class SwapRecovery:
    """What becomes of the codes of swapped clips.

    Attributes:
        static: Of the static codes, which should be those of the clip that gave them.
        dynamic: Of the dynamic codes, likewise, over all valid frames.
    """

    static: Distance
    dynamic: Distance


def swap_recovery(
    static: Values,
    dynamic: Values,
    swapped_static: Values,
    swapped_dynamic: Values,
    static_from: Values,
    dynamic_from: Values,
    *,
    mask: Values | None = None,
    identities: Values | None = None,
) -> SwapRecovery:
    r"""Measure swap consistency without a judge, by the codes of swapped frames.

    The unit is the root of the summed variance of the codes: static ones over identities, dynamic
    ones over all valid frames. Codes are taken as they are, so dimensions count by their spread.
    A guide that overlooks what a decoder does wrong overlooks it here too; beside this, ask a
    judge. Reconstructions in place of swaps, with `static_from` equal to `dynamic_from`, say what
    decoding alone costs; of those `other` and `nearer` mean nothing.

    Args:
        static: Static codes of the clips, `(S, F)`, at least 2 that differ.
        dynamic: Dynamic codes of their frames, `(S, T, Z)`, at least 2 that differ.
        swapped_static: Static codes of the swapped clips, encoded again, `(M, F)`.
        swapped_dynamic: Dynamic codes of the swapped clips, encoded again, `(M, T, Z)`.
        static_from: Which clip gave the static code, integers `(M,)`.
        dynamic_from: Which clip gave the dynamic codes, integers `(M,)`.
        mask: True where the clips have frames, bools `(S, T)`; unless given, everywhere. A swapped
            clip has those of the clip that gave the dynamic codes, and is compared with the other
            clip where both have frames.
        identities: Which clips show the same, integers `(S,)`; the spread is then that of the mean
            static codes of the identities. Unless given, every clip shows another.

    Raises:
        ValueError: If shapes do not fit, a valid code is not finite, an index is out of range, or
            codes do not vary.
    """
    moving, again = host_array(dynamic), host_array(swapped_dynamic)
    if moving.ndim != 3 or again.ndim != 3 or moving.shape[1:] != again.shape[1:]:
        raise ValueError(
            f"dynamic and swapped_dynamic have shapes {moving.shape} and {again.shape}; expected "
            "(S, T, Z) and (M, T, Z). Encode swapped clips of as many frames."
        )
    count, swaps = len(moving), len(again)
    still = _codes("static", static, count)
    new = _codes("swapped_static", swapped_static, swaps)
    check_widths(still, new, "static codes")
    mine = _indices("static_from", static_from, swaps, count)
    theirs = _indices("dynamic_from", dynamic_from, swaps, count)
    valid = frame_mask("mask", mask, (count, moving.shape[1]))
    of_identity = still if identities is None else _identity_means(still, identities)
    static_distance = _distance(
        _squares(new, still[mine])[:, None],
        _squares(new, still[theirs])[:, None],
        np.ones((swaps, 1), bool),
        np.ones((swaps, 1), bool),
        _spread("static", of_identity),
    )
    # What stands in place of missing frames may be anything.
    moving = _without_padding("dynamic", moving, valid)
    again = _without_padding("swapped_dynamic", again, valid[theirs])
    dynamic_distance = _distance(
        _squares(again, moving[theirs]),
        _squares(again, moving[mine]),
        valid[theirs],
        valid[theirs] & valid[mine],
        _spread("dynamic", moving[valid]),
    )
    return SwapRecovery(static_distance, dynamic_distance)


def _distance(
    squares: _Floats,
    other_squares: _Floats,
    valid: NDArray[np.bool_],
    shared: NDArray[np.bool_],
    unit: float,
) -> Distance:
    """Compare squared distances `(M, T)` to the right codes and to those of the other clip."""
    mean = squares[valid].mean()
    influence = (squares[valid] - mean) / valid.sum()
    error = clustered_error([influence], np.nonzero(valid)[0])
    gain = np.where(shared, other_squares - squares, 0).sum(1)
    return Distance(
        distance=sqrt(mean) / unit,
        standard_error=error / (2 * sqrt(mean) * unit) if mean > 0 else error,
        other=sqrt(other_squares[shared].mean()) / unit if shared.any() else nan,
        nearer=float(((gain > 0) + 0.5 * (gain == 0)).mean()),
    )


def _squares(codes: _Floats, others: _Floats) -> _Floats:
    return ((codes - others) ** 2).sum(-1)


def _spread(what: str, codes: _Floats) -> float:
    """Return the root mean square distance of codes `(N, K)` to their mean."""
    spread = sqrt(codes.var(0).sum())
    if spread == 0:
        raise ValueError(
            f"{what} codes are all the same; expected at least two that differ. Distances have no "
            "unit where codes hold nothing."
        )
    return spread


def _identity_means(codes: _Floats, identities: Values) -> _Floats:
    _, places = np.unique(class_column("identities", identities, len(codes)), return_inverse=True)
    sums = np.zeros((places.max() + 1, codes.shape[1]))
    np.add.at(sums, places, codes)
    return sums / np.bincount(places)[:, None]


def _codes(what: str, codes: Values, count: int) -> _Floats:
    rows = code_rows(what, codes).astype(np.float64)
    if len(rows) != count:
        raise ValueError(
            f"{what} has {len(rows)} codes; expected {count}, as many as there are dynamic ones. "
            "Give one per clip."
        )
    return rows


def _without_padding(what: str, codes: NDArray[np.generic], valid: NDArray[np.bool_]) -> _Floats:
    cleared = np.where(valid[..., None], codes, 0)
    return code_rows(what, cleared).astype(np.float64).reshape(cleared.shape)


def _indices(what: str, indices: Values, count: int, clips: int) -> NDArray[np.integer]:
    places = class_column(what, indices, count)
    if places.min() < 0 or places.max() >= clips:
        raise ValueError(
            f"{what} has values from {places.min()} to {places.max()}; expected 0 to {clips - 1}. "
            "Give places of clips among those whose codes are given."
        )
    return places
