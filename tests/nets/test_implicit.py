"""Encoders that draw codes: fresh noise for every image, and moments that draws agree with."""

import math

import pytest
import torch

from unbraid.nets import NoiseBasisEncoder, NoiseEncoder

SHAPE = (2, 9, 8)


def made(kind, **more):
    torch.manual_seed(2)
    return kind(SHAPE, 3, 5, hidden=(11,), **more)


KINDS = [
    lambda: made(NoiseEncoder),
    lambda: made(NoiseEncoder, channels=(4, 6)),
    lambda: made(NoiseBasisEncoder),
    lambda: made(NoiseBasisEncoder, channels=(4, 6), functions=7),
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=["noise", "noise-conv", "basis", "basis-conv"])


@kinds
@pytest.mark.parametrize("batch", [(4,), (2, 3), ()])
def test_codes_of_any_leading_dims(kind, batch):
    q = kind()(torch.rand(*batch, *SHAPE))
    assert q.batch_shape == batch and q.event_shape == (3,)


@kinds
def test_one_image_has_many_codes_and_another_image_others(kind):
    encoder = kind()
    with torch.no_grad():
        codes = encoder(torch.full((500, *SHAPE), 0.5)).v
        shifted = encoder(torch.full((500, *SHAPE), 3.0)).v
    assert len(codes.unique(dim=0)) == 500
    gap = (codes.mean(0) - shifted.mean(0)).abs() / (codes.std(0) / math.sqrt(500))
    assert float(gap.max()) > 6


@kinds
def test_images_of_another_shape_are_refused(kind):
    with pytest.raises(ValueError, match="expected"):
        kind()(torch.rand(3, 2, 8, 9))


@pytest.mark.parametrize("more", [{}, {"channels": (4, 6), "functions": 7}])
def test_moments_are_those_of_draws(more):
    """Of 20 000 draws; both sides' errors are covered at 6 standard errors."""
    encoder = made(NoiseBasisEncoder, draws=20_000, **more)
    x = torch.rand(2, *SHAPE)
    with torch.no_grad():
        mean, scale = encoder.moments(x)
        codes = torch.stack([encoder(x).v for _ in range(20_000)])
    assert mean.shape == scale.shape == (2, 3)
    error = scale / math.sqrt(20_000)
    assert ((codes.mean(0) - mean).abs() < 6 * math.sqrt(2) * error).all()
    # The fourth moment of these codes is below ten times their squared variance.
    assert ((codes.std(0) / scale - 1).abs() < 6 * 1.5 * math.sqrt(2 / 20_000)).all()


def test_moments_of_sequences_of_images():
    encoder = made(NoiseBasisEncoder)
    assert encoder.moments(torch.rand(2, 5, *SHAPE)).scale.shape == (2, 5, 3)
