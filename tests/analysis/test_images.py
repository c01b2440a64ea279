"""Grids are exact to the pixel, and PNG bytes hold the image that was given."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from unbraid.analysis import data_uri, image_grid, png_bytes, stack_pairs, to_pixels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("count", [8, 6, 1])
def test_grid_places_every_pixel(channels, gap, count):
    height, width, columns = 5, 7, 4
    images = torch.rand(count, channels, height, width)
    rows = -(-count // columns)
    expected = torch.full(
        (channels, rows * (height + gap) - gap, columns * (width + gap) - gap), 0.25
    )
    for i in range(count):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        expected[:, top : top + height, left : left + width] = images[i]
    grid = image_grid(images, columns, gap, background=0.25)
    torch.testing.assert_close(grid, expected, rtol=0, atol=0)


def test_pairs_put_the_upper_above_the_lower():
    upper, lower = torch.rand(6, 1, 2, 5), torch.rand(6, 1, 2, 5)
    grid = image_grid(stack_pairs(upper, lower, 3), 3, gap=0)
    rows = [upper[:3], lower[:3], upper[3:], lower[3:]]
    expected = torch.cat([torch.cat(list(row), -1) for row in rows], -2)
    assert torch.equal(grid, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_holds_the_image(channels):
    image = torch.randint(0, 256, (channels, 4, 9)) / 255
    png = b64decode(data_uri(png_bytes(image)).removeprefix("data:image/png;base64,"))
    read = np.asarray(Image.open(BytesIO(png)))
    expected = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(read, expected[..., 0] if channels == 1 else expected)


def test_pixels_are_cut_to_the_range():
    pixels = to_pixels(torch.tensor([[[-3.0, 0.0, 0.5, 1.0, 7.0]]]))
    assert pixels.tolist() == [[0, 0, 128, 255, 255]]


def test_other_channel_counts_show_their_mean():
    image = torch.stack([torch.zeros(3, 2), torch.ones(3, 2)])
    assert to_pixels(image).tolist() == [[128, 128]] * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: image_grid(torch.rand(3, 4), 2), r"images is \(3, 4\); expected"),
        (lambda: image_grid(torch.rand(0, 1, 3, 4), 2), r"images is \(0, 1, 3, 4\); expected"),
        (lambda: image_grid(torch.rand(2, 1, 3, 4), 0), "columns is 0 and gap is 2; expected"),
        (lambda: image_grid(torch.rand(2, 1, 3, 4), 1, gap=-1), "gap is -1; expected"),
        (lambda: stack_pairs(torch.rand(2, 1, 3, 4), torch.rand(3, 1, 3, 4), 1), "one shape"),
        (lambda: stack_pairs(torch.rand(3, 1, 3, 4), torch.rand(3, 1, 3, 4), 2), "a multiple"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
