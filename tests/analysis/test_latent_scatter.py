"""The scatter shows the posterior means, their classes, and images at their own codes."""

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from unbraid.analysis import latent_scatter, to_pixels

from .conftest import make_pair


@pytest.fixture
def images():
    return make_pair((1, 5, 7), ("appearance", "perspective"))


def means(pair, site="appearance"):
    pair.guide.eval()
    return pair.guide.locs(pair.x)[site].detach().numpy()


def offsets(figure) -> np.ndarray:
    axis = figure.axes[0]
    return np.concatenate([np.asarray(c.get_offsets()) for c in axis.collections])


def thumbnails(figure) -> list[AnnotationBbox]:
    return [a for a in figure.axes[0].artists if isinstance(a, AnnotationBbox)]


def test_points_are_the_means_in_the_dimensions_of_highest_divergence(images):
    kl = torch.tensor([1.0, 4.0, 2.0, 3.0])
    figure = latent_scatter(images.model, images.guide, images.x, latent="appearance", kl=kl)
    np.testing.assert_allclose(offsets(figure), means(images)[:, [1, 3]], rtol=1e-6)
    axis = figure.axes[0]
    assert axis.get_xlabel() == "appearance[1] (4.00 nats)"
    assert axis.get_ylabel() == "appearance[3] (3.00 nats)"
    assert axis.get_title(loc="left") == "Codes of 11 images at appearance"


def test_dimensions_can_be_chosen(images):
    figure = latent_scatter(images.model, images.guide, images.x, latent="appearance", dims=(3, 0))
    np.testing.assert_allclose(offsets(figure), means(images)[:, [3, 0]], rtol=1e-6)


def test_classes_have_their_own_points_colour_and_mark(images):
    labels = torch.tensor([0, 7, -1, 0, 7, 2, 2, 0, 7, -1, 0])
    names = [f"kind ${i}" for i in range(8)]
    figure = latent_scatter(
        images.model, images.guide, images.x, latent="perspective", labels=labels,
        label_names=names, label_title="kind", thumbnails=0,
    )  # fmt: skip
    points = means(images, "perspective")
    order = [row for value in (-1, 0, 2, 7) for row in np.flatnonzero(labels == value)]
    np.testing.assert_allclose(offsets(figure), points[order], rtol=1e-6)
    drawn = figure.axes[0].collections
    looks = [
        (to_hex(np.asarray(c.get_facecolor())[0]), np.shape(c.get_paths()[0].vertices))
        for c in drawn
    ]
    assert len(set(looks)) == 4
    assert looks[1][0] == looks[3][0]  # classes 0 and 7 have one colour, but another mark
    legend = figure.axes[0].get_legend()
    assert legend is not None
    texts = [t.get_text() for t in legend.get_texts()]
    assert texts == ["unknown", r"kind \$0", r"kind \$2", r"kind \$7"]
    figure.canvas.draw()


def test_numbers_are_a_scale_of_colours(images):
    labels = torch.linspace(-2, 3, 11)
    figure = latent_scatter(
        images.model, images.guide, images.x, latent="appearance", labels=labels
    )
    [points] = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(np.asarray(points.get_array()), labels.numpy())
    assert figure.axes[1].get_ylabel() == "label"


def test_thumbnails_are_images_at_their_own_codes(images):
    labels = torch.arange(11) % 3
    figure = latent_scatter(
        images.model, images.guide, images.x, latent="appearance", labels=labels, thumbnails=4
    )
    kl_order = figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    dims = [int(name.split("[")[1][0]) for name in kl_order]
    points = means(images)[:, dims]
    shown = thumbnails(figure)
    assert len(shown) == 4
    rows = []
    for box in shown:
        row = int(np.abs(points - np.array(box.xy)).sum(1).argmin())
        np.testing.assert_allclose(box.xy, points[row], rtol=1e-6)
        assert isinstance(box.offsetbox, OffsetImage)
        pixels = np.asarray(box.offsetbox.get_data())
        np.testing.assert_array_equal(pixels, to_pixels(images.x[row]))
        rows.append(row)
    assert len(set(rows)) == 4
    # The first is the farthest from the middle, in shares of the extent.
    extent = points.max(0) - points.min(0)
    places = (points - points.min(0)) / extent
    assert rows[0] == np.linalg.norm(places - places.mean(0), axis=1).argmax()


def test_components_are_those_of_the_covariance(images):
    figure = latent_scatter(
        images.model, images.guide, images.x, latent="appearance", projection="pca", thumbnails=0
    )
    codes = means(images).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(codes.T))
    expected = (codes - codes.mean(0)) @ vectors[:, [-1, -2]]
    found = offsets(figure)
    for axis in (0, 1):
        sign = np.sign(found[0, axis] * expected[0, axis])
        np.testing.assert_allclose(found[:, axis], sign * expected[:, axis], rtol=1e-4, atol=1e-6)
    share = 100 * values[-1] / values.sum()
    assert figure.axes[0].get_xlabel() == f"component 1 ({share:.0f} % of variance)"


def test_the_face_is_white_on_any_page(images):
    figure = latent_scatter(images.model, images.guide, images.x, latent="appearance")
    assert to_hex(figure.get_facecolor(), keep_alpha=True) == "#ffffffff"


def test_bad_arguments_are_named(images):
    args = (images.model, images.guide, images.x)
    for options, message in (
        ({"projection": "tsne"}, "projection is 'tsne' and dims is None; expected 'kl' or 'pca'"),
        ({"projection": "pca", "dims": (0, 1)}, "expected 'kl' or 'pca', and dims without 'pca'"),
        ({"labels": torch.zeros(5)}, r"labels have shape \(5,\); expected \(11,\)"),
        ({"dims": (0, 4)}, r"dims is \(0, 4\) for site 'appearance' of 4 dimensions"),
        ({"dims": (1, 1)}, r"dims is \(1, 1\)"),
        ({"latent": "pose"}, "latent is 'pose'"),
    ):
        with pytest.raises(ValueError, match=message):
            latent_scatter(*args, **{"latent": "appearance", **options})
