"""Four poses: arms raised or lowered, and the limbs held close or spread.

Angles are those of the limbs in the frontal plane, from straight down; they are set on the mean
body, and other shapes turn their joints by as much.
"""

import numpy as np

from .body_model import BodyModel, axis_angle_matrices

POSE_NAMES = ("arms down, tight", "arms down, wide", "arms up, tight", "arms up, wide")

_ARMS = (10.0, 36.0, 178.0, 152.0)  # degrees from straight down
_SHOULDERS = (0.0, 0.0, 25.0, 20.0)  # degrees by which the clavicles rise
_LEGS = (3.0, 14.0, 3.0, 14.0)


def pose_rotations(body: BodyModel) -> np.ndarray:
    """Return axis times angle of every joint in the four poses, `(4, J, 3)`."""
    rotations = np.zeros((len(POSE_NAMES), len(body.joint_names), 3))
    for turns, arm, shoulder, leg in zip(rotations, _ARMS, _SHOULDERS, _LEGS, strict=True):
        turned = _arm(body, arm, shoulder) | {"upperleg01": _leg(body, leg)}
        for name, turn in turned.items():
            turns[body.joint_names.index(f"{name}.L")] = turn
            turns[body.joint_names.index(f"{name}.R")] = turn * (1, -1, -1)  # in the mirror
    return rotations


def _arm(body: BodyModel, angle: float, lift: float) -> dict[str, np.ndarray]:
    """Return how the joints turn that make the left arm straight and point it somewhere."""
    upper = _bone(body, "upperarm01.L", "lowerarm01.L")
    lower = _bone(body, "lowerarm01.L", "wrist.L")
    clavicle = np.array([0.0, -np.deg2rad(lift), 0.0])
    aim = axis_angle_matrices(clavicle).T @ _direction(angle)
    return {
        "clavicle": clavicle,
        "upperarm01": _turn(upper, aim),
        "lowerarm01": _turn(lower, upper),
    }


def _leg(body: BodyModel, angle: float) -> np.ndarray:
    """Return how the left hip turns, about the axis from front to back."""
    leg = _bone(body, "upperleg01.L", "foot.L")
    return np.array([0.0, np.arctan2(leg[0], -leg[2]) - np.deg2rad(angle), 0.0])


def _direction(angle: float) -> np.ndarray:
    radians = np.deg2rad(angle)
    return np.array([np.sin(radians), 0.0, -np.cos(radians)])


def _bone(body: BodyModel, start: str, end: str) -> np.ndarray:
    """Return the unit vector from one joint of the mean body to another."""
    names = body.joint_names
    bone = body.joints[names.index(end)] - body.joints[names.index(start)]
    return bone / np.linalg.norm(bone)


def _turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return axis times angle of the shortest rotation from one unit vector to another."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis)
    return axis / sine * np.arctan2(sine, start @ end)
