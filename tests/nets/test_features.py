"""Encoders without spread."""

import pytest
import torch

from unbraid.nets import PointEncoder


@pytest.mark.parametrize("channels", [None, (4, 7)])
def test_any_leading_dims_give_the_same_codes(channels):
    encoder = PointEncoder((3, 9, 14), 5, (11,), channels)
    x = torch.rand(2, 6, 3, 9, 14)
    found = encoder(x)
    assert (found.batch_shape, found.event_shape) == ((2, 6), (5,))
    for row in range(2):
        torch.testing.assert_close(found.v[row], encoder(x[row]).v)


def test_normalised_codes_have_mean_0_and_variance_1():
    plain, scaled = (PointEncoder((1, 8, 8), 12, (), None, normalised=n) for n in (False, True))
    scaled.load_state_dict(plain.state_dict())
    x = torch.rand(5, 1, 8, 8)
    raw, code = plain(x).v, scaled(x).v
    expected = (raw - raw.mean(-1, keepdim=True)) / raw.std(-1, correction=0, keepdim=True)
    torch.testing.assert_close(code, expected, rtol=1e-3, atol=1e-3)
    # A datum's code does not depend on its neighbours.
    torch.testing.assert_close(scaled(x[:1]).v, code[:1])


def test_standardised_images_know_no_brightness_or_contrast():
    encoder = PointEncoder((2, 8, 8), 4, (5,), (3,), standardised=True)
    x = torch.rand(6, 2, 8, 8)
    torch.testing.assert_close(encoder(0.2 + 0.5 * x).v, encoder(x).v, rtol=1e-3, atol=1e-3)
    assert (encoder(1 - x).v - encoder(x).v).abs().max() > 0.01


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"1, 8, 8\)"):
        PointEncoder((1, 8, 8), 2)(torch.rand(3, 1, 8, 9))
