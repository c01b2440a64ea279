"""The options of every method: read from text, refused out of range, none without effect."""

import dataclasses
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch

from unbraid.inference import Objective, gradients, pair_parameters
from unbraid.methods import METHODS, DataSpec, OptionError, load_method, read_options

DATA = DataSpec((1, 9, 15), "binary", 120)
SEQUENCES = dataclasses.replace(DATA, sequence_length=9)
SMALL = {"hidden": (13, 11), "channels": (4, 7)}
PERSPECTIVES = {"appearance_dim": 5, "perspective_dim": 3, "perspective_hidden": (6,)}
SIZES = {"c-vitae": PERSPECTIVES, "u-vitae": PERSPECTIVES}
OTHER = {  # of options that are words
    "likelihood": "normal",
    "nets": "conv",
    "activation": "tanh",
    "transform": "rotation",
    "padding": "zeros",
    "sampling": "weighted",
    "kind": "i",
    "preset": "published",
}
IN_RANGE = {  # other values of options that may not be twice their default and one
    ("mmd-vae", "alpha"): 0.5,
    ("mmd-vae", "scales"): (0.5, 2.0),
    ("mixing", "latent_dim"): 32,
    ("mixing", "chunks"): 8,
    ("swap-gan", "smoothing"): 0.25,
    ("aae-semi", "classes"): 4,
    ("m2", "features"): "/runs/vae",
    ("pose-prediction", "codes"): "/runs/drnet",
}
# Their options of critics, labels, partners, turns and runs are tried in files of their own.
ADVERSARIAL = {
    "aae",
    "aae-semi",
    "action-rotation",
    "avb",
    "cvae",
    "dc-ign",
    "domain-adaptation",
    "drnet",
    "factor-vae",
    "fair",
    "m2",
    "mixing",
    "pose-prediction",
    "predictability-min",
    "swap-gan",
    "swap-vae",
    "vae-gan",
}
NEEDS = {  # options that only have an effect beside another one
    "channels": {"nets": "conv"},
    "capacity_steps": {"capacity": 3.0},
    "gamma": {"capacity": 3.0},
    "cells": {"transform": "cpab"},
    "scale": {"likelihood": "normal"},
    "scale_warmup": {"likelihood": "normal-learned"},
    "emphasis_steps": {"emphasis": 1.0, "emphasis_steps": 1},
    "warmup_from": {"warmup": 2},
    "mmd-vae warmup_from": {"alpha": 0.5},
    "appearance_warmup_from": {"appearance_warmup": 2},
    "join_hidden": {"join": "modulate"},
    "decoder": {"broadcast_patch": 1},
    "broadcast_hidden": {"decoder": "broadcast", "broadcast_patch": 1},
    "broadcast_patch": {"decoder": "broadcast", "broadcast_patch": 1},
}
INHERITED = {  # and refused: no divergence has a weight there, or it has one of its own
    "beta-vae": ("warmup", "warmup_from"),
    "aae": ("warmup_from",),
    "aae-semi": ("warmup_from",),
    "mixing": ("warmup", "warmup_from"),
}
OPTIONS = [
    (name, field.name)
    for name in METHODS
    for field in dataclasses.fields(load_method(name).options)
    if field.name not in INHERITED.get(name, ())
]
NUMBERS = [
    (name, option)
    for name, option in OPTIONS
    for hint in [get_type_hints(load_method(name).options)[option]]
    if {int, float} & {hint, *get_args(hint)}
]
every_option = pytest.mark.parametrize("name, option", OPTIONS)
built_option = pytest.mark.parametrize(
    "name, option", [(name, option) for name, option in OPTIONS if name not in ADVERSARIAL]
)


def another(name: str, option: str, value: Any) -> Any:
    """Return a value that is not the given one."""
    if (name, option) in IN_RANGE:
        return IN_RANGE[name, option]
    if isinstance(value, bool):
        return not value
    hint = get_type_hints(load_method(name).options)[option]
    if get_origin(hint) is Literal:
        others = [word for word in get_args(hint) if word != value]
        return OTHER[option] if OTHER.get(option) in others else others[0]
    if isinstance(value, str):
        return OTHER.get(option, "colour")
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return ("colour",)
    if isinstance(value, tuple):
        return tuple(width + 2 for width in value)
    return 3.5 if value is None else 2 * value + 1


def text(value: Any) -> str:
    return (
        (",".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value).lower()
    )


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name, options in INHERITED.items() for option in options],
)
def test_the_course_of_a_weight_that_is_not_there_is_refused(name, option):
    with pytest.raises(OptionError, match=f"{option} is 5.*; expected 0"):
        read_options(load_method(name).options, {option: "5"})


@every_option
def test_it_is_read_from_text(name, option):
    kind = load_method(name).options
    default = getattr(kind(), option)
    value = another(name, option, default)
    options = read_options(kind, {option: text(value)})
    assert getattr(options, option) == value
    assert type(getattr(options, option)) is type(value)
    assert read_options(kind, {option: text(default)}) == kind()


@built_option
def test_it_changes_what_is_built(name, option):
    """The parameters' shapes, or loss or gradients on the same noise at some step."""
    options = small_options(name, option)
    value = another(name, option, getattr(options, option))
    assert outcome(name, options) != outcome(name, dataclasses.replace(options, **{option: value}))


@built_option
def test_the_same_options_build_the_same(name, option):
    options = small_options(name, option)
    assert outcome(name, options) == outcome(name, options)


def small_options(name: str, option: str) -> Any:
    """Options of small nets under which `option` has an effect."""
    kind = load_method(name).options
    sizes = {} if of_sequences(kind) else SIZES.get(name, {"latent_dim": 5})
    needed = NEEDS.get(option, {}) | NEEDS.get(f"{name} {option}", {})
    return read_options(kind, {**SMALL, **sizes, **needed})


def of_sequences(kind: type) -> bool:
    return hasattr(kind, "require_sequences")


def batch(parts: Any) -> dict[str, torch.Tensor]:
    """What a step is given: images, or as many frames as the method draws."""
    frames = () if parts.frames is None else (parts.frames,)
    return {
        "x": torch.randint(0, 2, (4, *frames, *DATA.shape)).float(),
        "length": torch.full((4,), parts.frames or 1),
        "companions": torch.randint(0, 2, (4, max(parts.companions, 1), *DATA.shape)).float(),
        "index": torch.tensor([3, 0, 7, 1]),
    }


def outcome(name: str, options: Any) -> tuple[list[torch.Size], list[float]]:
    torch.manual_seed(1)
    data = SEQUENCES if of_sequences(type(options)) else DATA
    parts = load_method(name).build(options, data)
    given = batch(parts)
    objective = Objective(parts.weights, parts.hooks)
    parameters = pair_parameters(parts.model, parts.guide)
    numbers = []
    for _ in range(3):
        torch.manual_seed(2)
        args = tuple(given[key] for key in parts.keys)
        loss = objective.mean_loss(parts.model, parts.guide, args, given)
        numbers.append(float(loss.parts["loss"]))
        found = gradients(loss, parts.model, parts.guide, parameters)
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
        for hook in parts.hooks:
            hook.after_backward()
        left = [p.grad for p in parameters if p.grad is not None]
        numbers.append(float(sum(gradient.abs().sum() for gradient in left)))
        objective.advance()
    return [parameter.shape for parameter in parameters], numbers


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_option_suggests_the_nearest(name):
    options = load_method(name).options
    names = [field.name for field in dataclasses.fields(options)]
    meant = "activation" if "activation" in names else names[0]
    with pytest.raises(OptionError, match=rf"option is '{meant}s'; .* Did you mean {meant}\?"):
        read_options(options, {f"{meant}s": "tanh"})


def test_squares_of_a_broadcast_decoder_fill_the_image():
    chosen = load_method("vae")
    options = read_options(chosen.options, {"decoder": "broadcast"})
    wanted = r"^broadcast_patch is 4; expected a divisor of 9 and 15, .* 1 divides all\.$"
    with pytest.raises(OptionError, match=wanted):
        chosen.build(options, DATA)
    with pytest.raises(OptionError, match="broadcast_hidden is none; expected at least one width"):
        read_options(chosen.options, {"broadcast_hidden": "none"})


@pytest.mark.parametrize("name, option", NUMBERS)
@pytest.mark.parametrize("wrong", ["many", "-1", "nan", "inf", ""])
def test_a_wrong_number_is_refused_by_name(name, option, wrong):
    if (name, option, wrong) == ("mmd-vae", "alpha", "-1"):  # its divergence may weigh more
        wrong = "2"
    kind = load_method(name).options
    with pytest.raises(OptionError, match=option):
        read_options(kind, {option: wrong})


@pytest.mark.parametrize("name", ["vae", "cvae", "static-dynamic", "drnet"])
def test_convolutions_without_a_layer_after_them_are_refused(name):
    frames = 8 if name in ("static-dynamic", "drnet") else None
    data = DataSpec((3, 16, 16), "colour", 40, classes=3, sequence_length=frames)
    method = load_method(name)
    with pytest.raises(OptionError, match="hidden is none; expected at least one width"):
        method.build(read_options(method.options, {"hidden": "none", "nets": "conv"}), data)


def test_one_number_is_a_list_of_one():
    """In Python as in words: hidden=8 is one layer of 8 units."""
    kind = load_method("vae").options
    assert read_options(kind, {"hidden": 8}) == read_options(kind, {"hidden": "8"})
    assert read_options(kind, {"hidden": 8}).hidden == (8,)
    with pytest.raises(OptionError, match=r"hidden is 8\.5"):
        read_options(kind, {"hidden": 8.5})


@pytest.mark.parametrize("wrong", ["a", "64;32", "64,x", "", "3.5"])
def test_of_a_list_it_is_said_what_one_looks_like(wrong):
    words = f"hidden is '{wrong}'; expected integers joined by commas, such as 256,128"
    with pytest.raises(OptionError, match=rf"^{words}$"):
        read_options(load_method("vae").options, {"hidden": wrong})
    with pytest.raises(OptionError, match=r"^scales is '1,x'; expected numbers joined by commas"):
        read_options(load_method("mmd-vae").options, {"scales": "1,x"})


@pytest.mark.parametrize("name", ["vae", "predictability-min", "cvae", "static-dynamic"])
def test_images_too_small_for_convolutions_are_named_with_what_to_do(name):
    frames = 8 if name == "static-dynamic" else None
    data = DataSpec((1, 5, 41), "grey", 40, classes=3, sequence_length=frames)
    method = load_method(name)
    words = (
        r"^images are 5 x 41 pixels with nets=conv; expected height and width of at least 8\. "
        "Set nets=mlp, or leave it out$"
    )
    with pytest.raises(ValueError, match=words):
        method.build(read_options(method.options, {"nets": "conv"}), data)
    method.build(read_options(method.options, {}), data)


def test_groups_of_images_are_not_for_methods_of_single_ones():
    data = DataSpec((1, 8, 9), "grey", 40, sequence_length=8)
    method = load_method("vae")
    with pytest.raises(ValueError, match="or leave groups out where it made them of images"):
        method.build(method.options(), data)
