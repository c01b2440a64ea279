"""What every warp promises for images and for points."""

import pyro
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from unbraid.transforms import (
    CPAB,
    PADDINGS,
    Rotation,
    Translation,
    extent_of,
    pixel_centres,
    sample_image,
)

from .warps import NAMES, draw_gamma, draw_points, make

every_warp = pytest.mark.parametrize("name", NAMES)


@every_warp
@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 9, 5), (2, 4, 11), (5, 1, 3)])
def test_gamma_0_is_the_identity(name, shape):
    warp, image = make(name, shape), torch.rand(4, *shape)
    gamma = torch.zeros(4, warp.parameter_count)
    for warped in (warp(image, gamma), warp.inverse(image, gamma)):
        assert warped.shape == image.shape
        torch.testing.assert_close(warped, image, rtol=0, atol=5e-6)


@every_warp
def test_an_image_is_read_where_its_points_come_from(name):
    """A smooth image warped is the image's formula at the points that the inverse gives."""

    def picture(points):
        return (2 * points[..., 0] - points[..., 1]).sin()

    warp = make(name, (1, 60, 40))
    gamma = 0.3 * draw_gamma(warp, 3)
    centres = pixel_centres(60, 40, gamma)
    image = picture(centres).view(1, 60, 40)
    sides = torch.tensor(extent_of(60, 40), dtype=torch.float64)
    for warped, source in (
        (warp(image, gamma), warp.inverse_points(centres, gamma)),
        (warp.inverse(image, gamma), warp.points(centres, gamma)),
    ):
        inside = (source.abs() < sides - 0.03).all(-1)
        assert float(inside.double().mean()) > 0.5
        difference = (warped.view(3, -1) - picture(source))[inside]
        assert float(difference.abs().max()) < 1e-3


@every_warp
def test_content_moves_with_the_warp(name):
    """A blob at p is afterwards at T(p), not where T^-1 takes it."""
    warp = make(name, (1, 40, 60))
    start = torch.tensor([[0.15, -0.1]], dtype=torch.float64)
    centres = pixel_centres(40, 60, start)
    image = (-80 * (centres - start).square().sum(-1)).exp().view(1, 40, 60)
    gamma = (0.4 if "cpab" not in name else 1.0) * draw_gamma(warp)

    def middle(picture):
        weights = picture.flatten() / picture.sum()
        return (weights[:, None] * centres).sum(0)

    there, back = warp.points(start, gamma)[0], warp.inverse_points(start, gamma)[0]
    far = float((there - back).norm())
    assert far > 0.02
    assert float((middle(warp(image, gamma)) - there).norm()) < 0.2 * far
    assert float((middle(warp.inverse(image, gamma)) - back).norm()) < 0.2 * far


def test_a_lit_pixel_moves_right_and_down():
    image = torch.zeros(1, 5, 8)
    image[0, 1, 2] = 1
    moved = Translation()(image, torch.tensor([2 * 3 / 8, 2 * 2 / 8]))
    assert moved.argmax() == 3 * 8 + 5
    assert float(moved.max()) == pytest.approx(1, abs=1e-5)
    back = Translation().inverse(moved, torch.tensor([2 * 3 / 8, 2 * 2 / 8]))
    torch.testing.assert_close(back, image, atol=1e-5, rtol=0)


def test_images_that_are_not_square_turn_rigidly():
    image = torch.zeros(1, 5, 11)
    image[0, 2, 7] = 1  # two pixels right of the centre
    turned = Rotation()(image, torch.tensor([torch.pi / 2]))
    assert turned.argmax() == 4 * 11 + 5  # two pixels below it
    assert float(turned.max()) == pytest.approx(1, abs=1e-5)
    square = torch.rand(3, 6, 6)
    turned = Rotation()(square, torch.tensor([torch.pi / 2]))
    torch.testing.assert_close(turned, square.rot90(-1, (-2, -1)), atol=1e-5, rtol=0)


def test_padding_is_what_lies_outside():
    image = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    gamma = torch.tensor([2 * 2 / 4, 0.0])
    for padding, expected in {
        "border": [1, 1, 1, 2],
        "zeros": [0, 0, 1, 2],
        "reflection": [2, 1, 1, 2],
    }.items():
        moved = Translation(padding=padding)(image, gamma)
        torch.testing.assert_close(moved.flatten(), torch.tensor(expected).float())


@every_warp
def test_leading_dims_broadcast(name):
    warp = make(name, (2, 7, 5))
    image, gamma = torch.rand(3, 2, 7, 5), 0.5 * torch.randn(4, 3, warp.parameter_count)
    together = warp(image, gamma)
    assert together.shape == (4, 3, 2, 7, 5)
    for k in range(4):
        for b in range(3):
            torch.testing.assert_close(together[k, b], warp(image[b], gamma[k, b]))
    one = warp(image, gamma[0, 0])
    torch.testing.assert_close(one[2], warp(image[2], gamma[0, 0]))
    points = draw_points(3, 6, dtype=torch.float32)
    moved = warp.points(points, gamma)
    assert moved.shape == (4, 3, 6, 2)
    torch.testing.assert_close(moved[1, 2], warp.points(points[2], gamma[1, 2]))
    torch.testing.assert_close(warp.points(points, gamma[1, 2])[2], moved[1, 2])
    empty = warp.points(points[:, :0], gamma)
    assert empty.shape == (4, 3, 0, 2)


@every_warp
def test_half_precision_and_autocast_round_no_points(name):
    warp = make(name, (1, 28, 28))
    gamma, points = draw_gamma(warp, 3, dtype=torch.float32), draw_points(9, dtype=torch.float32)
    expected = warp.points(points, gamma)
    with torch.autocast("cpu", torch.bfloat16):
        got = warp.points(points, gamma)
        image = warp(torch.rand(3, 1, 28, 28), gamma)
    assert got.dtype == image.dtype == torch.float32
    assert torch.equal(got, expected)
    half = warp.points(points, gamma.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, warp.points(points, gamma.bfloat16().float()))


@every_warp
def test_gradients_are_finite_at_0_and_far_from_it(name):
    warp = make(name, (1, 6, 9))
    for length in (0.0, 1e-4, 3.0, 10.0, 50.0):
        gamma = draw_gamma(warp, 5, length=length, dtype=torch.float32).requires_grad_()
        image = torch.rand(5, 1, 6, 9, requires_grad=True)
        warp(image, gamma).square().sum().backward()
        for tensor in (gamma, image):
            assert tensor.grad is not None
            assert bool(tensor.grad.isfinite().all())
        if length < 50:  # beyond, a translation leaves nothing of the image to move
            assert float(gamma.grad.abs().sum()) > 0  # pyright: ignore[reportOptionalMemberAccess]


@every_warp
def test_a_recorded_step_is_the_step(name):
    """As the recorded mode of training does: forward and backward as one graph of ATen calls."""
    warp = make(name, (2, 6, 9))

    def step(image, gamma):
        loss = warp(warp.inverse(image, 0.7 * gamma), gamma).square().sum()
        return loss, *torch.autograd.grad(loss, (image, gamma))

    def draw():
        image = torch.rand(3, 2, 6, 9, requires_grad=True)
        return image, draw_gamma(warp, 4, 3, dtype=torch.float32).requires_grad_()

    with pyro.validation_enabled(False):
        recorded = make_fx(step)(*draw())
        inputs = draw()
        for got, expected in zip(recorded(*inputs), step(*inputs), strict=True):
            assert torch.equal(got, expected)


@every_warp
def test_what_does_not_fit_is_refused(name):
    warp, image = make(name, (2, 7, 5)), torch.rand(3, 2, 7, 5)
    width = warp.parameter_count
    gamma = torch.zeros(3, width)
    with pytest.raises(
        ValueError, match=rf"gamma is \(3, {width + 1}\); expected \(\.\.\., {width}"
    ):
        warp(image, torch.zeros(3, width + 1))
    with pytest.raises(ValueError, match=r"gamma is \(\); expected"):
        warp.points(torch.zeros(4, 2), torch.tensor(0.0))
    with pytest.raises(ValueError, match=r"gamma has 1 NaN or infinite values of"):
        warp(image, gamma.index_fill(1, torch.tensor(0), float("nan"))[:1])
    with pytest.raises(ValueError, match=r"image is \(7, 5\); expected \(\.\.\., C, H, W\)"):
        warp(torch.rand(7, 5), gamma[0])
    with pytest.raises(
        ValueError, match=r"frames of sequences are images after \.flatten\(0, 1\)"
    ):
        warp(torch.rand(3, 4, 2, 7, 5), gamma)
    with pytest.raises(ValueError, match=r"points is \(4, 3\); expected \(\.\.\., M, 2\)"):
        warp.points(torch.zeros(4, 3), gamma)
    with pytest.raises(ValueError, match=r"not \(2,\) and \(3,\)"):
        warp.points(torch.zeros(2, 4, 2), gamma)


@every_warp
def test_nan_is_let_through_while_checks_are_off(name):
    """The loop finds it by the loss; here it must neither raise nor crash."""
    warp = make(name, (1, 6, 9))
    gamma = torch.full((2, warp.parameter_count), float("nan"), requires_grad=True)
    with pyro.validation_enabled(False):
        moved = warp.points(draw_points(5, dtype=torch.float32), gamma)
    moved.sum().backward()
    assert bool(moved.isnan().all())


@every_warp
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_image_warped_by_no_number_is_none(name, padding, value):
    """Torch alone shows the edge of the image, and its backward pass ends the process."""
    warp = make(name, (2, 6, 9), padding=padding)
    gamma = torch.zeros(3, warp.parameter_count)
    gamma[1] = value
    image = torch.rand(3, 2, 6, 9, requires_grad=True)
    with pyro.validation_enabled(False):
        for warped in (warp(image, gamma.requires_grad_()), warp.inverse(image, gamma)):
            assert warped[1].isnan().all()
            assert warped[[0, 2]].isfinite().all()
            warped.nan_to_num().sum().backward()


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("value", [1e8, 1e30])
def test_images_may_be_warped_from_anywhere(padding, value):
    image = torch.rand(2, 3, 6, 9)
    gamma = torch.tensor([value, -value], requires_grad=True)
    warped = Translation(padding=padding)(image, gamma)
    warped.sum().backward()
    assert warped.isfinite().all()
    assert gamma.grad is not None
    assert gamma.grad.isfinite().all()
    if padding == "zeros":
        assert not warped.any()
    if padding == "border":
        torch.testing.assert_close(warped, image[..., -1:, :1].expand_as(warped))


def test_an_unknown_padding_is_refused():
    with pytest.raises(
        ValueError, match=r"padding is 'edge'; expected one of border, zeros, refl"
    ):
        Translation(padding="edge")


def test_pixel_centres_are_those_of_the_convention():
    assert pixel_centres(1, 2, torch.zeros(1)).tolist() == [[-0.5, 0], [0.5, 0]]
    assert pixel_centres(2, 1, torch.zeros(1)).tolist() == [[0, -0.5], [0, 0.5]]
    assert pixel_centres(3, 4, torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert extent_of(3, 4) == (1, 0.75)


def test_reading_an_image_at_its_pixels_gives_the_image():
    image = torch.rand(2, 3, 5, 4, dtype=torch.float64)
    got = sample_image(image, pixel_centres(5, 4, image), "zeros")
    torch.testing.assert_close(got, image)


def test_points_in_other_numbers_of_dims_warp_no_images():
    with pytest.raises(ValueError, match="dims is 1; expected 2 to warp images"):
        CPAB((5,))(torch.rand(1, 4, 4), torch.zeros(4))
