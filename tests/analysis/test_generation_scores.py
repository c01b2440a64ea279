"""Entropies and the inception score equal those worked out by hand."""

from math import exp, log

import numpy as np
import pytest
import torch

from unbraid.analysis import generation_scores


def test_scores_equal_a_case_by_hand():
    scores = generation_scores(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
    intra = log(2) / 2
    inter = -(0.75 * log(0.75) + 0.25 * log(0.25))
    assert scores.intra_entropy == pytest.approx(intra)
    assert scores.inter_entropy == pytest.approx(inter)
    assert scores.inception_score == pytest.approx(exp(inter - intra))
    assert scores.count == 2


def test_the_inception_score_is_the_mean_divergence():
    draw = np.random.default_rng(0)
    told = draw.dirichlet([0.4] * 9, size=50)
    divergence = (told * np.log(told / told.mean(0))).sum(1).mean()
    assert generation_scores(torch.from_numpy(told)).inception_score == pytest.approx(
        np.exp(divergence)
    )


def test_limits_are_reached():
    sure = generation_scores(np.eye(9)[np.arange(90) % 9])
    assert sure.inception_score == pytest.approx(9)
    assert (sure.intra_entropy, sure.inter_entropy) == pytest.approx((0, log(9)))
    one = generation_scores(np.eye(9)[np.zeros(20, int)])
    assert one.inception_score == pytest.approx(1)
    assert (one.intra_entropy, one.inter_entropy) == pytest.approx((0, 0))
    blind = generation_scores(np.full((5, 4), 0.25))
    assert blind.inception_score == pytest.approx(1)
    assert (blind.intra_entropy, blind.inter_entropy) == pytest.approx((log(4), log(4)))


def test_what_is_no_probability_is_refused():
    for values in ([[0.5, 0.6]], [[1.5, -0.5]], [[2.0, 3.0], [0.5, 0.5]]):
        with pytest.raises(ValueError, match="expected rows that sum to 1"):
            generation_scores(np.array(values))
    with pytest.raises(ValueError, match=r"probabilities\[0, 1\] is nan"):
        generation_scores(np.array([[1.0, np.nan]]))
