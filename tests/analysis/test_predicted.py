"""Classes that a pair predicts: of the guide where it says them, at the mean of its codes."""

from typing import Any

import pytest
import torch

from unbraid import guides, models
from unbraid.analysis import predicted_classes
from unbraid.nets import (
    ClassEncoder,
    ClassLogits,
    LabelEncoder,
    MLPDecoder,
    MLPEncoder,
    NormalVector,
    make_likelihood,
)

SHAPE, CLASSES, K, D = (1, 8, 9), 4, 3, 6


def make_pair(features: bool) -> Any:
    torch.manual_seed(3)
    likelihood = make_likelihood("bernoulli", 1)
    seen, encoder, images = SHAPE, None, None
    decoder: Any = MLPDecoder(CLASSES + K, SHAPE, likelihood, (11,))
    if features:
        seen, encoder, decoder = (D,), MLPEncoder(SHAPE, D, (9,)), NormalVector(CLASSES + K, D)
        images = MLPDecoder(D, SHAPE, likelihood, (9,))
    model = models.SemiSupervisedVAE(decoder, CLASSES, K, images)
    codes = ClassEncoder(seen, CLASSES, K, (12,))
    return model, guides.SemiSupervisedVAE(ClassLogits(seen, CLASSES), codes, CLASSES, encoder)


@pytest.mark.parametrize("features", [False, True])
def test_they_are_the_guides_likeliest(features):
    """Not the model's, whose prior says the same of all; with features, at their means."""
    model, guide = make_pair(features)
    x = torch.rand(200, *SHAPE)
    with torch.no_grad():
        seen = guide.features(x).mean if features else x
        expected = guide.classifier(seen).argmax(-1)
    assert len(expected.unique()) > 1
    batches = [x[:90], (x[90:],)]
    assert torch.equal(predicted_classes(model, guide, batches), expected)
    assert torch.equal(predicted_classes(model, guide, batches, seed=7), expected)


def test_shares_of_classes_are_as_good():
    """Of a guide that gives points, as that of the semi-supervised adversarial autoencoder."""
    torch.manual_seed(3)
    decoder = MLPDecoder(CLASSES + K, SHAPE, make_likelihood("bernoulli", 1), (11,))
    encoder = LabelEncoder(SHAPE, CLASSES, K, (13,))
    pair = models.SemiSupervisedAAE(decoder, CLASSES, K), guides.SemiSupervisedAAE(encoder)
    x = torch.rand(200, *SHAPE)
    expected = encoder(x)[0].argmax(-1)
    assert len(expected.unique()) > 1
    assert torch.equal(predicted_classes(*pair, [x]), expected)


def test_a_site_without_classes_is_refused():
    model, guide = make_pair(False)
    with pytest.raises(ValueError, match="site is 'z'; expected one whose distribution is over"):
        predicted_classes(model, guide, [torch.rand(4, *SHAPE)], site="z")
