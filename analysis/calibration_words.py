"""What the ranks of simulation-based calibration say of a guide, in words."""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unbraid.inference import Calibration

FALSE_ALARM = 1e-3
"""Probability that any coordinate of an exact guide is called wrong."""
_CLEAR = 3.0
"""Standard errors beyond which a mean or a spread of ranks is not chance."""

FINE, NARROW, WIDE = "not refuted", "too narrow", "too wide"
LOW, HIGH, OTHER = "leans to low values", "leans to high values", "of another shape"
_MEAN, _VARIANCE = 0.5, 1.0 / 12.0  # of a uniform variable on [0, 1]


class Verdict(NamedTuple):
    """What one coordinate's ranks say.

    Args:
        site: The latent site.
        coordinate: Its coordinate.
        p_value: Of uniform ranks, times the number of coordinates of all sites; at most 1.
        words: Not refuted; or how the guide is wrong, by what is clearest.
    """

    site: str
    coordinate: int
    p_value: float
    words: str


def calibration_verdicts(
    calibration: Calibration, false_alarm: float = FALSE_ALARM
) -> list[Verdict]:
    """Say of each coordinate whether the guide is right, and if not, how it is wrong.

    Args:
        calibration: Ranks.
        false_alarm: Probability that any coordinate of an exact guide is called wrong, in (0, 1).

    Returns:
        One verdict per coordinate, site by site, of each the least likely first.
    """
    count = sum(len(values) for values in calibration.p_values.values())
    found = []
    for site, values in calibration.p_values.items():
        of_site = []
        for k, (p_value, ranks) in enumerate(zip(values, calibration.ranks[site].T, strict=True)):
            corrected = min(1.0, float(p_value) * count)
            words = FINE if corrected >= false_alarm else _shape(ranks, calibration.draws)
            of_site.append(Verdict(site, k, corrected, words))
        found += sorted(of_site, key=lambda verdict: verdict.p_value)
    return found


def _shape(ranks: NDArray[np.int64], draws: int) -> str:
    """How ranks differ from uniform ones: by their mean or by their spread, the clearer one.

    Ranks count the guide's draws below the truth: small ones come from a guide that is too high.
    """
    places = (ranks + 0.5) / (draws + 1)
    shift = (places.mean() - _MEAN) / sqrt(_VARIANCE / len(places))
    # The variance of the squared distance of a uniform variable from its mean is 1/180.
    spread = (places.var() - _VARIANCE) / sqrt(1.0 / 180.0 / len(places))
    if max(abs(shift), abs(spread)) < _CLEAR:
        return OTHER
    if abs(shift) > abs(spread):
        return LOW if shift > 0 else HIGH
    return NARROW if spread > 0 else WIDE


def site_words(verdicts: list[Verdict], site: str) -> str:
    """Say of a site how many coordinates are wrong in which way."""
    words = [verdict.words for verdict in verdicts if verdict.site == site]
    told = [
        f"{words.count(kind)} {kind}"
        for kind in (NARROW, WIDE, LOW, HIGH, OTHER, FINE)
        if kind in words
    ]
    return ", ".join(told)
