"""The FHVAE against a joint Normal: log p(x) of known and of new sequences, and its sites."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.inference import (
    NoLikelihoodError,
    Objective,
    Runner,
    log_likelihood,
    pair_parameters,
)
from unbraid.nets import (
    JointNormal,
    MLPDecoder,
    frame_mask,
    make_likelihood,
    mlp_trunk,
    true_frames,
)

from .linear_gaussian import SHAPE, D, Given, Joint, StaticGiven, Variable, draw, log_p

F, Z, B, S = 2, 3, 6, 9
STATIC_SCALE, CONTENT_SCALE, NOISE = 1.3, 0.6, 0.2
LENGTHS, INDEX = [7, 1, 3, 6, 2, 4], [3, 0, 8, 1, 4, 7]
EYE = torch.eye(F, dtype=torch.float64)
VARIABLES = [
    Variable("static", {}, torch.zeros(F).double(), STATIC_SCALE, of_frames=False),
    Variable("content", {"static": EYE}, torch.zeros(F).double(), CONTENT_SCALE),
    Variable("dynamic", {}, torch.zeros(Z).double(), 1.0),
    Variable(
        "x", {"content": draw(D, F, seed=1), "dynamic": draw(D, Z, seed=2)}, draw(D, seed=3), NOISE
    ),
]


class Decoder(nn.Module):
    def forward(self, codes: Tensor) -> Any:
        loc = VARIABLES[-1].mean(content=codes[..., :F], dynamic=codes[..., F:])
        return dist.Normal(loc.unflatten(-1, SHAPE), NOISE).to_event(3)


class ExactGuide(nn.Module):
    """All sites given what they depend on, the static code given all frames."""

    def __init__(self) -> None:
        super().__init__()
        self.static = StaticGiven(VARIABLES)
        self.content = Given(VARIABLES, "content", ["x", "static"])
        self.dynamic = Given(VARIABLES, "dynamic", ["x", "content"])

    def forward(self, x: Tensor, length: Tensor | None = None) -> None:
        mask = frame_mask(length, x.shape[1])
        flat = x.flatten(-3)
        with pyro.plate("data", len(x), dim=-2):
            static = pyro.sample("static", self.static(x, mask))
            with pyro.plate("frames", x.shape[1], dim=-1), true_frames(mask):
                content = pyro.sample("content", self.content(flat, static))
                pyro.sample("dynamic", self.dynamic(flat, content))


def model() -> Any:
    return models.FHVAE(Decoder(), F, Z, STATIC_SCALE, CONTENT_SCALE, frames=3).double()


def sampled(frames: int) -> Tensor:
    torch.manual_seed(11)
    return model()(size=B, frames=frames)


@pytest.mark.parametrize("frames", [1, 3, 7])
@pytest.mark.parametrize("inner", [1, 5])
def test_the_exact_guide_gives_log_p(frames, inner):
    x = sampled(frames)
    result = log_likelihood(model(), ExactGuide(), {"x": x}, samples=3, inner_samples=inner)
    truth = torch.stack([log_p(VARIABLES, sequence) for sequence in x])
    torch.testing.assert_close(result.log_likelihood, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("inner", [1, 5])
def test_the_exact_guide_gives_log_p_of_ragged_sequences(inner):
    x, keys = sampled(7), ("x", "length")
    given = {"x": x, "length": torch.tensor(LENGTHS)}
    result = log_likelihood(
        model(), ExactGuide(), given, keys=keys, samples=3, inner_samples=inner
    )
    truth = [log_p(VARIABLES, s[:n]) for s, n in zip(x, LENGTHS, strict=True)]
    torch.testing.assert_close(result.log_likelihood, torch.stack(truth), rtol=1e-9, atol=1e-9)


class ContentOfFrame(nn.Module):
    """The posterior of one frame's content, as diagonal as a guide's."""

    def __init__(self) -> None:
        super().__init__()
        self.given = Given(VARIABLES, "content", ["x"])

    def forward(self, features: Tensor) -> Any:
        found = self.given(features)
        return dist.Normal(found.loc, found.variance.sqrt()).to_event(1)


@pytest.mark.parametrize(("inner", "samples"), [(1, 2000), (8, 300)])
@pytest.mark.parametrize("ragged", [False, True])
def test_new_sequences_have_log_p(inner, samples, ragged):
    """The guide itself, without an index: within 6 standard errors, alarm below 1e-7.

    Its code of a sequence takes the contents for seen, so that frames must tell them well.
    """
    x, lengths = sampled(4), torch.tensor(LENGTHS).clamp(max=4)
    guide = guides.FHVAE(
        nn.Identity(),
        ContentOfFrame(),
        Given(VARIABLES, "dynamic", ["x", "content"]),
        S,
        F,
        STATIC_SCALE,
        CONTENT_SCALE,
    )
    given, keys = ({"x": x, "length": lengths}, ("x", "length")) if ragged else ({"x": x}, ("x",))
    result = log_likelihood(model(), guide, given, keys=keys, samples=samples, inner_samples=inner)
    counts = lengths.tolist() if ragged else [4] * B
    truth = torch.stack([log_p(VARIABLES, s[:n]) for s, n in zip(x, counts, strict=True)])
    error = (1 / result.effective_sample_size - 1 / samples).clamp(min=0).sqrt()
    assert (result.elbo < truth - 0.01).all()
    assert (error < 0.2).all()
    assert ((result.log_likelihood - truth).abs() < 6 * error).all()


def test_samples_follow_the_joint_normal():
    """Means and covariances of 40 000 draws of two frames: 6 standard errors, alarm below 1e-6."""
    torch.manual_seed(3)
    x = model()(size=40_000, frames=2).flatten(1)
    joint = Joint(VARIABLES, 2)
    places = joint.of(("x", 0), ("x", 1))
    mean, covariance = joint.mean[places], joint.covariance[places][:, places]
    spread = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean).abs() < 6 * spread / 200).all()
    bound = 6 * (spread[:, None] * spread) * 2**0.5 / 200
    assert ((torch.cov(x.T) - covariance).abs() < bound).all()


def made(ragged: bool = True) -> tuple[Any, Any]:
    """A pair of small nets, float64, with a table that is not 0."""
    torch.manual_seed(1)
    shape = (1, 4, 5)
    trunk = mlp_trunk(shape, (8, 7))
    decoder = MLPDecoder(F + Z, shape, make_likelihood("bernoulli", 1), (6,))
    scales = (STATIC_SCALE, CONTENT_SCALE)
    made_model = models.FHVAE(decoder, F, Z, *scales, ragged=ragged)
    content, dynamic = JointNormal([7], F, (5,)), JointNormal([7, F], Z, (5,))
    guide = guides.FHVAE(trunk, content, dynamic, S, F, *scales, ragged=ragged)
    nn.init.normal_(guide.table)
    return made_model.double(), guide.double()


def arguments(ragged: bool, indexed: bool) -> tuple[Tensor, ...]:
    torch.manual_seed(2)
    args = [torch.randint(0, 2, (B, 7, 1, 4, 5)).double()]
    if ragged:
        args.append(torch.tensor(LENGTHS))
    return (*args, torch.tensor(INDEX)) if indexed else tuple(args)


both = pytest.mark.parametrize("ragged", [False, True], ids=["even", "ragged"])
known = pytest.mark.parametrize("indexed", [False, True], ids=["new", "known"])


@both
@known
@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("analytic", [True, False])
def test_the_objective_is_pyros(ragged, indexed, particles, analytic):
    """At unit weights, on the same noise, in float64: value and gradients, to rounding."""
    pair = made(ragged)
    args = arguments(ragged, indexed)
    kind = TraceMeanField_ELBO if analytic else Trace_ELBO
    stock = kind(num_particles=particles, vectorize_particles=True, max_plate_nesting=2)
    parameters = pair_parameters(*pair)
    found = []
    for loss in (Objective(particles=particles, analytic_kl=analytic), stock):
        torch.manual_seed(3)
        value = loss.differentiable_loss(*pair, *args)
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        assert sum(g is None for g in gradients) == (not indexed)  # the table
        found.append([value, *(g for g in gradients if g is not None)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@known
def test_the_order_of_frames_changes_nothing(indexed):
    model, guide = made(ragged=False)
    args, order = arguments(False, indexed), torch.tensor([5, 2, 0, 6, 3, 1, 4])
    first = Objective().terms(model, guide, args)
    values = {
        name: first[name].value if name == "static" else first[name].value[:, order]
        for name in first.latents
    }
    runner, moved = Runner(2), (args[0][:, order], *args[1:])
    q = runner.run(guide, moved, values if not indexed else _without_static(values)).sites
    p = runner.run(model, moved, values).sites
    for name in first.latents:
        expected = first[name].log_q if name == "static" else first[name].log_q[:, order]
        torch.testing.assert_close(q[name].log_prob(), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        p["x"].log_prob().sum(1), first["x"].log_p.sum(1), rtol=0, atol=1e-12
    )


def _without_static(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if name != "static"}


@both
@known
def test_sites_lie_in_their_plates_in_one_order(ragged, indexed):
    p, q = Runner(2).run_pair(*made(ragged), arguments(ragged, indexed))
    assert list(p) == ["static", "content", "dynamic", "x"]
    assert list(q) == ["static", "content", "dynamic"]
    assert [(plate.name, plate.dim) for plate in p["static"].plates] == [("data", -2)]
    for name in ("content", "dynamic", "x"):
        plates = {(plate.name, plate.dim) for plate in p[name].plates}
        assert plates == {("data", -2), ("frames", -1)}
    masks = [p[name].mask is not None for name in p]
    assert masks == [False, ragged, ragged, ragged]


def test_known_sequences_have_no_likelihood():
    """Their code is a point."""
    x, index = arguments(False, True)
    data: dict[str, Tensor] = {"x": x, "index": index}
    with pytest.raises(NoLikelihoodError, match="guide site 'static' is a point"):
        log_likelihood(*made(ragged=False), data, keys=("x", "index"), samples=2)


def test_one_of_x_and_size_is_needed():
    made_model, _ = made()
    with pytest.raises(ValueError, match="neither of x and size given"):
        made_model()
    assert made_model(size=4, frames=2).shape == (4, 2, 1, 4, 5)
