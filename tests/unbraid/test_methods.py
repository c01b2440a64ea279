"""What every method of images keeps: a case that fails here names the method."""

from typing import Any

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.optim import ClippedAdam

from unbraid.inference import Objective, Runner, Terms, check_pair, pair_parameters
from unbraid.methods import METHODS, DataSpec, OptionError, load_method, read_options
from unbraid.nets import default_likelihood

SIZE, STEPS = 6, 3
SMALL = {"hidden": (13, 11), "channels": (4, 7)}
PERSPECTIVES = {"appearance_dim": 5, "perspective_dim": 3, "perspective_hidden": (6,)}
SWAPPED = {"specified_dim": 4, "unspecified_dim": 3}
SIZES = {
    "c-vitae": PERSPECTIVES,
    "u-vitae": PERSPECTIVES,
    "swap-vae": SWAPPED,
    "swap-gan": SWAPPED,
    "mixing": {"latent_dim": 6, "chunks": 3, "critic_channels": (3, 5), "critic_hidden": 7},
}
LIKELIHOODS = {
    "grey": {"vae-gan": "normal"},
    "colour": {"c-vitae": "normal-learned", "u-vitae": "normal-learned", "vae-gan": "normal"},
}
VARIANTS = [
    ("vae", {}),
    ("vae", {"nets": "conv"}),
    ("vae", {"warmup": 10}),
    ("vae", {"decoder": "broadcast", "broadcast_hidden": (9, 8), "broadcast_patch": 1}),
    ("beta-vae", {}),
    ("beta-vae", {"nets": "conv"}),
    ("beta-vae", {"capacity": 3.0}),
    ("beta-tcvae", {}),
    ("beta-tcvae", {"sampling": "weighted", "warmup": 10}),
    ("factor-vae", {}),
    ("factor-vae", {"warmup": 10, "critic_steps": 2, "nets": "conv"}),
    ("dip-vae", {}),
    ("dip-vae", {"kind": "i", "nets": "conv"}),
    ("mmd-vae", {}),
    ("mmd-vae", {"alpha": 0.3, "warmup": 10}),
    ("mmd-vae", {"alpha": 0.0, "kernel": "gaussian", "unbiased": False, "nets": "conv"}),
    ("avb", {}),
    ("avb", {"adaptive_contrast": False, "encoder": "noise", "nets": "conv"}),
    ("vae-gan", {}),
    ("vae-gan", {"pixels": 0.5, "rule": "hinge", "nets": "conv"}),
    ("aae", {}),
    ("aae", {"rule": "wasserstein", "warmup": 10, "nets": "conv"}),
    ("aae", {"encoder": "deterministic"}),
    ("aae", {"encoder": "deterministic", "nets": "conv"}),
    ("aae-semi", {"classes": 4, "label_weight": 0.0}),
    ("aae-semi", {"classes": 4, "label_weight": 0.0, "encoder": "deterministic", "nets": "conv"}),
    ("predictability-min", {"warmup": 10}),
    ("predictability-min", {"form": "published", "nets": "conv"}),
    ("swap-vae", {"swapped": 0.0}),
    ("swap-vae", {"swapped": 0.0, "specified": "normal", "nets": "conv"}),
    ("swap-gan", {"swapped": 0.0, "adversary": 0.0}),
    ("mixing", {}),
    ("mixing", {"encoder": "gaussian", "nets": "conv"}),
    ("c-vitae", {}),
    ("c-vitae", {"nets": "conv", "transform": "cpab", "cells": (2, 3)}),
    ("c-vitae", {"transform": "similarity+cpab", "warmup": 10}),
    ("c-vitae", {"appearance_warmup": 10, "appearance_warmup_from": 9.0}),
    ("c-vitae", {"appearance_beta": 9.0}),
    ("u-vitae", {}),
    ("u-vitae", {"transform": "rotation+translation"}),
]
variants = pytest.mark.parametrize("name, options", VARIANTS, ids=str)

BINARY = DataSpec((1, 9, 14), "binary", 120)
GREY = DataSpec((1, 8, 11), "grey", 130)
COLOUR = DataSpec((3, 35, 33), "colour", 140, classes=4)


def build(name: str, data: DataSpec = BINARY, **options: Any):
    method = load_method(name)
    small = {**SMALL, **SIZES.get(name, {"latent_dim": 5})}
    return method.build(read_options(method.options, {**small, **options}), data)


def batch(data: DataSpec) -> torch.Tensor:
    levels = 2 if data.kind == "binary" else 256
    return torch.randint(0, levels, (SIZE, *data.shape)).double() / (levels - 1)


def test_every_method_is_tried():
    """Those of sequences and of labels are tried in files of their own."""
    elsewhere = tuple(
        f"require_{what}" for what in ("sequences", "labels", "factors", "turntable", "windows")
    )
    of_images = {
        name
        for name in METHODS
        if not any(hasattr(load_method(name).options, needs) for needs in elsewhere)
    }
    assert {name for name, _ in VARIANTS} == of_images


@variants
@pytest.mark.parametrize("data", [BINARY, GREY, COLOUR], ids=lambda data: data.kind)
def test_it_builds_for_every_kind_of_image(name, options, data):
    parts = build(name, data, **options)
    x = batch(data).float()
    facts = check_pair(parts.model, parts.guide, x)
    assert facts.observed == ("x",)
    assert facts.size == SIZE
    assert parts.model(size=4).shape == (4, *data.shape)
    expected = LIKELIHOODS.get(data.kind, {}).get(name, default_likelihood(data.kind))
    assert parts.likelihood.name == expected
    parts.likelihood.check(x)
    assert torch.isfinite(Objective().differentiable_loss(parts.model, parts.guide, x))


@variants
@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("analytic", [True, False])
def test_the_objective_is_pyros(name, options, particles, analytic):
    """At unit weights, on the same noise, in float64: value and gradients, to rounding."""
    parts = build(name, **options)
    model, guide, x = parts.model.double(), parts.guide.double(), batch(BINARY)
    kind = TraceMeanField_ELBO if analytic else Trace_ELBO
    stock = kind(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
    ours = Objective(particles=particles, analytic_kl=analytic)
    parameters = pair_parameters(model, guide)
    found = []
    for loss in (ours, stock):
        torch.manual_seed(3)
        value = loss.differentiable_loss(model, guide, x)
        found.append([value, *torch.autograd.grad(value, parameters)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def registered(name, module):
    """Make a program that puts a plain module's parameters into Pyro's parameter store."""
    return lambda *args: pyro.module(name, module)(*args)


@variants
def test_stock_pyro_trains_it(name, options):
    parts = build(name, **options)
    parameters = pair_parameters(parts.model, parts.guide)
    before = [p.detach().clone() for p in parameters]
    model, guide = registered("model", parts.model), registered("guide", parts.guide)
    svi = SVI(model, guide, ClippedAdam({"lr": 0.01}), TraceMeanField_ELBO())
    x = batch(BINARY).float()
    losses: Any = [svi.step(x) for _ in range(20)]
    pyro.clear_param_store()
    assert losses[-1] < losses[0]
    for old, new in zip(before, parameters, strict=True):
        assert (old != new).any()


@variants
def test_gradient_reaches_every_parameter(name, options):
    """With the weights and hooks that the method trains with, not at its first step alone."""
    parts = build(name, **options)
    objective = Objective(parts.weights, parts.hooks)
    for _ in range(STEPS):
        objective.advance()
    loss = objective.differentiable_loss(parts.model, parts.guide, batch(BINARY).float())
    parameters = pair_parameters(parts.model, parts.guide)
    for gradient in torch.autograd.grad(loss, parameters):
        assert torch.isfinite(gradient).all()
        assert (gradient != 0).any()


@variants
def test_the_images_teach_the_guide(name, options):
    """The gradient of log p(x|z) alone reaches the guide, through its samples."""
    parts = build(name, **options)
    terms = Objective().terms(parts.model, parts.guide, (batch(BINARY).float(),))
    gradients = torch.autograd.grad(terms["x"].log_p.sum(), [*parts.guide.parameters()])
    assert all((gradient != 0).any() for gradient in gradients)


@variants
@pytest.mark.parametrize("data", [BINARY, GREY, COLOUR], ids=lambda data: data.kind)
def test_single_precision_is_enough(name, options, data, monkeypatch):
    """The bound of the same codes in float32 is within 1e-5, or 1e-4 nats, of that in float64."""
    parts = build(name, data, **options)
    x = batch(data)
    share_noise(monkeypatch)
    single_bound, values = bound_at(parts, x.float(), {})
    parts.model.double()
    parts.guide.double()
    doubles = {site: value.double() for site, value in values.items()}
    double_bound, _ = bound_at(parts, x, doubles)
    torch.testing.assert_close(single_bound.double(), double_bound, rtol=1e-5, atol=1e-4)


def share_noise(monkeypatch: Any) -> None:
    """Give encoders that draw noise themselves the same in both precisions."""
    original = torch.randn

    def drawn(*size: Any, dtype: torch.dtype = torch.float32, **more: Any) -> torch.Tensor:
        torch.manual_seed(7)
        return original(*size, **more).to(dtype)

    monkeypatch.setattr(torch, "randn", drawn)


@torch.no_grad()
def bound_at(parts: Any, x: torch.Tensor, values: dict[str, torch.Tensor]) -> Any:
    """The bound of each datum where guide and model take given codes, and the codes."""
    runner = Runner()
    q = runner.run(parts.guide, (x,), values).sites
    codes = {name: site.value for name, site in q.items()}
    p = runner.run(parts.model, (x,), codes).sites
    return Terms(p, q, runner, parts.model, parts.guide, (x,)).elbo, codes


@pytest.mark.parametrize("name", ["vae", "vae-gan", "c-vitae"])
@pytest.mark.parametrize("likelihood", ["normal", "normal-learned"])
@pytest.mark.parametrize(("scale", "expected"), [(None, 0.1), (0.03, 0.03)])
def test_the_scale_is_that_of_a_pixel(name, likelihood, scale, expected):
    set_to = {} if scale is None else {"scale": scale}
    made: Any = build(name, GREY, likelihood=likelihood, **set_to).likelihood
    found = made.pixel_scale()
    torch.testing.assert_close(found, torch.full_like(found, expected))


def test_the_scale_holds_for_the_likelihood_that_a_method_takes_by_itself():
    likelihood: Any = build("vae-gan", GREY, scale=0.03).likelihood
    assert float(likelihood.pixel_scale()) == pytest.approx(0.03)


@pytest.mark.parametrize("options", [{}, {"likelihood": "discretised-logistic"}])
def test_a_scale_is_refused_where_there_is_none(options):
    words = "scale is 0.03, but likelihood .* has none; expected none. Leave it out, or set likeli"
    with pytest.raises(OptionError, match=words):
        build("vae", GREY, scale=0.03, **options)


def test_the_scale_that_earlier_versions_recorded_is_let_be():
    assert build("c-vitae", GREY, scale=0.1).likelihood.name == "continuous-bernoulli"


def test_a_likelihood_that_is_none_is_named_first():
    with pytest.raises(OptionError, match=r"likelihood is 'bernouli'.*Did you mean bernoulli\?"):
        build("vae", GREY, likelihood="bernouli", scale=0.03)


def test_a_scale_is_above_0():
    with pytest.raises(OptionError, match=r"scale is 0.*expected a finite number above 0"):
        build("vae", GREY, likelihood="normal", scale=0.0)
