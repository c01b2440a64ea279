"""The broadcast decoder: one net of the code and the place, wherever the place is."""

import pytest
import torch

from unbraid.nets import BroadcastDecoder, make_likelihood


def decoder_of(patch, shape=(3, 8, 12), hidden=(7, 6)) -> BroadcastDecoder:
    torch.manual_seed(0)
    likelihood = make_likelihood("normal", shape[0])
    return BroadcastDecoder(4, shape, likelihood, hidden=hidden, patch=patch).double()


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_each_square_is_drawn_from_the_code_and_its_place_alone(patch):
    """Watters et al. (2019), figure 2: the code beside each place's x and y, layer by layer."""
    decoder = decoder_of(patch)
    z = torch.randn(2, 5, 4, dtype=torch.float64)
    drawn = decoder.raw(z)
    rows, columns = 8 // patch, 12 // patch
    for i in range(rows):
        for j in range(columns):
            x, y = (3**0.5 * (2 * at / (n - 1) - 1) for at, n in ((j, columns), (i, rows)))
            place = torch.tensor([x, y], dtype=torch.float64).expand(2, 5, 2)
            square = decoder.net(decoder.first(torch.cat([z, place], -1)))
            expected = square.view(2, 5, 3, patch, patch)
            rows_of, columns_of = (slice(at * patch, (at + 1) * patch) for at in (i, j))
            torch.testing.assert_close(
                drawn[..., rows_of, columns_of], expected, atol=1e-6, rtol=0
            )


def test_a_code_that_follows_a_place_moves_the_picture_along():
    """Where the net only sees the code less the place, moved codes draw moved pictures exactly."""
    decoder = decoder_of(1, (1, 8, 8))
    with torch.no_grad():
        decoder.first.weight[:, 4:] = -decoder.first.weight[:, :2]
    z = torch.randn(6, 4, dtype=torch.float64)
    moved = z.clone()
    moved[:, 0] += 2 * 3**0.5 * 2 / 7  # two columns to the right
    torch.testing.assert_close(
        decoder.raw(moved)[..., 2:], decoder.raw(z)[..., :-2], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("size", [(8, 9), (6, 8), (1, 1)])
def test_squares_have_to_fill_the_image(size):
    with pytest.raises(ValueError, match=f"patch is 4; expected a divisor of {size[0]} and"):
        decoder_of(4, (1, *size))


def test_a_single_square_and_wrong_widths():
    assert decoder_of(4, (2, 4, 4)).raw(torch.zeros(3, 4).double()).shape == (3, 2, 4, 4)
    with pytest.raises(ValueError, match="patch is 0; expected a divisor"):
        decoder_of(0)
    with pytest.raises(ValueError, match="hidden is empty; expected at least one width"):
        decoder_of(1, hidden=())


def test_its_first_layer_starts_with_the_spread_that_was_asked_for():
    """A mean square of 40 000 units has a relative deviation of 0.01 at most: 5 of it."""
    torch.manual_seed(0)
    likelihood = make_likelihood("bernoulli", 1)
    decoder = BroadcastDecoder(
        2, (1, 32, 32), likelihood, hidden=(40_000, 2), code_spread=1.3, patch=1
    )
    first = decoder.first.requires_grad_(False)
    inputs = torch.cat([torch.randn(200, 2), decoder.places[torch.randperm(1024)[:200]]], -1)
    length = float(inputs.square().sum(1).mean()) / 4  # 1 in expectation
    outputs = inputs @ first.weight.T
    assert float(outputs.square().mean()) == pytest.approx(1.3**2 * length, rel=0.05)
    assert float(first.bias.abs().max()) <= 1.3
    # Places of the 32 rows and columns vary as a uniform number does, and a little more.
    assert float(decoder.places.square().mean()) == pytest.approx(33 / 31, rel=1e-6)
