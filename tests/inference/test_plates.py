"""What lies in which plate: subsamples, plates beside the data, masked and hidden classes."""

import itertools
import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, TraceMeanField_ELBO
from torch import nn

from unbraid.inference import (
    FreeBits,
    Objective,
    PairError,
    log_likelihood,
    validation_bound,
)

B, T, K, POPULATION = 3, 5, 3, 1000
LENGTHS = torch.tensor([5, 3, 1])


class Subsampled(nn.Module):
    """A linear pair whose plate of data stands for more of them."""

    def __init__(self, guide):
        super().__init__()
        self.slope, self.guide = nn.Parameter(torch.tensor([0.5]).double()), guide

    def forward(self, x):
        with pyro.plate("data", POPULATION, subsample=torch.arange(len(x))):
            if self.guide:
                pyro.sample("z", dist.Normal(self.slope * x, 0.7).to_event(1))
            else:
                z = pyro.sample("z", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(self.slope * z, 1.0).to_event(1), obs=x)


def subsampled():
    torch.manual_seed(0)
    x = torch.randn(10, 1, dtype=torch.float64)
    return Subsampled(False), Subsampled(True), x


def test_a_subsample_is_scaled_as_pyro_does_and_logged_per_datum():
    model, guide, x = subsampled()
    objective = Objective()
    torch.manual_seed(1)
    loss = objective.loss(model, guide, x)
    torch.manual_seed(1)
    assert loss == pytest.approx(TraceMeanField_ELBO().loss(model, guide, x), rel=1e-12)
    torch.manual_seed(1)
    found = objective.mean_loss(model, guide, (x,))
    assert float(found.parts["elbo"]) == pytest.approx(-loss / POPULATION, rel=1e-12)
    assert float(found.terms.elbo.detach().mean()) == pytest.approx(-loss / POPULATION, rel=1e-12)
    assert (found.terms.size, found.terms.population) == (10, POPULATION)


def test_a_validation_of_a_subsampling_pair_is_per_datum():
    model, guide, x = subsampled()
    many = [{"x": x}] * 200
    exact = _bound_of(x, 0.5, 0.5)
    # 2000 draws of a bound whose deviation is below 1.5: false alarms below 1e-4.
    assert validation_bound(model, guide, many) == pytest.approx(exact, abs=0.15)


def _bound_of(x, slope, gain):
    """E_q log p(x | z) - KL(q | p) of x ~ N(slope z, 1), q = N(gain x, 0.7), by hand."""
    error = (x - slope * gain * x).square() + (slope * 0.7) ** 2
    likelihood = -0.5 * error - 0.5 * math.log(2 * math.pi)
    divergence = 0.5 * (0.49 + (gain * x).square() - 1) - math.log(0.7)
    return float((likelihood - divergence).mean())


def test_free_bits_of_a_subsample_count_nats_of_a_datum():
    model, guide, x = subsampled()
    divergence = float(Objective().mean_loss(model, guide, (x,)).parts["z"])
    below, above = 0.9 * divergence, 1.1 * divergence
    parts = []
    for least in (below, above):
        torch.manual_seed(1)
        objective = Objective({"z": FreeBits(least)})
        parts.append(objective.mean_loss(model, guide, (x,)).parts)
    difference = float(parts[1]["loss"] - parts[0]["loss"])
    assert difference == pytest.approx(above - divergence, rel=1e-9)


class Beside(nn.Module):
    """A pair with a plate left of that of data, or at the same dim."""

    def __init__(self, guide, kind):
        super().__init__()
        self.gain, self.guide, self.kind = nn.Parameter(torch.tensor(0.5)), guide, kind

    def forward(self, x):
        means: Any = None
        if self.kind != "time":
            with pyro.plate("components", 4, dim=-2 if self.kind == "left" else -1):
                shape = (4, 1, 2) if self.kind == "left" else (4, 2)
                loc = self.gain * torch.ones(shape) if self.guide else torch.zeros(shape)
                means = pyro.sample("means", dist.Normal(loc, 0.5).to_event(1))
        with pyro.plate("data", x.shape[-2], dim=-1):
            loc = self.gain * x.reshape(-1, *x.shape[-2:]).mean(0)
            normal = dist.Normal(loc, 0.7) if self.guide else dist.Normal(0 * loc, 1.0)
            z = pyro.sample("z", normal.to_event(1))
            if self.guide:
                return
            if self.kind != "time":
                z = z + means.mean(-3 if self.kind == "left" else -2)
            with pyro.plate("time", len(x), dim=-2) if self.kind == "time" else _nothing():
                pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("kind", ["time", "left", "same"])
def test_the_bound_by_datum_is_that_of_the_training(kind, particles):
    torch.manual_seed(0)
    x = torch.randn(4, B, 2) if kind == "time" else torch.randn(B, 2)
    model, guide = Beside(False, kind), Beside(True, kind)
    found = Objective(particles=particles).mean_loss(model, guide, (x,))
    by_datum = found.terms.elbo
    assert by_datum.shape == (B,)
    assert float(by_datum.detach().mean()) == pytest.approx(float(found.parts["elbo"]), rel=1e-5)


class Mixed(nn.Module):
    """Frames of a mixture around a code of each sequence; classes by frame or by sequence."""

    means: torch.Tensor
    shares: torch.Tensor

    def __init__(self, guide, by_frame=True, enumerate_=True):
        super().__init__()
        self.guide, self.by_frame, self.enumerate = guide, by_frame, enumerate_
        generator = torch.Generator().manual_seed(3)
        self.register_buffer("means", torch.randn(K, 2, generator=generator))
        self.register_buffer("shares", torch.tensor([0.2, 0.3, 0.5]))
        self.gain = nn.Parameter(torch.tensor(0.2))

    def forward(self, x, lengths):
        c: Any = None
        z: Any = None
        mask = torch.arange(x.shape[1]) < lengths.unsqueeze(-1)
        marked: Any = {"enumerate": "parallel"}
        with pyro.plate("data", len(x), dim=-2):
            if not self.by_frame and (self.enumerate or not self.guide):
                c = pyro.sample("c", dist.Categorical(self.shares), infer=marked)
            loc = self.gain * (x * mask.unsqueeze(-1)).sum(1, keepdim=True)
            normal = dist.Normal(loc, 0.8) if self.guide else dist.Normal(0 * loc, 1.0)
            if self.by_frame:
                z = pyro.sample("z", normal.to_event(1))
            with pyro.plate("frames", x.shape[1], dim=-1), poutine.mask(mask=mask):
                if self.by_frame and (self.enumerate or not self.guide):
                    c = pyro.sample("c", dist.Categorical(self.shares), infer=marked)
                if not self.by_frame:
                    wide = dist.Normal(0.3 * x, 0.9) if self.guide else dist.Normal(0 * x, 1.0)
                    z = pyro.sample("z", wide.to_event(1))
                if not self.guide:
                    mean = z + self.means[c]
                    pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=x)


def sequences():
    return torch.randn(B, T, 2, generator=torch.Generator().manual_seed(4))


def exact(model, x, lengths):
    """log p(x) of `Mixed` by quadrature over codes, on a grid of 161 x 161."""
    line = torch.linspace(-6, 6, 161, dtype=torch.float64)
    step = 2 * math.log(float(line[1] - line[0]))
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 1, 2)

    def log_normal(value):
        return -0.5 * value.square().sum(-1) - math.log(2 * math.pi)

    means, shares = model.means.double(), model.shares.double().log()
    found = []
    for frames, length in zip(x.double(), lengths, strict=True):
        by_frame = [log_normal(frame - grid - means) for frame in frames[:length]]
        prior = log_normal(grid)
        if model.by_frame:
            sums = sum((of + shares).logsumexp(-1, keepdim=True) for of in by_frame)
            found.append((prior + sums).logsumexp(0).squeeze() + step)
        else:
            of_class = sum((prior + of).logsumexp(0) + step for of in by_frame)
            found.append((shares + of_class).logsumexp(0))
    return torch.stack(found)


@pytest.mark.parametrize("in_guide", [True, False])
@pytest.mark.parametrize("lengths", [LENGTHS, torch.full((B,), T)], ids=["ragged", "full"])
def test_padding_of_frames_with_classes_counts_nothing(in_guide, lengths):
    model, guide, x = Mixed(False), Mixed(True, enumerate_=in_guide), sequences()
    torch.manual_seed(1)
    ours = Objective(analytic_kl=False).loss(model, guide, x, lengths)
    torch.manual_seed(1)
    theirs = TraceEnum_ELBO(max_plate_nesting=2).loss(model, guide, x, lengths)
    assert ours == pytest.approx(theirs, rel=1e-5)
    found = log_likelihood(
        model, guide, {"x": x, "n": lengths}, keys=("x", "n"), samples=4000, seed=1
    )
    # The largest standard error is 0.03: false alarms below 1e-4.
    torch.testing.assert_close(found.log_likelihood, exact(model, x, lengths), atol=0.15, rtol=0.0)


@pytest.mark.parametrize("in_guide", [True, False])
@pytest.mark.parametrize("inner", [1, 8])
def test_a_class_of_whole_sequences_is_summed_out_after_the_frames(inner, in_guide):
    model = Mixed(False, by_frame=False)
    guide, x = Mixed(True, by_frame=False, enumerate_=in_guide), sequences()
    data = {"x": x, "n": LENGTHS}
    found = log_likelihood(
        model, guide, data, keys=("x", "n"), samples=4000, inner_samples=inner, seed=1
    )
    # The largest standard error is 0.04: false alarms below 1e-4.
    torch.testing.assert_close(found.log_likelihood, exact(model, x, LENGTHS), atol=0.2, rtol=0.0)


class TwoClasses(nn.Module):
    """A class of a sequence that the model alone has, and one of each frame."""

    def __init__(self, guide):
        super().__init__()
        self.guide, self.tilt = guide, nn.Parameter(torch.zeros(K))

    def forward(self, x):
        marked: Any = {"enumerate": "parallel"}
        d: Any = None
        with pyro.plate("data", len(x), dim=-2):
            if not self.guide:
                d = pyro.sample("d", dist.Categorical(torch.ones(K)), infer=marked)
            with pyro.plate("frames", x.shape[1], dim=-1):
                c = pyro.sample("c", dist.Categorical(logits=self.tilt), infer=marked)
                if not self.guide:
                    mean = (d + c).float().unsqueeze(-1)
                    pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=x)


def test_a_hidden_class_outside_of_what_the_guide_sums_out_is_refused():
    model, guide, x = TwoClasses(False), TwoClasses(True), sequences()
    with pytest.raises(PairError, match="site 'd' is summed out in the model, outside of plates"):
        Objective().mean_loss(model, guide, (x,))
    with pytest.raises(ValueError, match="more global than guide enumeration"):
        TraceEnum_ELBO(max_plate_nesting=2).loss(model, guide, x)
    found = log_likelihood(model, guide, x, samples=3)  # which sums out all at once, exactly
    truth = torch.tensor([_of_two_classes(frames) for frames in x.double()])
    torch.testing.assert_close(found.log_likelihood, truth.double(), rtol=1e-5, atol=1e-5)


def _of_two_classes(frames):
    total = 0.0
    for d in range(K):
        product = 1.0
        for frame, of in itertools.product(frames, [d]):
            inside = [_density(frame - of - c) / K for c in range(K)]
            product *= sum(inside)
        total += product / K
    return math.log(total)


def _density(value):
    return float((-0.5 * value.square().sum()).exp()) / (2 * math.pi)
