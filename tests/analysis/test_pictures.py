"""Every cell of every picture is the image that the closed form of the linear pairs gives."""

from statistics import NormalDist

import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib.figure import Figure

from unbraid.analysis import (
    gallery,
    image_grid,
    kl_per_dimension,
    manifold,
    prior_samples,
    reconstructions,
    stack_pairs,
    to_pixels,
    traversals,
)

from .conftest import make_pair


def shown(figure: Figure) -> torch.Tensor:
    """The pixels of the figure's only image."""
    (image,) = figure.axes[0].images
    return torch.as_tensor(image.get_array()).int()


def pixels(images: torch.Tensor, columns: int, gap: int = 2) -> torch.Tensor:
    grid = image_grid(images.detach().clamp(0, 1), columns, gap)
    return torch.as_tensor(to_pixels(grid)).int()


def assert_shows(figure: Figure, images: torch.Tensor, columns: int, gap: int = 2) -> None:
    """Compare up to one of 256 levels: batches of another size round differently."""
    expected = pixels(images, columns, gap)
    assert shown(figure).shape == expected.shape
    assert int((shown(figure) - expected).abs().max()) <= 1


def tick_names(axis) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def test_reconstructions_decode_posterior_means(pair):
    figure = reconstructions(pair.model, pair.guide, pair.x, columns=5)
    pair.guide.eval()
    decoded = pair.model.mean(pair.guide.locs(pair.x[:10]))
    assert_shows(figure, stack_pairs(pair.x[:10], decoded.clamp(0, 1), 5), columns=5)
    assert tick_names(figure.axes[0].yaxis) == ["original", "decoded"] * 2


def test_fewer_images_than_columns_make_one_row(pair):
    figure = reconstructions(pair.model, pair.guide, pair.x[:3], columns=5)
    height, width = pair.x.shape[-2:]
    assert shown(figure).shape[:2] == (2 * height + 2, 3 * width + 4)


def test_samples_are_mean_images_of_codes_from_the_prior(pair):
    figure = prior_samples(pair.model, 6, columns=4, seed=5)
    torch.manual_seed(5)
    codes = {name: torch.randn(6, k) for name, k in pair.model.dims.items()}
    assert_shows(figure, pair.model.mean(codes), columns=4)
    assert not torch.equal(shown(figure), shown(prior_samples(pair.model, 6, columns=4, seed=6)))


def test_a_likelihood_without_a_mean_is_sampled():
    class Meanless(dist.Normal):
        @property
        def mean(self):
            raise NotImplementedError

    def model(x=None, *, size):
        with pyro.plate("data", size):
            pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", Meanless(torch.full((size, 1, 4, 5), 0.5), 1e-6).to_event(3), obs=x)

    assert_shows(prior_samples(model, 3), torch.full((3, 1, 4, 5), 0.5), columns=3)


@pytest.mark.parametrize("start", ["image", "prior"])
def test_traversals_move_one_dimension_and_pass_through_the_start(pair, start):
    figure = traversals(
        pair.model, pair.guide, pair.x, latent="appearance", start=start, span=2.0, steps=5
    )
    kl = kl_per_dimension(pair.model, pair.guide, [pair.x])["appearance"]
    pair.guide.eval()
    base = pair.guide.locs(pair.x[:1])
    if start == "prior":
        base["appearance"] = torch.zeros(1, 4)
    images = []
    for dim in kl.argsort(descending=True).tolist():
        for shift in (-2.0, -1.0, 0.0, 1.0, 2.0):
            code = base["appearance"] + shift * torch.eye(4)[dim]
            images.append(pair.model.mean({**base, "appearance": code}))
    assert_shows(figure, torch.cat(images), columns=5)
    middle = pair.model.mean(base)
    width = pair.x.shape[-1]
    column = shown(figure)[: pair.x.shape[-2], 2 * (width + 2) : 2 * (width + 2) + width]
    assert int((column - pixels(middle, 1)).abs().max()) <= 1
    names = tick_names(figure.axes[0].yaxis)
    assert [int(name.split("[")[1][0]) for name in names] == kl.argsort(descending=True).tolist()
    assert names[0].endswith(f"({kl.max():.2f} nats)")
    assert tick_names(figure.axes[0].xaxis) == ["-2", "-1", "0", "+1", "+2"]


def test_traversals_show_the_most_informative_rows_and_use_given_divergences(plain_pair):
    model, guide, x = plain_pair
    kl = torch.tensor([0.1, 4.0, 0.2, 3.0])
    figure = traversals(model, guide, x, kl=kl, rows=2)
    assert tick_names(figure.axes[0].yaxis) == [
        "appearance[1] (4.00 nats)",
        "appearance[3] (3.00 nats)",
    ]


@pytest.mark.parametrize(("latent", "dims"), [("appearance", (1, 0)), ("perspective", (0, 1))])
def test_manifold_spaces_two_dimensions_by_quantiles(latent, dims):
    pair = make_pair((3, 5, 7), ("appearance", "perspective"))
    kl = torch.tensor([2.0, 3.0, 0.5, 1.0])[: pair.model.dims[latent]]
    if latent == "perspective":  # of two dimensions, the order stays
        kl = kl[:2]
    figure = manifold(pair.model, pair.guide, pair.x, latent=latent, kl=kl, side=3)
    pair.guide.eval()
    base = pair.guide.locs(pair.x[:1])
    edge = NormalDist().inv_cdf(0.98)
    images = []
    for up in (edge, 0.0, -edge):
        for across in (-edge, 0.0, edge):
            code = torch.zeros(1, pair.model.dims[latent])
            code[0, dims[0]], code[0, dims[1]] = across, up
            images.append(pair.model.mean({**base, latent: code}))
    assert_shows(figure, torch.cat(images), columns=3, gap=0)
    axis = figure.axes[0]
    assert axis.get_xlabel().startswith(f"{latent}[{dims[0]}]")
    assert axis.get_ylabel() == f"{latent}[{dims[1]}]"
    assert tick_names(axis.yaxis) == ["+2.1", "", "-2.1"]


def test_prior_scales_set_the_steps():
    scale, shape = torch.tensor([0.05, 0.2]), (1, 5, 7)

    def model(x=None, *, size=None):
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.tensor([0.3, 0.6]), scale).to_event(1))
            mean = z.mean(-1)[..., None, None, None].expand(*z.shape[:-1], *shape)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 0.1).to_event(1))

    figure = traversals(
        model, guide, torch.rand(2, *shape), start="prior", kl=torch.tensor([1.0, 2.0]), steps=3
    )
    values = [0.45 + shift * s / 2 for s in (0.2, 0.05) for shift in (-3, 0, 3)]
    expected = torch.tensor(values)[:, None, None, None].expand(-1, *shape)
    assert_shows(figure, expected, columns=3)


def conditional_model(x, label, *, size=None):
    with pyro.plate("data", size if x is None else len(x)):
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        mean = (label.float() / 10)[:, None, None, None] + 0 * z[..., :1, None, None]
        pyro.sample("x", dist.Normal(mean.expand(-1, 1, 5, 7), 0.1).to_event(3), obs=x)


def conditional_guide(x, label):
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(label[:, None].expand(-1, 2) * 0.1, 0.5).to_event(1))


def test_conditions_reach_every_picture():
    x, label = torch.rand(4, 1, 5, 7), torch.tensor([3, 1, 4, 2])
    images = (label.float() / 10)[:, None, None, None].expand_as(x)
    args = (conditional_model, conditional_guide, x, label)
    assert_shows(reconstructions(*args, columns=4), stack_pairs(x, images, 4), columns=4)
    assert_shows(prior_samples(conditional_model, 4, label), images, columns=4)
    assert_shows(traversals(*args, steps=3), images[:1].expand(6, -1, -1, -1), columns=3)
    assert_shows(gallery(*args, kl={})["samples"], images, columns=4)
    assert_shows(manifold(*args, side=2), images[:1].expand(4, -1, -1, -1), columns=2, gap=0)


def test_gallery_has_every_picture_of_every_site(pair):
    kl = {"appearance": torch.tensor([1.0, 2.0, 4.0, 3.0]), "perspective": torch.tensor([1.0, 2])}
    figures = gallery(pair.model, pair.guide, pair.x, kl=kl)
    assert list(figures) == [
        "kl",
        "reconstructions",
        "samples",
        "traversals-appearance",
        "manifold-appearance",
        "traversals-perspective",
        "manifold-perspective",
    ]
    args = (pair.model, pair.guide, pair.x)
    alone = manifold(*args, latent="appearance", kl=kl["appearance"])
    assert torch.equal(shown(figures["manifold-appearance"]), shown(alone))
    height, width = pair.x.shape[-2:]
    assert shown(figures["samples"]).shape[:2] == (8 * height + 14, 8 * width + 14)
    assert shown(figures["reconstructions"]).shape[0] == 2 * height + 2


def test_gallery_passes_over_what_cannot_be_traversed():
    def model(x=None, *, size=None):
        with pyro.plate("data", size if x is None else len(x)):
            label = pyro.sample("label", dist.Categorical(torch.ones(3) / 3))
            z = pyro.sample("z", dist.Normal(torch.zeros(1), 1.0).to_event(1))
            mean = (label.unsqueeze(-1) * 0.3 + 0 * z)[..., None, None].expand(-1, 1, 5, 7)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("label", dist.Categorical(torch.tensor([0.1, 0.2, 0.7]).expand(len(x), 3)))
            pyro.sample("z", dist.Normal(torch.zeros(len(x), 1), 1.0).to_event(1))

    x = torch.rand(2, 1, 5, 7)
    kl = kl_per_dimension(model, guide, [x])
    figures = gallery(model, guide, x, kl=kl)
    assert list(figures) == ["kl", "reconstructions", "samples", "traversals-z"]
    expected = stack_pairs(x, torch.full_like(x, 0.6), 2)
    assert_shows(figures["reconstructions"], expected, columns=2)


def test_of_sequences_the_first_frame_is_shown():
    def model(x=None, *, size=None):
        with pyro.plate("data", size if x is None else len(x), dim=-2):
            with pyro.plate("frames", 3, dim=-1):
                z = pyro.sample("dynamic", dist.Normal(torch.zeros(2), 1.0).to_event(1))
                mean = z[..., :1, None, None].expand(-1, -1, 1, 5, 7)
                pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x), dim=-2), pyro.plate("frames", 3, dim=-1):
            loc = x.mean((-3, -2, -1)).unsqueeze(-1).expand(-1, -1, 2)
            pyro.sample("dynamic", dist.Normal(loc, 0.1).to_event(1))

    x = torch.rand(2, 3, 1, 5, 7)
    first = x[:, 0].mean((1, 2, 3), keepdim=True).expand(-1, 1, 5, 7)
    expected = stack_pairs(x[:, 0], first, 2)
    assert_shows(reconstructions(model, guide, x), expected, columns=2)
    assert len(gallery(model, guide, x, kl={})) == 4


def test_names_with_dollars_are_drawn_as_they_are(plain_pair):
    figure = traversals(plain_pair.model, plain_pair.guide, plain_pair.x)
    figure.axes[0].set_title("$\\frac$", parse_math=False)
    figure.canvas.draw()

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("$\\bad$", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            mean = z[:, :1, None, None].expand(-1, 1, 5, 7)
            pyro.sample("x", dist.Normal(mean, 0.1).to_event(3), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("$\\bad$", dist.Normal(torch.zeros(len(x), 2), 0.1).to_event(1))

    traversals(model, guide, torch.rand(2, 1, 5, 7)).canvas.draw()
    manifold(model, guide, torch.rand(2, 1, 5, 7), side=2).canvas.draw()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "middle"}, "start is 'middle'; expected 'image' or 'prior'"),
        ({"steps": 4}, r"steps is 4; expected an odd number of at least 1"),
        ({"steps": -1}, "steps is -1; expected an odd number of at least 1"),
        ({"rows": 0}, "rows is 0; expected at least 1"),
        ({"span": 0.0}, "span is 0.0; expected a positive number"),
        ({"latent": "static"}, "latent is 'static'; expected one of appearance"),
        ({"site": "y"}, "no site 'y'"),
    ],
)
def test_bad_traversals_are_refused(plain_pair, options, message):
    with pytest.raises((ValueError, KeyError), match=message):
        traversals(plain_pair.model, plain_pair.guide, plain_pair.x, **options)


def test_an_unnamed_latent_is_refused_where_there_are_several(pair):
    with pytest.raises(ValueError, match="latent is None; expected one of appearance, persp"):
        manifold(pair.model, pair.guide, pair.x)


def test_bad_planes_are_refused(plain_pair):
    model, guide, x = plain_pair
    with pytest.raises(ValueError, match="side is 1; expected at least 2"):
        manifold(model, guide, x, side=1)


def test_images_without_event_dims_are_refused():
    def model(x=None, *, size):
        with pyro.plate("data", size):
            pyro.sample("x", dist.Normal(torch.zeros(size, 35), 1.0).to_event(1), obs=x)

    with pytest.raises(ValueError, match=r"site 'x' has event shape \(35,\); expected"):
        prior_samples(model, 3)
