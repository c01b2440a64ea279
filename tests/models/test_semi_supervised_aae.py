"""The semi-supervised adversarial autoencoder's pair: sites, densities, samples, gradients."""

import math
from typing import Any

import pytest
import torch
from pyro import poutine

from unbraid import guides, models
from unbraid.inference import NoLikelihoodError, Objective, check_pair, log_likelihood
from unbraid.nets import LabelEncoder, MLPDecoder, make_likelihood

SHAPE, CLASSES, K, B = (1, 8, 9), 4, 3, 7


def make_pair(points=False) -> Any:
    decoder = MLPDecoder(CLASSES + K, SHAPE, make_likelihood("bernoulli", 1), (11,))
    encoder = LabelEncoder(SHAPE, CLASSES, K, (13,), points=points)
    return models.SemiSupervisedAAE(decoder, CLASSES, K), guides.SemiSupervisedAAE(encoder)


def images():
    return torch.randint(0, 2, (B, *SHAPE)).float()


def sites(program, *args, **kwargs) -> dict[str, Any]:
    trace = poutine.trace(program).get_trace(*args, **kwargs)
    trace.compute_log_prob()
    return {n: s for n, s in trace.nodes.items() if s["type"] == "sample" and n != "data"}


@pytest.mark.parametrize("points", [False, True])
def test_sites_are_those_of_the_contract(points):
    model, guide = make_pair(points)
    facts = check_pair(model, guide, images())
    assert (facts.latents, facts.observed, facts.size) == (("label", "z"), ("x",), B)


def test_samples_are_one_hot_classes_and_images():
    model, _ = make_pair()
    found = sites(model, size=B)
    assert (found["label"]["value"].sum(-1) == 1).all()
    assert found["z"]["value"].shape == (B, K)
    assert found["x"]["value"].shape == (B, *SHAPE)


def test_the_joint_density_is_the_factorisation():
    model, _ = make_pair()
    x = images()
    found = sites(model, x)
    label, z = found["label"]["value"], found["z"]["value"]
    torch.testing.assert_close(found["label"]["log_prob"], torch.full((B,), -math.log(CLASSES)))
    normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    torch.testing.assert_close(found["z"]["log_prob"], normal)
    expected = model.decoder(torch.cat([label, z], -1)).log_prob(x)
    torch.testing.assert_close(found["x"]["log_prob"], expected)


def test_the_guide_gives_shares_and_codes():
    _, guide = make_pair()
    x = images()
    label, z = guide(x)
    logits, code = guide.encoder(x)
    torch.testing.assert_close(label, logits.exp() / logits.exp().sum(-1, keepdim=True))
    assert z.shape == (B, K) and not torch.equal(z, code.mean)


@pytest.mark.parametrize("particles", [1, 5])
def test_images_teach_both_heads_through_the_decoder(particles):
    model, guide = make_pair()
    terms = Objective(particles=particles).terms(model, guide, (images(),))
    last = guide.encoder.net.net[-1][-1].weight
    (gradient,) = torch.autograd.grad(terms["x"].log_p.sum(), last)
    assert (gradient.abs().sum(-1) > 0).all()


def test_importance_sampling_is_refused_and_says_what_is_left():
    model, guide = make_pair()
    with pytest.raises(NoLikelihoodError, match=r"'label' is a point .* report reconstructions"):
        log_likelihood(model, guide, images(), samples=2)


def test_fewer_than_two_classes_are_refused():
    with pytest.raises(ValueError, match="classes is 1; expected at least 2"):
        models.SemiSupervisedAAE(lambda z: z, 1, K)  # pyright: ignore[reportArgumentType]
