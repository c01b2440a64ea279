r"""Affine maps of the plane: the one closest to a set of points, and what it does in plain terms.

A matrix of positive determinant is a rotation after a pure stretch (the polar decomposition), and
the stretch has a logarithm:
\[ A = R(\theta)\, U, \qquad U = s\, \exp \begin{pmatrix} a & b \\ b & -a \end{pmatrix} \]
The rotation \( \theta \), the scale \( s \) (areas grow by \( s^2 \)), the stretch \( e^{2a} \)
(how many times more in x than in y) and the shear \( 2b \) (the same along the diagonals)
determine A.

Source: Higham (1986), Computing the polar decomposition, https://doi.org/10.1137/0907079; the
logarithm of U is the Hencky strain of mechanics.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class LinearParts(NamedTuple):
    """What a 2 x 2 matrix does; all `(...)`.

    Attributes:
        angle: Radians from the x axis towards the y axis, in (-pi, pi].
        scale: Square root of the growth of areas, positive.
        stretch: Growth in x divided by growth in y, positive.
        shear: Logarithm of the growth along the diagonal x = y divided by that along x = -y; a
            small shear `[[1, k], [0, 1]]` has k.
    """

    angle: Tensor
    scale: Tensor
    stretch: Tensor
    shear: Tensor


def linear_parts(matrix: Tensor) -> LinearParts:
    """Take matrices apart by the polar decomposition.

    Args:
        matrix: Matrices `(..., 2, 2)` of positive determinant; of others the scale is NaN.
    """
    (xx, xy), (yx, yy) = (row.unbind(-1) for row in matrix.unbind(-2))
    angle = torch.atan2(yx - xy, xx + yy)
    cos, sin = angle.cos(), angle.sin()
    # U = R^T A is symmetric: half its trace, half its difference, and its off-diagonal entry.
    middle = (cos * (xx + yy) + sin * (yx - xy)) / 2
    difference = (cos * (xx - yy) + sin * (yx + xy)) / 2
    diagonal = cos * xy + sin * yy
    radius = torch.hypot(difference, diagonal)
    # atanh(radius / middle) / radius tends to 1 / middle where the radius vanishes.
    factor = torch.where(radius > 0, (radius / middle).atanh() / radius, 1 / middle)
    return LinearParts(
        angle,
        (xx * yy - xy * yx).sqrt(),
        (2 * factor * difference).exp(),
        2 * factor * diagonal,
    )


def fit_affine(points: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Find the affine maps that bring points closest to targets, in the sum of squares.

    Args:
        points: Points `(M, 2)`, not all on one line.
        targets: Where they should go, `(..., M, 2)`.

    Returns:
        The maps `(..., 2, 3)`, linear part first, and what is left, targets minus the mapped
        points, `(..., M, 2)`.
    """
    design = torch.cat([points, torch.ones_like(points[:, :1])], -1)
    solution = torch.linalg.pinv(design) @ targets
    return solution.transpose(-1, -2), targets - design @ solution
