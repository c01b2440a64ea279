# pyright: reportIndexIssue=false
import pytest
import torch

from unbraid.nets import PlaneTurn, TensorTurn

B, P, S = 3, 6, 9
ACTIONS = torch.tensor([[0.0, 1, 1, -1], [0, 0, -1, -1], [1, 0, -1, 1]], dtype=torch.float64)


def tensor_turn():
    torch.manual_seed(0)
    turn = TensorTurn(P).double()
    with torch.no_grad():
        turn.matrices.add_(0.3 * torch.randn(2, P, P, dtype=torch.float64))
    return turn


def plane_turn():
    return PlaneTurn(P, S, (1, 3)).double()


def poses(*lead):
    return torch.randn(*lead, 1, P, dtype=torch.float64)


def test_a_tensor_turns_by_one_matrix_per_action():
    turn, pose = tensor_turn(), poses(B)
    matrix = {1: turn.matrices[0], -1: turn.matrices[1], 0: torch.eye(P, dtype=torch.float64)}
    found = turn(pose, ACTIONS)
    assert found.shape == (B, 4, P)
    for row in range(B):
        now = pose[row, 0]
        for place, action in enumerate(ACTIONS[row].tolist()):
            now = matrix[int(action)] @ now
            torch.testing.assert_close(found[row, place], now)


def test_planes_turn_by_the_angle():
    """As complex numbers: by exp(i f theta), with 1, 3 and again 1 rounds per turn."""
    pose = poses(B)
    found = plane_turn()(pose, ACTIONS)
    total = ACTIONS.cumsum(1)
    start = torch.view_as_complex(pose.unflatten(-1, (3, 2)).contiguous())
    for plane, rounds in enumerate((1, 3, 1)):
        angle = 2 * torch.pi * rounds * total / S
        expected = start[..., plane] * torch.polar(torch.ones_like(angle), angle)
        torch.testing.assert_close(found[..., 2 * plane], expected.real)
        torch.testing.assert_close(found[..., 2 * plane + 1], expected.imag)


@pytest.mark.parametrize("make", [tensor_turn, plane_turn])
def test_actions_compose(make):
    """Those that follow others begin with the pose that these led to; none changes nothing."""
    turn, pose = make(), poses(B)
    whole = turn(pose, ACTIONS)
    half = turn(pose, ACTIONS[:, :2])
    torch.testing.assert_close(turn(half[:, -1:], ACTIONS[:, 2:]), whole[:, 2:])
    assert torch.equal(turn(pose, torch.zeros(B, 5)), pose.expand(B, 5, P))


def test_planes_come_back():
    pose, turn = poses(B), plane_turn()
    around = turn(pose, torch.ones(B, S))
    torch.testing.assert_close(around[:, -1:], pose)
    assert (around[:, :-1] - pose).norm(dim=-1).min() > 0.1
    back = turn(pose, torch.tensor([[2.5, -2.5]]).expand(B, 2))
    torch.testing.assert_close(back[:, 1:], pose)


@pytest.mark.parametrize("make", [tensor_turn, plane_turn])
def test_samples_are_turned_alike(make):
    turn, pose = make(), poses(4, B)
    found = turn(pose, ACTIONS)
    assert found.shape == (4, B, 4, P)
    for k in range(4):
        torch.testing.assert_close(found[k], turn(pose[k], ACTIONS))


def test_a_tensor_starts_at_the_identity_and_learns_each_direction_alone():
    turn, pose = TensorTurn(P), torch.randn(B, 1, P)
    assert torch.equal(turn(pose, ACTIONS.float()), pose.expand(B, 4, P))
    for actions, moved in ((torch.ones(B, 2), 0), (-torch.ones(B, 2), 1)):
        turn.zero_grad()
        turn(pose, actions).square().sum().backward()
        gradient = turn.matrices.grad
        assert gradient is not None
        assert gradient[moved].abs().min() > 0 and not gradient[1 - moved].any()


@pytest.mark.parametrize("arguments", [(5, 4), (0, 4), (4, 0), (4, 3, ()), (4, 3, (0,))])
def test_planes_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        PlaneTurn(*arguments)
