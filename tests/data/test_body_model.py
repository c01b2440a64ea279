# pyright: reportMissingImports=false
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unbraid.data.body_model import (
    BodyModel,
    axis_angle_matrices,
    body_model,
    thickness_direction,
)
from unbraid.data.body_poses import POSE_NAMES, pose_rotations

BODY = body_model()
JOINTS, SHAPES = len(BODY.parents), len(BODY.shape_basis)


def random_bodies(count, seed=0):
    generator = np.random.default_rng(seed)
    shapes = generator.normal(size=(count, SHAPES))
    return shapes, generator.normal(size=(count, JOINTS, 3))


def volume(vertices):
    a, b, c = (vertices[BODY.faces[:, k]] for k in range(3))
    return (a * np.cross(b, c)).sum() / 6


def test_the_mesh_is_closed_and_its_weights_sum_to_one():
    edges = np.concatenate([BODY.faces[:, [0, 1]], BODY.faces[:, [1, 2]], BODY.faces[:, [2, 0]]])
    there = {tuple(edge) for edge in edges.tolist()}
    assert len(there) == len(edges) and {(b, a) for a, b in there} == there
    assert volume(BODY.vertices) > 0
    assert np.allclose(BODY.weights.sum(1), 1, atol=1e-6)
    assert all(parent < k for k, parent in enumerate(BODY.parents))


def test_a_body_at_rest_is_the_mean_and_its_shape():
    shapes, _ = random_bodies(3)
    rest = BODY.skin(shapes, np.zeros((3, JOINTS, 3)))
    for vertices, coefficients in zip(rest, shapes, strict=True):
        truth = BODY.vertices.copy()
        for coefficient, component in zip(coefficients, BODY.shape_basis, strict=True):
            truth += coefficient * component
        assert np.allclose(vertices, truth, atol=1e-6)  # weights sum to one to float32


def test_rotations_are_those_of_scipy():
    rotations = np.random.default_rng(0).normal(size=(50, 3)) * 3
    rotations[0] = 0
    truth = Rotation.from_rotvec(rotations).as_matrix()
    assert np.allclose(axis_angle_matrices(rotations), truth, atol=1e-13)


def test_one_elbow_carries_the_forearm_rigidly_and_nothing_else():
    elbow, shapes = BODY.joint_names.index("lowerarm01.L"), random_bodies(1)[0]
    turn = np.zeros((1, JOINTS, 3))
    turn[0, elbow] = 0, 0, math.pi / 2
    rest, bent = BODY.skin(shapes, turn * 0)[0], BODY.skin(shapes, turn)[0]
    joint = BODY.joints[elbow] + np.tensordot(shapes[0], BODY.joints_basis[:, elbow], 1)
    follows = BODY.weights[:, [elbow, elbow + 1]].sum(1)  # with the wrist
    carried, still = follows > 1 - 1e-6, follows == 0
    assert carried.sum() > 20 and still.sum() > 500
    x, y, z = (rest[carried] - joint).T
    assert np.allclose(bent[carried] - joint, np.stack([-y, x, z], 1), atol=1e-6)
    assert np.allclose(bent[still], rest[still], atol=1e-12)


def test_a_chain_is_what_two_hinges_make_of_it():
    """Three joints on a line, a metre apart, and a tip: bent twice by a quarter of a turn."""
    joints = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    chain = BodyModel(
        vertices=np.array([[3.0, 0, 0]]),
        shape_basis=np.zeros((1, 1, 3)),
        joints=joints,
        joints_basis=np.zeros((1, 3, 3)),
        weights=np.array([[0.0, 0, 1]]),
        parents=(-1, 0, 1),
        joint_names=("a", "b", "c"),
        faces=np.zeros((0, 3), np.int64),
    )
    quarter = np.array([0, 0, math.pi / 2])
    turns = np.array([[quarter * 0, quarter, quarter], [quarter, quarter * 0, quarter]])
    tips = chain.skin(np.zeros((2, 1)), turns)[:, 0]
    assert np.allclose(tips, [[0, 1, 0], [-1, 2, 0]], atol=1e-15)


def place(point, joint, shapes, rotations, joints):
    """Carry a point along the chain from a joint to the root, one rotation about a joint each."""
    while joint >= 0:
        turn = Rotation.from_rotvec(rotations[joint])
        point = joints[joint] + turn.apply(point - joints[joint])
        joint = BODY.parents[joint]
    return point


def test_skinning_is_that_of_one_vertex_at_a_time():
    shapes, rotations = random_bodies(2)
    skinned = BODY.skin(shapes, rotations)
    for body in range(2):
        joints = BODY.joints + np.tensordot(shapes[body], BODY.joints_basis, 1)
        rest = BODY.vertices + np.tensordot(shapes[body], BODY.shape_basis, 1)
        for vertex in range(body, len(rest), 173):
            truth = sum(
                BODY.weights[vertex, k]
                * place(rest[vertex], k, shapes[body], rotations[body], joints)
                for k in range(JOINTS)
            )
            assert np.allclose(skinned[body, vertex], truth, atol=1e-12)


def test_bodies_do_not_depend_on_their_neighbours():
    shapes, rotations = random_bodies(5)
    together = BODY.skin(shapes, rotations)
    for k in range(5):
        assert np.array_equal(BODY.skin(shapes[k : k + 1], rotations[k : k + 1])[0], together[k])


def test_thickness_is_the_steepest_growth_at_a_constant_height():
    direction, step = thickness_direction(BODY), 1e-4
    top, bottom = BODY.vertices[:, 2].argmax(), BODY.vertices[:, 2].argmin()

    def slopes(towards):
        ahead = BODY.vertices + step * np.tensordot(towards, BODY.shape_basis, 1)
        behind = BODY.vertices - step * np.tensordot(towards, BODY.shape_basis, 1)
        tall = (ahead - behind)[top, 2] - (ahead - behind)[bottom, 2]
        return (volume(ahead) - volume(behind)) / (2 * step), tall / (2 * step)

    growth, height = slopes(direction)
    assert direction @ direction == pytest.approx(1)
    assert abs(height) < 1e-9 and growth > 0
    of_unit = np.array([slopes(unit) for unit in np.eye(SHAPES)])
    rates, heights = of_unit.T
    best = math.sqrt(rates @ rates - (rates @ heights) ** 2 / (heights @ heights))
    assert growth == pytest.approx(best, rel=1e-4)


def test_poses_are_mirrored_and_raise_and_spread_the_limbs():
    bodies = BODY.skin(np.zeros((4, SHAPES)), pose_rotations(BODY))
    hand, foot = (
        BODY.weights[:, BODY.joint_names.index(name)] > 0.9 for name in ("wrist.L", "foot.L")
    )
    other = BODY.weights[:, BODY.joint_names.index("wrist.R")] > 0.9
    head = BODY.vertices[:, 2].max()
    for body, name in zip(bodies, POSE_NAMES, strict=True):
        left, right = body[hand].mean(0), body[other].mean(0)
        assert np.allclose(left, right * (-1, 1, 1), atol=0.01)
        assert (left[2] > head) == ("up" in name) and (left[2] < 0.4) == ("down" in name)
        assert (left[0] > 0.35) == ("wide" in name) == (body[foot].mean(0)[0] > 0.25)
