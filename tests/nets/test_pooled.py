"""The net that pools frames, frame by frame; names of layers; the order of arguments."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from unbraid.nets import PooledEncoder, frame_mask, layer_names, length_and_index

B, N, SHAPE, F = 4, 5, (3, 2, 4), 2
LENGTHS = torch.tensor([5, 1, 3, 2])
counts = pytest.mark.parametrize("count", [False, True])


def encoder(count: bool) -> PooledEncoder:
    torch.manual_seed(1)
    return PooledEncoder(SHAPE, F, 7, (6,), "silu", count).double()


def features(frames: int = N) -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randn(B, frames, *SHAPE, dtype=torch.float64)


def by_frames(net: Any, frames: torch.Tensor) -> torch.Tensor:
    """Layer by layer, with the mean as a sum of frames over their number."""
    linear = net.frame[1]
    total = torch.zeros(7, dtype=torch.float64)
    for frame in frames:
        total += functional.silu(linear.weight @ frame.flatten() + linear.bias)
    pooled = total / len(frames)
    if net.count:
        pooled = torch.cat([pooled, torch.tensor([math.log(len(frames))], dtype=torch.float64)])
    hidden = functional.silu(net.head[0].weight @ pooled + net.head[0].bias)
    return net.head[2].weight @ hidden + net.head[2].bias


def assert_normal(q, row, raw):
    torch.testing.assert_close(q.mean[row, 0], raw[:F], rtol=1e-12, atol=1e-12)
    scale = functional.softplus(raw[F:]) + 1e-6
    torch.testing.assert_close(q.stddev[row, 0], scale, rtol=1e-12, atol=1e-12)


@counts
@pytest.mark.parametrize("frames", [1, N])
def test_it_is_the_mean_over_frames(count, frames):
    net, given = encoder(count), features(frames)
    q = net(given)
    assert (q.batch_shape, q.event_shape) == ((B, 1), (F,))
    for row in range(B):
        assert_normal(q, row, by_frames(net, given[row]))


@counts
def test_masked_frames_do_not_count(count):
    net, given = encoder(count), features()
    q = net(given, frame_mask(LENGTHS, N))
    for row, length in enumerate(LENGTHS):
        assert_normal(q, row, by_frames(net, given[row, :length]))


@counts
def test_the_order_of_frames_changes_nothing(count):
    net, given, order = encoder(count), features(), torch.tensor([3, 0, 4, 2, 1])
    mask = frame_mask(LENGTHS, N)
    assert mask is not None
    for args in ((given,), (given, mask)):
        q, moved = net(*args), net(*(a[:, order] for a in args))
        torch.testing.assert_close(moved.mean, q.mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(moved.variance, q.variance, rtol=0, atol=1e-12)


def test_repeated_frames_change_the_code_by_their_number_alone():
    given = features()
    twice = given.repeat(1, 2, 1, 1, 1)
    same, told = encoder(False), encoder(True)
    torch.testing.assert_close(same(twice).mean, same(given).mean, rtol=1e-12, atol=1e-12)
    assert (told(twice).stddev - told(given).stddev).abs().min() > 1e-6


@counts
def test_it_keeps_leading_dims(count):
    net, given = encoder(count), features().view(2, 2, N, *SHAPE)
    mask = frame_mask(LENGTHS, N)
    assert mask is not None
    q, flat = net(given, mask.view(2, 2, N)), net(features(), mask)
    assert q.batch_shape == (2, 2, 1)
    torch.testing.assert_close(q.mean.flatten(0, 1), flat.mean, rtol=1e-12, atol=1e-12)


def test_no_hidden_layer_is_fine():
    assert PooledEncoder(SHAPE, F, 7, ())(features().float()).batch_shape == (B, 1)


def test_layers_are_numbered_from_the_frame_up():
    assert layer_names(1) == ("dynamic",)
    assert layer_names(3) == ("dynamic_3", "dynamic_2", "dynamic_1")
    with pytest.raises(ValueError, match="layers are 0; expected at least 1"):
        layer_names(0)


def test_a_lone_argument_is_the_index_where_there_are_no_lengths():
    a, b = torch.tensor([1]), torch.tensor([2])
    assert length_and_index(a, None, ragged=True) == (a, None)
    assert length_and_index(a, b, ragged=True) == (a, b)
    assert length_and_index(a, None, ragged=False) == (None, a)
    assert length_and_index(None, b, ragged=False) == (None, b)
    assert length_and_index(None, None, ragged=False) == (None, None)


@counts
def test_a_mask_is_of_all_particles_and_padding_may_be_anything(count):
    net, given, mask = encoder(count), features(), frame_mask(LENGTHS, N)
    assert mask is not None
    particles = torch.stack([given, 2 * given])
    expected = torch.stack([net(part, mask).mean for part in particles])
    particles[:, ~mask] = torch.nan
    q = net(particles, mask)
    assert q.batch_shape == (2, B, 1)
    torch.testing.assert_close(q.mean, expected, rtol=0, atol=0)
