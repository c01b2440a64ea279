"""The classifier in two halves: sites, unknown labels, Pyro's estimators, and an integral."""

from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import nn

from unbraid import guides, models
from unbraid.inference import (
    NoLikelihoodError,
    Objective,
    PairError,
    check_pair,
    log_likelihood,
    pair_parameters,
)
from unbraid.nets import MLPDecoder, MLPEncoder, PointEncoder, make_likelihood, mlp

SHAPE, K, C, B = (2, 4, 5), 3, 4, 6


def make_pair(codes="point", decoder=False) -> Any:
    likelihood = make_likelihood("bernoulli", SHAPE[0])
    normal = codes == "normal"
    encoder = MLPEncoder(SHAPE, K, (7,)) if normal else PointEncoder(SHAPE, K, (7,))
    head = mlp((K, 8, C))
    decodes = MLPDecoder(K, SHAPE, likelihood, (9,)) if decoder else None
    return models.Classifier(head, K, decodes, prior=normal), guides.Classifier(encoder)


def data():
    x = torch.randint(0, 2, (B, *SHAPE)).float()
    return x, torch.tensor([0, 3, -1, 1, 2, -1])


def sites(program, *args, **kwargs) -> dict[str, Any]:
    trace = poutine.trace(program).get_trace(*args, **kwargs)
    trace.compute_log_prob()
    return {
        name: trace.nodes[name] for name in trace.nodes if trace.nodes[name]["type"] == "sample"
    }


@pytest.mark.parametrize("codes", ["point", "normal"])
@pytest.mark.parametrize("decoder", [False, True])
def test_sites_are_those_of_the_contract(codes, decoder):
    model, guide = make_pair(codes, decoder)
    facts = check_pair(model, guide, *data())
    assert facts.latents == ("z",)
    assert facts.observed == (("label", "x") if decoder else ("label",))
    assert (facts.nesting, facts.size) == (1, B)
    assert len(facts.parameters) == len([*model.parameters(), *guide.parameters()])


@pytest.mark.parametrize("decoder", [False, True])
def test_unknown_labels_count_nothing(decoder):
    model, _ = make_pair("normal", decoder)
    x, y = data()
    z = torch.randn(B, K)
    found = sites(poutine.condition(model, {"z": z}), x, y)
    logits = model.head(z).log_softmax(-1)
    own = torch.stack([logits[i, y[i]] if y[i] >= 0 else torch.zeros(()) for i in range(B)])
    torch.testing.assert_close(found["label"]["log_prob"], own)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(found["z"]["log_prob"], prior)
    without = sites(poutine.condition(model, {"z": z}), x)
    assert (without["label"]["log_prob"] == 0).all()
    if decoder:
        torch.testing.assert_close(found["x"]["log_prob"], model.decoder(z).log_prob(x))


def test_points_have_no_prior():
    model, guide = make_pair("point")
    x, y = data()
    terms = Objective().terms(model, guide, (x, y))
    assert (terms["z"].kl == 0).all()
    torch.testing.assert_close(terms.elbo, terms["label"].log_p)
    assert torch.equal(terms["z"].value, guide.encoder(x).v)


def test_it_samples():
    model, _ = make_pair("normal", decoder=True)
    assert model(size=5).shape == (5, *SHAPE)
    y = torch.tensor([1, 1, 2])
    assert model(None, y, size=3).shape == model(label=y).shape == (3, *SHAPE)
    assert torch.equal(sites(model, label=y)["label"]["value"], y)
    labels = make_pair("normal")[0](size=500)
    assert labels.shape == (500,) and set(labels.tolist()) <= set(range(C))
    with pytest.raises(ValueError, match="neither of x and size given"):
        model()


@pytest.mark.parametrize("codes", ["point", "normal"])
@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("analytic", [True, False])
def test_the_objective_is_pyros(codes, particles, analytic):
    model, guide = (part.double() for part in make_pair(codes, decoder=True))
    x, y = data()
    kind = TraceMeanField_ELBO if analytic else Trace_ELBO
    stock = kind(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
    ours = Objective(particles=particles, analytic_kl=analytic)
    found = []
    for loss in (ours, stock):
        torch.manual_seed(3)
        value = loss.differentiable_loss(model, guide, x.double(), y)
        found.append([value, *torch.autograd.grad(value, pair_parameters(model, guide))])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
    pyro.clear_param_store()


def test_the_likelihood_of_a_label_is_an_integral():
    """One code coordinate, by Gauss-Hermite quadrature; 6 standard errors: alarm below 1e-6."""
    head = nn.Linear(1, C)
    model = models.Classifier(head, 1)
    guide = guides.Classifier(MLPEncoder(SHAPE, 1, (4,)))
    x, y = torch.rand(8, *SHAPE), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    with torch.no_grad():
        shares = head(torch.tensor(nodes).float().unsqueeze(-1)).softmax(-1).double()
    truth = (torch.tensor(weights / weights.sum()) @ shares).log()[y]
    found = log_likelihood(model, guide, {"x": x, "label": y}, keys=("x", "label"), samples=20_000)
    error = (found.log_likelihood - truth).abs()
    relative_variance = (20_000 / found.effective_sample_size - 1) / 20_000
    assert (error < 6 * relative_variance.sqrt() + 1e-5).all()


def test_points_have_no_likelihood():
    model, guide = make_pair("point")
    x, y = data()
    with pytest.raises(NoLikelihoodError, match="'z' is a point"):
        log_likelihood(model, guide, {"x": x, "label": y}, keys=("x", "label"), samples=2)


def test_a_label_that_is_no_class_is_refused():
    model, guide = make_pair()
    with pytest.raises(PairError, match="the model failed"):
        check_pair(model, guide, data()[0], torch.full((B,), C))
