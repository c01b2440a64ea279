"""Encoders of frames and clips, and skips: means over true frames, maps for the decoder."""

from typing import Any

import pytest
import torch
from torch import nn

from unbraid.nets import (
    ClipEncoder,
    EmptyEncoder,
    FrameEncoder,
    SkipDecoder,
    SkipEncoder,
    conv_trunk,
    make_likelihood,
    mlp_trunk,
)

SHAPE, K = (2, 9, 14), 3


def encoder(kind: Any, points: bool = False) -> Any:
    torch.manual_seed(0)
    return kind(mlp_trunk(SHAPE, (8,)), K, (7,), points=points).double()


def clips(*lead: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(*lead, *SHAPE, dtype=torch.float64)


@pytest.mark.parametrize("points", [True, False])
def test_frames_are_encoded_each_by_itself(points):
    net, x = encoder(FrameEncoder, points), clips(4, 5)
    found = net(x)
    assert found.batch_shape == (4, 5)
    assert found.event_shape == (K,)
    torch.testing.assert_close(found.mean[2, 3], net(x[2, 3]).mean)
    torch.testing.assert_close(found.mean, net.raw(x)[..., :K])
    assert (found.variance == 0).all() == points


def test_the_code_of_a_clip_is_that_of_the_mean_of_raw_outputs():
    net, x = encoder(ClipEncoder, points=True), clips(4, 5)
    mask = torch.arange(5) < torch.tensor([5, 1, 3, 2]).unsqueeze(1)
    found = net(x, mask).mean
    assert found.shape == (4, 1, K)
    for row, length in enumerate([5, 1, 3, 2]):
        raw = torch.stack([net.raw(x[row, t]) for t in range(length)])
        torch.testing.assert_close(found[row, 0], raw.mean(0))
    torch.testing.assert_close(net(x).mean[:, 0], net.raw(x).mean(1))


@pytest.mark.parametrize("points", [True, False])
def test_a_code_without_coordinates_has_density_one(points):
    found = EmptyEncoder(points)(clips(4, 5))
    assert (found.batch_shape, found.event_shape) == ((4, 1), (0,))
    assert torch.equal(found.log_prob(found.sample()), torch.zeros(4, 1, dtype=torch.float64))


def test_a_clip_of_one_frame_has_its_frames_code():
    both = [encoder(kind) for kind in (ClipEncoder, FrameEncoder)]
    of_clip, of_frame = (net(clips(4, 1)) for net in both)
    torch.testing.assert_close(of_clip.mean, of_frame.mean)
    torch.testing.assert_close(of_clip.variance, of_frame.variance)


def test_padding_that_is_not_finite_does_not_count():
    net, x = encoder(ClipEncoder), clips(2, 3)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    expected = net(x, mask).mean
    x = x.masked_fill(~mask[..., None, None, None], torch.inf)
    torch.testing.assert_close(net(x, mask).mean, expected)


def skips(likelihood: str = "normal", **sizes: Any) -> tuple[Any, Any]:
    torch.manual_seed(2)
    net = SkipEncoder(conv_trunk(SHAPE, (4, 5), "silu"), K, (7,), "silu")
    chosen = make_likelihood(likelihood, SHAPE[0])
    decoder = SkipDecoder(K, net.map_shapes, 6, SHAPE, chosen, 8, "silu", **sizes)
    return net.double(), decoder.double()


def test_the_maps_are_those_of_every_stage():
    """Recomputed by hand, convolution by convolution."""
    net, _ = skips()
    x = clips(3, 1)
    first, second = (layer for layer in net.trunk.net if isinstance(layer, nn.Conv2d))
    near = nn.functional.silu(first(x[:, 0]))
    far = nn.functional.silu(second(near))
    assert net.map_shapes == [(4, 4, 7), (5, 2, 3)]
    assert net.code_dim == K + 4 * 4 * 7 + 5 * 2 * 3
    code = net(x).v
    assert code.shape == (3, 1, net.code_dim)
    torch.testing.assert_close(code[:, 0, K:], torch.cat([near.flatten(1), far.flatten(1)], 1))
    torch.testing.assert_close(code[:, 0, :K], net.head(far.flatten(1)))


def test_of_a_clip_the_first_frame_is_taken():
    net, _ = skips()
    x = clips(3, 4)
    torch.testing.assert_close(net(x).v, net(x[:, :1]).v)


def test_each_map_meets_the_image_where_it_has_its_size():
    """Moving one map by one pixel moves what is near to that pixel alone."""
    net, decoder = skips()
    code = torch.cat([net(clips(2, 1)).v, torch.zeros(2, 1, 6, dtype=torch.float64)], -1)
    image = decoder.raw(code)
    assert image.shape == (2, 1, *SHAPE)
    other = code.clone()
    other[0, 0, K] += 1.0  # the first map's upper left corner
    changed = (decoder.raw(other) - image).abs() > 1e-12
    assert changed[0].any()
    assert not changed[1].any()
    rows = changed[0, 0].any(0).any(1).nonzero().flatten()
    columns = changed[0, 0].any(0).any(0).nonzero().flatten()
    assert rows.max() <= 2
    assert columns.max() <= 2


def test_code_pose_and_maps_all_count():
    net, decoder = skips("normal-learned")
    code = torch.cat([net(clips(2, 1)).v, clips(2, 1)[..., 0, 0, :6]], -1).requires_grad_()
    [found] = torch.autograd.grad(decoder(code).mean.square().sum(), [code])
    assert (found[..., :K] != 0).all()
    assert (found[..., -6:] != 0).all()
    assert (found != 0).all(0).float().mean() > 0.99
    wider = skips(code_spread=3.0)[1].head[0].weight.std()
    assert wider > 2 * decoder.head[0].weight.std()


def test_a_trunk_without_convolutions_has_no_maps():
    with pytest.raises(ValueError, match="the trunk has no convolutions; expected some"):
        SkipEncoder(mlp_trunk(SHAPE, (8,)), K)
