"""How much of a condition codes still tell, although the model is given it."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from .probes import PROBES, ProbeName, fitted_name, tell
from .score_inputs import (
    Values,
    check_varies,
    check_widths,
    class_column,
    code_rows,
    target_columns,
)

LINEAR_AND_NEAREST: tuple[ProbeName, ...] = ("logistic", "knn")


@dataclass(frozen=True)
class ToldCondition:
    """What probes tell of a condition from codes.

    Attributes:
        score: By what was fitted: the accuracy where the condition is a class, else the explained
            variance 1 - sum (v - prediction)^2 / sum (v - mean)^2. Of real values the linear probe
            is `ridge`.
        chance: What is reached without a look at the codes. Of classes it is the accuracy of
            always saying the commonest one of the training codes, that is, its share of the test
            codes, and not 1 / number of classes; of a real value it is 0, as that of the mean.
        standard_error: By probe, of the accuracy over the test codes; None for a real value.
        count: Number of test codes.
    """

    score: dict[str, float]
    chance: float
    standard_error: dict[str, float] | None
    count: int

    def summary(self) -> dict[str, Any]:
        """Return plain numbers, for JSON."""
        return {
            "score": self.score,
            "chance": self.chance,
            "standard_error": self.standard_error,
            "n": self.count,
        }


def told_condition(
    train_codes: Values,
    train_condition: Values,
    test_codes: Values,
    test_condition: Values,
    *,
    discrete: bool = True,
    probes: tuple[ProbeName, ...] = LINEAR_AND_NEAREST,
    seed: int = 0,
) -> ToldCondition:
    """Tell a condition from codes, each brought to mean 0 and variance 1 over the training codes.

    A model that is given the condition needs none of it in its codes, but nothing keeps it out.
    Scores near chance say that these probes find none.

    Args:
        train_codes: `(N, K)`.
        train_condition: Classes, of which -1 is one, or real values `(N,)`.
        test_codes: `(M, K)`.
        test_condition: Likewise, `(M,)`.
        discrete: Whether the condition is a class.
        probes: `logistic` (a linear classifier; of real values ridge regression, and then called
            `ridge` in the score), `knn` (the 5 nearest), `mlp`.
        seed: Seed of `mlp`.

    Raises:
        ValueError: If shapes do not fit, or the training data have the same condition throughout,
            or the test data the same real value.
    """
    for probe in probes:
        if probe not in PROBES:
            raise ValueError(
                f"probe is {probe!r}; expected one of {', '.join(PROBES)}. The default is both of "
                f"{', '.join(LINEAR_AND_NEAREST)}."
            )
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    if discrete:
        condition: Any = class_column("train_condition", train_condition, len(train))
        truth: Any = class_column("test_condition", test_condition, len(test))
    else:
        [condition] = target_columns("train_condition", train_condition, len(train)).T
        [truth] = target_columns("test_condition", test_condition, len(test)).T
    if len(np.unique(condition)) < 2:
        raise ValueError(
            "train_condition is the same throughout; expected at least two values. Give more data."
        )
    if not discrete:
        check_varies("test_condition", truth[:, None])
    clusters = np.arange(len(train))
    said = {
        probe: tell(probe, train, condition, clusters, test, discrete=discrete, seed=seed)
        for probe in probes
    }
    if not discrete:
        spread = float(((truth - truth.mean()) ** 2).sum())
        explained = {
            fitted_name(probe, discrete): 1 - float(((truth - told) ** 2).sum()) / spread
            for probe, told in said.items()
        }
        return ToldCondition(explained, 0.0, None, len(test))
    accuracy = {probe: float((told == truth).mean()) for probe, told in said.items()}
    values, counts = np.unique(condition, return_counts=True)
    chance = float((truth == values[counts.argmax()]).mean())
    errors = {probe: sqrt(a * (1 - a) / len(test)) for probe, a in accuracy.items()}
    return ToldCondition(accuracy, chance, errors, len(test))
