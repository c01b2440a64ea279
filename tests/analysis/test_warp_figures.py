"""Histograms count every warp, and lattices lie where the warp takes their points."""

import math

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from unbraid.analysis import decompose, deformation_figure, gamma_figure
from unbraid.transforms import Affine, Rotation, make_transform


def drawn(figure):
    return [axis for axis in figure.axes if axis.get_visible()]


def gammas(count: int, width: int) -> torch.Tensor:
    return 0.2 * torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def test_there_is_a_histogram_of_each_part_and_every_warp_is_in_it():
    gamma = gammas(30, 6)
    figure = gamma_figure(Affine(), gamma, 8, 10)
    axes = drawn(figure)
    names = [axis.get_xlabel().split(",")[0].split(" along")[0] for axis in axes]
    assert names == [
        "rotation", "scale", "stretch", "shear", "shift to the right", "shift down",
    ]  # fmt: skip
    parts = decompose(Affine(), gamma, 8, 10)
    for axis, values in zip(axes, parts.values(), strict=False):
        bars = [bar for bar in axis.patches if isinstance(bar, Rectangle) and bar.get_height()]
        assert sum(bar.get_height() for bar in bars) == 30
        assert bars[0].get_x() == pytest.approx(float(values.min()))
        assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(float(values.max()))
    assert figure.get_suptitle().startswith("30 warps")


def test_the_mean_and_deviation_are_those_of_the_warps():
    figure = gamma_figure(Rotation(), torch.tensor([[-0.1], [0.0], [0.4]]), 8, 8)
    (axis,) = drawn(figure)
    degrees = np.rad2deg([-0.1, 0.0, 0.4])
    expected = f"{degrees.mean():.0f} ± {degrees.std():.0f}"
    assert axis.get_xlabel() == f"rotation, degrees clockwise\n{expected}"


def test_equal_warps_still_make_a_figure():
    figure = gamma_figure(Rotation(), torch.tensor([[0.2]]), 8, 8)
    assert len(drawn(figure)) == 7
    figure.canvas.draw()


def test_deformation_has_its_histogram():
    warp = make_transform("cpab", (1, 8, 10))
    figure = gamma_figure(warp, gammas(9, warp.parameter_count), 8, 10)
    assert drawn(figure)[-1].get_xlabel().startswith("deformation, pixels")


def test_lattices_lie_where_the_warp_takes_them():
    """Nine lines each way, from edge to edge of an image of 6 rows and 10 columns."""
    warp, gamma = Affine(), gammas(7, 6)
    figure = deformation_figure(warp, gamma, 6, 10)
    axes = [axis for axis in figure.axes if axis.collections]
    assert len(axes) == 7
    ends = torch.linspace(-1, 1, 9)
    for axis, one in zip(axes, gamma, strict=True):
        (lines,) = axis.collections
        assert isinstance(lines, LineCollection)
        found = np.stack(lines.get_segments())
        assert found.shape[0] == 18
        for k in range(9):
            upright = torch.tensor([[ends[k], -0.6], [ends[k], 0.6]])
            level = torch.tensor([[-1.0, 0.6 * ends[k]], [1.0, 0.6 * ends[k]]])
            for i, line in ((k, upright), (9 + k, level)):
                np.testing.assert_allclose(found[i, [0, -1]], warp.points(line, one), atol=1e-5)
        low, high = axis.get_ylim()
        assert low > high  # y points down


def test_each_lattice_says_its_rotation_and_scale():
    gamma = torch.tensor([[math.radians(-20), math.log(1.25), 0.1, 0.0]])
    warp = make_transform("similarity", (1, 8, 8))
    figure = deformation_figure(warp, gamma, 8, 8)
    assert figure.axes[0].get_title() == "-20°, 1.25x"
    figure.canvas.draw()


@pytest.mark.parametrize("draw", [gamma_figure, deformation_figure])
@pytest.mark.parametrize("shape", [(6,), (0, 6), (1, 2, 6)])
def test_other_shapes_of_gamma_are_refused(draw, shape):
    with pytest.raises(ValueError, match=r"expected \(N, P\) with at least one row"):
        draw(Affine(), torch.zeros(shape), 8, 8)
