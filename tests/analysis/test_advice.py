"""What speaks against an importance-sampled log p(x), and what is told to do about it."""

import math
from importlib import import_module
from typing import Any

import pytest

from unbraid.analysis import JudgedRun, advice, compare, proposal_words

rise = import_module("unbraid.analysis.advice").rise
likelihood_rows = import_module("unbraid.analysis.wording").likelihood_rows

GOOD: dict[str, Any] = {
    "log_likelihood": -100.0,
    "log_likelihood_se": 1.0,
    "elbo": -105.0,
    "elbo_se": 1.0,
    "by_samples": {"1": -105.0, "10": -102.0, "100": -100.3, "1000": -100.0},
    "pareto_k_unreliable": 0.05,
    "pareto_k_max": 0.8,
    "samples": 1000,
    "n": 10,
}


def of(**changes: Any) -> Any:
    return GOOD | changes


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (GOOD["by_samples"], 0.3),
        # From 1000 to 5000 samples, a factor of five: 0.7 of ten times in the logarithm.
        ({"1": -9.0, "100": -3.0, "1000": -2.0, "5000": -1.0}, 1 / math.log10(5)),
        # 1000 is more than a fifth of 2000, and too near for a slope.
        ({"1": -9.0, "100": -3.0, "1000": -2.0, "2000": -1.0}, 2 / math.log10(20)),
        ({"1": -9.0, "4": -3.0}, None),
        ({"1": None, "10": -3.0}, None),
        ({}, None),
    ],
)
def test_the_rise_is_the_slope_along_the_logarithm_of_the_samples(bounds, expected):
    assert rise(of(by_samples=bounds)) == (None if expected is None else pytest.approx(expected))


def test_nothing_is_said_of_good_numbers():
    assert advice(of()) == []
    assert advice({}) == []


def test_heavy_tails_lead_to_the_next_step():
    tails, steps = advice(of(pareto_k_unreliable=0.4))
    assert tails.startswith("Pareto k-hat is above 0.7 for 40% of the images")
    for flag in ("--widen 1.5", "--samples 10000", "--estimator annealed"):
        assert flag in steps
    assert advice(of(pareto_k_unreliable=0.099)) == []


def test_a_rising_bound_leads_to_the_next_step():
    bounds = {"1": -105.0, "10": -102.0, "100": -101.0, "1000": -100.4}
    rising, steps = advice(of(by_samples=bounds), "sequence")
    assert rising.startswith("the bound still rises, by 0.60 nats for ten times the samples")
    assert "--samples 10000" in steps
    assert advice(of(by_samples=bounds | {"1000": -100.51})) == []


def test_what_was_done_already_is_not_advised():
    bad = {"pareto_k_unreliable": 0.4}
    assert "--widen" not in advice(of(widen=1.5, **bad))[-1]
    estimators = ("fitted", "annealed")
    for done in ((), ("fitted",), ("annealed",), estimators):
        told = advice(of(step=7, **bad, **{name: {"step": 7} for name in done}))[-1]
        assert [name for name in estimators if f"--estimator {name}" not in told] == [*done]
    assert "--estimator fitted" in advice(of(step=7, fitted={"step": 5}, **bad))[-1]
    frames = advice(of(frames=8, **bad), "sequence")[-1]
    assert "annealed" not in frames and "--inner-samples 10" in frames
    assert "--inner-samples" not in advice(of(frames=8, inner_samples=5, **bad))[-1]


def test_what_would_be_refused_is_not_advised():
    heavy = {"pareto_k_unreliable": 0.4}
    assert "--widen" in advice(of(has_normals=True, **heavy))[-1]
    without = advice(of(has_normals=False, **heavy))[-1]
    assert "--widen" not in without and "--samples 10000" in without
    bad = {"frames": 8, "pareto_k_unreliable": 0.4}
    assert "--inner-samples" in advice(of(averages_frames=True, **bad))[-1]
    assert "--inner-samples" not in advice(of(averages_frames=False, **bad))[-1]
    assert "--inner-samples" not in advice(of(prior_share=0.1, **bad))[-1]


def test_other_proposals_are_told_wherever_numbers_are():
    assert proposal_words(of()) is proposal_words(of(widen=1.0, prior_share=0.0)) is None
    assert proposal_words(of(widen=1.5)) == "the guide's Normals 1.5 times as wide"
    both = of(widen=1.5, prior_share=0.1)
    words = "the guide's Normals 1.5 times as wide, and a share of 0.1 from the prior"
    assert proposal_words(both) == words
    rows = {name: value for name, value, _ in likelihood_rows(both)}
    assert rows["Proposal"] == words and "ELBO of the proposal, nats" in rows
    assert "Proposal" not in {name for name, *_ in likelihood_rows(of())}
    found = compare([JudgedRun("a", "vae", "d", of()), JudgedRun("b", "vae", "d", both)])
    assert [note for note in found.notes if note.startswith(f"b: samples of {words}")]
    assert not [note for note in found.notes if note.startswith("a:")]
