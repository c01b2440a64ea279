"""Features of the content that a pose scales, against the formula written out."""

import pytest
import torch

from unbraid.nets import Modulation


@pytest.mark.parametrize("lead", [(), (5,), (2, 3, 4)])
def test_features_are_those_of_the_formula(lead):
    torch.manual_seed(0)
    layer = Modulation(4, 3, 6, inner=5, activation="leaky-relu").double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    codes = torch.randn(*lead, 7, dtype=torch.float64)
    found = dict(layer.named_parameters())
    content, pose = codes[..., :4], codes[..., 4:]
    features = content @ found["features.weight"].T + found["features.bias"]
    inner = pose @ found["scales.0.weight"].T + found["scales.0.bias"]
    inner = torch.where(inner > 0, inner, 0.2 * inner)
    scales = inner @ found["scales.2.weight"].T + found["scales.2.bias"]
    torch.testing.assert_close(layer(codes), features + features * scales)
    assert layer(codes).shape == (*lead, 6)


def test_a_pose_moves_nothing_where_the_content_says_nothing():
    """The pose has no say of its own but through the bias, which starts at zero."""
    torch.manual_seed(0)
    layer = Modulation(4, 3, 6)
    codes = torch.cat([torch.zeros(8, 4), torch.randn(8, 3)], -1)
    assert torch.equal(layer(codes), torch.zeros(8, 6))
