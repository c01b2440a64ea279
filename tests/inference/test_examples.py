"""What critics are shown: whose codes, permuted how, held against draws of which law."""

import math
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import nn

from unbraid.inference import (
    Adversary,
    AgainstPermuted,
    AgainstPrior,
    Labelled,
    Objective,
    Terms,
    TwoSamples,
    WithAttribute,
)
from unbraid.inference.examples import permuted_dimensions  # pyright: ignore[reportMissingImports]

from .aggregates import Prior, terms_of
from .pairs import make_pair
from .shown import Scores

FALSE_ALARM = 1e-6


class Copies(nn.Module):
    """A guide whose code of a datum is the datum times a parameter, without noise."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(self.factor * x, event_dim=1))


class Seen(nn.Module):
    """A standard normal code of `size` dims, and data of as many."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(self.size), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)


def copied(x, particles=1) -> tuple[Terms, Copies]:
    guide = Copies()
    objective = Objective(particles=particles, analytic_kl=False)
    return objective.terms(Seen(x.shape[-1]), guide, (x,)), guide


def two_batches(first=6, second=50, size=4) -> Any:
    x = torch.randn(first + second, size, dtype=torch.float64)
    return x[:first], {"x": x[:first], "second": {"x": x[first:]}}


def sorted_columns(values):
    return values.sort(0).values


def both(view, terms, batch) -> Any:
    """Own and reference examples of a view of one input each."""
    shown = view(terms, batch, True)
    assert isinstance(shown, TwoSamples) and shown.reference is not None
    return shown.own[0], shown.reference[0]


def test_each_column_of_the_second_batch_is_permuted_over_it():
    """Not the dims of a code, as where what is permuted is the wrong axis."""
    x, batch = two_batches()
    own, reference = both(AgainstPermuted("z"), copied(x)[0], batch)
    second = batch["second"]["x"]
    assert torch.equal(own, x)
    assert torch.equal(sorted_columns(reference), sorted_columns(second))
    assert not torch.equal(sorted_columns(x), sorted_columns(reference[: len(x)]))


def order_of(permuted, original):
    """Where each value of a column came from."""
    return torch.stack([(original == value).nonzero()[0, 0] for value in permuted])


def test_each_column_has_a_permutation_of_its_own():
    """Two of 50 rows are equal, or the identity, once in 50! draws."""
    x, batch = two_batches()
    _, reference = both(AgainstPermuted("z"), copied(x)[0], batch)
    second = batch["second"]["x"]
    orders = [order_of(reference[:, k], second[:, k]) for k in range(4)]
    orders.append(torch.arange(50))
    for i, order in enumerate(orders):
        assert sorted(order.tolist()) == list(range(50))
        assert not any(torch.equal(order, other) for other in orders[:i])


def test_permutations_are_even_and_independent_from_column_to_column():
    """Of three rows and two columns 36 outcomes, as often each: chi-squared, at 1e-6."""
    values = torch.tensor([[0, 0], [1, 1], [2, 2]], dtype=torch.float32)
    count = 7200
    outcomes = torch.stack([permuted_dimensions(values) for _ in range(count)])
    places = (outcomes[:, 0] + 3 * outcomes[:, 1]).long()  # of three values two say it all
    cells = torch.bincount(places[:, 0] * 9 + places[:, 1], minlength=81)
    found = cells[cells > 0]
    assert len(found) == 36
    assert stats.chisquare(found.numpy()).pvalue > FALSE_ALARM


def test_rows_are_permuted_anew_for_every_step_of_the_critic():
    x, batch = two_batches()
    terms, _ = copied(x)
    first, second = (both(AgainstPermuted("z"), terms, batch)[1] for _ in range(2))
    assert not torch.equal(first, second)


def test_without_a_stream_the_first_batch_is_permuted():
    x, batch = two_batches(first=20)
    own, reference = both(AgainstPermuted("z", stream=None), copied(x)[0], batch)
    assert torch.equal(sorted_columns(own), sorted_columns(reference))
    assert not torch.equal(own, reference)


def test_another_stream_and_other_keys_are_encoded():
    class Shifts(Copies):
        def forward(self, x, by: Any = None):
            super().forward(x + by)

    class Shifted(Seen):
        def forward(self, x, by: Any = None):
            super().forward(x)

    x, other = torch.randn(5, 2).double(), torch.randn(7, 2).double()
    by = torch.ones(5, 1).double()
    terms = Objective(analytic_kl=False).terms(Shifted(2), Shifts(), (x, by))
    batch = {"image": x, "by": by, "more": {"image": other, "by": 3 * torch.ones(7, 1).double()}}
    view = AgainstPermuted("z", stream="more", keys=("image", "by"))
    assert torch.equal(sorted_columns(both(view, terms, batch)[1]), sorted_columns(other + 3))


def test_a_batch_without_the_stream_is_refused():
    x, _ = two_batches()
    message = r"the batch has no 'second'; it has 'x', 'label'\. Train with Batches\(streams="
    with pytest.raises(ValueError, match=message):
        AgainstPermuted("z")(copied(x)[0], {"x": x, "label": x}, True)


def test_references_are_only_had_where_they_are_asked_for():
    x, _ = two_batches()
    terms, _ = copied(x)
    for view in (AgainstPermuted("z"), AgainstPrior("z")):
        before = torch.get_rng_state()
        assert view(terms, {}, False).reference is None
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("particles", [1, 3])
def test_codes_of_each_particle_are_rows(particles):
    x, batch = two_batches()
    own, reference = both(AgainstPermuted("z"), copied(x, particles)[0], batch)
    assert torch.equal(own, x.repeat(particles, 1))
    second = batch["second"]["x"].repeat(particles, 1)
    assert torch.equal(sorted_columns(reference), sorted_columns(second))


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_codes_of_other_than_one_dim_are_made_one(shape):
    class Any_(nn.Module):
        def __init__(self, guide: bool) -> None:
            super().__init__()
            self.guide = guide
            self.loc = nn.Parameter(torch.zeros((), dtype=torch.float64))

        def forward(self, x):
            with pyro.plate("data", len(x)):
                p = dist.Normal(self.loc + x.new_zeros(shape), 1.0).to_event(len(shape))
                pyro.sample("z", p)
                if not self.guide:
                    pyro.sample("x", dist.Normal(self.loc.expand(1), 1.0).to_event(1), obs=x)

    x = torch.randn(5, 1, dtype=torch.float64)
    terms = Objective().terms(Any_(False), Any_(True), (x,))
    batch = {"second": {"x": x.repeat(2, 1)}}
    for view, count in ((AgainstPermuted("z"), 10), (AgainstPrior("z"), 5)):
        own, reference = both(view, terms, batch)
        assert torch.equal(own, terms["z"].value.detach().reshape(5, -1))
        assert reference.shape == (count, math.prod(shape))


@pytest.mark.parametrize("view", [AgainstPermuted("z"), AgainstPrior("z"), WithAttribute("z")])
def test_a_critics_loss_never_reaches_the_encoder(view):
    """Also on terms that nobody detached; the penalty does."""
    x, batch = two_batches()
    terms, guide = copied(x)
    assert terms["z"].value.requires_grad
    batch["label"] = torch.tensor([0, 1, 1, 0, 1, 0])
    rule = "uniform" if isinstance(view, WithAttribute) else "logistic"
    critic = Scores(lambda z: z[:, :2] if rule == "uniform" else z.sum(-1))
    hook = Adversary("a", view, critic, rule)
    inputs = hook.critic_inputs(terms, batch)[0]
    assert not any(tensor.requires_grad for tensor in inputs)
    loss = hook.critic_loss_of(inputs).loss
    wanted = [guide.factor, *critic.parameters()]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    assert found[0] is None
    assert any(g is not None and float(g.abs()) > 0 for g in found[1:])
    pull = torch.autograd.grad(hook.penalty(terms, batch), guide.factor)[0]
    assert float(pull.abs()) > 1e-3


@pytest.mark.parametrize("view", [AgainstPermuted("z"), AgainstPrior("z")])
def test_references_have_no_graph(view):
    x, batch = two_batches()
    own, reference = both(view, copied(x)[0], batch)
    assert own.requires_grad and not reference.requires_grad


class Correlated(nn.Module):
    """A guide whose codes have a given correlation, whatever the data."""

    def __init__(self, correlation) -> None:
        super().__init__()
        self.tril = torch.linalg.cholesky(correlation)
        self.loc = nn.Parameter(torch.zeros(len(correlation), dtype=torch.float64))

    def forward(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.MultivariateNormal(self.loc, scale_tril=self.tril))


def assert_near(values, truth, precision):
    """The mean is the truth within 5 standard errors (not so once in 1.7 million)."""
    error = float(values.std() / math.sqrt(len(values)))
    assert error < precision
    assert abs(float(values.mean()) - truth) < 5 * error


@pytest.mark.parametrize("stream", ["second", None])
def test_the_best_critic_tells_the_total_correlation(stream):
    """`-log(det R) / 2` as the penalty; and over references, KL the other way round.

    KL(prod || joint) is `(tr(R^-1) - K + log det R) / 2`, and it is only had where the references
    are draws of the product of the marginals.
    """
    r = torch.tensor([[1.0, 0.6, -0.2], [0.6, 1.0, 0.3], [-0.2, 0.3, 1.0]]).double()
    joint = dist.MultivariateNormal(torch.zeros(3).double(), r)
    product = dist.Normal(torch.zeros(3).double(), 1.0).to_event(1)
    x = torch.zeros(60_000, 1, dtype=torch.float64)
    terms = Objective(analytic_kl=False).terms(Prior(3), Correlated(r), (x,))
    hook = Adversary(
        "a",
        AgainstPermuted("z", stream),
        Scores(lambda z: product.log_prob(z) - joint.log_prob(z)),
        "density-ratio",
    )
    batch = {"x": x, "second": {"x": x}}
    truth = -0.5 * float(r.logdet())
    own, reference = both(hook.view, terms, batch)
    scores = hook.critic(own).detach()
    assert float(hook.penalty(terms, batch).detach()) == pytest.approx(-float(scores.mean()))
    assert truth > 0.3
    assert_near(-scores, truth, 0.005)
    other = 0.5 * float(r.inverse().trace() - 3 + r.logdet())
    assert_near(hook.critic(reference).detach(), other, 0.01)


def uniform_at(p, values):
    """Values through the distribution's own cumulative function, `(n, K)` in one row."""
    return p.base_dist.cdf(values).detach().flatten().numpy()


@pytest.mark.parametrize("particles", [1, 2])
def test_references_are_draws_of_the_prior(particles):
    """Kolmogorov-Smirnov at 1e-6, of the draws and of their products from dim to dim."""
    zeros = torch.zeros(4000, 3, dtype=torch.float64)
    terms, _ = terms_of(zeros + 0.7, zeros + 0.3, particles)
    own, reference = both(AgainstPrior("z"), terms, {})
    assert own.shape == reference.shape == (4000 * particles, 3)
    assert stats.kstest(reference.flatten().numpy(), "norm").pvalue > FALSE_ALARM
    correlation = np.corrcoef(reference.T.numpy())
    off = correlation[~np.eye(3, dtype=bool)]
    assert (abs(off) < 5 / math.sqrt(len(reference))).all()
    # No draw is another's copy, be it a particle's.
    assert len(reference.unique(dim=0)) == len(reference)
    assert stats.kstest(own.detach().flatten().numpy(), "norm").pvalue < FALSE_ALARM


@pytest.mark.parametrize("particles", [1, 2])
def test_a_learned_conditional_prior_is_drawn_from_where_each_datum_has_it(particles):
    """Through each row's own cumulative function the draws are uniform, at 1e-6."""
    pair = make_pair("structured")
    x = 0.3 * torch.randn(3000, pair.args[0].shape[1], dtype=torch.float64)
    terms = Objective(particles=particles, analytic_kl=False).terms(*pair[:2], (x,))
    p: Any = terms["content"].p
    assert float(p.base_dist.loc.detach().std(-2).min()) > 0.1
    own, reference = both(AgainstPrior("content"), terms, {})
    assert not reference.requires_grad and own.requires_grad
    rows = reference.reshape(p.base_dist.loc.shape)
    assert stats.kstest(uniform_at(p, rows), "uniform").pvalue > FALSE_ALARM
    # Drawn for other data than its own, a row is no draw of its prior.
    shuffled = rows.roll(1, -2)
    assert stats.kstest(uniform_at(p, shuffled), "uniform").pvalue < FALSE_ALARM


@pytest.mark.parametrize("particles", [1, 3])
def test_every_code_has_its_own_label(particles):
    """The label is the integer part of the datum, and codes are copies of data."""
    labels = torch.tensor([2, 0, 1, 4, -1])
    x = labels.double().unsqueeze(-1).repeat(1, 2) + 0.25
    shown = WithAttribute("z")(copied(x, particles)[0], {"label": labels}, False)
    assert isinstance(shown, Labelled)
    assert shown.inputs[0].shape == (5 * particles, 2)
    assert torch.equal(shown.inputs[0][:, 0].floor().long(), shown.labels)


def test_a_column_of_the_factors_is_a_label():
    x, _ = two_batches(first=3)
    factors = torch.tensor([[0, 5], [1, 3], [0, 2]])
    view = WithAttribute("z", "factors", 1)
    assert view(copied(x)[0], {"factors": factors}, False).labels.tolist() == [5, 3, 2]


def test_discrete_factors_beside_continuous_ones_are_labels():
    """All of them are float then; rounding errors do not move a class."""
    x, _ = two_batches(first=3)
    factors = torch.tensor([[2.0, 0.3], [1 - 1e-6, -0.1], [4.0, 7.5]])
    view = WithAttribute("z", "factors", 0, discrete=True)
    shown = view(copied(x)[0], {"factors": factors}, False)
    assert (shown.labels.dtype, shown.labels.tolist()) == (torch.int64, [2, 1, 4])


@pytest.mark.parametrize(
    ("view", "batch", "message"),
    [
        (WithAttribute("z"), {"x": 0}, r"the batch has no 'label'; it has 'x'\. Use data with"),
        (
            WithAttribute("z", "factors"),
            {"factors": torch.zeros(6, 2, dtype=torch.int64)},
            r"'factors' of the batch is torch.int64 of shape \(6, 2\); expected class indices",
        ),
        (
            WithAttribute("z", "factors", 1),
            {"factors": torch.zeros(6, 2)},
            r"'factors' of the batch is torch.float32 of shape \(6,\); expected class indices",
        ),
    ],
)
def test_labels_that_are_none_are_refused(view, batch, message):
    x, _ = two_batches()
    with pytest.raises(ValueError, match=message):
        view(copied(x)[0], batch, False)


def test_views_name_the_site_that_they_read():
    views = (AgainstPrior("pose"), AgainstPermuted("pose"), WithAttribute("pose"))
    assert [view.sites for view in views] == [("pose",)] * 3
