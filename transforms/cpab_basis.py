r"""The basis of CPAB velocity fields: orthonormal, the smoothest first.

A continuous piecewise-affine field is fixed by its velocities at the vertices, so that continuity
needs no equations; a zero boundary removes the component normal to the border there, and volume
preservation is the null space, by SVD, of the traces of the pieces.

The fields are the eigenfunctions of \( \int |\nabla v|^2 = \lambda \int |v|^2 \), \( \lambda \)
rising: hence orthogonal in velocity as in its gradient. Those of one eigenvalue are told apart by
fixed directions, which settle the signs too. They are scaled to be orthonormal in
\( s^{-2} \int v \cdot w + \nabla v : \nabla w \), lengths in units of half the longer side, with
one \( s \) for all: for \( \gamma \sim N(0, I) \) the velocity's root mean square is `SPREAD`.

Source: Freifeld, Hauberg, Batmanghelich & Fisher (2015), Highly-expressive spaces of well-behaved
transformations, https://doi.org/10.1109/ICCV.2015.339, section 3 (the space), with vertices in
place of its constraint matrix.
"""

from math import factorial, prod

import numpy as np
from scipy.linalg import eigh, null_space

from .tessellation import Floats, Tessellation

SPREAD = 0.15  # of half the longer side: 2.1 pixels of 28
SAME = 1e-7  # relative distance below which eigenvalues are one


def cpab_basis(
    tessellation: Tessellation,
    extent: tuple[float, ...],
    *,
    zero_boundary: bool,
    volume_preserving: bool,
) -> Floats:
    """Return the affine pieces of every basis field.

    Args:
        tessellation: The grid, `C` pieces of `D` coordinates.
        extent: How far the domain reaches from its centre along each coordinate.
        zero_boundary: Whether nothing flows through the border.
        volume_preserving: Whether the divergence is 0.

    Returns:
        An array `(D, D + 1, P, C)` in cell units: `D` components of the velocity, their gradient
        and value at the origin, `P` fields and `C` pieces.

    Raises:
        ValueError: If no field but 0 remains.
    """
    dims, vertices = tessellation.dims, tessellation.vertices
    cells, reach = np.array(tessellation.cells), np.array(extent)
    places = (2 * vertices / cells - 1) * reach
    allowed = np.ones_like(vertices, dtype=bool)  # (V, D)
    if zero_boundary:
        allowed &= (vertices != 0) & (vertices != cells)
    space = np.eye(vertices.size)[:, allowed.T.ravel()]  # columns; components one by one
    simplices = tessellation.simplices()
    volumes, gradients = _gradients(places[simplices])
    if volume_preserving and space.size:
        trace = np.zeros((len(simplices), dims, len(vertices)))
        np.put_along_axis(
            trace, np.repeat(simplices[:, None], dims, 1), np.moveaxis(gradients, 2, 1), 2
        )
        space = space @ np.asarray(null_space(trace.reshape(len(simplices), -1) @ space))
    if not space.shape[1]:
        raise ValueError(
            f"cells is {tessellation.cells}; expected more of them, as no field but 0 obeys the "
            "constraints. Add cells, or set zero_boundary=False."
        )
    mass, stiffness = _forms(simplices, volumes, gradients, len(vertices))
    mass = space.T @ np.kron(np.eye(dims), mass) @ space
    stiffness = space.T @ np.kron(np.eye(dims), stiffness) @ space
    roughness, fields = map(np.asarray, eigh(stiffness, mass))
    fields = _settled(roughness, space @ fields, dims)
    energy = 1 + roughness.clip(0)
    mean_square = (1 / energy).sum() / prod(2 * reach)
    fields *= SPREAD / np.sqrt(mean_square * energy)
    fields = fields.reshape(dims, len(vertices), -1) * (cells / (2 * reach))[:, None, None]
    return np.einsum("cjv,ivp->ijpc", tessellation.interpolation(), fields)


def _gradients(corners: Floats) -> tuple[Floats, Floats]:
    """Volumes `(S,)` of simplices `(S, D + 1, D)`, and gradients of their hats, same shape."""
    edges = corners[:, 1:] - corners[:, :1]
    dims = corners.shape[-1]
    volumes = np.abs(np.linalg.det(edges)) / factorial(dims)
    others = np.swapaxes(np.linalg.inv(edges), 1, 2)
    gradients = np.concatenate([-others.sum(1, keepdims=True), others], 1)
    return volumes, np.asarray(gradients, np.float64)


def _forms(
    simplices: np.ndarray, volumes: Floats, gradients: Floats, count: int
) -> tuple[Floats, Floats]:
    """The matrices `(V, V)` of the integrals of products and of gradients of scalar fields."""
    corners = simplices.shape[1]
    mass, stiffness = np.zeros((count, count)), np.zeros((count, count))
    share = (1 + np.eye(corners)) / (corners * (corners + 1))
    at = simplices[:, :, None], simplices[:, None, :]
    np.add.at(mass, at, volumes[:, None, None] * share)
    np.add.at(
        stiffness, at, volumes[:, None, None] * np.einsum("sid,sjd->sij", gradients, gradients)
    )
    return mass, stiffness


def _settled(roughness: Floats, fields: Floats, dims: int) -> Floats:
    """Make eigenvectors `(D * V, P)` independent of the solver: within one value, and in sign.

    Fixed directions, which look at one component each, are projected and made orthogonal in turn.
    """
    size, count = fields.shape
    direction = 0.5 + np.sin(np.arange(size)[:, None] * np.sqrt(2.0 + np.arange(count)))
    direction *= np.arange(size)[:, None] * dims // size == np.arange(count) % dims
    starts = np.flatnonzero(np.diff(roughness, prepend=-np.inf) > SAME * (1 + roughness))
    for start, stop in zip(starts, [*starts[1:], count], strict=True):
        same = fields[:, start:stop]
        q, r = np.linalg.qr(same.T @ direction[:, : stop - start])
        fields[:, start:stop] = same @ (q * np.sign(np.diag(r)))
    return fields
