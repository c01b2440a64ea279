"""Averaged weights against their formula."""

from typing import Any

import pytest
import torch
from torch import nn

from unbraid.inference import AveragedPair

from .pairs import make_pair


def test_averages_follow_the_formula():
    pair = make_pair("plain")
    averaged: Any = AveragedPair(pair.model, pair.guide, 0.5)
    expected = [p.detach().clone() for p in pair.parameters]
    for step in range(1, 12):
        with torch.no_grad():
            for parameter in pair.parameters:
                parameter.add_(torch.randn_like(parameter))
        averaged.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        for i, parameter in enumerate(pair.parameters):
            expected[i] = decay * expected[i] + (1 - decay) * parameter.detach()
    found = [*averaged.model.parameters(), *averaged.guide.parameters()]
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
        assert not mine.requires_grad


def test_what_the_pair_shares_the_averages_share():
    """And it is moved once, not once for each of its owners."""
    pair = make_pair("plain")
    pair.guide.decoder = pair.model.decoder
    averaged: Any = AveragedPair(pair.model, pair.guide, 0.9)
    assert averaged.guide.decoder is averaged.model.decoder
    assert averaged.model.decoder is not pair.model.decoder
    weight: nn.Parameter = pair.model.decoder.loc.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1.0)
    averaged.update(1)
    expected = before + (1 - 2 / 11)
    torch.testing.assert_close(averaged.model.decoder.loc.weight, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, float("nan")])
def test_decays_out_of_range_are_refused(decay):
    pair = make_pair("plain")
    with pytest.raises(ValueError, match=f"ema is {decay}; expected a number between 0 and 1"):
        AveragedPair(pair.model, pair.guide, decay)
