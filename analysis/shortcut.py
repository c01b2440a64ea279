"""Two ways in which a varying and a common code go wrong: shortcut, and reference ambiguity.

Source: Szabó et al. (2017), https://arxiv.org/abs/1711.02245. The numbers here
are ours: the paper shows images, and proves that the second cannot be prevented.
"""

from dataclasses import dataclass

import numpy as np

from .score_inputs import Values, class_column, code_rows


@dataclass(frozen=True)
class SwapChange:
    """How far an image goes when one of its codes is taken from another datum.

    Both are shares of the mean squared distance between the two data's own images. The shortcut
    has 0 and 1: the common code does nothing, the varying one holds everything. 1 and 0 is its
    opposite. Where codes act on different pixels they add up to 1; in general neither has to be at
    any value, and a swap can go beyond both images.

    Attributes:
        common: Change when the common code is swapped, at least 0.
        varying: Change when the varying code is swapped, at least 0.
    """

    common: float
    varying: float


def swap_change(own: Values, other: Values, swapped: Values) -> SwapChange:
    """Measure what either code does to images.

    Pairs should differ in what the common code is to hold, and in the rest.

    Args:
        own: Images `(N, C, H, W)` of codes `(v_i, c_i)`: decoded, not the data, so that what
            the decoder cannot draw does not count.
        other: Images of `(v_j, c_j)`, another datum each.
        swapped: Images of `(v_i, c_j)`: own varying code, the other's common code.

    Raises:
        ValueError: If shapes differ, a value is not finite, or own and other images are equal.
    """
    first, second, mixed = (
        code_rows(name, images).astype(np.float64)
        for name, images in (("own", own), ("other", other), ("swapped", swapped))
    )
    if not first.shape == second.shape == mixed.shape:
        raise ValueError(
            f"own, other and swapped have shapes {first.shape}, {second.shape} and {mixed.shape}; "
            "expected one. Give one image of each for every pair."
        )
    between = ((second - first) ** 2).mean()
    if between == 0:
        raise ValueError(
            "own and other images are equal; expected pairs that differ. Pair other data."
        )
    common, varying = ((mixed - first) ** 2).mean(), ((mixed - second) ** 2).mean()
    return SwapChange(float(common / between), float(varying / between))


@dataclass(frozen=True)
class ReferenceConsistency:
    """Whether the varying code means the same for every value of the common factor.

    Attributes:
        mean: Mean of `pairs` over all pairs of two values: 1 where all values of the common factor
            have one reference, about 0 where each has its own, below 0 where some go backwards.
        pairs: Cosine of the ways of the varying code over poses, `(C, C)`, 1 on the diagonal.
        classes: The values of the common factor, in the order of the rows.
    """

    mean: float
    pairs: tuple[tuple[float, ...], ...]
    classes: tuple[int, ...]


def reference_consistency(varying: Values, common: Values, pose: Values) -> ReferenceConsistency:
    r"""Compare the way of the varying code over known poses between values of the common factor.

    With the mean code \( u_{cp} \) of value c in pose p, less its mean over poses, the entry of a
    pair is \( \sum_p u_{cp} \cdot u_{dp} / \sqrt{\sum_p |u_{cp}|^2 \sum_p |u_{dp}|^2} \). Offsets
    that tell the common factor do not count, nor does the scale of its ways. A way that stands
    still has 0 with all others.

    Args:
        varying: Varying codes `(N, K)`.
        common: Classes `(N,)` of the common factor, such as the number of an object.
        pose: Classes `(N,)` of the known varying factor, in steps. Every value of the common
            factor has data in every pose.

    Raises:
        ValueError: If shapes do not fit, there are fewer than two classes or poses, or a class
            lacks a pose.
    """
    codes = code_rows("varying", varying).astype(np.float64)
    classes, row = np.unique(class_column("common", common, len(codes)), return_inverse=True)
    poses, column = np.unique(class_column("pose", pose, len(codes)), return_inverse=True)
    if len(classes) < 2 or len(poses) < 2:
        raise ValueError(
            f"common has {len(classes)} values and pose {len(poses)}; expected at least 2 of "
            "each. Give data of several objects in several poses."
        )
    sums = np.zeros((len(classes), len(poses), codes.shape[1]))
    counts = np.zeros((len(classes), len(poses), 1))
    np.add.at(sums, (row, column), codes)
    np.add.at(counts, (row, column), 1.0)
    if (counts == 0).any():
        c, p, _ = np.argwhere(counts == 0)[0]
        raise ValueError(
            f"common {classes[c]} has no datum in pose {poses[p]}; expected every pose of each. "
            "Leave the pose or the class out."
        )
    ways = sums / counts
    ways = (ways - ways.mean(1, keepdims=True)).reshape(len(classes), -1)
    length = np.linalg.norm(ways, axis=1, keepdims=True)
    ways = np.divide(ways, length, out=np.zeros_like(ways), where=length > 1e-12)
    cosines = ways @ ways.T
    np.fill_diagonal(cosines, 1.0)
    mean = cosines[~np.eye(len(classes), dtype=bool)].mean()
    return ReferenceConsistency(
        float(mean),
        tuple(tuple(float(value) for value in line) for line in cosines),
        tuple(int(value) for value in classes),
    )
