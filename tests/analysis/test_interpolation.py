"""Interpolations decode what lies between two codes, and their ends are the codes themselves."""

import math

import numpy as np
import pytest
import torch

from unbraid.analysis import image_grid, interpolation, to_pixels
from unbraid.analysis.interpolation import spherical  # pyright: ignore[reportMissingImports]

from .conftest import make_pair


def shown(figure):
    [image] = figure.axes[0].images
    return np.asarray(image.get_array()).astype(int)


def expected(cells, columns):
    grid = image_grid(torch.cat(cells).detach().clamp(0, 1), columns)
    return to_pixels(grid).astype(int)


def test_every_image_is_decoded_on_the_line(pair):
    figure = interpolation(pair.model, pair.guide, pair.x, pairs=[(3, 5), (5, 0)], steps=4)
    pair.guide.eval()
    codes = pair.guide.locs(pair.x)
    cells = []
    for here, there in ((3, 5), (5, 0)):
        cells.append(pair.x[here : here + 1])
        for share in (0, 1 / 3, 2 / 3, 1):
            code = {n: (1 - share) * c[here] + share * c[there] for n, c in codes.items()}
            cells.append(pair.model.mean({n: c[None] for n, c in code.items()}))
        cells.append(pair.x[there : there + 1])
    found = shown(figure)
    assert abs(found - expected(cells, 6)).max() <= 1
    names = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert names == ["image", "0", "0.33", "0.67", "1", "image"]
    # Lines stand in the gaps that part images from what is decoded.
    width = pair.x.shape[-1] + 2
    assert [np.asarray(line.get_xdata())[0] for line in figure.axes[0].lines] == [
        width - 1.5,
        5 * width - 1.5,
    ]


def test_sites_that_are_not_named_stay(pair):
    figure = interpolation(
        pair.model, pair.guide, pair.x, pairs=[(1, 2)], latents=["perspective"], steps=2
    )
    pair.guide.eval()
    codes = pair.guide.locs(pair.x)
    first = pair.model.mean({n: c[1:2] for n, c in codes.items()})
    last = pair.model.mean(
        {"appearance": codes["appearance"][1:2], "perspective": codes["perspective"][2:3]}
    )
    cells = [pair.x[1:2], first, last, pair.x[2:3]]
    assert abs(shown(figure) - expected(cells, 4)).max() <= 1


@pytest.mark.parametrize(
    ("count", "pairs"), [(2, [(0, 1)]), (3, [(0, 2)]), (7, [(0, 1), (2, 4), (5, 6)])]
)
def test_pairs_are_spread_unless_given(plain_pair, count, pairs):
    model, guide, x = plain_pair
    figure = interpolation(model, guide, x[:count], steps=3)
    given = interpolation(model, guide, x[:count], steps=3, pairs=pairs)
    assert shown(figure).shape == shown(given).shape
    assert (shown(figure) == shown(given)).all()


def test_spherical_codes_turn_evenly_and_keep_their_length():
    start, end = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    path = spherical(start, end, 4)
    for i, code in enumerate(path):
        angle = math.pi / 2 * i / 3
        torch.testing.assert_close(code, torch.tensor([math.cos(angle), math.sin(angle), 0]) * 2)
    # Lengths that differ are both reached.
    path = spherical(start, 3 * end, 3)
    torch.testing.assert_close(path[0], start)
    torch.testing.assert_close(path[-1], 3 * end)


def test_codes_without_an_angle_go_straight():
    zero, code = torch.zeros(3), torch.tensor([1.0, 2.0, 2.0])
    for start, end in ((zero, code), (code, 3 * code), (code, -code), (zero, zero)):
        path = spherical(start, end, 3)
        torch.testing.assert_close(path, torch.stack([start, (start + end) / 2, end]))


def test_spherical_figures_turn_around_the_priors_mean(plain_pair):
    model, guide, x = plain_pair
    figure = interpolation(model, guide, x, pairs=[(0, 1)], path="spherical", steps=3)
    guide.eval()
    codes = guide.locs(x)["appearance"].detach()
    a, b = codes[0], codes[1]
    angle = torch.acos(a @ b / (a.norm() * b.norm()))
    half = (torch.sin(angle / 2) / torch.sin(angle)) * (a + b)
    images = model.mean({"appearance": torch.stack([a, half, b])})
    cells = [x[:1], images, x[1:2]]
    assert abs(shown(figure) - expected(cells, 5)).max() <= 1
    assert figure.axes[0].get_xlabel().startswith("spherical way")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "curved"}, "path is 'curved'; expected 'linear' or 'spherical'"),
        ({"steps": 1}, "steps is 1; expected an integer of at least 2"),
        ({"steps": 3.0}, "steps is 3.0; expected an integer of at least 2"),
        ({"steps": "3"}, "steps is '3'; expected an integer of at least 2"),
        ({"pairs": []}, r"pairs is \[\] for 11 images"),
        ({"pairs": [(0, 11)]}, r"pairs is \[\(0, 11\)\] for 11 images; .* from 0 to 10"),
        ({"pairs": [(0.0, 1.0)]}, r"pairs is \[\(0.0, 1.0\)\] for 11 images; expected at least"),
        ({"pairs": [0, 1]}, r"pairs is \[0, 1\] for 11 images; expected at least one pair"),
        ({"pairs": [(0, 1, 2)]}, r"pairs is \[\(0, 1, 2\)\] for 11 images"),
        ({"pairs": 0.5}, r"pairs is 0.5 for 11 images"),
        ({"pairs": torch.tensor([[0, 1]])}, r"pairs is tensor\(\[\[0, 1\]\]\) for 11 images"),
        ({"latents": ["pose"]}, r"latents is \['pose'\]; expected some of appearance"),
        ({"latents": []}, r"latents is \[\]"),
    ],
)
def test_wrong_arguments_are_named(plain_pair, options, message):
    with pytest.raises(ValueError, match=message):
        interpolation(*plain_pair, **options)


def test_images_that_are_no_tensor_are_named(plain_pair):
    model, guide, _ = plain_pair
    for args, what in (((0.5,), "a float"), ((), "not given")):
        with pytest.raises(ValueError, match=f"images is {what}; expected a tensor"):
            interpolation(model, guide, *args)


def test_conditions_stay_those_of_the_left_image():
    pair = make_pair((1, 5, 7), ("appearance",))

    class Lit(torch.nn.Module):
        def forward(self, x, light, *, size=None):
            base = pair.model.mean
            pair.model.mean = lambda codes: base(codes) + light[:, None, None, None]
            try:
                return pair.model(x, size=size)
            finally:
                pair.model.mean = base

    class Guide(torch.nn.Module):
        def forward(self, x, light):
            return pair.guide.eval()(x)

    light = torch.linspace(0, 0.3, 11)
    figure = interpolation(Lit(), Guide(), pair.x, light, pairs=[(10, 0)], steps=2)
    pair.guide.eval()
    codes = pair.guide.locs(pair.x)["appearance"]
    images = pair.model.mean({"appearance": codes[[10, 0]]}) + 0.3
    cells = [pair.x[10:], images, pair.x[:1]]
    assert abs(shown(figure) - expected(cells, 4)).max() <= 1
