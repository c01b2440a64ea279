"""FactorVAE score: whether the code that varies least tells which factor is fixed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .factor_kinds import check_two_factors
from .fixed_factors import Encode, EncodedCodes, FixedFactors, GivenCodes
from .score_inputs import Values

LEAST_SCALE = 0.05
_CHUNK = 500


@dataclass(frozen=True, eq=False)
class FactorVAEScore:
    """How often a majority vote of single codes names the factor that is fixed.

    Attributes:
        score: Accuracy on new votes, in [0, 1]; `chance` where no code is active.
        train_score: Accuracy on the votes that the classifier was made of.
        chance: Accuracy of a guess, `1/F`.
        active: Which codes take part, bools `(K,)`; the rest are pruned.
        votes: How often code `k` varied least while factor `f` was fixed, integers `(K, F)`; the
            rows of pruned codes are 0.
    """

    score: float
    train_score: float
    chance: float
    active: NDArray[np.bool_]
    votes: NDArray[np.integer]

    @property
    def active_count(self) -> int:
        """Number of codes that take part."""
        return int(self.active.sum())


def factor_vae_score(
    codes: Values,
    factors: Values,
    *,
    samples: int = 64,
    train_votes: int = 10_000,
    test_votes: int = 5_000,
    least_scale: float = LEAST_SCALE,
    seed: int = 0,
) -> FactorVAEScore:
    r"""Score codes of given data by the code that varies least while one factor is fixed.

    A vote draws a factor `f`, a value of it, and `samples` data that have this value; it goes to
    the code `k` with the least \( \operatorname{Var}_L z_k / \operatorname{Var} z_k \), the last
    over all data. A classifier from `k` to the factor with most votes is made of the first votes
    and tested on the rest. A code that stands for two factors costs; one factor in two codes does
    not. The scale of active codes does not matter, and a rotation of all codes does.

    Data that share a value are drawn with replacement from those given, so that give at least some
    30 data per value: variances of few are noisy, which costs.

    Source: Kim & Mnih (2018), https://arxiv.org/abs/1802.05983, section 4. Number of samples and
    votes and the pruning by scale are those of disentanglement_lib, which counts the active codes
    wrongly: all of them.

    Args:
        codes: `(N, K)`; the means of q, say.
        factors: Integers `(N, F)`, `F` at least 2, each with at least two values.
        samples: Number `L` of data of a vote, at least 2.
        train_votes: Votes that make the classifier, at least 1.
        test_votes: Votes that it is tested on, at least 1.
        least_scale: Codes of a lower standard deviation over all data are pruned: they say
            nothing, yet would win votes. The default is for codes whose prior has scale 1;
            constant codes are pruned always.
        seed: Seed of all draws.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, a factor is no class or does not
            vary, or a number is out of range.
    """
    given = GivenCodes(codes, factors)
    return _score(given, samples, train_votes, test_votes, least_scale, seed)


def factor_vae_score_of_encoder(
    encode: Encode,
    sizes: Sequence[int],
    *,
    samples: int = 64,
    train_votes: int = 10_000,
    test_votes: int = 5_000,
    least_scale: float = LEAST_SCALE,
    seed: int = 0,
) -> FactorVAEScore:
    """Score an encoder of data that can be made with any factors, as the paper does.

    All but the draws is as in `factor_vae_score`: they are new for every vote, and each value of a
    factor is as likely. Scales over all data are those of 10 000 codes.

    Args:
        encode: From factors, integers `(N, F)`, to the codes `(N, K)` of data that have them.
        sizes: Number of values of each factor, at least 2 each; two factors or more.
        samples: Number `L` of data of a vote, at least 2.
        train_votes: Votes that make the classifier, at least 1.
        test_votes: Votes that it is tested on, at least 1.
        least_scale: Codes of a lower standard deviation are pruned.
        seed: Seed of all draws of factors.

    Raises:
        ValueError: If a code is not finite or a number is out of range.
    """
    made = EncodedCodes(encode, sizes)
    return _score(made, samples, train_votes, test_votes, least_scale, seed)


def _score(
    source: FixedFactors,
    samples: int,
    train_votes: int,
    test_votes: int,
    least_scale: float,
    seed: int,
) -> FactorVAEScore:
    _check(source.factor_count, samples, train_votes, test_votes, least_scale)
    random = np.random.default_rng(seed)
    population = source.population(random)
    varies = (population != population[0]).any(0)
    active = varies & (population.std(0) >= least_scale)
    votes = np.zeros((len(active), source.factor_count), np.int64)
    chance = 1 / source.factor_count
    if not active.any():
        return FactorVAEScore(chance, chance, chance, active, votes)
    variances = np.where(active, population.var(0), 1)
    train = _cast(source, active, variances, samples, train_votes, random)
    np.add.at(votes, train, 1)
    named = votes.argmax(1)
    code, factor = _cast(source, active, variances, samples, test_votes, random)
    return FactorVAEScore(
        score=float((named[code] == factor).mean()),
        train_score=float((named[train[0]] == train[1]).mean()),
        chance=chance,
        active=active,
        votes=votes,
    )


def _cast(
    source: FixedFactors,
    active: NDArray[np.bool_],
    variances: NDArray[np.floating],
    samples: int,
    count: int,
    random: np.random.Generator,
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the code that varied least in each vote, and the factor that was fixed, `(V,)`."""
    fixed = random.integers(source.factor_count, size=count)
    least = []
    for start in range(0, count, _CHUNK):  # bounds the memory
        drawn = source.draw(fixed[start : start + _CHUNK], samples, random)
        ratios = np.where(active, drawn.var(1) / variances, np.inf)
        least.append(ratios.argmin(1))
    return np.concatenate(least), fixed


def _check(
    factors: int, samples: int, train_votes: int, test_votes: int, least_scale: float
) -> None:
    check_two_factors("factors", factors)
    for what, value, least in (
        ("samples", samples, 2),
        ("train_votes", train_votes, 1),
        ("test_votes", test_votes, 1),
        ("least_scale", least_scale, 0),
    ):
        if not value >= least:
            raise ValueError(f"{what} is {value}; expected at least {least}. See the defaults.")
