"""Features of the content that a pose scales, against the formula written out."""

import pytest
import torch
from torch import nn

from unbraid.nets import Modulation, modulate


@pytest.mark.parametrize("inner", [(5,), (5, 7)], ids=str)
@pytest.mark.parametrize("lead", [(), (5,), (2, 3, 4)])
def test_features_are_those_of_the_formula(lead, inner):
    torch.manual_seed(0)
    layer = Modulation(4, 3, 6, inner, activation="leaky-relu").double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    codes = torch.randn(*lead, 7, dtype=torch.float64)
    found = dict(layer.named_parameters())
    content, scales = codes[..., :4], codes[..., 4:]
    features = content @ found["features.weight"].T + found["features.bias"]
    for i in range(len(inner)):
        scales = scales @ found[f"scales.{2 * i}.weight"].T + found[f"scales.{2 * i}.bias"]
        scales = torch.where(scales > 0, scales, 0.2 * scales)
    last = f"scales.{2 * len(inner)}"
    scales = scales @ found[f"{last}.weight"].T + found[f"{last}.bias"]
    torch.testing.assert_close(layer(codes), features + features * scales)
    assert layer(codes).shape == (*lead, 6)


def test_a_pose_moves_nothing_where_the_content_says_nothing():
    """The pose has no say of its own but through the bias, which starts at zero."""
    torch.manual_seed(0)
    layer = Modulation(4, 3, 6)
    codes = torch.cat([torch.zeros(8, 4), torch.randn(8, 3)], -1)
    assert torch.equal(layer(codes), torch.zeros(8, 6))


def test_a_decoder_is_given_a_layer_of_these_sizes_and_of_this_spread():
    """Of N(0, I) codes the outputs deviate by 1.7; of 60 000 weights that is told within 2 %."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 2))
    modulate(layers, 4, 3, "tanh", (20_000, 5), code_spread=1.7)
    first = layers[0]
    assert isinstance(first, Modulation)
    widths = [layer.out_features for layer in first.scales if isinstance(layer, nn.Linear)]
    assert widths == [20_000, 5, 6]
    deviation = 3**0.5 * first.scales[0].get_parameter("weight").std()
    assert 1.67 < deviation < 1.73


def test_a_pose_needs_a_hidden_layer():
    with pytest.raises(ValueError, match=r"inner is \(\); expected at least one width"):
        Modulation(4, 3, 6, ())
