"""The gallery has the pictures that a pair and what is known of the data allow."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from unbraid.analysis import code_factors, code_gallery, kl_per_dimension, site_codes

from .conftest import make_pair
from .sequence_pair import DYNAMIC, STATIC, LinearFrames, LinearFramesGuide


def test_every_site_has_its_pictures(pair):
    kl = kl_per_dimension(pair.model, pair.guide, [pair.x])
    figures = code_gallery(pair.model, pair.guide, pair.x, kl=kl)
    assert list(figures) == [
        "graph",
        "interpolations",
        *(
            f"{kind}-{site}"
            for site in ("appearance", "perspective")
            for kind in ("codes", "posteriors", "aggregate")
        ),
    ]


def test_labels_and_factors_reach_their_pictures():
    model, guide, x = make_pair((1, 5, 7), ("appearance",))
    kl = kl_per_dimension(model, guide, [x])
    labels = torch.tensor([0, 1, -1, 1, 0, 1, 1, 0, 1, 0, 0])
    factors = torch.stack([labels.double(), torch.arange(11.0).double()], 1)
    figures = code_gallery(
        model, guide, x, kl=kl, labels=labels, label_names=("cat", "dog"), label_title="animal",
        factors=factors, factor_names=("animal", "size"), discrete=[True, False],
    )  # fmt: skip
    legend = figures["codes-appearance"].axes[0].get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["unknown", "cat", "dog"]
    assert legend.get_title().get_text() == "animal"
    codes = site_codes(model, guide, (x,))
    rows = (labels >= 0).numpy()
    found = code_factors(codes.mean.numpy()[rows], factors.numpy()[rows], discrete=[True, False])
    shown = np.asarray(figures["factors-appearance"].axes[0].images[0].get_array())
    np.testing.assert_allclose(shown, found.values[codes.order])


def test_factors_that_do_not_vary_where_all_are_known_are_left_out(plain_pair):
    model, guide, x = plain_pair
    kl = kl_per_dimension(model, guide, [x])
    factors = torch.stack([torch.arange(11) // 6 * 4 - 1, torch.arange(11) // 6 + 1], 1)
    assert "factors-appearance" not in code_gallery(model, guide, x, kl=kl, factors=factors)
    factors[10, 1] = 5
    figures = code_gallery(model, guide, x, kl=kl, factors=factors, factor_names=("one", "two"))
    columns = figures["factors-appearance"].axes[0].get_xticklabels()
    assert [t.get_text() for t in columns] == ["two\nI / H"]


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (1, ["graph"]),
        (2, ["graph", "interpolations"]),
        (3, ["graph", "interpolations", "codes-appearance", "posteriors-appearance"]),
    ],
)
def test_few_data_have_few_pictures(count, names, plain_pair):
    model, guide, x = plain_pair
    kl = kl_per_dimension(model, guide, [x])
    figures = code_gallery(model, guide, x[:count], kl=kl)
    assert list(figures)[: len(names)] == names
    assert count == 3 or len(figures) == len(names)


def test_codes_that_are_points_have_no_ellipses():
    def model(x=None, *, size=None):
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            mean = z[..., :1, None, None].expand(-1, 1, 4, 5)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(x[:, 0, 0, :2]).to_event(1))

    figures = code_gallery(model, guide, torch.rand(4, 1, 4, 5), kl={})
    assert list(figures) == ["graph", "interpolations", "codes-z", "aggregate-z"]


def test_of_sequences_the_codes_of_whole_ones_are_shown():
    model = LinearFrames(STATIC, DYNAMIC)
    guide = LinearFramesGuide(model)
    x = torch.rand(6, 4, *model.shape, generator=torch.Generator().manual_seed(0))
    kl = kl_per_dimension(model, guide, [x])
    figures = code_gallery(model, guide, x, kl=kl)
    sites = [f"{kind}-static" for kind in ("codes", "posteriors", "aggregate")]
    assert list(figures) == ["graph", "interpolations", *sites]
    title = figures["interpolations"].axes[0].get_title(loc="left")
    assert title == "Interpolations of static"
    title = figures["codes-static"].axes[0].get_title(loc="left")
    assert title == "Codes of 6 sequences at static"
