"""The encoder with two heads: shapes, and what each head is."""

from typing import Any

import pytest
import torch
from torch.nn.functional import softplus

from unbraid.nets import LabelEncoder

SHAPE, CLASSES, K = (3, 9, 14), 4, 5


@pytest.mark.parametrize("channels", [None, (6, 7)])
@pytest.mark.parametrize("points", [False, True])
def test_logits_and_codes_come_from_one_net(points, channels):
    encoder = LabelEncoder(SHAPE, CLASSES, K, (13, 11), channels, points=points)
    x = torch.rand(2, 7, *SHAPE)
    given: Any = encoder(x)
    logits, code = given
    raw = encoder.net(x).v
    assert torch.equal(logits, raw[..., :CLASSES])
    assert logits.shape == (2, 7, CLASSES)
    assert (code.batch_shape, code.event_shape) == ((2, 7), (K,))
    assert torch.equal(code.mean, raw[..., CLASSES : CLASSES + K])
    if points:
        assert raw.shape[-1] == CLASSES + K
        assert (code.variance == 0).all()
    else:
        torch.testing.assert_close(code.stddev, softplus(raw[..., CLASSES + K :]) + 1e-6)


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \(..., 3, 9, 14\)"):
        LabelEncoder(SHAPE, CLASSES, K)(torch.rand(7, 3, 9, 13))
