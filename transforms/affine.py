r"""Affine warps as flows: the matrix exponential of a velocity matrix.

A velocity field \( v(p) = M p + t \) moves points by
\( T(p) = e^M p + \varphi(M)\, t \) with \( \varphi(M) = \int_0^1 e^{\tau M} d\tau \).

Source: Detlefsen & Hauberg (2019), https://arxiv.org/abs/1906.11881, section 3.2.
"""

import torch
from torch import Tensor

from .matrix_exponential import affine_exponential
from .transform import Transform, pixel_axes


class LinearFlow(Transform):
    """Warps whose velocity is affine in the point; subclasses give `velocity_matrix`."""

    def velocity_matrix(self, gamma: Tensor) -> Tensor:
        """Return the matrices `(..., 2, 3)` of the velocity field for gamma `(..., P)`."""
        raise NotImplementedError

    def matrix(self, gamma: Tensor) -> Tensor:
        """Return the matrices `(..., 2, 3)` of the warp itself for gamma `(..., P)`."""
        return affine_exponential(self.velocity_matrix(gamma))

    def velocity(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return the velocities `(..., M, 2)` at points `(..., M, 2)`."""
        self.check(gamma)
        self.check_points(points, gamma)
        return _apply(self.velocity_matrix(_wide(gamma)), points)

    def points(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return where points `(..., M, 2)` go, `(..., M, 2)`."""
        self.check(gamma)
        self.check_points(points, gamma)
        return _apply(self.matrix(_wide(gamma)), points)

    def image_points(
        self, height: int, width: int, gamma: Tensor, inverse: bool = False
    ) -> Tensor:
        """Return where the centres of pixels go, `(..., H * W, 2)`, from sums of two axes.

        One addition per pixel and coordinate, backwards too, where the points one by one need two
        products each.
        """
        gamma = _wide(gamma)
        matrix = self.matrix(-gamma if inverse else gamma).unsqueeze(-2)
        x, y = pixel_axes(height, width, gamma)
        rows = (matrix[..., 0] * x + matrix[..., 2]).unsqueeze(-2)
        columns = (matrix[..., 1] * y).unsqueeze(-1)
        return (rows + columns).flatten(-2).transpose(-1, -2)


class Translation(LinearFlow):
    """Shifts by `(x, y)`, in units of half the longer side; exact for any length."""

    parameter_names = ("x", "y")

    def velocity_matrix(self, gamma: Tensor) -> Tensor:
        """Return `[0 | gamma]`, `(..., 2, 3)`."""
        return torch.cat(
            [torch.zeros_like(gamma)[..., None].expand(*gamma.shape, 2), gamma[..., None]], -1
        )

    def points(self, points: Tensor, gamma: Tensor) -> Tensor:
        """Return points `(..., M, 2)` plus gamma."""
        self.check(gamma)
        self.check_points(points, gamma)
        return points + _wide(gamma).unsqueeze(-2)


class Rotation(LinearFlow):
    """Turns about the centre, by an angle in radians from the x axis towards the y axis.

    Since y points down, a positive angle turns clockwise as seen.
    """

    parameter_names = ("angle",)

    def velocity_matrix(self, gamma: Tensor) -> Tensor:
        """Return the generator of a rotation, `(..., 2, 3)`."""
        angle = gamma[..., 0]
        zero = torch.zeros_like(angle)
        return _matrix(zero, -angle, zero, angle, zero, zero)


class Similarity(LinearFlow):
    """Turns, scales and shifts: an angle, the logarithm of the scale, and a velocity `(x, y)`."""

    parameter_names = ("angle", "log_scale", "x", "y")

    def velocity_matrix(self, gamma: Tensor) -> Tensor:
        """Return `[[s, -a, x], [a, s, y]]` for angle `a` and log-scale `s`, `(..., 2, 3)`."""
        angle, log_scale, x, y = gamma.unbind(-1)
        return _matrix(log_scale, -angle, x, angle, log_scale, y)


class Affine(LinearFlow):
    """All affine warps that a flow reaches; gamma is the velocity matrix, row by row."""

    parameter_names = ("xx", "xy", "x", "yx", "yy", "y")

    def velocity_matrix(self, gamma: Tensor) -> Tensor:
        """Return gamma as `(..., 2, 3)`."""
        return gamma.unflatten(-1, (2, 3))


def _matrix(*entries: Tensor) -> Tensor:
    return torch.stack(entries, -1).unflatten(-1, (2, 3))


def _wide(gamma: Tensor) -> Tensor:
    """Gamma in float32 at least: half precision places points a pixel off."""
    return gamma if gamma.dtype.itemsize >= 4 else gamma.float()


def _apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Apply `(..., 2, 3)` matrices to points `(..., M, 2)`; no product that autocast rounds."""
    matrix = matrix.unsqueeze(-3)
    x, y = points[..., :1], points[..., 1:]
    return x * matrix[..., 0] + y * matrix[..., 1] + matrix[..., 2]
