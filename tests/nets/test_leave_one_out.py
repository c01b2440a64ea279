"""Predictors of each coordinate from the others: none sees its own, all are plain nets."""

from typing import Any

import pytest
import torch
from torch import nn

from unbraid.nets import LeaveOneOut

K = 5


def drawn(hidden=(7, 6), activation="leaky-relu") -> Any:
    """Predictors whose last layer is not zero."""
    nets = LeaveOneOut(K, hidden, activation).double()
    for parameter in nets.parameters():
        nn.init.normal_(parameter)
    return nets


@pytest.mark.parametrize("hidden", [(), (7,), (7, 6)])
def test_a_prediction_depends_on_all_other_coordinates_and_not_on_its_own(hidden):
    nets = drawn(hidden)
    codes = torch.randn(1, K, dtype=torch.float64)
    slopes: Any = torch.autograd.functional.jacobian(lambda z: nets(z)[0], codes)
    slopes = slopes[:, 0]
    own = torch.eye(K, dtype=torch.bool)
    assert (slopes[own] == 0).all()
    assert (slopes[~own] != 0).all()


@pytest.mark.parametrize("hidden", [(), (7,), (7, 6)])
def test_they_are_separate_nets(hidden):
    """Each is a chain of linear maps of the others' coordinates, written out."""
    nets = drawn(hidden, "tanh")
    codes = torch.randn(9, K, dtype=torch.float64)
    for i in range(K):
        others = [j for j in range(K) if j != i]
        values = codes[:, others] @ nets.weights[0][i][others] + nets.biases[0][i]
        for weight, bias in zip(nets.weights[1:], nets.biases[1:], strict=True):
            values = values.tanh() @ weight[i] + bias[i]
        torch.testing.assert_close(nets(codes)[:, i], values[:, 0])


def test_they_start_by_predicting_zero_and_can_learn():
    nets = LeaveOneOut(K)
    codes = torch.randn(8, K)
    assert (nets(codes) == 0).all()
    (nets(codes) - codes).square().mean().backward()
    assert (nets.weights[-1].grad != 0).any()
    assert float(nets.weights[0].detach().std()) > 0.1


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="size is 1; expected at least 2 coordinates"):
        LeaveOneOut(1)
    with pytest.raises(ValueError, match=r"codes have shape \(4, 3\); expected \(n, 5\)"):
        LeaveOneOut(5)(torch.zeros(4, 3))
