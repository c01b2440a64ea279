"""Scores of probes of static and dynamic codes."""

from dataclasses import dataclass
from math import isnan
from typing import Literal, TypeAlias

from .clustered import error_words
from .probes import ProbeName

About: TypeAlias = Literal["content", "pose"]
Codes: TypeAlias = Literal["static", "dynamic"]


@dataclass(frozen=True)
class Probe:
    """How well one kind of codes tells one factor, or the mean over factors, on test data.

    Attributes:
        about: `content`, what is known of sequences, or `pose`, what is known of frames.
        codes: Which codes the probe was given, `static` or `dynamic`.
        factor: Name of the factor; `mean` for the mean over the factors of this kind.
        score: Share of the test data whose class is told rightly, in [0, 1]; of a continuous
            factor the explained variance R^2, at most 1 and below 0 where codes mislead.
        standard_error: Of the score, over groups of test sequences, NaN where there is one group
            only; the training of codes and probe is taken as given.
        chance: The largest class's share of the test data, which no answer that is the same for
            all data surpasses; 0 for R^2.
        uniform_chance: 1 / number of classes; 0 for R^2.
        discrete: Whether the factor has classes.
        count: Number of test data: sequences for content told from static codes, else frames.
    """

    about: About
    codes: Codes
    factor: str
    score: float
    standard_error: float
    chance: float
    uniform_chance: float
    discrete: bool
    count: int

    def __str__(self) -> str:
        """Return the score with its error and what is reached without a look at the codes."""
        name = f"{self.factor} of {self.about}" if self.factor == "mean" else self.factor
        text = f"{name} | {self.codes}: {self.score:.3f} {error_words(self.standard_error)}"
        if not self.discrete:
            return f"{text} (R^2, chance 0)"
        even = f"{self.uniform_chance:.3f}"
        largest = f"{self.chance:.3f}"
        chance = largest if largest == even else f"{largest} largest class, {even} uniform"
        return f"{text} (accuracy, chance {chance})"


@dataclass(frozen=True)
class Leakage:
    """What probes found.

    Attributes:
        probe: Which kind of probe was trained; of continuous factors `logistic` is ridge
            regression.
        probes: One per factor and kind of codes.
        means: Over the factors of one kind, classes and continuous ones apart.
    """

    probe: ProbeName
    probes: tuple[Probe, ...]
    means: tuple[Probe, ...]

    def mean(self, about: About, codes: Codes, discrete: bool = True) -> Probe | None:
        """Return the mean accuracy, or R^2, of one kind, or None where no such factor is known."""
        found = (
            p for p in self.means if (p.about, p.codes, p.discrete) == (about, codes, discrete)
        )
        return next(found, None)

    def table(self) -> list[dict[str, str | float | int | bool | None]]:
        """Return a row per probe and mean, by the names of `Probe`'s attributes, for JSON.

        None stands for an error that is not known.
        """
        return [
            {**vars(probe), "standard_error": None if isnan(error) else error}
            for probe in (*self.probes, *self.means)
            for error in (probe.standard_error,)
        ]

    def summary(self) -> str:
        """Return the means in words, a line each.

        Of codes that are apart the first and third are high, the second and fourth at chance.
        """
        return "\n".join(map(str, self.means))
