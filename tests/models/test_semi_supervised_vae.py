"""The semi-supervised deep generative model: the bound by hand, closed forms, samples."""

import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO
from torch import Tensor

from unbraid import guides, models
from unbraid.inference import (
    NoLikelihoodError,
    Objective,
    Step,
    Supervision,
    annealed_log_likelihood,
    check_pair,
    log_likelihood,
    pair_parameters,
)
from unbraid.nets import (
    ClassEncoder,
    ClassLogits,
    MLPDecoder,
    MLPEncoder,
    NormalVector,
    make_likelihood,
)

SHAPE, CLASSES, K, D, B = (1, 8, 9), 4, 3, 6, 7
EYE = torch.eye(CLASSES).double()
LABEL = torch.tensor([2, -1, 0, -1, 3, -1, 2])
stacked = pytest.mark.parametrize("features", [False, True], ids=["images", "features"])


def make_pair(features=False) -> Any:
    torch.manual_seed(5)
    likelihood = make_likelihood("bernoulli", 1)
    seen, decoder, images, encoder = SHAPE, None, None, None
    if features:
        seen, decoder = (D,), NormalVector(CLASSES + K, D, (11,))
        images, encoder = MLPDecoder(D, SHAPE, likelihood, (10,)), MLPEncoder(SHAPE, D, (9,))
    decoder = decoder or MLPDecoder(CLASSES + K, SHAPE, likelihood, (11,))
    model = models.SemiSupervisedVAE(decoder, CLASSES, K, images)
    guide = guides.SemiSupervisedVAE(
        ClassLogits(seen, CLASSES, (13,)), ClassEncoder(seen, CLASSES, K, (12,)), CLASSES, encoder
    )
    return model.double(), guide.double()


def images() -> Tensor:
    generator = torch.Generator().manual_seed(6)
    return torch.randint(0, 2, (B, *SHAPE), generator=generator).double()


def sites(program, *args, **kwargs) -> dict[str, Any]:
    trace = poutine.trace(program).get_trace(*args, **kwargs)
    return {n: s for n, s in trace.nodes.items() if s["type"] == "sample" and n != "data"}


@stacked
def test_sites_are_those_of_the_contract(features):
    model, guide = make_pair(features)
    facts = check_pair(model, guide, images(), LABEL)
    assert facts.latents == ("label", "z", *(["features"] if features else []))
    assert (facts.observed, facts.size, facts.enumerated) == (("x",), B, True)


@stacked
@pytest.mark.parametrize("labels", [None, LABEL], ids=["unlabelled", "some labels"])
def test_the_bound_is_the_sum_over_all_classes(features, labels):
    """Written out class by class in float64, datum by datum, to 1e-10."""
    model, guide = make_pair(features)
    x = images()
    args = (x,) if labels is None else (x, labels)
    terms = Objective().terms(model, guide, args)
    z = terms["z"].value
    assert z.shape == (CLASSES, B, K) and not torch.equal(z[0], z[1])
    for n in range(B):
        seen, outside = x[n], 0.0
        if features:
            seen = terms["features"].value[n]
            outside = model.images(seen).log_prob(x[n]) - guide.features(x[n]).log_prob(seen)
        log_q = guide.classifier(seen).log_softmax(-1)
        bounds = []
        for c in range(CLASSES):
            q = guide.encoder(seen, EYE[c])
            decoded = model.decoder(torch.cat([EYE[c], z[c, n]]))
            mean, scale = q.mean, q.stddev
            divergence = 0.5 * (mean**2 + scale**2 - 1) - scale.log()
            bounds.append(decoded.log_prob(seen) - math.log(CLASSES) - divergence.sum())
        bounds = torch.stack(bounds)
        expected = (log_q.exp() * (bounds - log_q)).sum() + outside
        if labels is not None and labels[n] >= 0:
            expected = bounds[labels[n]] + outside
        torch.testing.assert_close(terms.elbo[n], expected, rtol=0, atol=1e-10)


def test_a_divergence_of_features_in_closed_form_would_be_no_bound():
    """The guide's class and code know its features, so that these count as they were drawn."""
    model, guide = make_pair(features=True)
    terms = Objective(analytic_kl=True).terms(model, guide, (images(),))
    term = terms["features"]
    torch.testing.assert_close(term.kl, term.log_q - term.log_p)
    assert terms["z"].kl_per_dimension is not None


class Affine(torch.nn.Module):
    """A mixture of factor analysers, and the exact posteriors of it."""

    def __init__(self, noise=0.7) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(8)
        self.noise = noise
        self.weight = torch.randn(CLASSES, 4, K, generator=generator).double()
        self.offset = torch.randn(CLASSES, 4, generator=generator).double()
        self.precision = torch.eye(K).double() + self.weight.mT @ self.weight / noise**2

    def forward(self, both: Tensor) -> Any:
        label, z = both[..., :CLASSES], both[..., CLASSES:]
        weight = torch.einsum("...c,cdk->...dk", label, self.weight)
        mean = (weight @ z.unsqueeze(-1)).squeeze(-1) + label @ self.offset
        return dist.Normal(mean.unflatten(-1, (1, 2, 2)), self.noise).to_event(3)

    def joint(self, x: Tensor) -> Tensor:
        """log p(y, x), `(B, classes)`."""
        covariance = self.weight @ self.weight.mT + self.noise**2 * torch.eye(4).double()
        per_class = dist.MultivariateNormal(self.offset, covariance)
        return per_class.log_prob(x.flatten(1).unsqueeze(1)) - math.log(CLASSES)

    def codes(self, x: Tensor, label: Tensor) -> Any:
        rest = x.flatten(-3) - label @ self.offset
        weight = torch.einsum("...c,cdk->...dk", label, self.weight)
        precision = torch.einsum("...c,cjk->...jk", label, self.precision)
        mean = torch.linalg.solve(precision, weight.mT @ rest.unsqueeze(-1) / self.noise**2)
        return dist.MultivariateNormal(mean.squeeze(-1), precision_matrix=precision)


@pytest.fixture
def affine() -> Any:
    truth = Affine()
    model = models.SemiSupervisedVAE(truth, CLASSES, K).double()
    guide = guides.SemiSupervisedVAE(truth.joint, truth.codes, CLASSES).double()
    x = 2 * torch.randn(B, 1, 2, 2, generator=torch.Generator().manual_seed(9)).double()
    return truth, model, guide, x


def test_with_exact_posteriors_the_bound_is_the_evidence(affine):
    """log p(x) of images without a label, log p(x, y) of those with one."""
    truth, model, guide, x = affine
    joint = truth.joint(x)
    found = Objective(analytic_kl=False).terms(model, guide, (x, LABEL)).elbo
    expected = torch.where(
        LABEL >= 0, joint.gather(1, LABEL.clamp(min=0).unsqueeze(1))[:, 0], joint.logsumexp(1)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_importance_sampling_sums_the_classes_out(affine):
    """However bad the guide's classes are: exact with exact codes, from two samples."""
    truth, model, guide, x = affine
    wrong = guides.SemiSupervisedVAE(lambda x: -truth.joint(x), truth.codes, CLASSES).double()
    for q in (guide, wrong):
        found = log_likelihood(model, q, x, samples=2).log_likelihood
        torch.testing.assert_close(found, truth.joint(x).logsumexp(1), rtol=0, atol=1e-5)


@stacked
def test_the_evidence_of_other_guides_is_above_their_bound(features):
    """By as much as a thousand samples tell: 64 nats of 72 pixels at most, a few here."""
    model, guide = make_pair(features)
    found = log_likelihood(model.float(), guide.float(), images().float(), samples=1000)
    assert found.summary()["log_likelihood"] > found.summary()["elbo"] + 0.01


@stacked
def test_a_known_label_is_sure_and_teaches_no_classifier(features):
    model, guide = make_pair(features)
    label = torch.arange(B) % CLASSES
    terms = Objective().terms(model, guide, (images(), label))
    expected = torch.nn.functional.one_hot(label, CLASSES).double()
    assert torch.equal(terms["label"].q.probs, expected)  # pyright: ignore
    torch.testing.assert_close(terms["label"].kl, torch.full((B,), math.log(CLASSES)).double())
    loss = -terms.elbo.sum()
    for gradient in torch.autograd.grad(loss, [*guide.classifier.parameters()], retain_graph=True):
        assert (gradient == 0).all()
    for gradient in torch.autograd.grad(loss, [*guide.encoder.parameters()]):
        assert torch.isfinite(gradient).all() and (gradient != 0).any()


@stacked
@pytest.mark.parametrize("mode", ["record", "eager"])
def test_every_mode_takes_the_same_steps(features, mode):
    """Labels that change from step to step; against the loss that autograd gives by itself."""
    results = []
    for way in (mode, "by hand"):
        model, guide = make_pair(features)
        parameters = [*pair_parameters(model, guide)]
        objective = Objective(hooks=[Supervision("label", 0.3)])
        optimizer = torch.optim.SGD(parameters, lr=0.01)
        step = Step(model, guide, objective, optimizer, mode=mode)
        for i in range(4):
            label = LABEL.roll(i)
            few = {"x": images().flip(0)[:5], "label": LABEL[:5].roll(-i)}
            batch = {"x": images(), "label": label, "labelled": few}
            torch.manual_seed(i)
            if way == mode:
                step((batch["x"], label), batch)
                continue
            loss = objective.mean_loss(model, guide, (batch["x"], label), batch)
            optimizer.zero_grad()
            (loss.total + sum(penalty for penalty, *_ in loss.routed)).backward()
            optimizer.step()
        results.append(parameters)
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@stacked
def test_the_objective_is_stock_pyros(features):
    """At unit weights, on the same noise: value and gradients, to rounding."""
    model, guide = make_pair(features)
    stock, found = TraceEnum_ELBO(max_plate_nesting=1), []
    for loss in (Objective(analytic_kl=False), stock):
        torch.manual_seed(3)
        value: Any = loss.differentiable_loss(model, guide, images(), LABEL)
        found.append([value, *torch.autograd.grad(value, pair_parameters(model, guide))])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@stacked
def test_samples_are_of_the_classes_asked_for(features):
    model, _ = make_pair(features)
    label = torch.tensor([3, 0, 0, 2, 1])
    found = sites(model, label=label)
    assert torch.equal(found["label"]["value"].argmax(-1), label)
    assert found["label"]["is_observed"] and found["x"]["value"].shape == (5, *SHAPE)
    free = sites(model, size=200)["label"]["value"]
    assert torch.equal(free.sum(-1), torch.ones(200).double())
    # Each of 4 classes is missing in 200 draws with a probability of 1e-25.
    assert (free.sum(0) > 0).all()


@stacked
def test_particles_are_more_samples_of_the_same(features):
    model, guide = make_pair(features)
    terms = Objective(particles=3).terms(model, guide, (images(), LABEL))
    assert terms["z"].value.shape == (CLASSES, 3, B, K)
    assert terms.elbo.shape == (B,)


@pytest.mark.parametrize("label", [[0, -1], [0, CLASSES]])
def test_no_images_of_what_is_no_class(label):
    model, _ = make_pair()
    with pytest.raises(ValueError, match=r"label is \[0, .* expected classes from 0 to 3"):
        model(label=torch.tensor(label))


def test_labels_out_of_range_are_refused():
    _, guide = make_pair()
    with pytest.raises(IndexError):
        guide(images(), torch.full((B,), CLASSES))


def test_annealing_is_refused_and_says_what_is_left():
    model, guide = make_pair()
    with pytest.raises(NoLikelihoodError, match=r"'label' is discrete .* log_likelihood"):
        annealed_log_likelihood(model.float(), guide.float(), images().float(), chains=2)


def test_fewer_than_two_classes_are_refused():
    with pytest.raises(ValueError, match="classes is 1; expected at least 2"):
        models.SemiSupervisedVAE(lambda z: z, 1, K)  # pyright: ignore[reportArgumentType]
