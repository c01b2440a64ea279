"""Poses that actions turn, one after the other."""

from collections.abc import Sequence
from math import pi
from typing import Any

import torch
from torch import Tensor, nn


class TensorTurn(nn.Module):
    r"""Turn poses by learned matrices, one per direction: a product of action, matrices and pose.

    \[ z_t = \sum_i a_{ti} W_i z_{t-1}, \qquad W_\mathrm{none} = I \]
    with a one-hot action \( a \) of right, left and none. The matrices of right and left start at
    the identity; that of none stays there, so that it never moves a pose.

    Source: Yang et al. (2015), section 3, https://arxiv.org/abs/1601.00706, who learn all three.

    Args:
        pose_dim: Number `P` of coordinates of a pose.
    """

    whole = True
    """Whether actions are whole steps: 1, 0 or -1."""

    def __init__(self, pose_dim: int) -> None:
        super().__init__()
        self.pose_dim = pose_dim
        self.matrices = nn.Parameter(torch.eye(pose_dim).repeat(2, 1, 1))

    def forward(self, pose: Tensor, actions: Tensor) -> Tensor:
        """Return the poses `(..., N, P)` that actions lead to, one by one.

        Args:
            pose: Poses to begin with, `(..., 1, P)`.
            actions: `(..., N)`: 1 for right, -1 for left, 0 for none.
        """
        right, left = self.matrices
        now, poses = pose[..., 0, :], []
        actions = actions.to(pose.dtype)
        for place in range(actions.shape[-1]):
            action = actions[..., place].unsqueeze(-1)
            moved = action.clamp(min=0) * (now @ right.T) + (-action).clamp(min=0) * (now @ left.T)
            now = moved + (1 - action.abs()) * now
            poses.append(now)
        return torch.stack(poses, -2)


class PlaneTurn(nn.Module):
    r"""Turn poses by the angle itself: their coordinates are points of planes that rotate.

    \[ z_{tk} = R(f_k \theta_t)\, z_{0k}, \qquad \theta_t = \frac{2\pi}{S} \sum_{s \le t} a_s \]
    with whole numbers \( f_k \) of rounds that plane \( k \) makes per turn of `S` steps: actions
    add up, undo each other, and come back after a whole turn, up to rounding. Nothing is learned.

    Args:
        pose_dim: Number `P` of coordinates of a pose, even: two per plane.
        steps: Steps `S` of a whole turn; an action of 1 is one of them.
        rounds: Rounds per turn, for the planes in order; taken again from the first where there
            are more planes.

    Raises:
        ValueError: If the coordinates are odd in number, or a number is out of range.
    """

    whole = False
    rounds: Tensor

    def __init__(self, pose_dim: int, steps: int, rounds: Sequence[int] = (1, 2, 3, 4)) -> None:
        super().__init__()
        if pose_dim < 2 or pose_dim % 2:
            raise ValueError(
                f"pose_dim is {pose_dim}; expected an even number, at least 2: two for each plane"
            )
        if steps < 1 or not rounds or any(n < 1 for n in rounds):
            raise ValueError(
                f"steps is {steps} and rounds {tuple(rounds)}; expected integers of at least 1"
            )
        self.pose_dim, self.steps = pose_dim, steps
        planes = [rounds[k % len(rounds)] for k in range(pose_dim // 2)]
        self.register_buffer("rounds", torch.tensor(planes, dtype=torch.float32), persistent=False)

    def forward(self, pose: Tensor, actions: Tensor) -> Tensor:
        """Return the poses `(..., N, P)` that actions lead to, one by one.

        Args:
            pose: Poses to begin with, `(..., 1, P)`.
            actions: `(..., N)`, in steps: 1 to larger angles, -1 to smaller ones; fractions too.
        """
        total = actions.to(pose.dtype).cumsum(-1).unsqueeze(-1)
        angle: Any = total * (self.rounds.to(pose.dtype) * (2 * pi / self.steps))
        x, y = pose.unflatten(-1, (-1, 2)).unbind(-1)
        cosine, sine = angle.cos(), angle.sin()
        turned = torch.stack([cosine * x - sine * y, sine * x + cosine * y], -1)
        return turned.flatten(-2)
