"""What judges of real frames see in decoded ones, after swaps and with resampled codes.

Source: Li & Mandt (2018), https://arxiv.org/abs/1803.02991. All of it takes frames, not models;
they are decoded elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .clustered import clustered_accuracy, error_words
from .judge import Judge
from .known_sequences import frame_mask
from .neighbours import Accuracy
from .score_inputs import Values, class_column


@dataclass(frozen=True)
class Judged:
    """How often a judge sees what should be there.

    Attributes:
        name: What it was asked: a head, or several.
        share: Share of the decoded frames or clips in which it sees that.
        ceiling: The same share of real held-out data.
        chance: 1 / number of classes, multiplied over heads.
    """

    name: str
    share: Accuracy
    ceiling: Accuracy
    chance: float

    def __str__(self) -> str:
        """Return the share with its error, the ceiling and chance."""
        share, ceiling = self.share, self.ceiling
        return (
            f"{self.name}: {share.accuracy:.3f} {error_words(share.standard_error)} (real "
            f"{ceiling.accuracy:.3f} {error_words(ceiling.standard_error)}, chance "
            f"{self.chance:.3f})"
        )


@dataclass(frozen=True)
class SwapConsistency:
    """What a judge sees in frames that should have one clip's identity and another's pose.

    Attributes:
        identity: Each attribute of the identity.
        pose: Each head for what moves.
        whole_identity: All attributes at once.
        everything: Identity and pose at once, in the same frame.
    """

    identity: tuple[Judged, ...]
    pose: tuple[Judged, ...]
    whole_identity: Judged
    everything: Judged

    def table(self) -> list[Judged]:
        """Return all of it, row by row."""
        return [*self.identity, self.whole_identity, *self.pose, self.everything]

    def summary(self) -> str:
        """Return all of it in words, a line each."""
        return "\n".join(map(str, self.table()))


def swap_consistency(
    judge: Judge,
    swapped: Tensor,
    identity_classes: Mapping[str, Values],
    pose_classes: Mapping[str, Values],
    *,
    mask: Values | None = None,
) -> SwapConsistency:
    """Say how often a judge sees clip A's identity and clip B's pose in frames decoded from both.

    Decoded frames are no real ones, so what swaps lose is the difference to reconstructions: give
    those to this function too, with the classes of their own clips.

    Args:
        judge: Of single frames, which is asked about every frame; or of clips.
        swapped: Decoded from static codes of clips A and dynamic codes of clips B, `(S, T, C, H,
            W)`, floats in [0, 1].
        identity_classes: Of the clips A, integers `(S,)`, by head.
        pose_classes: Of the clips B, by head: integers `(S, T)` where the judge takes frames,
            `(S,)` where it takes clips.
        mask: True where there is a frame, that is, where B has one, bools `(S, T)`; unless given,
            everywhere.

    Returns:
        Shares whose standard errors are taken over clips.

    Raises:
        ValueError: If shapes do not fit, or the judge has no head of a name.
    """
    if swapped.dim() != 5 or 0 in swapped.shape:
        raise ValueError(
            f"swapped is {tuple(swapped.shape)}; expected (S, T, C, H, W). Give whole clips."
        )
    names = [*identity_classes, *pose_classes]
    if not identity_classes or not pose_classes or len(set(names)) < len(names):
        raise ValueError(
            f"identity_classes are {list(identity_classes)}, pose_classes {list(pose_classes)}; "
            "expected at least one each and none in both. Give the heads of the judge."
        )
    judge.check_heads(names)
    shape = (swapped.shape[0], swapped.shape[1])
    valid = frame_mask("mask", mask, shape)
    clusters = np.arange(len(swapped)) if judge.clips else np.nonzero(valid)[0]
    truth = {
        name: class_column(f"identity_classes[{name!r}]", values, len(swapped))[clusters]
        for name, values in identity_classes.items()
    }
    if judge.clips:
        told = judge.predict(swapped, mask=mask)
        truth |= {
            name: class_column(f"pose_classes[{name!r}]", values, len(swapped))
            for name, values in pose_classes.items()
        }
    else:
        told = judge.predict(swapped[torch.from_numpy(valid)])
        truth |= {
            name: _frame_classes(f"pose_classes[{name!r}]", values, shape)[valid]
            for name, values in pose_classes.items()
        }
    right = {name: told[name].numpy() == values for name, values in truth.items()}

    def judged(name: str, heads: Sequence[str]) -> Judged:
        return _judged(judge, name, heads, right, clusters)

    return SwapConsistency(
        tuple(judged(name, [name]) for name in identity_classes),
        tuple(judged(name, [name]) for name in pose_classes),
        judged("whole identity", list(identity_classes)),
        judged("identity and pose", names),
    )


def kept_accuracy(
    judge: Judge,
    frames: Tensor,
    classes: Mapping[str, Values],
    *,
    mask: Values | None = None,
    groups: Values | None = None,
) -> tuple[Judged, ...]:
    """Say how often a judge still sees what one part of the codes holds when the other is drawn.

    With the dynamic codes of real clips and static codes from the prior it is asked for the
    action; with the static codes of real clips and dynamic codes from their prior, for the
    attributes. `generation_scores` say whether what was drawn varies.

    Args:
        judge: Of what `frames` are.
        frames: Decoded images or clips, as the judge takes them, `N` of them.
        classes: Of the clips whose codes were kept, integers `(N,)`, by head.
        mask: True where a clip has a frame, bools `(N, T)`.
        groups: Which were decoded from the same kept codes, integers `(N,)`; the standard errors
            are taken over them. Unless given, all are independent.

    Returns:
        One per head that `classes` name, and where these are several, all at once as `all`.

    Raises:
        ValueError: If shapes do not fit, or the judge has no head of a name.
    """
    judge.check_heads(classes)
    told = judge.predict(frames, mask=mask)
    right = {
        name: told[name].numpy() == class_column(f"classes[{name!r}]", values, len(frames))
        for name, values in classes.items()
    }
    clusters = np.arange(len(frames))
    if groups is not None:
        clusters = class_column("groups", groups, len(frames))
    rows = [(name, [name]) for name in classes]
    rows += [("all", list(classes))] if len(classes) > 1 else []
    return tuple(_judged(judge, name, heads, right, clusters) for name, heads in rows)


def _frame_classes(what: str, classes: Values, shape: tuple[int, int]) -> NDArray[np.integer]:
    if tuple(classes.shape) != shape:
        raise ValueError(
            f"{what} have shape {tuple(classes.shape)}; expected {shape}. Give one class per "
            "frame."
        )
    return class_column(what, classes.reshape(-1), prod(shape)).reshape(shape)


def _judged(
    judge: Judge,
    name: str,
    heads: Sequence[str],
    right: Mapping[str, NDArray[np.bool_]],
    clusters: NDArray[np.integer],
) -> Judged:
    share = clustered_accuracy(np.all([right[head] for head in heads], 0), clusters)
    chance = 1 / prod(judge.classes[head] for head in heads)
    return Judged(name, share, judge.ceiling(heads), chance)
