"""Densities of sequences: step by step by hand, and of a linear transition by its joint Normal."""

from math import log, pi

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from unbraid.nets import LSTMTransition

Z, F, N, B = 3, 4, 6, 5


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def transition(**options) -> LSTMTransition:
    torch.manual_seed(2)
    made = LSTMTransition(Z, 2, hidden=7, layers=2, **options).double()
    with torch.no_grad():
        for seed, parameter in enumerate(made.parameters()):
            parameter.copy_(0.5 * draw(*parameter.shape, seed=seed))
        for name, parameter in made.named_parameters():
            if name.endswith("spread"):
                parameter.mul_(0.1)
    return made


def cell_by_hand(cell, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Hochreiter & Schmidhuber (1997) with a forget gate: i, f, g, o in torch's order."""
    gates = x @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


@pytest.mark.parametrize("output", ["linear", "tanh"])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_the_density_is_the_sum_of_normals_step_by_step(output, scale):
    made = transition(output=output, scale=scale)
    z, content = draw(B, N, Z, seed=50), draw(B, F, seed=51)
    expected = torch.zeros(B, dtype=torch.float64)
    for b in range(B):
        h, c = torch.zeros(2, 7).double(), torch.zeros(2, 7).double()
        loc, deviation = made.start_loc, made.start_scale
        for t in range(N):
            for k in range(Z):
                expected[b] += (
                    -0.5 * ((z[b, t, k] - loc[k]) / deviation[k]) ** 2
                    - deviation[k].log()
                    - 0.5 * log(2 * pi)
                )
            shown = torch.cat([z[b, t], content[b, :2]])
            layers = []
            for layer, cell in enumerate(made.cells):
                shown, own = cell_by_hand(cell, shown, h[layer], c[layer])
                layers.append((shown, own))
            h, c = (torch.stack(part) for part in zip(*layers, strict=True))
            loc = shown @ made.head.weight.T + made.head.bias
            loc = loc.tanh() if output == "tanh" else loc
            deviation = made.scale
    found = made(content, N).log_prob(z)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=1e-12)
    if scale is not None:
        torch.testing.assert_close(made.scale, torch.full((Z,), 0.3).double(), rtol=1e-7, atol=0)
    assert (scale is None) == ("spread" in dict(made.named_parameters()))


class Rotation(LSTMTransition):
    """A hand-set transition: each pose turns by a matrix, and content pushes it."""

    TURN = torch.tensor([[0.8, -0.5], [0.6, 0.7]], dtype=torch.float64)
    PUSH = torch.tensor([[0.3, -0.2], [0.1, 0.4], [0.2, 0.0]], dtype=torch.float64)

    def step(self, z, content, memory):
        return z @ self.TURN.T + content @ self.PUSH, memory


def rotation() -> Rotation:
    made = Rotation(2, 3, hidden=1, layers=1).double()
    with torch.no_grad():
        made.start_loc.copy_(torch.tensor([0.5, -1.0]))
        made.start_spread.copy_(torch.tensor([0.02, -0.03]))
        made.spread.copy_(torch.tensor([-0.1, -0.05]))
    return made


def joint(content: Tensor, count: int) -> dist.MultivariateNormal:
    """The joint Normal of a first-order autoregression, whose optimal predictor this is."""
    made = rotation()
    locs, maps = [made.start_loc.detach()], [torch.eye(2 * count, dtype=torch.float64)[:2]]
    scales = made.scales(count).detach()
    for t in range(1, count):
        locs.append(Rotation.TURN @ locs[-1] + content @ Rotation.PUSH)
        own = torch.eye(2 * count, dtype=torch.float64)[2 * t : 2 * t + 2]
        maps.append(Rotation.TURN @ maps[-1] + own)
    spread = torch.cat(maps) * scales.flatten()
    return dist.MultivariateNormal(torch.cat(locs), spread @ spread.T)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_density_of_an_autoregression_is_its_joint_normal(count):
    content, z = draw(B, 3, seed=1), draw(B, count, 2, seed=2)
    found = rotation()(content, count).log_prob(z)
    expected = torch.stack(
        [joint(c, count).log_prob(row.flatten()) for c, row in zip(content, z, strict=True)]
    )
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_samples_have_the_moments_of_the_joint_normal():
    """40 000 samples of 6 numbers: 6 means and 21 covariances within 6 of their standard errors,
    each of which a right one exceeds with probability 2e-9."""
    content = draw(1, 3, seed=1)
    torch.manual_seed(0)
    samples = rotation()(content, 3).sample((40_000,)).reshape(40_000, 6)
    truth = joint(content[0], 3)
    covariance = truth.covariance_matrix
    variances = covariance.diagonal()
    error = (variances / 40_000).sqrt()
    assert ((samples.mean(0) - truth.mean).abs() < 6 * error).all()
    error = ((covariance**2 + variances[:, None] * variances) / 40_000).sqrt()
    assert ((samples.T.cov() - covariance).abs() < 6 * error).all()


def test_gradients_go_through_samples():
    made, content = transition(), draw(B, F, seed=3).requires_grad_()
    sample = made(content, 4).rsample()
    (gradient,) = torch.autograd.grad(sample[:, 3].sum(), content)
    assert (gradient[:, :2] != 0).all() and not gradient[:, 2:].any()


def test_leading_dims_broadcast():
    made = transition()
    z, content = draw(2, B, 1, N, Z, seed=4), draw(B, 1, F, seed=5)
    sequences = made(content, N)
    assert (sequences.batch_shape, sequences.event_shape) == ((B, 1), (N, Z))
    found = sequences.log_prob(z)
    wide = sequences.expand(torch.Size((2, B, 1)))
    assert wide.batch_shape == (2, B, 1) and wide.sample().shape == (2, B, 1, N, Z)
    torch.testing.assert_close(wide.log_prob(z), found)
    for k in range(2):
        torch.testing.assert_close(sequences.log_prob(z[k]), found[k])
    assert sequences.sample((7,)).shape == (7, B, 1, N, Z)


def test_without_content_none_is_looked_at():
    torch.manual_seed(0)
    made = LSTMTransition(Z, 0, hidden=4)
    assert made.cells[0].input_size == Z
    z = torch.randn(B, N, Z)
    found = [made(torch.randn(B, width), N).log_prob(z) for width in (0, 3)]
    assert torch.equal(*found)


def test_unknown_outputs_are_refused():
    with pytest.raises(ValueError, match="output is 'relu'; expected one of linear, tanh"):
        LSTMTransition(Z, output="relu")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": 0}, "layers is 0; expected at least 1"),
        ({"scale": 0.0}, "scale is 0.0; expected a finite number above 0"),
        ({"scale": float("nan")}, "scale is nan; expected a finite number above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        LSTMTransition(Z, **given)


def test_noise_is_not_rounded_under_bfloat16():
    """Of the noise that is found again, as of float32, hardly any is a number of bfloat16."""
    torch.manual_seed(4)
    made = LSTMTransition(Z, 2, hidden=7, layers=2)
    content = torch.randn(B, 2)
    with torch.autocast("cpu", torch.bfloat16):
        drawn = made(content, N).rsample()
        loc = made.means(drawn, content)
    noise = (drawn - loc) / made.scales(N)
    assert drawn.dtype == torch.float32
    away = (noise - noise.bfloat16().float()).abs().amax((0, 2))
    assert (away > 1e-4).all()
