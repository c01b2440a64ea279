"""Moved blocks come back to where they were, and their mean is as sharp as it can be."""

from dataclasses import replace

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.analysis import (
    align,
    alignment_figure,
    image_grid,
    mean_variance,
    sharpness,
    to_pixels,
    warp_model,
)
from unbraid.transforms import Rotation, Translation, compose

from .conftest import make_pair
from .warp_pair import HALF, Block, codes, images_of, make_block, pattern


@pytest.fixture
def block() -> Block:
    return make_block()


def shown(figure: Figure) -> Tensor:
    (image,) = figure.axes[0].images
    return torch.as_tensor(image.get_array()).int()


def assert_shows(figure: Figure, images: Tensor, columns: int) -> None:
    expected = torch.as_tensor(to_pixels(image_grid(images, columns))).int()
    assert shown(figure).shape == expected.shape
    assert int((shown(figure) - expected).abs().max()) <= 1


@pytest.mark.parametrize("batch_size", [4, 256])
def test_moved_blocks_come_back(block: Block, batch_size):
    bright, moves = codes(11)
    images = images_of(bright, moves)
    labels = torch.arange(11) % 3
    found = align(*block, images, labels=labels, batch_size=batch_size)
    torch.testing.assert_close(found.perspective, moves, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.gamma, moves / HALF, atol=1e-4, rtol=0)
    still = bright[..., None, None] * pattern()
    torch.testing.assert_close(found.aligned, still, atol=1e-4, rtol=0)
    assert torch.equal(found.images, images)
    assert found.labels is not None
    assert torch.equal(found.labels, labels)


def test_warps_in_a_row_are_undone_in_reverse():
    """Their inverse is not the warp of minus gamma."""
    warp = compose(Translation(padding="zeros"), Rotation(), padding="zeros")
    model, guide = make_block(warp)
    model.gamma = lambda perspective: torch.cat(
        [perspective / HALF, perspective.new_full((len(perspective), 1), torch.pi)], -1
    )
    images = images_of(*codes(5))
    found = align(model, guide, images)
    torch.testing.assert_close(found.aligned, warp.inverse(images, found.gamma))
    assert not torch.allclose(found.aligned, warp(images, -found.gamma), atol=0.1)


def test_alignment_leaves_modes_and_random_numbers_alone(block: Block):
    model, guide = block
    model.train()
    before = torch.get_rng_state()
    align(model, guide, images_of(*codes(3)))
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_a_ramp_has_the_sharpness_of_its_slopes():
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    ramp = (0.03 * rows - 0.05 * columns).expand(1, 3, 5, 7)
    assert sharpness(ramp) == pytest.approx(0.03**2 + 0.05**2, rel=1e-5)
    assert sharpness(2 * ramp + 1) == pytest.approx(4 * (0.03**2 + 0.05**2), rel=1e-5)


def test_what_cancels_in_the_mean_is_not_sharp():
    image = torch.rand(1, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    assert sharpness(torch.cat([image, 1 - image])) == pytest.approx(0, abs=1e-12)
    assert sharpness(torch.cat([image, image])) == pytest.approx(sharpness(image), rel=1e-9)


def test_variance_is_across_images():
    image = torch.rand(1, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    assert mean_variance(image.expand(4, -1, -1, -1)) == 0
    spread = torch.tensor([0.0, 0.2, 0.4])[:, None, None, None]
    expected = 2 * 0.2**2 / 3
    assert mean_variance(image + spread) == pytest.approx(expected, rel=1e-5)


def test_alignment_sharpens_the_mean_of_moved_blocks(block: Block):
    bright, moves = codes(40)
    found = align(*block, images_of(torch.full_like(bright, 0.5), moves))
    assert sharpness(found.aligned) == pytest.approx(sharpness(0.5 * pattern()[None]), rel=1e-3)
    assert sharpness(found.images) < 0.5 * sharpness(found.aligned)
    assert mean_variance(found.aligned) < 1e-6 < mean_variance(found.images)


def test_the_figure_shows_means_by_class(block: Block):
    images = images_of(*codes(12))
    labels = torch.tensor([7, 2, 2, 5] * 3)
    found = align(*block, images, labels=labels)
    groups = [torch.ones(12, dtype=torch.bool), *(labels == k for k in (2, 5, 7))]
    means = [x[chosen].mean(0) for x in (found.images, found.aligned) for chosen in groups]
    figure = alignment_figure(found)
    assert_shows(figure, torch.stack(means), columns=4)
    axis = figure.axes[0]
    names = [text.get_text() for text in axis.get_xticklabels()]
    ratio = sharpness(found.aligned[groups[2]]) / sharpness(images[groups[2]])
    assert [name.split("\n")[0] for name in names] == ["all", "2", "5", "7"]
    assert names[2] == f"5\n{ratio:.1f}x"
    assert [text.get_text() for text in axis.get_yticklabels()] == ["before", "after"]
    left = 100 * mean_variance(found.aligned) / mean_variance(images)
    assert axis.get_title(loc="left").endswith(f"variance left {left:.0f} %")


def test_of_many_classes_the_ten_largest_are_shown(block: Block):
    labels = torch.tensor([*range(12), *range(12), 3, 5])
    labels[0] = labels[1] = 2  # leaves one image each of classes 0 and 1
    found = align(*block, images_of(*codes(26)), labels=labels)
    names = [text.get_text() for text in alignment_figure(found).axes[0].get_xticklabels()]
    assert [name.split("\n")[0] for name in names] == ["all", *map(str, range(2, 12))]


def test_images_of_unknown_class_count_in_the_mean_of_all_only(block: Block):
    images = images_of(*codes(12))
    labels = torch.tensor([7, -1, 2, -1] * 3)
    found = align(*block, images, labels=labels)
    groups = [torch.ones(12, dtype=torch.bool), labels == 2, labels == 7]
    means = [x[chosen].mean(0) for x in (found.images, found.aligned) for chosen in groups]
    assert_shows(alignment_figure(found), torch.stack(means), columns=3)


def test_without_labels_the_first_images_are_shown(block: Block):
    images = images_of(*codes(11))
    found = align(*block, images)
    before = torch.cat([images.mean(0, keepdim=True), images[:8]])
    after = torch.cat([found.aligned.mean(0, keepdim=True), found.aligned[:8]])
    assert_shows(alignment_figure(found), torch.cat([before, after]), columns=9)


def test_black_images_have_no_ratio(block: Block):
    found = align(*block, images_of(*codes(2)))
    black = replace(found, images=0 * found.images, aligned=0 * found.aligned)
    assert alignment_figure(black).axes[0].get_title(loc="left").endswith("sharpness 0 to 0")


def test_a_pair_that_warps_nothing_is_refused():
    pair = make_pair((1, 5, 7), ("appearance", "perspective"))
    message = "model LinearModel warps nothing; expected a model with transform, gamma and canon"
    with pytest.raises(ValueError, match=message):
        align(pair.model, pair.guide, pair.x)
    with pytest.raises(ValueError, match="model guide warps nothing"):
        warp_model(guide)


def guide(x):
    """A function is a program too."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": torch.rand(2, 9, 12)}, r"images is \(2, 9, 12\); expected \(N, C, H, W\)"),
        ({"images": torch.rand(0, 2, 9, 12)}, r"images is \(0, 2, 9, 12\)"),
        ({"batch_size": 0}, "batch_size is 0; expected at least 1"),
        ({"labels": torch.zeros(4)}, r"labels is \(4,\); expected \(3,\), one class per image"),
    ],
)
def test_bad_arguments_are_refused(block: Block, options, message):
    with pytest.raises(ValueError, match=message):
        align(*block, **{"images": torch.rand(3, 2, 9, 12), **options})


@pytest.mark.parametrize("measure", [sharpness, mean_variance])
@pytest.mark.parametrize("shape", [(0, 1, 5, 5), (1, 5, 5), (3, 1, 1, 5)])
def test_measures_refuse_what_is_no_set_of_images(measure, shape):
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\) with at least one image"):
        measure(torch.zeros(shape))
