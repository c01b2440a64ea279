"""What is told of predicted clips of coloured moving digits: which digits, how they move."""

from math import sqrt
from typing import Any

from torch import Tensor

from .motion import distance, speeds, turns
from .prediction_films import Plan, Truth, Watched


def scores(watched: Watched, truth: Truth) -> dict[str, Any]:
    """Return what is told of films, in numbers: digits, motion, and how near they are at first.

    Returns:
        `told` and `told_of_truth`, shares of digits told rightly by horizon; `kept`, the share at
        the last horizon over that at the early one; `speed` (pixels a frame) and `bounces` (of a
        digit in 100 frames) of the window, each with `distance` (Kolmogorov-Smirnov) from the true
        ones and `distance_of_halves` of these; `placed`, the share of places there that are known;
        `ssim` and `psnr`.
    """
    plan, true = truth.plan, truth.watched
    found: dict[str, Any] = {
        "told": _by_horizon(watched, plan),
        "told_of_truth": _by_horizon(true, plan),
        "kept": kept(watched.right, plan.horizons.index(plan.early)),
    }
    own, others = _motion(watched, plan), _motion(true, plan)
    half = len(true.right) // 2
    for name in ("speed", "bounces"):
        found[name] = {
            **_spread(own[name]),
            "truth": _spread(others[name]),
            "distance": distance(own[name], others[name]),
            "distance_of_halves": distance(others[name][:half], others[name][half:]),
        }
    first, last = plan.window
    found["placed"] = float((~watched.track[:, first - 1 : last].isnan()).float().mean())
    for name in ("ssim", "psnr"):
        found[name] = _mean(getattr(watched, name))
    return found


def kept(right: Tensor, early: int) -> dict[str, float | None]:
    """Return the share of right answers at the last horizon over that at an early one.

    Args:
        right: Bools `(B, H, D)`.
        early: Place of the early horizon.

    Returns:
        `mean` and `standard_error`, linearised, clips being independent; None where nothing was
        right early on.
    """
    shares = right.double().mean(2)
    before, after = shares[:, early], shares[:, -1]
    if not before.any():
        return {"mean": None, "standard_error": None}
    ratio = float(after.mean() / before.mean())
    moved = (after - ratio * before) / before.mean()
    return {"mean": ratio, "standard_error": float(moved.std()) / sqrt(len(moved))}


def _by_horizon(watched: Watched, plan: Plan) -> dict[str, dict[str, float]]:
    shares = watched.right.double().mean(2)  # of a clip
    return {str(horizon): _mean(shares[:, place]) for place, horizon in enumerate(plan.horizons)}


def _motion(watched: Watched, plan: Plan) -> dict[str, Tensor]:
    """Speeds `(B, D, n)` and bounces in 100 frames `(B, D)` within the window."""
    first, last = plan.window
    track = watched.track[:, first - 1 : last].transpose(1, 2)
    return {
        "speed": speeds(track),
        "bounces": turns(track).sum(-1) * (100.0 / (last - first)),
    }


def _spread(values: Tensor) -> dict[str, float | None]:
    known = values[~values.isnan()].double()
    if not len(known):
        return {"mean": None, "deviation": None}
    return {"mean": float(known.mean()), "deviation": float(known.std(correction=0))}


def _mean(values: Tensor) -> dict[str, float]:
    error = float(values.double().std()) / sqrt(len(values))
    return {"mean": float(values.double().mean()), "standard_error": error}
