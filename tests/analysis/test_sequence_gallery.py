"""The gallery has every picture that a pair of sequences allows, and no other."""

from importlib import import_module
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib.figure import Figure

from unbraid.analysis import (
    SequenceSites,
    active_units,
    gallery,
    image_grid,
    kl_per_dimension,
    sequence_gallery,
    sequence_sites,
    swap_figure,
    to_pixels,
)

from .conftest import make_pair
from .sequence_pair import SHAPE, codes, make_frames, padded

caption = import_module("unbraid.analysis.captions").caption
LENGTHS = torch.tensor([5, 3, 4, 1, 5])
NAMES = [
    "kl", "swaps", "dynamics", "prior", "trajectory", "clips", "between", "new_frames",
    "identities", "neighbours", "traversals-static", "traversals-dynamic",
]  # fmt: skip


def truth(dims: int = 2, sequences: int = 5):
    model, guide = make_frames(dynamic=dims)
    static, dynamic = codes(sequences, 5, dynamic=dims)
    return model, guide, model.mean(static[:, None], dynamic).detach()


def pixels(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def contents(figure: Figure) -> list[np.ndarray]:
    """All images, lines and points of a figure."""
    drawn: list[Any] = []
    for axis in figure.axes:
        drawn += [image.get_array() for image in axis.images]
        drawn += [line.get_xydata() for line in axis.lines]
        drawn += [points.get_offsets() for points in axis.collections]
        drawn += [path.vertices for c in axis.collections for path in c.get_paths()]
        drawn += [patch.get_extents().get_points() for patch in axis.patches]
    return [np.asarray(part) for part in drawn]


def test_it_has_every_picture_each_with_a_caption():
    model, guide, x = truth()
    args = (padded(x, LENGTHS, 9.0), LENGTHS)
    kl, active = (f(model, guide, [args]) for f in (kl_per_dimension, active_units))
    figures = sequence_gallery(model, guide, *args, kl=kl, active=active)
    assert list(figures) == NAMES
    assert all(caption(name).text for name in NAMES)
    first = (args[0][:4], args[1][:4])
    alone = swap_figure(model, guide, first, (args[0][4:], args[1][4:]))
    assert np.array_equal(pixels(figures["swaps"]), pixels(alone))


def test_nothing_depends_on_what_is_beyond_the_lengths():
    model, guide, x = truth(3)
    kl = {"static": torch.ones(3), "dynamic": torch.tensor([2.0, 1.0, 3.0])}
    figures = [
        sequence_gallery(model, guide, padded(x, LENGTHS, value), LENGTHS, kl=kl)
        for value in (0.0, 9.0)
    ]
    for name in NAMES[1:]:
        before, after = (contents(which[name]) for which in figures)
        assert len(before) == len(after) > 0
        for old, new in zip(before, after, strict=True):
            assert np.array_equal(old, new), name


def test_a_single_sequence_of_one_dynamic_dimension_is_enough():
    model, guide, x = truth(1, 1)
    figures = sequence_gallery(model, guide, x)
    left_out = {"kl", "swaps", "dynamics", "prior", "neighbours"}
    assert list(figures) == [name for name in NAMES if name not in left_out]


def test_pairs_of_images_and_pairs_of_other_sites_have_none():
    images = make_pair((1, 5, 7), ("appearance", "perspective"))
    assert sequence_gallery(images.model, images.guide, images.x) == {}
    model, guide, x = truth()
    assert sequence_gallery(model, guide, x, sites=SequenceSites("clip")) == {}
    with pytest.raises(ValueError, match=r"x is \(5, 1, 4, 6\); expected sequences"):
        sequence_gallery(model, guide, x[0])


def test_the_gallery_of_images_shows_first_frames():
    model, guide, x = truth()
    kl = kl_per_dimension(model, guide, [x])
    model.largest = 0
    figures = gallery(model, guide, x, LENGTHS, kl=kl)
    assert list(figures) == [
        "kl", "reconstructions", "samples", "traversals-static", "manifold-static",
        "traversals-dynamic", "manifold-dynamic",
    ]  # fmt: skip
    assert model.largest <= 256
    assert pixels(figures["reconstructions"]).shape[1] == 5 * (SHAPE[2] + 2) - 2
    assert pixels(figures["samples"]).shape == (8 * (SHAPE[1] + 2) - 2, 8 * (SHAPE[2] + 2) - 2)


def named_model(names):
    def model(x=None, *, size: int = 1, frames: int = 1):
        with pyro.plate("data", size, dim=-2):
            pyro.sample("static", dist.Normal(torch.zeros(3), 1.0).to_event(1))
            with pyro.plate("frames", frames, dim=-1):
                for name in names:
                    pyro.sample(name, dist.Normal(torch.zeros(2), 1.0).to_event(1))

    return model


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["dynamic"], SequenceSites()),
        (["content", "dynamic"], SequenceSites()),
        (["dynamic_2", "dynamic_1"], SequenceSites(dynamic="dynamic_2", layers=("dynamic_1",))),
    ],
)
def test_sites_are_found_by_their_names(names, expected):
    assert sequence_sites(named_model(names)) == expected


def test_nothing_is_shown_of_static_codes_without_coordinates():
    """As of an autoencoder of frames, whose only code is that of the frame."""
    model, guide, x = truth()
    model, guide = make_frames(static=0)
    args = (x, torch.full((5,), 5))
    kl, active = (f(model, guide, [args]) for f in (kl_per_dimension, active_units))
    assert list(kl) == ["static", "dynamic"] and len(kl["static"]) == 0
    assert list(active) == ["dynamic"]
    figures = sequence_gallery(model, guide, *args, kl=kl, active=active)
    left_out = {"swaps", "neighbours", "traversals-static"}
    assert list(figures) == [name for name in NAMES if name not in left_out]


def hierarchy_model(x=None, *, size: int = 1, frames: int = 1):
    """The frame is decoded from `content`, whose mean is the static code, and from `dynamic`."""
    size, frames = (size, frames) if x is None else x.shape[:2]
    with pyro.plate("data", size, dim=-2):
        static = pyro.sample("static", dist.Normal(torch.zeros(1), 1.0).to_event(1))
        with pyro.plate("frames", frames, dim=-1):
            content = pyro.sample("content", dist.Normal(static, 0.5).to_event(1))
            dynamic = pyro.sample("dynamic", dist.Normal(torch.zeros(1), 1.0).to_event(1))
            mean = (0.5 + 0.1 * content + 0.05 * dynamic)[..., None, None]
            image = dist.Normal(mean.expand(size, frames, *SHAPE), 0.1).to_event(3)
            pyro.sample("x", image, obs=x)


def hierarchy_guide(x):
    with pyro.plate("data", x.shape[0], dim=-2):
        pyro.sample("static", dist.Normal(torch.full((len(x), 1, 1), 0.2), 0.1).to_event(1))
        with pyro.plate("frames", x.shape[1], dim=-1):
            for name, value in (("content", 3.0), ("dynamic", 1.0)):
                loc = torch.full((*x.shape[:2], 1), value)
                pyro.sample(name, dist.Normal(loc, 0.1).to_event(1))


def test_the_content_of_a_hierarchy_follows_its_static_code():
    """Neither held at its own code, 3, nor where the static code was before it moved."""
    x = torch.rand(2, 4, *SHAPE)
    kl = {"static": torch.ones(1), "dynamic": torch.ones(1)}
    figures = sequence_gallery(hierarchy_model, hierarchy_guide, x, kl=kl)
    row = pixels(figures["traversals-static"])[0, :: SHAPE[2] + 2] / 255
    shifts = torch.arange(-3.0, 4)
    assert np.allclose(row, 0.5 + 0.1 * (0.2 + shifts) + 0.05, atol=0.5 / 255 + 1e-6)
    row = pixels(figures["traversals-dynamic"])[0, :: SHAPE[2] + 2] / 255
    assert np.allclose(row, 0.5 + 0.1 * 0.2 + 0.05 * (1 + shifts), atol=0.5 / 255 + 1e-6)


def layered_model(x=None, *, size: int = 1, frames: int = 1):
    size, frames = (size, frames) if x is None else x.shape[:2]
    with pyro.plate("data", size, dim=-2):
        context = pyro.sample("context", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        with pyro.plate("frames", frames, dim=-1):
            upper = pyro.sample("upper", dist.Normal(context[..., :2], 1.0).to_event(1))
            lower = pyro.sample("lower", dist.Normal(upper, 0.5).to_event(1))
            mean = torch.cat([context.expand(size, frames, 3), upper, lower], -1)
            mean = torch.nn.functional.pad(0.5 + 0.1 * mean, (0, 17)).unflatten(-1, SHAPE)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)


def layered_guide(x):
    flat = (x.flatten(2) - 0.5) * 10
    with pyro.plate("data", x.shape[0], dim=-2):
        loc = flat[..., :3].mean(1, keepdim=True)
        pyro.sample("context", dist.Normal(loc, 0.1).to_event(1))
        with pyro.plate("frames", x.shape[1], dim=-1):
            pyro.sample("upper", dist.Normal(flat[..., 3:5], 0.1).to_event(1))
            pyro.sample("lower", dist.Normal(flat[..., 5:7], 0.1).to_event(1))


def test_layers_of_frames_go_with_the_dynamics():
    sites = SequenceSites("context", "upper", layers=("lower",))
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 5, *SHAPE, generator=generator)
    x[:, :, 0].flatten(2)[..., :3] = torch.rand(4, 1, 3, generator=generator)
    figures = sequence_gallery(layered_model, layered_guide, x, sites=sites)
    assert [*figures] == [
        *NAMES[1:10], "traversals-context", "traversals-upper",
    ]  # fmt: skip
    swapped = torch.zeros(5, *SHAPE).flatten(1)
    swapped[:, :3] = x[1].flatten(1)[:, :3].mean(0)
    swapped[:, 3:7] = x[2].flatten(1)[:, 3:7]
    figure = swap_figure(layered_model, layered_guide, x[1:2], x[2:3], sites=sites)
    row = pixels(figure)[-SHAPE[1] :, SHAPE[2] + 2 :]
    expected = to_pixels(image_grid(swapped.unflatten(1, SHAPE).clamp(0, 1), 5))
    assert abs(row.astype(int) - expected.astype(int)).max() <= 1
