"""Fairness of predictions, and how well an attribute is told from frozen codes."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .neighbours import UNKNOWN
from .probes import ProbeName, tell
from .score_inputs import Values, check_widths, class_column, code_rows, host_array

Classes = NDArray[np.integer]


@dataclass(frozen=True)
class Fairness:
    """How right predictions are, and how much they differ between the groups of an attribute.

    Gaps are the largest differences of a share between any two groups; 0 is fair, 1 the most
    unfair. Of more than two classes they are the largest over classes.

    Attributes:
        accuracy: Share of data that are told rightly.
        parity_gap: Of the share that is told a class (demographic parity, Dwork et al. 2012).
        odds_gap: The same among data of one label, the largest over labels (equalised odds, Hardt
            et al. 2016, https://arxiv.org/abs/1610.02413).
        mean_odds_gap: Its mean over labels.
        opportunity_gap: Of the share of the favoured label that is told rightly (equal
            opportunity, ibid.).
        count: Data with label and attribute.
    """

    accuracy: float
    parity_gap: float
    odds_gap: float
    mean_odds_gap: float
    opportunity_gap: float
    count: int


def fairness(
    predictions: Values, labels: Values, attribute: Values, *, favoured: int = 1
) -> Fairness:
    """Measure accuracy and unfairness; data whose label or attribute is -1 are left out.

    Args:
        predictions: Predicted classes, integers `(N,)`.
        labels: True classes `(N,)`.
        attribute: Groups `(N,)`.
        favoured: The label of equal opportunity.

    Raises:
        ValueError: If shapes or types do not fit, there are fewer than two groups, or a group has
            no data of a label.
    """
    count = len(host_array(predictions))
    told = class_column("predictions", predictions, count)
    truth = class_column("labels", labels, count)
    group = class_column("attribute", attribute, count)
    known = (truth != UNKNOWN) & (group != UNKNOWN)
    told, truth, group = told[known], truth[known], group[known]
    groups, classes = np.unique(group), np.unique(truth)
    if len(groups) < 2:
        raise ValueError(
            f"attribute has {len(groups)} values among data whose label is known; expected at "
            "least 2, whose predictions are compared. Give data of several groups, or another "
            "attribute"
        )
    if favoured not in classes:
        raise ValueError(
            f"favoured is {favoured}; expected one of the labels {', '.join(map(str, classes))}. "
            "Name the one whose opportunity is to be equal"
        )
    odds = {}
    for label in classes:
        for value in groups:
            if not ((truth == label) & (group == value)).any():
                raise ValueError(
                    f"no datum has label {label} and attribute {value}; expected some of every "
                    "label in every group. Judge on more data"
                )
        chosen = truth == label
        odds[int(label)] = _gap(told[chosen], group[chosen])
    right = [(told == truth)[(truth == favoured) & (group == value)].mean() for value in groups]
    return Fairness(
        accuracy=float((told == truth).mean()),
        parity_gap=_gap(told, group),
        odds_gap=max(odds.values()),
        mean_odds_gap=sum(odds.values()) / len(odds),
        opportunity_gap=float(max(right) - min(right)),
        count=len(told),
    )


def _gap(told: Classes, group: Classes) -> float:
    """Largest difference between groups of the share that is told a class, over classes."""
    values, classes = np.unique(group), np.unique(told)
    shares = np.array([[(told[group == v] == c).mean() for c in classes] for v in values])
    return float((shares.max(0) - shares.min(0)).max())


@dataclass(frozen=True)
class AttributeProbe:
    """How well a probe that was trained on frozen codes tells an attribute.

    Attributes:
        accuracy: Mean over the attribute's values, and over labels where these are given, of the
            share that is told rightly: every group counts alike.
        chance: What guessing comes to, 1 over the number of values.
        standard_error: Of the accuracy over the test data.
    """

    accuracy: float
    chance: float
    standard_error: float


def attribute_probe(
    train_codes: Values,
    train_attribute: Values,
    test_codes: Values,
    test_attribute: Values,
    *,
    train_labels: Values | None = None,
    test_labels: Values | None = None,
    probe: ProbeName = "mlp",
    seed: int = 0,
) -> AttributeProbe:
    """Train a probe on frozen codes after the fact, and say how well it tells an attribute.

    A critic that was trained along may be fooled where a fresh one is not. Groups are brought to
    one size by leaving training data out at random, so that the probe gains nothing by guessing
    the commoner one.

    With labels a probe is trained for the data of each: what the code tells of the attribute
    beyond the label. A code that tells the label perfectly tells whatever goes along with it.

    Args:
        train_codes: `(N, K)`.
        train_attribute: Integers `(N,)`; data of which it is -1 are left out, here and below.
        test_codes: `(M, K)`.
        test_attribute: Integers `(M,)`.
        train_labels: Integers `(N,)`.
        test_labels: Integers `(M,)`.
        probe: `mlp`, `logistic` or `knn`, on standardised codes.
        seed: Of the data left out and of the probe.

    Raises:
        ValueError: If shapes do not fit, one part alone has labels, or a group has too few data.
    """
    train, test = code_rows("train_codes", train_codes), code_rows("test_codes", test_codes)
    check_widths(train, test)
    if (train_labels is None) != (test_labels is None):
        raise ValueError(
            "labels are given of one part alone; expected both or neither. Give train_labels and "
            "test_labels"
        )
    parts = []
    for what, codes, attribute, labels in (
        ("train", train, train_attribute, train_labels),
        ("test", test, test_attribute, test_labels),
    ):
        group = class_column(f"{what}_attribute", attribute, len(codes))
        label = np.zeros_like(group)
        if labels is not None:
            label = class_column(f"{what}_labels", labels, len(codes))
        known = (group != UNKNOWN) & (label != UNKNOWN)
        parts.append((codes[known], group[known], label[known]))
    (train, group, label), (test, truth, test_label) = parts
    values, random = np.unique(group), np.random.RandomState(seed)
    if len(values) < 2:
        raise ValueError(
            f"train_attribute has {len(values)} values; expected at least 2. Give data of several "
            "groups, or another attribute"
        )
    for what, ours, theirs in (("attribute", values, truth), ("label", label, test_label)):
        strange = np.setdiff1d(theirs, ours)
        if len(strange):
            raise ValueError(
                f"test data have {what} {strange[0]}, which no training datum has; expected those "
                "of the training data. Leave these data out, or learn from more"
            )
    shares, variances = [], []
    for chosen in np.unique(label):
        rows = _even(group, label == chosen, values, random, int(chosen))
        mine = test_label == chosen
        for value in values:
            if value not in truth[mine]:
                raise ValueError(
                    f"no test datum has label {chosen} and attribute {value}; expected some. "
                    "Judge on more data"
                )
        told: Any = tell(
            probe, train[rows], group[rows], np.arange(len(rows)), test[mine],
            discrete=True, seed=seed,
        )  # fmt: skip
        for value in values:
            right = (told == value)[truth[mine] == value]
            shares.append(right.mean())
            variances.append(right.mean() * (1 - right.mean()) / len(right))
    return AttributeProbe(
        float(np.mean(shares)), 1 / len(values), sqrt(sum(variances)) / len(shares)
    )


def _even(
    group: Classes,
    chosen: NDArray[np.bool_],
    values: Classes,
    random: np.random.RandomState,
    label: int,
) -> NDArray[np.integer]:
    """Rows of as many chosen data of each group, drawn at random, in a random order."""
    members = [np.flatnonzero(chosen & (group == value)) for value in values]
    size = min(map(len, members))
    if size < 10:
        value = values[int(np.argmin([len(rows) for rows in members]))]
        raise ValueError(
            f"{size} training data have label {label} and attribute {value}; expected at least "
            "10. Give more data"
        )
    return random.permutation(np.concatenate([random.permutation(m)[:size] for m in members]))
