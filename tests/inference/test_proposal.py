"""Wider and mixed proposals estimate the same log p(x), under the density that they come from.

Statistical tests have fixed seeds and bounds of 5.5 standard errors: a datum strays further once
in 2.6e7.
"""

import math
from importlib import import_module
from itertools import pairwise
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from unbraid import guides, models
from unbraid.inference import CheckpointError, LogLikelihood, Proposal, log_likelihood
from unbraid.nets import MLPDecoder, MLPEncoder, make_likelihood

from . import oracles

likelihood = import_module("unbraid.inference.likelihood")

SIGMAS = 5.5
SAMPLES = 4000
MIXED = Proposal(prior_share=0.1)
BOTH = Proposal(widen=1.5, prior_share=0.25)
COLUMNS = ("log_likelihood", "elbo", "effective_sample_size", "pareto_k", "max_weight")


def run(oracle, **options) -> LogLikelihood:
    return log_likelihood(oracle.model, oracle.guide, oracle.data, keys=oracle.keys, **options)


def error(found: LogLikelihood) -> Tensor:
    return (1 / found.effective_sample_size - 1 / found.samples).sqrt()


@pytest.mark.parametrize(
    "proposal",
    [
        Proposal(widen=1.5),
        Proposal(widen=0.9),
        MIXED,
        BOTH,
        Proposal(prior_share=0.96875),
        Proposal(widen=1.2, prior_share=0.01),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["pca", "structured", "sequences", "mean field"])
def test_every_proposal_converges_to_log_p(name, proposal):
    # Weights without the mixture's density, or with shares exchanged, are off by 0.1 nats and more
    # against errors of 0.01 to 0.05.
    oracle = {
        "pca": lambda: oracles.pca(width=1.2),
        "structured": lambda: oracles.structured(width=1.2),
        "sequences": lambda: oracles.sequences(size=4, width=1.2),
        "mean field": lambda: oracles.pca_mean_field(3)[0]._replace(guide=beside),
    }[name]()
    found = run(oracle, samples=SAMPLES, proposal=proposal)
    assert (error(found) > 1e-4).all()
    assert ((found.log_likelihood - oracle.log_p).abs() < SIGMAS * error(found)).all()
    assert (found.elbo <= found.log_likelihood).all()


def beside(x: Tensor) -> None:
    """A Normal of independent coordinates, a little beside the posterior."""
    gain, covariance = oracles.pca_posterior()
    with pyro.plate("data", len(x)):
        loc = (x - oracles.OFFSET) @ gain.T + 0.1
        pyro.sample("z", dist.Normal(loc, covariance.diagonal().sqrt()).to_event(1))


def test_a_guide_that_is_too_narrow_is_mended():
    # Half the standard deviations in two coordinates: the weights have no mean square. Errors of
    # log p (root mean square of 40 data) are 0.51 nats, 0.006 and 0.034.
    oracle = oracles.pca(size=40, width=0.5)
    plain, wider, mixed = (
        run(oracle, samples=SAMPLES, proposal=proposal)
        for proposal in (None, Proposal(widen=2.5), MIXED)
    )
    assert (plain.pareto_k > 0.7).double().mean() > 0.5
    assert (wider.pareto_k < 0.5).all() and (mixed.pareto_k < 0.7).double().mean() > 0.9
    apart = [found.log_likelihood - oracle.log_p for found in (plain, wider, mixed)]
    for found, off in ((wider, apart[1]), (mixed, apart[2])):
        assert (off.abs() < SIGMAS * error(found)).all()
        assert off.square().mean() < apart[0].square().mean() / 50
    assert (apart[0].abs() > SIGMAS * error(plain)).any()  # not even the error is to be believed


def test_a_guide_that_is_not_widened_is_the_plain_one_to_the_bit():
    oracle = oracles.structured(size=35, width=1.4)
    plain = run(oracle, samples=70)
    for proposal in (Proposal(), Proposal(widen=1)):
        found = run(oracle, samples=70, proposal=proposal)
        for column in COLUMNS:
            assert torch.equal(getattr(found, column), getattr(plain, column))
        assert found.summary() == plain.summary()


@pytest.mark.parametrize("name", ["pca", "structured", "labelled"])
def test_a_widened_guide_is_the_guide_that_is_wider(name):
    """The oracles widen the same Normals by themselves; the noise is the same."""
    of: Any = getattr(oracles, name)
    found = run(of(), samples=100, proposal=Proposal(widen=1.5))
    expected = run(of(width=1.5), samples=100)
    torch.testing.assert_close(found.log_likelihood, expected.log_likelihood, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.elbo, expected.elbo, rtol=0, atol=1e-9)
    assert (found.elbo < run(of(), samples=100).elbo - 0.1).all()


def test_nested_samples_of_a_widened_guide():
    oracle = oracles.sequences(size=4)
    found = run(oracle, samples=50, inner_samples=20, proposal=Proposal(widen=1.3))
    bias = 0.01  # of the logarithm, of order error**2 / 2
    off = (found.log_likelihood - oracle.log_p).abs()
    assert (off < SIGMAS * error(found) + bias).all()
    assert (found.effective_sample_size < 49.9).all()


class Seen:
    """The samples and the log-weights of an evaluation, `(S, B, ...)` by site and `(S, B)`."""

    def __init__(self, monkeypatch, oracle, samples, **options):
        self._values: list[dict[str, Tensor]] = []
        self._weights: list[Tensor] = []
        original, seen = likelihood.ChunkEvaluator.log_weights, self

        def spy(evaluator, args, draws, count):
            seen._values.append({draw.site.name: draw.value[:count] for draw in draws})
            for weights in original(evaluator, args, draws, count):
                seen._weights.append(weights)
                yield weights

        with monkeypatch.context() as patch:
            patch.setattr(likelihood.ChunkEvaluator, "log_weights", spy)
            self.found = run(oracle, samples=samples, **options)
        self.weights = torch.cat(self._weights)

    def __getitem__(self, name: str) -> Tensor:
        return torch.cat([values[name] for values in self._values])


@pytest.mark.parametrize("proposal", [MIXED, BOTH], ids=str)
def test_weights_are_under_the_density_of_the_mixture(proposal, monkeypatch):
    oracle = oracles.pca(size=9, width=1.4)
    seen = Seen(monkeypatch, oracle, 75, proposal=proposal)
    x, z = oracle.data["x"], seen["z"]
    gain, covariance = oracles.pca_posterior()
    scale = 1.4 * proposal.widen
    q = MultivariateNormal((x - oracles.OFFSET) @ gain.T, covariance * scale**2).log_prob(z)
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double()).log_prob(z)
    eye = torch.eye(6, dtype=torch.float64)
    loc = z @ oracles.WEIGHT.T + oracles.OFFSET
    of_x = MultivariateNormal(loc, oracles.NOISE**2 * eye).log_prob(x)
    share = {0.1: 3 / 32, 0.25: 8 / 32}[proposal.prior_share]
    mixture = (share * prior.exp() + (1 - share) * q.exp()).log()
    torch.testing.assert_close(seen.weights, of_x + prior - mixture, rtol=0, atol=1e-9)
    assert (seen.weights <= of_x - math.log(share) + 1e-9).all()


def test_weights_of_sequences_are_under_the_density_of_whole_sequences(monkeypatch):
    oracle = oracles.sequences(size=5)  # the guide is the posterior, p(z | x) = p(x, z) / p(x)
    seen = Seen(monkeypatch, oracle, 40, proposal=MIXED)
    f, z, x, length = seen["static"], seen["dynamic"], *oracle.data.values()
    true = torch.arange(oracles.FRAMES) < length.unsqueeze(-1)

    def density(value: Tensor, loc: Tensor | float, scale: float = 1.0) -> Tensor:
        return torch.distributions.Normal(loc, scale).log_prob(value).sum(-1)

    prior = density(f, 0.0).squeeze(-1) + (density(z, f @ oracles.PRIOR.T) * true).sum(-1)
    loc = z @ oracles.FROM_DYNAMIC.T + f @ oracles.FROM_STATIC.T
    joint = prior + (density(x.expand_as(loc), loc, oracles.NOISE) * true).sum(-1)
    share = 3 / 32
    mixture = (share * prior.exp() + (1 - share) * (joint - oracle.log_p).exp()).log()
    torch.testing.assert_close(seen.weights, joint - mixture, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["pca", "structured"])
def test_every_unit_has_its_share_of_the_prior(name, monkeypatch):
    oracle = getattr(oracles, name)(size=3)
    sites = {"pca": ["z"], "structured": ["perspective", "appearance"]}[name]
    plain, mixed = (Seen(monkeypatch, oracle, 3200, proposal=p) for p in (None, MIXED))
    of_prior = []
    for datum in range(3):
        for unit in range(100):
            rows = slice(32 * unit, 32 * unit + 32)
            codes = [torch.cat([s[n][rows, datum] for n in sites], -1) for s in (plain, mixed)]
            same = (codes[0][:, None] == codes[1]).all(-1)
            assert torch.equal(same.any(1), torch.arange(32) < 29)
            of_prior.append(~same.any(0))
    where = torch.stack(of_prior)
    # Each place is the prior's in 3 of 32 units: binomial of 300, 5.5 standard deviations.
    shares = where.double().mean(0)
    assert where.sum(1).eq(3).all()
    assert ((shares - 3 / 32).abs() < 5.5 * math.sqrt(3 / 32 * 29 / 32 / 300)).all()
    assert not torch.equal(where[0], where[100])  # an order of each datum's own
    codes = torch.cat([torch.cat([mixed[n][:, d] for n in sites], -1) for d in range(3)])
    drawn = codes[where.flatten()]
    # Means and mean squares of 900 draws of a standard normal.
    assert (drawn.mean(0).abs() < 5.5 / 30).all()
    assert ((drawn.square().mean(0) - 1).abs() < 5.5 * math.sqrt(2 / 900)).all()
    assert len(drawn.unique(dim=0)) == 900


ORACLES = {
    "pca": lambda size: oracles.pca(size, width=1.4),
    "structured": lambda size: oracles.structured(size, width=1.4),
    "sequences": lambda size: oracles.sequences(size, width=1.4),
}


def assert_same(a, b, atol=1e-9):
    for name in COLUMNS:
        torch.testing.assert_close(
            getattr(a, name), getattr(b, name), rtol=0, atol=atol, equal_nan=True
        )


@pytest.mark.parametrize("name", ORACLES)
def test_chunks_batches_and_further_data_change_nothing(name):
    oracle = ORACLES[name](70)
    options: dict[str, Any] = {"samples": 43, "proposal": BOTH}
    whole = run(oracle, **options)
    for rows in (1, 100, 10**6):
        assert_same(run(oracle, **options, rows=rows), whole)
    batches = (
        {key: value[start:stop] for key, value in oracle.data.items()}
        for start, stop in pairwise((0, 5, 55, 70))
    )
    assert_same(
        log_likelihood(oracle.model, oracle.guide, batches, keys=oracle.keys, **options), whole
    )
    first = oracle._replace(data={key: value[:41] for key, value in oracle.data.items()})
    few = run(first, **options)
    for column in COLUMNS:
        expected = getattr(whole, column)[:41]
        torch.testing.assert_close(
            getattr(few, column), expected, rtol=0, atol=1e-9, equal_nan=True
        )


@pytest.mark.parametrize("name", ORACLES)
def test_few_samples_are_the_first_of_many(name, monkeypatch):
    oracle = ORACLES[name](5)
    few, many = (Seen(monkeypatch, oracle, n, proposal=MIXED).weights for n in (37, 150))
    torch.testing.assert_close(many[:37], few, rtol=0, atol=1e-12)
    assert len(many.unique(dim=0)) == 150


class Stop(Exception):
    pass


@pytest.mark.parametrize("name", ORACLES)
def test_an_interrupted_evaluation_goes_on_to_the_same_bits(name, tmp_path):
    oracle, path = ORACLES[name](101), tmp_path / "partial.safetensors"
    whole, done = run(oracle, samples=20, proposal=BOTH), []

    def stopping(*args):
        if done and done[-1] >= 64:
            raise Stop
        oracle.model(*args)

    options: dict[str, Any] = {"samples": 20, "resume": path}
    with pytest.raises(Stop):
        run(oracle._replace(model=stopping), **options, proposal=BOTH, progress=done.append)
    for other in (None, Proposal(widen=1.4, prior_share=0.25), MIXED):
        with pytest.raises(CheckpointError, match="of another pair"):
            run(oracle, **options, proposal=other)
    resumed = run(oracle, **options, proposal=BOTH)
    for column in COLUMNS:
        assert torch.equal(
            getattr(resumed, column).nan_to_num(), getattr(whole, column).nan_to_num()
        )


def test_the_pair_runs_a_few_times_a_block_for_its_proposal():
    oracle = oracles.pca(40)
    guide_runs, prior_runs = [], []

    def guide(x):
        guide_runs.append(len(x))
        oracle.guide(x)

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            if z.shape == (2, 32, 2):
                prior_runs.append(len(z))
            loc = z @ oracles.WEIGHT.T + oracles.OFFSET
            pyro.sample("x", dist.Normal(loc, oracles.NOISE).to_event(1), obs=x)

    log_likelihood(model, guide, oracle.data, samples=320, proposal=MIXED)
    blocks, check = 2, 5
    assert len(guide_runs) <= 3 * blocks + check
    assert len(prior_runs) == 2 * blocks


def make_vae() -> tuple[models.VAE, guides.VAE]:
    torch.manual_seed(0)
    shape = (1, 5, 6)
    decoder = MLPDecoder(3, shape, make_likelihood("bernoulli", 1), hidden=(8,))
    return models.VAE(decoder, 3), guides.VAE(MLPEncoder(shape, 3, hidden=(7,)))


def test_pairs_of_modules_and_what_is_recorded():
    model, guide = make_vae()
    x = (torch.rand(4, 1, 5, 6, generator=oracles.generator(0)) < 0.3).float()
    found = log_likelihood(model, guide, x, samples=2000, proposal=BOTH)
    plain = log_likelihood(model, guide, x, samples=2000)
    spread = (error(found) ** 2 + error(plain) ** 2).sqrt()
    assert ((found.log_likelihood - plain.log_likelihood).abs() < SIGMAS * spread).all()
    assert (found.proposal, plain.proposal) == (BOTH, Proposal())
    summary = found.summary()
    assert (summary["widen"], summary["prior_share"]) == (1.5, 0.25)
    assert (plain.summary()["widen"], plain.summary()["prior_share"]) == (1.0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pca", "sequences"])
def test_compiled_numbers_are_those_of_eager_code(name):
    oracle = ORACLES[name](35)
    options: dict[str, Any] = {"samples": 150, "proposal": BOTH}
    compiled, eager = run(oracle, **options, compile=True), run(oracle, **options)
    assert_same(compiled, eager, 1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widen": 0.0}, "widen is 0.0; expected a number above 0"),
        ({"widen": math.nan}, "widen is nan; expected a number above 0"),
        ({"widen": math.inf}, "widen is inf; expected a number above 0"),
        ({"widen": True}, "widen is True; expected a number"),
        ({"widen": "2"}, "widen is '2'; expected a number"),
        ({"prior_share": 1.0}, r"prior_share is 1.0; expected a share in \[0, 1\)"),
        ({"prior_share": -0.1}, r"prior_share is -0.1; expected a share in \[0, 1\)"),
        ({"prior_share": math.nan}, "prior_share is nan; expected a share"),
    ],
)
def test_numbers_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Proposal(**settings)


@pytest.mark.parametrize(
    ("share", "count"), [(0, 0), (1e-9, 1), (0.1, 3), (0.25, 8), (0.5, 16), (0.999, 31)]
)
def test_shares_are_whole_samples_of_32(share, count):
    assert Proposal(prior_share=share).of_prior == count


@pytest.mark.parametrize(
    ("name", "proposal", "options", "message"),
    [
        ("labelled", MIXED, {}, "prior_share is 0.1, but a discrete site is enumerated"),
        ("mixture", MIXED, {}, "prior_share is 0.1, but a discrete site is enumerated"),
        ("sequences", MIXED, {"inner_samples": 2}, "prior_share is 0.1 and inner_samples is 2"),
        ("nonlinear", Proposal(widen=2), {}, "widen is 2, but none of the guide's sites 'z'"),
        ("beta_bernoulli", Proposal(widen=2), {}, "widen is 2, but none of the guide's sites"),
    ],
)
def test_proposals_that_a_pair_has_not(name, proposal, options, message):
    with pytest.raises(ValueError, match=message):
        run(getattr(oracles, name)(), samples=5, proposal=proposal, **options)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("pca", True), ("labelled", True), ("nonlinear", False), ("beta_bernoulli", False)],
)
def test_the_result_says_whether_the_guide_can_be_widened(name, expected):
    found = run(getattr(oracles, name)(), samples=5)
    assert found.has_normals is found.summary()["has_normals"] is expected


def test_only_what_a_pair_has_is_advised():
    def heavy(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.StudentT(5.0, 0.2 * x[:, :2], 1.2).to_event(1))

    oracle = oracles.mixture()
    with pytest.raises(ValueError, match=r"expected 0\. Widen the guide instead: widen=1\.5$"):
        run(oracle, samples=5, proposal=MIXED)
    with pytest.raises(ValueError, match=r"expected 0\. Leave it out$"):
        run(oracle._replace(guide=heavy), samples=5, proposal=MIXED)


def test_a_prior_can_be_mixed_into_any_density():
    for oracle in (oracles.nonlinear(), oracles.beta_bernoulli(sharpen=0.6)):
        found = run(oracle, samples=SAMPLES, proposal=MIXED)
        assert ((found.log_likelihood - oracle.log_p).abs() < SIGMAS * error(found)).all()
