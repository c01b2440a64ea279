"""Swaps show the code of the row with the remaining codes of the column."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from unbraid.analysis import image_grid, swap_codes, swap_grid, to_pixels


class Halves(nn.Module):
    """Images whose upper half is one code and whose lower half is another; as model or guide."""

    def __init__(self, guide: bool) -> None:
        super().__init__()
        self.guide = guide

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            codes = []
            for name, row in (("upper", 0), ("lower", 3)):
                spread = 0.3 if self.guide else 1.0
                loc = x[:, 0, row, :1] if self.guide else torch.zeros(1)
                codes.append(pyro.sample(name, dist.Normal(loc, spread).to_event(1)))
            if not self.guide:
                halves = [code[..., None, None].expand(*code.shape, 2, 5) for code in codes]
                image = torch.cat(halves, -2)
                pyro.sample("x", dist.Normal(image, 0.1).to_event(3), obs=x)


def halves(upper: Tensor, lower: Tensor) -> Tensor:
    rows = [code.view(-1, 1, 1, 1).expand(-1, 1, 2, 5) for code in (upper, lower)]
    return torch.cat(rows, 2)


@pytest.fixture
def codes() -> Any:
    return torch.rand(2, 3), torch.rand(2, 4)


def test_rows_give_the_swapped_code_and_columns_the_remaining_ones(codes):
    (a, b), (c, d) = codes
    pair = Halves(False), Halves(True)
    found = swap_codes(*pair, halves(a, b), halves(c, d), swapped="lower")
    assert found.shape == (3, 4, 1, 4, 5)
    for i in range(3):
        torch.testing.assert_close(found[i], halves(c, b[i].expand(4)))
    found = swap_codes(*pair, halves(a, b), halves(c, d), swapped="upper")
    for i in range(3):
        torch.testing.assert_close(found[i], halves(a[i].expand(4), d))


def test_the_figure_has_what_was_given_on_its_edges(codes):
    (a, b), (c, d) = codes
    given, others = halves(a, b), halves(c, d)
    figure = swap_grid(Halves(False), Halves(True), given, others, swapped="upper")
    cells = [torch.ones_like(given[:1]), others]
    for i in range(3):
        cells += [given[i : i + 1], halves(a[i].expand(4), d)]
    (image,) = figure.axes[0].images
    found = torch.as_tensor(image.get_array()).int()
    expected = torch.as_tensor(to_pixels(image_grid(torch.cat(cells), 5))).int()
    assert int((found - expected).abs().max()) <= 1
    assert len(figure.axes[0].lines) == 2


@pytest.mark.parametrize("site", ["z", "x"])
def test_sites_that_are_not_there_are_refused(site, codes):
    (a, b), _ = codes
    with pytest.raises(ValueError, match=f"swapped is '{site}'; .*sites are upper, lower"):
        swap_codes(Halves(False), Halves(True), halves(a, b), halves(a, b), swapped=site)
