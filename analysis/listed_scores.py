"""Scores of codes as one list: their names, which factors each takes, and how it is had."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .beta_vae_score import beta_vae_score
from .dci import dci
from .explicitness import explicitness
from .factor_vae_score import factor_vae_score
from .gaussian_dependence import gaussian_dependence
from .irs import irs
from .mcc import mcc
from .mig import mig_of_means, mig_of_posteriors
from .modularity import modularity
from .sap import sap
from .score_inputs import Values

Kind = Literal["classes", "ordered", "all", "none"]


@dataclass(frozen=True)
class Part:
    """Codes `(N, K)` and the factors `(N, F)` that a score asks for, integers if classes."""

    codes: NDArray[np.floating]
    factors: NDArray[np.generic]


@dataclass(frozen=True)
class Asked:
    """What scores are computed of: training and test data, and how.

    Attributes:
        train: What is fitted, or scored where nothing is.
        test: What fits are judged on.
        discrete: Which of the factors are classes.
        scales: Standard deviations of q of the training data, `(N, K)`, if they are known.
        forest_codes: Most training data that forests are grown from.
        seed: Of all that draws.
    """

    train: Part
    test: Part
    discrete: Sequence[bool]
    scales: Values | None
    forest_codes: int
    seed: int


@dataclass(frozen=True)
class ListedScore:
    """How scores of one fit are had.

    Attributes:
        names: Theirs.
        kind: Which factors they take.
        least_factors: How many of these, at least.
        compute: Their values, in the order of the names.
        resample: Whether they are cheap enough for a bootstrap.
    """

    names: tuple[str, ...]
    kind: Kind
    least_factors: int
    compute: Callable[[Asked], tuple[float, ...]]
    resample: bool = False


def _factor_vae(asked: Asked) -> tuple[float, ...]:
    return (factor_vae_score(asked.train.codes, asked.train.factors, seed=asked.seed).score,)


def _beta_vae(asked: Asked) -> tuple[float, ...]:
    return (beta_vae_score(asked.train.codes, asked.train.factors, seed=asked.seed).score,)


def _gap_of_means(asked: Asked) -> tuple[float, ...]:
    return (mig_of_means(asked.train.codes, asked.train.factors).score,)


def _gap_of_posteriors(asked: Asked) -> tuple[float, ...]:
    if asked.scales is None:
        raise ValueError("It needs the standard deviations of q. Give train_scales.")
    train = asked.train
    return (mig_of_posteriors(train.codes, asked.scales, train.factors, seed=asked.seed).score,)


def _machines(asked: Asked) -> tuple[float, ...]:
    train, test = asked.train, asked.test
    found = sap(train.codes, train.factors, test.codes, test.factors, discrete=asked.discrete)
    return (found.score,)


def _forests(asked: Asked) -> tuple[float, ...]:
    train, test = asked.train, asked.test
    few = np.random.default_rng(asked.seed).permutation(len(train.codes))[: asked.forest_codes]
    parts = train.codes[few], train.factors[few], test.codes, test.factors
    found = dci(*parts, discrete=asked.discrete, seed=asked.seed)
    return found.disentanglement, found.completeness, found.informativeness


def _modularity(asked: Asked) -> tuple[float, ...]:
    return (modularity(asked.train.codes, asked.train.factors).score,)


def _explicitness(asked: Asked) -> tuple[float, ...]:
    train, test = asked.train, asked.test
    return (explicitness(train.codes, train.factors, test.codes, test.factors).score,)


def _robustness(asked: Asked) -> tuple[float, ...]:
    return (irs(asked.train.codes, asked.train.factors).score,)


def _correlations(asked: Asked) -> tuple[float, ...]:
    codes, factors = asked.train.codes, asked.train.factors
    return mcc(codes, factors).score, mcc(codes, factors, correlation="spearman").score


def _dependence(asked: Asked) -> tuple[float, ...]:
    found = gaussian_dependence(asked.train.codes).total_correlation
    if isinf(found):
        raise ValueError("codes are linearly dependent, so that it is infinite")
    return (found,)


def _distance(asked: Asked) -> tuple[float, ...]:
    return (gaussian_dependence(asked.train.codes).wasserstein_share,)


SCORES = (
    ListedScore(("factor_vae",), "classes", 2, _factor_vae),
    ListedScore(("beta_vae",), "classes", 2, _beta_vae),
    ListedScore(("mig_means",), "classes", 1, _gap_of_means, resample=True),
    ListedScore(("mig_posteriors",), "classes", 1, _gap_of_posteriors),
    ListedScore(("sap",), "all", 1, _machines),
    ListedScore(
        ("dci_disentanglement", "dci_completeness", "dci_informativeness"), "all", 2, _forests
    ),
    ListedScore(("modularity",), "classes", 2, _modularity, resample=True),
    ListedScore(("explicitness",), "classes", 1, _explicitness),
    ListedScore(("irs",), "classes", 1, _robustness),
    ListedScore(("mcc", "mcc_spearman"), "ordered", 1, _correlations, resample=True),
    ListedScore(("total_correlation",), "none", 0, _dependence),
    ListedScore(("wasserstein_share",), "none", 0, _distance),
)


def listed_scores(only: Sequence[str] | None) -> list[ListedScore]:
    """Return the scores of some names, with those that come of the same fits; all unless given.

    Raises:
        ValueError: If there is no score of a name.
    """
    known = [name for score in SCORES for name in score.names]
    for name in only or ():
        if name not in known:
            raise ValueError(f"only has {name!r}; expected some of {', '.join(known)}.")
    return [score for score in SCORES if only is None or set(score.names) & set(only)]
