"""Warps by name, and their composition."""

import pytest
import torch

from unbraid.transforms import (
    CPAB,
    TRANSFORMS,
    Affine,
    Rotation,
    Sequential,
    Translation,
    compose,
    make_transform,
)

from .warps import NAMES, draw_gamma, draw_points, make


def test_the_names_are_those_of_the_classes():
    assert list(TRANSFORMS) == ["translation", "rotation", "similarity", "affine", "cpab"]
    for name, kind in TRANSFORMS.items():
        assert type(make_transform(name, (3, 8, 6))) is kind


@pytest.mark.parametrize("name", NAMES)
def test_every_name_warps_images_of_its_shape(name):
    warp = make_transform(name, (3, 8, 6))
    assert warp(torch.rand(2, 3, 8, 6), torch.zeros(2, warp.parameter_count)).shape == (2, 3, 8, 6)
    assert len(set(warp.parameter_names)) == warp.parameter_count


def test_options_reach_the_warps_that_take_them():
    warp = make_transform(
        "affine + cpab", (1, 4, 8), cells=(3, 5), steps=7, zero_boundary=False, padding="zeros"
    )
    assert isinstance(warp, Sequential)
    (affine, _), (cpab, _) = warp.split(torch.zeros(warp.parameter_count))
    assert isinstance(affine, Affine)
    assert isinstance(cpab, CPAB)
    assert (cpab.cells, cpab.steps, cpab.extent) == ((3, 5), 7, (1.0, 0.5))
    assert warp.padding == affine.padding == cpab.padding == "zeros"
    assert cpab.parameter_count == 2 * (4 * 6 + 15)
    assert make_transform("cpab", (1, 4, 8), volume_preserving=True).parameter_count == 7


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("afine", {}, r"transform is 'afine'; expected one of translation, rotation, similarity, "
         r"affine, cpab, or several joined by \+\. Did you mean affine\?"),
        ("cpab+afine", {}, r"transform is 'cpab\+afine', with 'afine'; .* Did you mean affine\?"),
        ("warp", {}, r"transform is 'warp'; .* Choose one of these"),
        ("", {}, r"transform is ''; expected one of"),
        ("affine+", {}, r"transform is 'affine\+', with ''; expected one of"),
        ("cpab", {"cells": (0, 2)}, r"cells is \(0, 2\); expected 1 to 3 whole numbers"),
        ("cpab", {"cells": 3}, r"cells is 3; expected 1 to 3 whole numbers"),
        ("cpab", {"cells": (3,)}, r"cells is \(3,\); expected \(columns, rows\) for images"),
        ("affine", {"cells": (2, 2)}, r"options of transform affine are cells; expected some of "
         r"padding\. Remove"),
        ("cpab", {"cels": (2, 2)}, r"options of transform cpab are cels; expected some of cells,"),
        ("affine", {"padding": "edge"}, r"padding is 'edge'; expected one of border"),
    ],
)  # fmt: skip
def test_what_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_transform(name, (1, 8, 6), **options)


def test_a_sequence_of_numbers_is_no_shape():
    with pytest.raises(ValueError, match=r"shape is \(28, 28\); expected \(C, H, W\)"):
        make_transform("affine", (28, 28))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"shape is \(1, 28, 0\); expected .* each at least 1"):
        make_transform("affine", (1, 28, 0))
    with pytest.raises(ValueError, match=r"transform is 'None'; expected one of translation"):
        make_transform(None, (1, 28, 28))  # pyright: ignore[reportArgumentType]


def test_a_composition_applies_the_first_warp_first():
    warp = compose(Translation(), Rotation())
    assert warp.parameter_names == ("0.x", "0.y", "1.angle")
    gamma = torch.tensor([1.0, 0.0, torch.pi / 2], dtype=torch.float64)
    moved = warp.points(torch.zeros(1, 2, dtype=torch.float64), gamma)
    torch.testing.assert_close(moved, torch.tensor([[0.0, 1.0]], dtype=torch.float64))


@pytest.mark.parametrize("name", ["similarity+affine", "rotation+cpab+translation"])
def test_the_inverse_of_a_composition_runs_backwards(name):
    warp = make(name, exact=True) if "cpab" in name else make(name)
    gamma, points = draw_gamma(warp, 3), draw_points(3, 9)
    moved = warp.points(points, gamma)
    back = warp.inverse_points(moved, gamma)
    assert float((back - points).abs().max()) < 1e-10
    assert float((warp.points(moved, -gamma) - points).abs().max()) > 1e-3


def test_a_composition_reads_an_image_once():
    """One reading blurs less than two: a shift there and back again changes nothing."""
    image, there = torch.rand(1, 6, 6), torch.tensor([0.3, -0.1])
    once = compose(Translation(), Translation())(image, torch.cat([there, -there]))
    torch.testing.assert_close(once, image, atol=1e-5, rtol=0)


def test_what_a_composition_refuses():
    with pytest.raises(ValueError, match=r"transforms is \(\); expected at least one"):
        Sequential()
    with pytest.raises(ValueError, match=r"warp points of 1, 2 coordinates; expected one number"):
        Sequential(CPAB((4,)), Rotation())
    with pytest.raises(ValueError, match=r"a Sequential has no velocity field of its own"):
        compose(Rotation()).velocity(torch.zeros(3, 2), torch.zeros(1))
    with pytest.raises(ValueError, match=r"image is 8 x 6, .* expected one of the warp's extent"):
        compose(Rotation(), CPAB())(torch.rand(1, 8, 6), torch.zeros(31))
