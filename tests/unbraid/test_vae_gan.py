"""The VAE/GAN: each module's gradient is that of its own loss; what is said of its likelihood."""

import json
from typing import Any

import pytest
import torch
from torch.nn.functional import softplus

import unbraid as face
from unbraid.inference import Objective, gradients, pair_parameters
from unbraid.methods import DataSpec, OptionError, load_method, read_options

DATA = DataSpec((1, 9, 10), "grey", 120)


def built(name="vae-gan", **options) -> Any:
    method = load_method(name)
    torch.manual_seed(1)
    small = {"hidden": (9,), "latent_dim": 4}
    if name == "vae-gan":
        small |= {"critic_channels": (3, 5), "critic_hidden": 7}
    return method.build(read_options(method.options, {**small, **options}), DATA)


def loss_of(parts) -> Any:
    torch.manual_seed(3)
    x = torch.rand(8, *DATA.shape)
    return Objective(parts.weights, parts.hooks).mean_loss(parts.model, parts.guide, (x,))


def gradients_of(parts, loss) -> Any:
    """Those of the model, and those of the guide."""
    model, guide = [*parts.model.parameters()], [*parts.guide.parameters()]
    found = gradients(loss, parts.model, parts.guide, [*model, *guide])
    return found[: len(model)], found[len(model) :]


@pytest.mark.parametrize("pixels", [0.0, 0.3])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_each_module_minimises_its_own_loss(gamma, pixels):
    """Larsen et al. (2016), algorithm 1: the encoder KL and features, the decoder the others."""
    parts = built(
        gamma=gamma, features=1.5, adversary=0.7, pixels=pixels, discriminate_reconstructions=True
    )
    critic = parts.hooks[0].critic
    loss = loss_of(parts)
    model, guide = gradients_of(parts, loss)
    torch.manual_seed(3)
    x = torch.rand(8, *DATA.shape)
    q = parts.guide.encoder(x)
    z = q.rsample()
    made = parts.model.decoder(z)
    drawn = parts.model.decoder(torch.randn(8, 4)).mean
    distance = 0.5 * (critic.features(made.mean) - critic.features(x)).square().sum() / 8
    verdict = 0.5 * (softplus(-critic(made.mean)).mean() + softplus(-critic(drawn)).mean())
    divergence = 0.5 * (q.mean.square() + q.variance - 1 - q.variance.log()).sum() / 8
    cost = -pixels * made.log_prob(x).mean()
    wanted = torch.autograd.grad(
        gamma * distance + 0.7 * verdict + cost, [*parts.model.parameters()], retain_graph=True
    )
    for a, b in zip(model, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    wanted = torch.autograd.grad(divergence + 1.5 * distance + cost, [*parts.guide.parameters()])
    for a, b in zip(guide, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_critics_verdict_gives_the_encoder_nothing_at_all():
    parts = built()
    loss = loss_of(parts)
    verdicts = [routed for routed in loss.routed if routed.side == "model"][:1]
    nothing = torch.zeros((), requires_grad=True) + 0.0
    alone = loss._replace(total=nothing, routed=verdicts)
    model, guide = gradients_of(parts, alone)
    assert all(g is not None and (g != 0).any() for g in model)
    assert all(g is None for g in guide)


@pytest.mark.parametrize("rule", ["logistic", "wasserstein", "hinge", "least-squares"])
def test_at_weights_of_zero_it_is_the_vae(rule):
    """Value and gradients to the bit, with the critic and its features in the loss at 0."""
    parts = built(features=0.0, gamma=0.0, adversary=0.0, pixels=1.0, rule=rule)
    plain = built("vae", likelihood="normal")
    assert len(parts.hooks) == 2
    mine, theirs = loss_of(parts), loss_of(plain)
    assert torch.equal(mine.parts["loss"], theirs.parts["loss"])
    found = gradients_of(parts, mine), gradients_of(plain, theirs)
    for a, b in zip(*found, strict=True):
        for g, h in zip(a, b, strict=True):
            assert torch.equal(g, h)


@pytest.mark.parametrize("reconstructions", [True, False])
def test_the_critic_learns_from_data_draws_and_where_asked_reconstructions(reconstructions):
    parts = built(discriminate_reconstructions=reconstructions)
    loss = loss_of(parts)
    hook = parts.hooks[0]
    own, reference = hook.critic_inputs(loss.terms, {})[0]
    assert torch.equal(reference, loss.terms["x"].value)
    assert len(own) == (16 if reconstructions else 8)
    mine = {id(p) for p in hook.critic_parameters()}
    assert not mine & {id(p) for p in pair_parameters(parts.model, parts.guide)}


@pytest.mark.parametrize("name", ["gamma", "features", "adversary", "pixels"])
def test_weights_below_zero_are_refused(name):
    with pytest.raises(OptionError, match=f"{name} is -0.1.*; expected"):
        read_options(load_method("vae-gan").options, {name: "-0.1"})


@pytest.mark.parametrize(("pixels", "said"), [(0, "which nothing trains"), (0.5, "weight 0.5")])
def test_its_likelihood_is_called_that_of_added_pixels(pixels, said, unbraid, train_words, place):
    words = train_words("--set", f"pixels={pixels}", method="vae-gan")
    outcome = unbraid(*words)
    assert outcome.code == 0, outcome
    assert "best validation bound" not in outcome.out
    assert "validation_elbo" not in (place / "run/metrics.jsonl").read_text()
    assert face.load("run", device="cpu").step == 4
    judged = unbraid("evaluate", "run", "--samples", "3")
    assert judged.code == 0, judged
    assert "that of the pixel likelihood added to the method" in judged.out
    assert said in json.loads((place / "run/evaluation.json").read_text())["remark"]
    assert unbraid("report", "run").code == 0
    assert said in (place / "run/report.html").read_text()


@pytest.mark.parametrize("words", [("--patience", "3"), ("--validate-every", "2")])
def test_no_bound_chooses_its_weights(words, unbraid, train_words):
    outcome = unbraid(*train_words(*words, method="vae-gan"))
    assert outcome.code == 2
    assert "raises no bound that could choose weights" in outcome.err
