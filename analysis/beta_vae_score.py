"""Beta-VAE score: whether differences of codes tell which factor two data share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .factor_kinds import check_two_factors
from .fixed_factors import Encode, EncodedCodes, FixedFactors, GivenCodes
from .score_inputs import Values

_CHUNK = 500


@dataclass(frozen=True)
class BetaVAEScore:
    """How often a linear classifier of code differences names the factor that is shared.

    Attributes:
        score: Accuracy on new points, in [0, 1].
        train_score: Accuracy on the points that the classifier was trained on.
        chance: Accuracy of a guess, `1/F`.
    """

    score: float
    train_score: float
    chance: float


def beta_vae_score(
    codes: Values,
    factors: Values,
    *,
    pairs: int = 64,
    train_points: int = 10_000,
    test_points: int = 5_000,
    seed: int = 0,
) -> BetaVAEScore:
    """Score codes of given data by whether their differences tell which factor a pair shares.

    A point draws a factor and `pairs` pairs of data, each of which shares a value of that factor;
    its features are the mean absolute differences of the codes. A logistic regression tells the
    factor. It may use all codes, so that a rotation costs little, and full marks say little: one
    factor in several codes, or one factor in none, is told all the same. See `factor_vae_score`.

    Pairs are of different data that share a value. A datum beside itself, as independent draws
    would have it, has no differences, and the more often the fewer data share a value: that alone
    would tell factors apart, whatever the codes.

    Source: Higgins et al. (2017), https://openreview.net/forum?id=Sy2fzU9gl, section 3. As there,
    the classifier is linear and hardly penalised; features are standardised first, which
    disentanglement_lib does not do, so that the scale of a code does not matter.

    Args:
        codes: `(N, K)`; the means of q, say.
        factors: Integers `(N, F)`, `F` at least 2, each with at least two values.
        pairs: Number of pairs of a point, at least 1.
        train_points: Points that the classifier is trained on, at least 1 per factor.
        test_points: Points that it is tested on, at least 1.
        seed: Seed of all draws.

    Raises:
        ValueError: If shapes do not fit, a code is not finite, a factor is no class or does not
            vary, or a number is out of range.
    """
    return _score(GivenCodes(codes, factors), pairs, train_points, test_points, seed)


def beta_vae_score_of_encoder(
    encode: Encode,
    sizes: Sequence[int],
    *,
    pairs: int = 64,
    train_points: int = 10_000,
    test_points: int = 5_000,
    seed: int = 0,
) -> BetaVAEScore:
    """Score an encoder of data that can be made with any factors, as the paper does.

    All but the draws is as in `beta_vae_score`: they are new for every point, and each value of a
    factor is as likely.

    Args:
        encode: From factors, integers `(N, F)`, to the codes `(N, K)` of data that have them.
        sizes: Number of values of each factor, at least 2 each; two factors or more.
        pairs: Number of pairs of a point, at least 1.
        train_points: Points that the classifier is trained on, at least 1 per factor.
        test_points: Points that it is tested on, at least 1.
        seed: Seed of all draws of factors.

    Raises:
        ValueError: If a code is not finite or a number is out of range.
    """
    return _score(EncodedCodes(encode, sizes), pairs, train_points, test_points, seed)


def _score(
    source: FixedFactors, pairs: int, train_points: int, test_points: int, seed: int
) -> BetaVAEScore:
    count = source.factor_count
    check_two_factors("factors", count)
    for what, value, least in (
        ("pairs", pairs, 1),
        ("train_points", train_points, count),
        ("test_points", test_points, 1),
    ):
        if value < least:
            raise ValueError(f"{what} is {value}; expected at least {least}. See the defaults.")
    random = np.random.default_rng(seed)
    # Every factor is there at least once, however few the points.
    shared = random.permutation(np.resize(np.arange(count), train_points))
    train = _differences(source, shared, pairs, random)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=1e3, max_iter=5000))
    classifier.fit(train, shared)
    asked = random.integers(count, size=test_points)
    test = _differences(source, asked, pairs, random)
    return BetaVAEScore(
        score=float((classifier.predict(test) == asked).mean()),
        train_score=float((classifier.predict(train) == shared).mean()),
        chance=1 / count,
    )


def _differences(
    source: FixedFactors, shared: NDArray[np.integer], pairs: int, random: np.random.Generator
) -> NDArray[np.floating]:
    """Return the mean absolute differences of the codes of each point's pairs, `(P, K)`."""
    points = []
    for start in range(0, len(shared), _CHUNK):  # bounds the memory
        fixed = np.repeat(shared[start : start + _CHUNK], pairs)
        codes = source.draw(fixed, 2, random)
        gaps = np.abs(codes[:, 0] - codes[:, 1])
        points.append(gaps.reshape(-1, pairs, gaps.shape[1]).mean(1))
    return np.concatenate(points)
