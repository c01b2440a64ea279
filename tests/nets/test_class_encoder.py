"""Nets told a class: the same as with both joined, over any leading dims."""

import pytest
import torch
from torch.nn.functional import softplus

from unbraid.nets import ClassEncoder, ClassLogits, NormalVector

SHAPE, CLASSES, K, B = (2, 9, 11), 4, 3, 5
EYE = torch.eye(CLASSES).double()


def images(*lead):
    return torch.rand(*lead, *SHAPE, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("hidden", [(), (7,), (7, 6)])
@pytest.mark.parametrize("channels", [None, (3, 4)])
def test_the_first_layer_is_that_of_image_and_class_joined(hidden, channels):
    """To rounding, every class of every image by itself."""
    encoder = ClassEncoder(SHAPE, CLASSES, K, hidden, channels, "tanh").double()
    torch.manual_seed(4)
    for parameter in encoder.parameters():  # biases are 0 at first
        torch.nn.init.normal_(parameter, std=0.3)
    x, found = images(B), encoder(images(B), EYE.unsqueeze(1))
    assert found.batch_shape == (CLASSES, B) and found.event_shape == (K,)
    seen = x.flatten(1) if channels is None else encoder.stages(x).flatten(1)  # pyright: ignore
    for c in range(CLASSES):
        for b in range(B):
            raw = encoder.net(torch.cat([seen[b], EYE[c]]))
            torch.testing.assert_close(found.mean[c, b], raw[:K])
            torch.testing.assert_close(found.stddev[c, b], softplus(raw[K:]) + 1e-6)


@pytest.mark.parametrize("channels", [None, (3, 4)])
def test_leading_dims_do_not_matter(channels):
    """Nor does it whether data are images of particles, or vectors."""
    logits = ClassLogits(SHAPE, CLASSES, (7,), channels).double()
    encoder = ClassEncoder(SHAPE, CLASSES, K, (7,), channels).double()
    x, label = images(2, 3, B), EYE[torch.tensor([[0], [2], [3]])]
    assert logits(x).shape == (2, 3, B, CLASSES)
    torch.testing.assert_close(logits(x)[1, 2], logits(x[1, 2]))
    torch.testing.assert_close(encoder(x, label).mean[1, 2], encoder(x[1, 2], label[2]).mean)


def test_vectors_are_taken_too():
    x = torch.randn(2, B, 6)
    assert ClassLogits((6,), CLASSES, ())(x).shape == (2, B, CLASSES)
    assert ClassEncoder((6,), CLASSES, K)(x, EYE.float()[0]).batch_shape == (2, B)
    found = NormalVector(6, 8, (5,))(x)
    assert found.batch_shape == (2, B) and found.event_shape == (8,)
    assert (found.stddev > 0).all()


@pytest.mark.parametrize("shape", [(2, 9, 10), (9, 11)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"x has shape .* expected \(2, 9, 11\) at the end"):
        ClassLogits(SHAPE, CLASSES)(torch.zeros(shape))


def test_convolutions_of_vectors_or_small_images_are_refused():
    with pytest.raises(ValueError, match="expected height and width of at least 8"):
        ClassLogits((1, 7, 9), CLASSES, (5,), (3,))
    with pytest.raises(ValueError, match="shape"):
        ClassLogits((6,), CLASSES, (5,), (3,))


def test_half_precision_never_reaches_a_density():
    with torch.autocast("cpu", torch.bfloat16):
        assert ClassLogits(SHAPE, CLASSES)(images(B).float()).dtype == torch.float32
        found = ClassEncoder(SHAPE, CLASSES, K)(images(B).float(), EYE.float()[:1])
        assert found.mean.dtype == NormalVector(K, 4)(torch.randn(B, K)).mean.dtype
        assert found.mean.dtype == torch.float32
