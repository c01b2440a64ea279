# pyright: reportMissingImports=false
"""What the options of VITAE do, and what the command line answers to those it cannot take."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from unbraid import load
from unbraid.inference import Objective
from unbraid.methods import DataSpec, load_method, read_options
from unbraid.transforms import pixel_centres

TRAIN = "train c-vitae --data digits.npz --out run --steps 1 --set hidden=8"
REFUSED = {
    "unknown transform": (
        "transform=affin",
        r"transform is 'affin'; expected one of .*Did you mean affine\?",
    ),
    "unknown part": ("transform=rotation+cpb", r"'cpb'; expected one of .*Did you mean cpab\?"),
    "no cells": ("transform=cpab cells=0,4", r"cells is 0; expected an integer of at least 1"),
    "three-dimensional cells": (
        "transform=cpab cells=2,2,2",
        r"cells is 2,2,2; expected two numbers",
    ),
    "no appearance": ("appearance_dim=0", r"appearance_dim is 0; expected an integer of at least"),
    "padding": ("padding=wrap", r"padding is 'wrap'; expected one of border, zeros, reflection"),
    "a mixture has no mean to warp": (
        "likelihood=discretised-logistic",
        r"likelihood is discretised-logistic; expected one that a mean image determines",
    ),
    "a likelihood without a scale to hold": (
        "scale_warmup=5 likelihood=continuous-bernoulli",
        r"scale_warmup is 5, but likelihood continuous-bernoulli learns no scale; expected 0",
    ),
    "no beta": ("appearance_beta=-1", r"appearance_beta is -1.0; expected a"),
    "no steps": ("appearance_warmup=-1", r"appearance_warmup is -1; expected an integer of at"),
    "no weight": ("appearance_warmup_from=-2", r"appearance_warmup_from is -2.0; expected a"),
    "no scale": ("likelihood=normal scale=0", r"scale is 0.*expected a .*number above 0"),
}


@pytest.mark.parametrize("options, message", REFUSED.values(), ids=REFUSED)
def test_an_option_is_refused_before_anything_is_written(unbraid, place, options, message):
    outcome = unbraid(*TRAIN.split(), *options.split())
    outcome.check_refused(2, message)
    assert not (place / "run").exists()


def test_sequences_are_refused(unbraid, place):
    frames = np.random.default_rng(0).integers(0, 256, (20, 5, 8, 9), np.uint8)
    np.savez(place / "clips.npz", sequences=frames)
    outcome = unbraid(*TRAIN.replace("digits", "clips").split())
    outcome.check_refused(3, r"do not suit c-vitae: data are sequences of 5 frames; expected imag")
    assert not (place / "run").exists()


@pytest.mark.parametrize("method", ["c-vitae", "u-vitae"])
def test_it_trains_evaluates_and_reports(unbraid, place, method):
    words = TRAIN.replace("c-vitae", method).split()
    assert unbraid(*words, "transform=similarity+cpab", "cells=2,2").code == 0
    outcome = unbraid("evaluate", "run", "--samples", "3", "--limit", "4", "--json")
    found = json.loads(outcome.out)
    assert found["elbo"] <= found["log_likelihood"]
    assert unbraid("report", "run").code == 0
    assert (place / "run" / "report.html").is_file()


def test_the_scale_learns_after_its_warm_up(unbraid, place):
    words = [*TRAIN.split(), "likelihood=normal-learned", "scale=0.3", "scale_warmup=3"]

    def scales(steps, *more):
        assert unbraid(*words, "--steps", steps, *more).code == 0
        return load("run").parts.likelihood.state_dict()

    first = scales("2")
    assert first
    kept = scales("3", "--resume")
    learnt = scales("5", "--resume")
    for name, value in first.items():
        assert torch.equal(value, kept[name])
        assert not torch.equal(value, learnt[name])


@pytest.mark.parametrize("hidden", [(), (64,)])
@pytest.mark.parametrize("transform", ["affine", "cpab", "similarity+cpab"])
def test_a_new_warp_is_near_the_identity(transform, hidden):
    """Of draws of the prior, pixels move by less than three of 28; but by something."""
    chosen = load_method("c-vitae")
    options = read_options(
        chosen.options, {"transform": transform, "perspective_hidden": hidden, "hidden": (9,)}
    )
    torch.manual_seed(1)
    parts = chosen.build(options, DataSpec((1, 28, 28), "binary", 120))
    model: Any = parts.model
    gamma = model.gamma(torch.randn(500, options.perspective_dim)).detach()
    warp = model.transform
    centres = pixel_centres(28, 28, gamma)
    moved = 14 * (warp.image_points(28, 28, gamma) - centres).norm(dim=-1)
    assert 0.01 < float(moved.square().mean().sqrt()) < 3


@pytest.mark.parametrize("method", ["c-vitae", "u-vitae"])
@pytest.mark.parametrize("warmup", [0, 8])
@pytest.mark.parametrize("steps, beta", [(4, 1.0), (4, 3.0), (0, 3.0)])
def test_the_divergence_of_appearance_alone_is_dear(method, warmup, steps, beta):
    """Whatever the divergence of perspectives does; the bound is that at unit weights."""
    chosen = load_method(method)
    dear = {"appearance_warmup": steps, "appearance_warmup_from": 9.0, "appearance_beta": beta}
    dear["warmup"] = warmup
    options = read_options(chosen.options, {"hidden": (9,), **dear})
    parts = chosen.build(options, DataSpec((1, 6, 7), "binary", 120))
    objective, x = Objective(parts.weights, parts.hooks), torch.rand(8, 1, 6, 7).round()
    for step in range(9):
        torch.manual_seed(step)
        loss = objective.mean_loss(parts.model, parts.guide, (x,))
        costs = loss.parts
        poses = min(step / 8, 1.0) if warmup else 1.0
        looks = 9.0 + (beta - 9.0) * min(step / 4, 1.0) if steps else beta * poses
        expected = costs["x"] + poses * costs["perspective"] + looks * costs["appearance"]
        torch.testing.assert_close(loss.total, expected)
        bound = costs["x"] + costs["perspective"] + costs["appearance"]
        torch.testing.assert_close(costs["elbo"], -bound)
        objective.advance()
    assert objective.ends_as_bound == (beta == 1.0)
