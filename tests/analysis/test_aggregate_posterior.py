"""Histograms are of draws from the aggregate posterior, relative to the prior."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib.patches import Rectangle
from scipy.stats import norm

from unbraid.analysis import aggregate_posterior_figure

from .conftest import SCALES

EDGES = np.linspace(-4, 4, 41)


def bars(axis) -> np.ndarray:
    return np.array([p.get_height() for p in axis.patches if isinstance(p, Rectangle)])


def mixture_mass(means, scales) -> np.ndarray:
    """Density of each bin under the mixture, what is beyond the ends in the end bins."""
    edges = EDGES.copy()
    edges[0], edges[-1] = -np.inf, np.inf
    masses = norm.cdf(edges[:, None], means, scales).mean(1)
    return np.diff(masses) / 0.2


def test_bars_are_the_mixture_of_the_posteriors(plain_pair):
    """110 000 draws: 6 standard errors of the density of a bin are at most 0.045."""
    model, guide, x = plain_pair
    kl = torch.tensor([2.0, 1.0, 0.0, 3.0])
    figure = aggregate_posterior_figure(model, guide, x, kl=kl, dims=3, draws=110_000)
    guide.eval()
    means = guide.locs(x)["appearance"].detach().numpy()
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert len(shown) == 3
    for axis, dim in zip(shown, (3, 0, 1), strict=True):
        heights = bars(axis)
        assert heights.sum() * 0.2 == pytest.approx(1)
        scale = float(SCALES["appearance"][dim])
        expected = mixture_mass(means[:, dim], scale)
        np.testing.assert_allclose(heights, expected, atol=0.045)
        deviation = np.sqrt(scale**2 + means[:, dim].var())
        title = f"{means[:, dim].mean():z.2f} ± {deviation:.2f}"
        assert axis.get_title(loc="left") == f"appearance[{dim}] ({kl[dim]:.2f} nats): {title}"
        [curve] = axis.lines
        places, heights = (np.asarray(v, float) for v in curve.get_data())
        np.testing.assert_allclose(heights, norm.pdf(places), rtol=1e-6)


def test_priors_that_differ_are_divided_out():
    """Posteriors that equal their priors follow the curve, wherever these are."""

    def prior(label):
        return dist.Normal(10 * label[:, None], 2 + label[:, None]).to_event(1)

    def model(x, label):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", prior(label))
            mean = z[..., None, None].expand(-1, 1, 4, 5)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x, label):
        with pyro.plate("data", len(x)):
            pyro.sample("z", prior(label))

    label = torch.arange(5).float()
    figure = aggregate_posterior_figure(model, guide, torch.rand(5, 1, 4, 5), label, draws=100_000)
    np.testing.assert_allclose(bars(figure.axes[0]), mixture_mass(np.zeros(1), 1.0), atol=0.045)
    assert figure.axes[0].get_title(loc="left") == "z[0] (0.00 nats): 0.00 ± 1.00"


def test_what_is_beyond_the_picture_counts_at_its_end():
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(1), 1.0).to_event(1))
            mean = z[..., None, None].expand(-1, 1, 4, 5)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(100 * x[:, 0, 0, :1], 0.01).to_event(1))

    x = torch.zeros(2000, 1, 4, 5)
    x[7] = 0.5
    heights = bars(aggregate_posterior_figure(model, guide, x).axes[0])
    assert heights[-1] * 0.2 == pytest.approx(1 / 2000)


def test_at_most_so_many_dimensions_are_shown(plain_pair):
    figure = aggregate_posterior_figure(*plain_pair, dims=1)
    assert len(figure.axes) == 1
    figure = aggregate_posterior_figure(*plain_pair, dims=9)
    assert len(figure.axes) == 4
    with pytest.raises(ValueError, match="dims is 0; expected at least 1"):
        aggregate_posterior_figure(*plain_pair, dims=0)
    with pytest.raises(ValueError, match="draws is 0; expected at least 1"):
        aggregate_posterior_figure(*plain_pair, draws=0)
