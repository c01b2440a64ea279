"""The neural statistician against a joint Normal: log p(x), layers, and the order of frames."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from unbraid import guides, models
from unbraid.inference import Objective, Runner, log_likelihood, pair_parameters
from unbraid.nets import JointNormal, MLPDecoder, PooledEncoder, make_likelihood, mlp_trunk

from .linear_gaussian import SHAPE, D, Given, Joint, StaticGiven, Variable, draw, log_p

F, Z, B = 2, 3, 6
LENGTHS = [7, 1, 3, 6, 2, 4]


def structure(layers: int) -> list[Variable]:
    """A static code, layers of codes of a frame, each told by all above it, and the frame."""
    names = ["dynamic"] if layers == 1 else [f"dynamic_{i}" for i in range(layers, 0, -1)]
    variables = [Variable("static", {}, torch.zeros(F).double(), 1.0, of_frames=False)]
    for i, name in enumerate(names):
        parents = {"static": 0.8 * draw(Z, F, seed=10 + i)}
        if i:
            parents[names[i - 1]] = 0.7 * draw(Z, Z, seed=20 + i)
        variables.append(Variable(name, parents, draw(Z, seed=30 + i), 0.5 + 0.2 * i))
    decoded = {"static": draw(D, F, seed=40)}
    decoded.update({name: draw(D, Z, seed=50 + i) for i, name in enumerate(names)})
    return [*variables, Variable("x", decoded, draw(D, seed=60), 0.7)]


class Prior(nn.Module):
    def __init__(self, variable: Variable) -> None:
        super().__init__()
        self.variable = variable

    def forward(self, *parents: Tensor) -> Any:
        named = dict(zip(reversed(self.variable.parents), parents, strict=True))
        return dist.Normal(self.variable.mean(**named), self.variable.scale).to_event(1)


class Decoder(nn.Module):
    def __init__(self, variable: Variable, layers: int) -> None:
        super().__init__()
        self.variable, self.layers = variable, layers

    def forward(self, codes: Tensor) -> Any:
        parts = codes.split([F, *[Z] * self.layers], -1)
        loc = self.variable.mean(**dict(zip(self.variable.parents, parts, strict=True)))
        return dist.Normal(loc.unflatten(-1, SHAPE), self.variable.scale).to_event(3)


def pair(layers: int, width: float = 1.0) -> tuple[Any, Any]:
    """The model, and the guide of exact conditional distributions, or of wider ones."""
    variables = structure(layers)
    inner = variables[1:-1]
    model = models.NeuralStatistician(
        Decoder(variables[-1], layers), [Prior(v) for v in inner], F, frames=3
    )
    encoders = []
    for i, variable in enumerate(inner):
        known = ["x", *[v.name for v in inner[i - 1 : i]], "static"]
        encoders.append(Given(variables, variable.name, known, width))
    guide = guides.NeuralStatistician(nn.Identity(), StaticGiven(variables, width), encoders)
    return model.double(), guide


def sampled(layers: int, frames: int) -> Tensor:
    torch.manual_seed(11)
    return pair(layers)[0](size=B, frames=frames)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("frames", [1, 3, 7])
@pytest.mark.parametrize("inner", [1, 5])
def test_the_exact_guide_gives_log_p(layers, frames, inner):
    x = sampled(layers, frames)
    result = log_likelihood(*pair(layers), {"x": x}, samples=3, inner_samples=inner)
    truth = torch.stack([log_p(structure(layers), sequence) for sequence in x])
    torch.testing.assert_close(result.log_likelihood, truth, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(result.elbo, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("inner", [1, 5])
def test_the_exact_guide_gives_log_p_of_ragged_sequences(layers, inner):
    x = sampled(layers, 7)
    given = {"x": x, "length": torch.tensor(LENGTHS)}
    result = log_likelihood(
        *pair(layers), given, keys=("x", "length"), samples=3, inner_samples=inner
    )
    truth = [log_p(structure(layers), s[:n]) for s, n in zip(x, LENGTHS, strict=True)]
    torch.testing.assert_close(result.log_likelihood, torch.stack(truth), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("layers", "inner", "samples"), [(1, 1, 1000), (2, 1, 1000), (2, 8, 200), (3, 8, 200)]
)
def test_a_wide_guide_converges_to_log_p(layers, inner, samples):
    """Within 6 standard errors of the weights' mean, for each datum: alarm below 1e-7.

    Three layers have no exact guide of this form: given a frame, the lowest depends on the top.
    """
    x = sampled(layers, 3)
    result = log_likelihood(*pair(layers, 1.4), {"x": x}, samples=samples, inner_samples=inner)
    truth = torch.stack([log_p(structure(layers), sequence) for sequence in x])
    error = (1 / result.effective_sample_size - 1 / samples).clamp(min=0).sqrt()
    assert (result.elbo < truth - 0.05).all()
    assert ((result.log_likelihood - truth).abs() < 6 * error + 1e-9).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_samples_follow_the_joint_normal(layers):
    """Means and covariances of 40 000 draws of two frames: 6 standard errors, alarm below 1e-6."""
    torch.manual_seed(3)
    x = pair(layers)[0](size=40_000, frames=2).flatten(1)
    joint = Joint(structure(layers), 2)
    places = joint.of(("x", 0), ("x", 1))
    mean, covariance = joint.mean[places], joint.covariance[places][:, places]
    spread = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean).abs() < 6 * spread / 200).all()
    bound = 6 * (spread[:, None] * spread) * 2**0.5 / 200
    assert ((torch.cov(x.T) - covariance).abs() < bound).all()


@pytest.mark.parametrize("layers", [1, 3])
def test_layers_lie_in_both_plates_top_first(layers):
    model, guide = pair(layers)
    p, q = Runner(2).run_pair(model, guide, (sampled(layers, 4),))
    names = {1: ["dynamic"], 3: ["dynamic_3", "dynamic_2", "dynamic_1"]}[layers]
    assert list(p) == ["static", *names, "x"]
    assert list(q) == ["static", *names]
    assert [(plate.name, plate.dim) for plate in p["static"].plates] == [("data", -2)]
    for name in (*names, "x"):
        assert {(plate.name, plate.dim) for plate in p[name].plates} == {
            ("data", -2),
            ("frames", -1),
        }


def test_no_layer_is_refused():
    with pytest.raises(ValueError, match="layers are 0; expected at least 1"):
        models.NeuralStatistician(nn.Identity(), [], F)


def made(layers: int) -> tuple[Any, Any]:
    """A pair of small nets, float64."""
    torch.manual_seed(1)
    shape = (1, 4, 5)
    trunk = mlp_trunk(shape, (8, 7))
    decoder = MLPDecoder(F + layers * Z, shape, make_likelihood("bernoulli", 1), (6,))
    widths = [[F]] + [[Z, F]] * (layers - 1)
    priors = [JointNormal(w, Z, (5,)) for w in widths]
    encoders = [JointNormal([7, *w], Z, (5,)) for w in widths]
    model = models.NeuralStatistician(decoder, priors, F)
    static = PooledEncoder(trunk.feature_shape, F, 6, (5,), count=True)
    return model.double(), guides.NeuralStatistician(trunk, static, encoders).double()


def frames() -> Tensor:
    torch.manual_seed(2)
    return torch.randint(0, 2, (B, 7, 1, 4, 5)).double()


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("analytic", [True, False])
@pytest.mark.parametrize("ragged", [False, True])
def test_the_objective_is_pyros(layers, particles, analytic, ragged):
    """At unit weights, on the same noise, in float64: value and gradients, to rounding."""
    model, guide = made(layers)
    args = (frames(), torch.tensor(LENGTHS)) if ragged else (frames(),)
    kind = TraceMeanField_ELBO if analytic else Trace_ELBO
    stock = kind(num_particles=particles, vectorize_particles=True, max_plate_nesting=2)
    parameters = pair_parameters(model, guide)
    found = []
    for loss in (Objective(particles=particles, analytic_kl=analytic), stock):
        torch.manual_seed(3)
        value = loss.differentiable_loss(model, guide, *args)
        found.append([value, *torch.autograd.grad(value, parameters)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_order_of_frames_changes_nothing(layers):
    model, guide = made(layers)
    x, order = frames(), torch.tensor([5, 2, 0, 6, 3, 1, 4])
    first = Objective().terms(model, guide, (x,))
    values = {
        name: first[name].value if name == "static" else first[name].value[:, order]
        for name in first.latents
    }
    runner = Runner(2)
    args = (x[:, order],)
    q = runner.run(guide, args, values).sites
    p = runner.run(model, args, values).sites
    for name in first.latents:
        moved = q[name].log_prob()
        expected = first[name].log_q if name == "static" else first[name].log_q[:, order]
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        p["x"].log_prob().sum(1), first["x"].log_p.sum(1), rtol=0, atol=1e-12
    )
