"""What static codes know of frames and dynamic codes of sequences, beside what each should know.

Source: Denton & Birodkar (2017), https://arxiv.org/abs/1705.10915, who train one classifier on
codes of content and on codes of pose.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clustered import clustered_error
from .known_sequences import Factor, KnownSequences, Rows, known_rows
from .leakage_result import About, Codes, Leakage, Probe
from .probes import PROBES, ProbeName, tell
from .score_inputs import check_widths

_FOUR: tuple[tuple[About, Codes], ...] = (
    ("content", "static"),
    ("content", "dynamic"),
    ("pose", "dynamic"),
    ("pose", "static"),
)


def leakage(
    train: KnownSequences,
    test: KnownSequences,
    *,
    probe: ProbeName = "mlp",
    sequence_names: Sequence[str] = (),
    sequence_sizes: Sequence[int] = (),
    frame_names: Sequence[str] = (),
    frame_sizes: Sequence[int] = (),
    max_rows: int = 10_000,
    seed: int = 0,
) -> Leakage:
    """Train the same probe on static and on dynamic codes, for all that is known.

    Content is told from the static code of a sequence and from the dynamic code of a single frame;
    pose from the dynamic code of the frame and from the static code of its sequence. What several
    frames would tell together can be more, and a probe at chance says only that this kind of probe
    found nothing.

    Test sequences may show identities that training sequences do not, but no class of an attribute
    that they do not.

    Args:
        train: Sequences that probes are trained on; best those that the codes were trained on.
        test: Held-out sequences, with the same factors.
        probe: `mlp`, the default, as codes can hold a class without any plane that parts it;
            `logistic`, multinomial and for continuous factors ridge regression, finds only what
            lies open; `knn`, the 5 nearest, needs few code dimensions. Codes are standardised.
        sequence_names: A name per factor of sequences; numbered unless given.
        sequence_sizes: Number of classes of each, 0 where it is continuous; unless given,
            integers are classes and floats are continuous.
        frame_names: A name per factor of frames; numbered unless given.
        frame_sizes: As `sequence_sizes`, of the factors of frames.
        max_rows: Largest number of sequences or frames that a probe is trained on, at least 2;
            of more, some are drawn without replacement.
        seed: Of probes and of that draw, 0 to 2**32 - 1.

    Raises:
        ValueError: If shapes do not fit, nothing is known, a valid code is not finite, a factor
            does not vary, or a class of the test data is not among the training data.
    """
    _check_options(probe, max_rows)
    described = (sequence_names, sequence_sizes, frame_names, frame_sizes)
    learnt, judged = known_rows("train", train, *described), known_rows("test", test, *described)
    _check_same(learnt[1], judged[1])
    draw = np.random.default_rng(seed)
    learnt = tuple(rows.take(draw.permutation(len(rows))[:max_rows]) for rows in learnt)
    scored = []
    for about, codes in _FOUR:
        by_frame = (about, codes) != ("content", "static")
        scored += _score_all(about, codes, learnt[by_frame], judged[by_frame], probe, seed)
    means = [
        mean
        for about, codes in _FOUR
        for discrete in (True, False)
        if (mean := _mean(scored, about, codes, discrete)) is not None
    ]
    return Leakage(probe, tuple(result.probe for result in scored), tuple(means))


@dataclass(frozen=True, eq=False)
class _Scored:
    """A result, and how much each test datum `(N,)` of which cluster `(N,)` moved its score."""

    probe: Probe
    influence: NDArray[np.floating]
    clusters: NDArray[np.integer]


def _score_all(
    about: About, codes: Codes, train: Rows, test: Rows, probe: ProbeName, seed: int
) -> list[_Scored]:
    """Train a probe for each factor and score it on the test data."""
    scored = []
    for known, true in zip(getattr(train, about), getattr(test, about), strict=True):
        _check_factor(known, true)
        told = tell(
            probe,
            train.codes[codes],
            known.values,
            train.clusters,
            test.codes[codes],
            discrete=known.classes > 0,
            seed=seed,
        )
        score, influence = (_accuracy if known.classes else _r2)(told, true.values)
        chance = np.bincount(true.values).max() / len(test) if known.classes else 0.0
        result = Probe(
            about=about,
            codes=codes,
            factor=known.name,
            score=score,
            standard_error=clustered_error([influence], test.clusters),
            chance=float(chance),
            uniform_chance=1 / known.classes if known.classes else 0.0,
            discrete=known.classes > 0,
            count=len(test),
        )
        scored.append(_Scored(result, influence, test.clusters))
    return scored


def _accuracy(told: NDArray[Any], truth: NDArray[Any]) -> tuple[float, NDArray[np.floating]]:
    right = told == truth
    return float(right.mean()), (right - right.mean()) / len(truth)


def _r2(told: NDArray[Any], truth: NDArray[Any]) -> tuple[float, NDArray[np.floating]]:
    """Return R^2 and its first derivative by the weight of each datum."""
    missed, spread = (truth - told) ** 2, (truth - truth.mean()) ** 2
    left = missed.sum() / spread.sum()
    return float(1 - left), (left * spread - missed) / spread.sum()


def _mean(scored: Sequence[_Scored], about: About, codes: Codes, discrete: bool) -> Probe | None:
    """Return the mean over factors; its error knows that all were scored on the same data."""
    parts = [
        part
        for part in scored
        if (part.probe.about, part.probe.codes, part.probe.discrete) == (about, codes, discrete)
    ]
    if not parts:
        return None
    first = parts[0]
    numbers = {
        name: float(np.mean([getattr(part.probe, name) for part in parts]))
        for name in ("score", "chance", "uniform_chance")
    }
    error = clustered_error([part.influence for part in parts], first.clusters)
    return replace(first.probe, factor="mean", standard_error=error, **numbers)


def _check_options(probe: str, max_rows: int) -> None:
    if probe not in PROBES:
        raise ValueError(
            f"probe is {probe!r}; expected one of {', '.join(PROBES)}. The default is mlp."
        )
    if max_rows < 2:
        raise ValueError(f"max_rows is {max_rows}; expected at least 2. The default is 10000.")


def _check_same(train: Rows, test: Rows) -> None:
    """Raise `ValueError` unless train and test have the same kinds of codes and of factors."""
    for name, codes in train.codes.items():
        check_widths(codes, test.codes[name], f"{name}_codes")
    for what, known, true in (
        ("sequence_factors", train.content, test.content),
        ("frame_factors", train.pose, test.pose),
    ):
        counts = [[bool(factor.classes) for factor in part] for part in (known, true)]
        if counts[0] != counts[1]:
            raise ValueError(
                f"{what} are {_kinds(counts[1])} in test; expected {_kinds(counts[0])}, as in "
                "train. Give the same factors in the same order and type."
            )
    if not (train.content or train.pose):
        raise ValueError(
            "train has neither sequence_factors nor frame_factors; expected at least one. Give "
            "what is known of the sequences or of their frames."
        )


def _kinds(discrete: Sequence[bool]) -> str:
    return ", ".join("classes" if each else "continuous" for each in discrete) or "missing"


def _check_factor(train: Factor, test: Factor) -> None:
    for what, factor in (("training", train), ("test", test)):
        if (factor.values == factor.values[0]).all():
            raise ValueError(
                f"{factor.name} is {factor.values[0]:g} in all {what} data; expected at least two "
                "values. Leave that factor out, or give data in which it varies."
            )
    unseen = np.setdiff1d(test.values, train.values) if train.classes else []
    if len(unseen):
        raise ValueError(
            f"{test.name} is {unseen[0]} in test data and never in training data; expected "
            "classes that a probe can learn. Split so that every class is in both parts, or raise "
            "max_rows; identities that are held out are told apart by their attributes."
        )
