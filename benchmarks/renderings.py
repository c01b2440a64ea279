"""Who is shown, in which pose: by the rendering of a character that is nearest to a picture.

Characters can be drawn in any looks and any pose, so that what a swap should show is known to the
pixel. Unlike a net that has learnt from real frames, a distance cannot be misled by pictures that
are a little soft. One thing is asked for at a time, among renderings that differ in nothing else:
an attribute in the right pose, the pose of the right character.
"""

from dataclasses import replace
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from unbraid.data import Dataset


def told_by_renderings(
    data: Dataset, frames: Tensor, attributes: Tensor, poses: Tensor
) -> list[dict[str, Any]]:
    """Return by attribute, pose and action how often the nearest rendering is the right one.

    Args:
        data: Characters with their attributes and all their poses, such as a part of `sprites`.
        frames: What is shown, `(S, T, C, H, W)` in [0, 1].
        attributes: What it should show of the looks, int64 `(S, A)`.
        poses: And in which poses, places in the sequences of `data`, int64 `(S, T)`.

    Returns:
        Rows of `name`, `share`, `standard_error` over sequences, `ceiling` and `chance`. Where
        two renderings are equal, as where nothing of a layer is seen, either is right.

    Raises:
        ValueError: If the data do not say the action of each pose.
    """
    store: Any = data.images
    everyone, every_pose = torch.arange(len(poses)), torch.arange(store.shape[1])
    others = store.looks[:1, attributes.shape[1] :].expand(len(attributes), -1)

    def drawn(of: Tensor) -> Any:
        looks = torch.cat([of, others], 1)
        return replace(store, looks=looks, poses=every_pose.expand(len(of), -1))

    rows = []
    for place, name in enumerate(data.factor_names):
        distances = []
        for variant in range(data.factor_sizes[place]):
            changed = attributes.clone()
            changed[:, place] = variant
            pixels = drawn(changed).frames(everyone, poses).float() / 255
            distances.append((pixels - frames).square().flatten(2).sum(2))
        own = attributes[:, place].view(-1, 1, 1).expand(-1, poses.shape[1], 1)
        found = torch.stack(distances, -1)
        right = found.gather(-1, own).squeeze(-1) <= found.min(-1).values
        rows.append(_row(name, right, len(distances)))
    return rows + _poses(data, drawn(attributes), frames, poses)


def _poses(data: Dataset, characters: Any, frames: Tensor, poses: Tensor) -> list[dict[str, Any]]:
    count = characters.shape[1]
    if data.frame_factors is None or "action" not in data.frame_factor_names:
        raise ValueError(f"{data.name} says nothing of actions; expected those of each pose")
    actions = data.frame_factors[0, :, data.frame_factor_names.index("action")]
    right: dict[str, list[Tensor]] = {"pose": [], "action": []}
    for one, (shown, truth) in enumerate(zip(frames, poses, strict=True)):
        pixels = characters.frames(torch.tensor([one]), torch.arange(count)[None])[0]
        distances = torch.cdist(
            shown.flatten(1),
            pixels.flatten(1).float() / 255,
            compute_mode="donot_use_mm_for_euclid_dist",  # a product of matrices is inexact
        )
        nearest = distances.argmin(1)
        equal = (pixels[nearest] == pixels[truth]).flatten(1).all(1)
        right["pose"].append(equal)
        right["action"].append(equal | (actions[nearest] == actions[truth]))
    sizes = {"pose": count, "action": int(actions.max()) + 1}
    return [_row(name, torch.stack(rows), sizes[name]) for name, rows in right.items()]


def _row(name: str, right: Tensor, classes: int) -> dict[str, Any]:
    shares = right.double().mean(1)
    return {
        "name": name,
        "share": float(shares.mean()),
        "standard_error": float(shares.std()) / sqrt(len(shares)),
        "ceiling": 1.0,
        "chance": 1 / classes,
    }
