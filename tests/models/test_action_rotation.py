"""The pair of turned objects against a linear model, whose density has a closed form."""

from typing import Any

import pyro.distributions as dist
import pyro.poutine as poutine
import pytest
import torch
from torch.distributions import MultivariateNormal

from unbraid import guides, models
from unbraid.nets import FrameEncoder, PlaneTurn, TensorTurn, mlp_trunk

B, N, F, P = 3, 4, 2, 4
SHAPE = (1, 3, 2)
D, NOISE = 6, 0.3
ACTIONS = torch.tensor([[0.0, 1, 1, 1], [0, -1, -1, -1], [0, 1, 0, -1]], dtype=torch.float64)


def pair(turn):
    """A linear decoder, and a tensor or planes."""
    torch.manual_seed(1)
    weight = torch.randn(D, F + P, dtype=torch.float64)

    def decoder(codes):
        return dist.Normal((codes @ weight.T).unflatten(-1, SHAPE), NOISE).to_event(3)

    return models.ActionRotation(decoder, turn, F, P).double(), weight


def tensor():
    torch.manual_seed(2)
    turn = TensorTurn(P).double()
    torch.nn.init.normal_(turn.matrices, std=0.7)
    return turn


@pytest.mark.parametrize("turn", [tensor(), PlaneTurn(P, 7, (1, 2))], ids=["tensor", "planes"])
def test_the_joint_density_over_the_posterior_is_the_marginal(turn):
    """log p(x, c, z|a) - log p(c, z|x, a) = log N(x; 0, M M' + s^2 I), whatever the codes."""
    model, weight = pair(turn)
    x = torch.randn(B, N, *SHAPE, dtype=torch.float64)
    content, pose = torch.randn(B, 1, F).double(), torch.randn(B, 1, P).double()
    fixed = poutine.condition(model, {"content": content, "pose": pose})
    trace: Any = poutine.trace(fixed).get_trace(x, ACTIONS)
    trace.compute_log_prob()
    joint: Any = sum(trace.nodes[site]["log_prob"].sum(1) for site in ("content", "pose", "x"))
    for row in range(B):
        basis = turn(torch.eye(P).double().unsqueeze(1), ACTIONS[row].expand(P, N))  # (P, N, P)
        blocks = [
            torch.cat([weight[:, :F], weight[:, F:] @ basis[:, place].T], 1) for place in range(N)
        ]
        matrix, flat = torch.cat(blocks).detach(), x[row].flatten()
        eye = torch.eye(N * D, dtype=torch.float64)
        marginal = MultivariateNormal(flat * 0, matrix @ matrix.T + NOISE**2 * eye).log_prob(flat)
        precision = torch.eye(F + P) + matrix.T @ matrix / NOISE**2
        centre = torch.linalg.solve(precision, matrix.T @ flat / NOISE**2)
        posterior = MultivariateNormal(centre, precision_matrix=precision)
        codes = torch.cat([content[row, 0], pose[row, 0]])
        torch.testing.assert_close(joint[row] - posterior.log_prob(codes), marginal)


def test_the_guide_sees_the_first_frame_alone():
    trunk = mlp_trunk(SHAPE, (7,))
    guide = guides.ActionRotation(
        FrameEncoder(trunk, F, (5,), points=True), FrameEncoder(trunk, P, (5,), points=True)
    )
    x = torch.rand(B, N, *SHAPE, requires_grad=True)
    content, pose = guide(x, ACTIONS.float())
    assert content.shape == (B, 1, F) and pose.shape == (B, 1, P)
    (gradient,) = torch.autograd.grad(content.square().sum() + pose.square().sum(), x)
    assert gradient[:, 0].abs().sum() > 0 and not gradient[:, 1:].any()
    for code, same in zip(guide(x[:, :1]), (content, pose), strict=True):
        assert torch.equal(code, same)


def test_samples_follow_their_actions():
    model, weight = pair(PlaneTurn(P, 4, (1,)))
    assert model(size=5).shape == (5, 1, *SHAPE)
    given = torch.tensor([[0.0, 1, 1, 1, 1]]).expand(2000, -1)
    torch.manual_seed(0)
    trace: Any = poutine.trace(model).get_trace(actions=given)
    means = trace.nodes["x"]["fn"].mean.flatten(2)
    torch.testing.assert_close(means[:, 0], means[:, 4])  # four steps are a whole turn
    codes = torch.cat([trace.nodes["content"]["value"], trace.nodes["pose"]["value"]], -1)[:, 0]
    torch.testing.assert_close(means[:, 0], codes @ weight.T)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.zeros(B, N, *SHAPE)}, "actions are None"),
        ({"x": torch.zeros(B, N, *SHAPE), "actions": torch.zeros(B, N - 1)}, r"expected \(3, 4\)"),
        ({"actions": torch.zeros(B, N), "size": 4}, r"expected \(4, 4\)"),
        ({}, "neither of x and size"),
    ],
)
def test_actions_that_do_not_fit_are_refused(arguments, message):
    model, _ = pair(PlaneTurn(P, 4))
    with pytest.raises(ValueError, match=message):
        model(**arguments)
