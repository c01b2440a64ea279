"""One-hot classes: frequencies, densities of rows and of shares, and no look at the host."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from unbraid.nets import OneHot

PROBS = torch.tensor([0.1, 0.2, 0.7])


def test_one_hot_rows_have_their_probabilities():
    rows = torch.eye(3)
    torch.testing.assert_close(OneHot(PROBS).log_prob(rows), PROBS.log())
    torch.testing.assert_close(
        OneHot(logits=3 * rows).log_prob(rows),
        dist.OneHotCategorical(logits=3 * rows).log_prob(rows),
    )


def test_shares_are_scored_by_the_mean_log_probability():
    shares = torch.tensor([0.5, 0.25, 0.25])
    torch.testing.assert_close(OneHot(PROBS).log_prob(shares), (shares * PROBS.log()).sum())


def test_rows_that_are_no_shares_are_refused():
    with pytest.raises(ValueError, match="within the support"):
        OneHot(PROBS).log_prob(torch.tensor([0.5, 0.6, 0.5]))


def test_samples_are_one_hot_and_as_frequent_as_asked():
    """30 000 draws; five standard errors of a frequency, false once in 6e5 for three classes."""
    rows = OneHot(PROBS).expand(torch.Size((2,))).sample((15_000,))
    assert rows.shape == (15_000, 2, 3)
    assert (rows.sum(-1) == 1).all() and ((rows == 0) | (rows == 1)).all()
    errors = (PROBS * (1 - PROBS) / 30_000).sqrt()
    assert ((rows.mean((0, 1)) - PROBS).abs() < 5 * errors).all()


def test_a_recording_draws_anew():
    """A recording of a draw is not that draw: replayed on the same seed it gives the same rows."""

    def draw(probs):
        return OneHot(probs, validate_args=False).expand(torch.Size((40,))).sample()

    with pyro.validation_enabled(False):
        recorded = make_fx(draw)(PROBS)
        found = []
        for program in (draw, recorded):
            torch.manual_seed(5)
            found.append(torch.stack([program(PROBS), program(PROBS)]))
    assert torch.equal(*found)
    assert not torch.equal(found[0][0], found[0][1])


def test_an_impossible_class_leaves_the_others_their_density():
    logits = torch.tensor([-torch.inf, 0.0, 0.0], requires_grad=True)
    found = OneHot(logits=logits).log_prob(torch.eye(3))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, 0.5]).log())
    (slope,) = torch.autograd.grad(found[1], logits)
    torch.testing.assert_close(slope, torch.tensor([0.0, 0.5, -0.5]))
