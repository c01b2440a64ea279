"""Ellipses are as wide as the posteriors; contours hold the mass that they say."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.contour import QuadContourSet
from matplotlib.patches import Ellipse
from scipy.stats import norm

from unbraid.analysis import posterior_ellipses
from unbraid.analysis.site_codes import SiteCodes  # pyright: ignore[reportMissingImports]

from .conftest import SCALES, make_pair

BLUE, ORANGE = "#0072b2", "#d55e00"


def ellipses(figure, colour):
    patches = [p for p in figure.axes[0].patches if isinstance(p, Ellipse)]
    return [p for p in patches if to_hex(p.get_edgecolor()) == colour]


def test_ellipses_are_one_and_two_standard_deviations():
    model, guide, x = make_pair((1, 5, 7), ("appearance",))
    figure = posterior_ellipses(model, guide, x, rows=[4, 0], dims=(1, 3))
    guide.eval()
    means = guide.locs(x)["appearance"].detach()[:, [1, 3]]
    scales = SCALES["appearance"][[1, 3]]
    drawn = ellipses(figure, BLUE)
    assert len(drawn) == 4
    for place, (row, deviations) in enumerate([(4, 1), (4, 2), (0, 1), (0, 2)]):
        np.testing.assert_allclose(drawn[place].get_center(), means[row], rtol=1e-5)
        size = (drawn[place].get_width(), drawn[place].get_height())
        np.testing.assert_allclose(size, 2 * deviations * scales, rtol=1e-6)
    prior = ellipses(figure, ORANGE)
    assert [(p.get_width(), p.get_height(), p.get_center()) for p in prior] == [
        (2, 2, (0, 0)),
        (4, 4, (0, 0)),
    ]
    left, right = figure.axes[0].get_xlim()
    assert left < -2 < 2 < right
    assert figure.axes[0].get_aspect() == 1


def test_contours_hold_their_share_of_the_aggregate_posterior():
    """Draws from the mixture: 100 000, of whose share 6 standard errors are 0.01."""
    model, guide, x = make_pair((1, 5, 7), ("perspective",))
    figure = posterior_ellipses(model, guide, x, dims=(0, 1))
    guide.eval()
    means = guide.locs(x)["perspective"].detach().double()
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(x), (100_000,), generator=generator)
    noise = torch.randn(100_000, 2, generator=generator, dtype=torch.float64)
    points = (means[rows] + noise * SCALES["perspective"]).numpy()
    [contours] = [c for c in figure.axes[0].collections if isinstance(c, QuadContourSet)]
    outer, inner, _ = contours.levels
    scales = SCALES["perspective"].numpy()
    densities = norm.pdf(points[:, None], means.numpy(), scales).prod(-1).mean(1)
    assert (densities > inner).mean() == pytest.approx(1 - np.exp(-0.5), abs=0.03)
    assert (densities > outer).mean() == pytest.approx(1 - np.exp(-2), abs=0.03)
    # The regions that are drawn are those above these levels.
    for path, level in zip(contours.get_paths(), (outer, inner), strict=True):
        inside = path.contains_points(points[:2000])
        assert (inside == (densities[:2000] > level)).mean() > 0.99


def flat(prior_loc, scale):
    def model(x, label):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(prior_loc(label), 1.0).to_event(1))
            mean = z[..., :1, None].unsqueeze(-1).expand(-1, 1, 4, 5)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x, label):
        with pyro.plate("data", len(x)):
            loc = x.flatten(1)[:, :2]
            widths = None if scale is None else scale * (1 + label[:, None])
            q = dist.Delta(loc) if widths is None else dist.Normal(loc, widths)
            pyro.sample("z", q.to_event(1))

    return model, guide, torch.rand(5, 1, 4, 5), torch.arange(5)


def test_priors_that_differ_are_not_drawn():
    pair = flat(lambda label: label.float().unsqueeze(-1).expand(-1, 2), 0.3)
    assert not ellipses(posterior_ellipses(*pair), ORANGE)
    pair = flat(lambda label: torch.zeros(len(label), 2), 0.3)
    assert len(ellipses(posterior_ellipses(*pair), ORANGE)) == 2


def test_every_image_has_its_own_width():
    pair = flat(lambda label: torch.zeros(len(label), 2), 0.3)
    drawn = ellipses(posterior_ellipses(*pair, rows=[3, 1]), BLUE)
    widths = [p.get_width() for p in drawn]
    assert widths == pytest.approx([2 * 1.2, 4 * 1.2, 2 * 0.6, 4 * 0.6])


def test_points_have_no_ellipses():
    pair = flat(lambda label: torch.zeros(len(label), 2), None)
    with pytest.raises(ValueError, match="site 'z' has posteriors without width"):
        posterior_ellipses(*pair)


@pytest.mark.parametrize("shape", [(0.3, 4.0), (1.0, 1.0), (4.0, 0.3)])
def test_the_title_is_within_the_picture(shape, plain_pair):
    """Codes in a tall, round and low cloud."""
    mean = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)).double()
    mean, unit = mean * torch.tensor(shape), torch.ones(300, 2).double()
    codes = SiteCodes("perspective", mean, unit / 5, 0 * mean, unit, unit[0])
    figure = posterior_ellipses(*plain_pair[:2], torch.rand(300, 1, 2, 2), codes=codes)
    figure.draw_without_rendering()
    [axis] = figure.axes
    [title] = [t for t in (*figure.texts, axis.title, axis._left_title) if t.get_text()]  # pyright: ignore
    box = title.get_window_extent()
    assert title.get_text() == "Posteriors of 12 of 300 images at perspective"
    assert box.x0 >= 0 and box.y0 >= axis.get_window_extent().y1 - 1
    assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("rows", [[], [11], [-1]])
def test_wrong_rows_are_named(rows, plain_pair):
    with pytest.raises(ValueError, match=r"rows is .*; expected numbers of images from 0 to 10"):
        posterior_ellipses(*plain_pair, rows=rows)
