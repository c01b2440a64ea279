"""Recombined blocks have the brightness of one image at the place of another."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.analysis import (
    gallery,
    image_grid,
    to_pixels,
    transfer,
    transfer_figure,
    traversals,
    warp_gallery,
)

from .conftest import make_pair
from .warp_pair import Block, codes, images_of, make_block


@pytest.fixture
def block() -> Block:
    return make_block()


def assert_shows(figure: Figure, images: Tensor, columns: int) -> None:
    (image,) = figure.axes[0].images
    found = torch.as_tensor(image.get_array()).int()
    expected = torch.as_tensor(to_pixels(image_grid(images.clamp(0, 1), columns))).int()
    assert found.shape == expected.shape
    assert int((found - expected).abs().max()) <= 1


def test_each_image_keeps_its_appearance_and_takes_the_others_place(block: Block, monkeypatch):
    """Also when the images do not fit into one pass."""
    monkeypatch.setattr("unbraid.analysis.recombination.BATCH", 3)
    (bright, moves), (others, places) = codes(7, seed=1), codes(7, seed=2)
    found = transfer(*block, images_of(bright, moves), images_of(others, places))
    torch.testing.assert_close(found, images_of(bright, places), atol=1e-3, rtol=0)


def test_an_image_given_to_itself_stays(block: Block):
    images = images_of(*codes(5))
    torch.testing.assert_close(transfer(*block, images, images), images, atol=1e-3, rtol=0)


def test_the_figure_has_appearances_in_rows_and_perspectives_in_columns(block: Block):
    (bright, moves), (others, places) = codes(3, seed=1), codes(4, seed=2)
    appearances, perspectives = images_of(bright, moves), images_of(others, places)
    cells = [torch.ones_like(appearances[:1]), perspectives]
    for i in range(3):
        cells += [appearances[i : i + 1], images_of(bright[i : i + 1].expand(4, 1), places)]
    figure = transfer_figure(*block, appearances, perspectives)
    assert_shows(figure, torch.cat(cells), columns=5)
    down, across = figure.axes[0].lines
    assert np.array_equal(down.get_ydata(), [9.5, 9.5])  # in the gap below 9 rows of pixels
    assert np.array_equal(across.get_xdata(), [12.5, 12.5])


@pytest.mark.parametrize(("latent", "dim"), [("perspective", 2), ("appearance", 1)])
def test_each_latent_is_traversed_while_the_other_stays(block: Block, latent, dim):
    """The appearance depends on the sampled perspective, but no noise comes through."""
    model, guide = block
    bright, moves = codes(3)
    kl = torch.arange(dim, 0.0, -1)
    figure = traversals(model, guide, images_of(bright, moves), latent=latent, kl=kl, steps=3)
    scale = {"perspective": torch.tensor([1.0, 0.5]), "appearance": torch.tensor([0.1])}[latent]
    images = []
    for k in range(dim):
        for shift in (-3.0, 0.0, 3.0):
            code = {"perspective": moves[:1].clone(), "appearance": bright[:1].clone()}
            code[latent][0, k] += shift * scale[k]
            images.append(model.image(code["appearance"], code["perspective"]))
    assert_shows(figure, torch.cat(images), columns=3)


def test_a_gallery_of_warps_has_every_picture(block: Block):
    images = images_of(*codes(20))
    figures = warp_gallery(*block, images, labels=torch.arange(20) % 2)
    assert list(figures) == ["alignment", "transfer", "warps", "lattices"]
    (transferred,) = figures["transfer"].axes[0].images
    alone = transfer_figure(*block, images[:6], images[6:14]).axes[0].images[0]
    assert (transferred.get_array() == alone.get_array()).all()
    kl = {"perspective": torch.ones(2), "appearance": torch.ones(1)}
    assert {"traversals-perspective", "traversals-appearance"} <= set(
        gallery(*block, images, kl=kl)
    )


def test_a_single_image_is_enough_for_a_gallery(block: Block):
    assert len(warp_gallery(*block, images_of(*codes(1)))) == 4


def test_pairs_that_warp_nothing_have_no_such_pictures():
    pair = make_pair((1, 5, 7), ("appearance", "perspective"))
    assert warp_gallery(pair.model, pair.guide, pair.x) == {}
    for draw in (transfer, transfer_figure):
        with pytest.raises(ValueError, match="model LinearModel warps nothing; expected a model"):
            draw(pair.model, pair.guide, pair.x, pair.x)


def test_images_of_two_sizes_are_refused(block: Block):
    images = images_of(*codes(3))
    with pytest.raises(ValueError, match=r"perspective_of is \(2, 2, 9, 12\); expected one shape"):
        transfer(*block, images, images[:2])
    with pytest.raises(ValueError, match=r"perspectives is \(3, 2, 8, 12\); expected one size"):
        transfer_figure(*block, images, images[:, :, 1:])
