"""Nets of sequences: frames by themselves, in pairs, and joined with codes."""

from itertools import permutations

import pytest
import torch
from torch import nn
from torch.nn import functional

from unbraid.nets import JointNormal, PairwiseEncoder, conv_trunk, frame_mask, mlp_trunk

B, N, D, C = 3, 5, 4, 6


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("trunk", [conv_trunk((3, 9, 17), (5, 7)), mlp_trunk((3, 9, 17), (8, 6))])
def test_a_trunk_maps_every_frame_by_itself(trunk):
    x = torch.rand(2, 3, 4, 3, 9, 17)
    features = trunk(x)
    assert features.shape == (2, 3, 4, *trunk.feature_shape)
    torch.testing.assert_close(features[1, 2, 3], trunk(x[1, 2, 3]), rtol=1e-5, atol=1e-6)


def test_a_trunk_refuses_other_frames():
    with pytest.raises(ValueError, match=r"expected \(..., 3, 9, 17\)"):
        conv_trunk((3, 9, 17))(torch.zeros(2, 3, 9, 16))


def test_lengths_say_which_frames_are_true():
    expected = [[True, True, False], [True, True, True], [False, False, False]]
    mask = frame_mask(torch.tensor([2, 3, 0]), 3)
    assert mask is not None
    assert mask.tolist() == expected
    assert frame_mask(None, 3) is None


def encoder(kernel: int = 3) -> tuple[PairwiseEncoder, tuple[int, int, int]]:
    shape = (D, 4, 2) if kernel == 3 else (D, 1, 1)
    torch.manual_seed(1)
    net = PairwiseEncoder(shape, 2, channels=C, hidden=9).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net, shape


def pair_by_pair(net: PairwiseEncoder, frames: torch.Tensor) -> torch.Tensor:
    """Convolve every ordered pair of stacked maps `(N, D, h, w)`, then average."""
    weight, bias = (net.halves.get_parameter(name) for name in ("weight", "bias"))
    stacked = torch.cat([weight[:C], weight[C:]], 1)
    pairs = list(permutations(range(len(frames)), 2)) or [(0, 0)]
    padding = weight.shape[-1] // 2
    maps = [
        functional.conv2d(
            torch.cat([frames[i], frames[j]])[None], stacked, bias[:C] + bias[C:], padding=padding
        ).relu()
        for i, j in pairs
    ]
    return net.head(torch.cat(maps).mean(0, keepdim=True))[0]


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("count", [1, 2, N])
def test_pairs_are_those_of_stacked_maps(kernel, count):
    net, shape = encoder(kernel)
    features = draw(B, count, *shape)
    q = net(features)
    assert q.batch_shape == (B, 1)
    for row in range(B):
        loc = pair_by_pair(net, features[row])[:2]
        torch.testing.assert_close(q.mean[row, 0], loc, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 3])
def test_masked_pairs_are_those_of_true_frames(kernel):
    net, shape = encoder(kernel)
    features = draw(4, N, *shape)
    length = torch.tensor([N, 1, 2, 4])
    q = net(features, frame_mask(length, N))
    for row, count in enumerate(length):
        loc = pair_by_pair(net, features[row, :count])[:2]
        torch.testing.assert_close(q.mean[row, 0], loc, rtol=1e-10, atol=1e-10)


def test_pairs_keep_leading_dims():
    net, shape = encoder()
    features = draw(2, 3, N, *shape)
    q = net(features)
    assert q.batch_shape == (2, 3, 1)
    torch.testing.assert_close(q.mean[1, 2], net(features[1, 2:]).mean[0], rtol=1e-10, atol=1e-10)


def test_both_halves_start_as_the_convolution_of_stacked_maps_would():
    """Glorot's bound for 2 D channels in and C out; the largest of many weights comes close."""
    net = PairwiseEncoder((40, 4, 4), 2, channels=30)
    bound = 2**0.5 * (6 / ((2 * 40 + 30) * 9)) ** 0.5
    assert 0.98 * bound < float(net.halves.get_parameter("weight").detach().abs().max()) <= bound


def test_a_joint_normal_is_that_of_stacked_inputs():
    net = JointNormal((3, 4), 2, (7, 5), "silu").double()
    static, frames = draw(6, B, 1, 3), draw(B, N, 4)
    q = net(static, frames)
    assert q.batch_shape == (6, B, N)
    both = torch.cat([static.expand(6, B, N, 3), frames.expand(6, B, N, 4)], -1)
    weight = torch.cat([layer.get_parameter("weight") for layer in net.first], 1)
    bias = net.first[0].get_parameter("bias")
    raw = net.rest(functional.silu(functional.linear(both, weight, bias)))
    torch.testing.assert_close(q.mean, raw[..., :2])
    torch.testing.assert_close(q.stddev, functional.softplus(raw[..., 2:]) + 1e-6)
    assert all(layer.bias is None for layer in list(net.first)[1:])


@pytest.mark.parametrize("inputs, hidden", [((), (3,)), ((2,), ())])
def test_a_joint_normal_needs_an_input_and_a_layer(inputs, hidden):
    with pytest.raises(ValueError, match="expected at least one width each"):
        JointNormal(inputs, 2, hidden)


def test_a_mask_is_of_all_particles_and_padding_may_be_anything():
    net, shape = encoder()
    torch.manual_seed(3)
    particles = torch.randn(2, 3, 4, *shape).double()
    mask = torch.arange(4) < torch.tensor([4, 1, 2])[:, None]
    expected = torch.stack([net(part, mask).mean for part in particles])
    particles[:, ~mask] = torch.nan
    q = net(particles, mask)
    assert q.batch_shape == (2, 3, 1)
    torch.testing.assert_close(q.mean, expected, rtol=1e-12, atol=1e-12)
