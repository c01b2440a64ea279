"""How well codes tell continuous targets: the share of their variance that is explained."""

from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .score_inputs import Values, check_varies, check_widths, code_rows, target_columns


@dataclass(frozen=True)
class R2:
    """Explained variance of test data, `1 - sum (v - prediction)^2 / sum (v - mean)^2`.

    Attributes:
        per_target: At most 1 each; 0 is what the mean of the test targets reaches, and codes that
            mislead come below.
        mean: Over the targets.
    """

    per_target: tuple[float, ...]
    mean: float


def linear_r2(
    train_codes: Values, train_targets: Values, test_codes: Values, test_targets: Values
) -> R2:
    """Tell continuous targets from codes by least squares with an intercept.

    The scale of a code does not matter, nor a rotation of all codes: this says that the targets
    are there, not that single codes hold them. See `dci` for that, and give an angle as its sine
    and cosine.

    Args:
        train_codes: `(N, K)`.
        train_targets: Numbers `(N,)` or `(N, F)`.
        test_codes: `(M, K)`.
        test_targets: Numbers `(M,)` or `(M, F)`; each has at least two values.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, or a target does not vary.
    """
    # Of codes of very different scales the regression would drop the small ones.
    regression = make_pipeline(StandardScaler(), LinearRegression())
    return _r2(regression, train_codes, train_targets, test_codes, test_targets)


def forest_r2(
    train_codes: Values,
    train_targets: Values,
    test_codes: Values,
    test_targets: Values,
    *,
    trees: int = 100,
    seed: int = 0,
) -> R2:
    """Tell continuous targets from codes by a random forest, where they depend non-linearly.

    Args:
        train_codes: `(N, K)`.
        train_targets: Numbers `(N,)` or `(N, F)`; each target gets a forest of its own.
        test_codes: `(M, K)`.
        test_targets: Numbers `(M,)` or `(M, F)`; each has at least two values.
        trees: Number of trees, at least 1.
        seed: Seed of the forests, 0 to 2**32 - 1.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, or a target does not vary.
    """
    if trees < 1:
        raise ValueError(f"trees is {trees}; expected at least 1. The default is 100.")
    forest = RandomForestRegressor(trees, min_samples_leaf=5, random_state=seed)
    return _r2(forest, train_codes, train_targets, test_codes, test_targets)


def _r2(
    regressor: Any,
    train_codes: Values,
    train_targets: Values,
    test_codes: Values,
    test_targets: Values,
) -> R2:
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    targets = target_columns("train_targets", train_targets, len(train))
    truth = target_columns("test_targets", test_targets, len(test))
    check_widths(targets, truth, "targets")
    check_varies("train_targets", targets)
    check_varies("test_targets", truth)
    told = (
        regressor.fit(train.astype(float), column).predict(test.astype(float))
        for column in targets.T
    )
    scores = tuple(float(r2_score(t, p)) for t, p in zip(truth.T, told, strict=True))
    return R2(scores, sum(scores) / len(scores))
