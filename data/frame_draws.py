"""Which frames of each sequence a step sees."""

import torch
from torch import Generator, Tensor

from .dataset import Dataset


def draw_places(
    shape: tuple[int, int], total: int, lengths: Tensor | None, seed: int
) -> tuple[Tensor, Tensor]:
    """Draw frames of each sequence uniformly, without replacement and in no order.

    Args:
        shape: Sequences and frames of each, `(B, N)`, with `N` at most `total`.
        total: Number of frames of a sequence, padding included.
        lengths: Number of true frames of each, int64 `(B,)`; all of them where None.
        seed: Of the draw, which is the same on every device.

    Returns:
        Places int64 `(B, N)`, those of true frames first, and bool `(B, N)`, which are true.
    """
    keys = torch.rand(shape[0], total, generator=Generator().manual_seed(seed))
    if lengths is not None:
        keys = keys.to(lengths.device)
        keys = keys + (torch.arange(total, device=keys.device) >= lengths[:, None])
    places = keys.sort(dim=1, stable=True).indices[:, : shape[1]]
    if lengths is None:
        return places, torch.ones_like(places, dtype=torch.bool)
    return places, places < lengths[:, None]


def check_frames(dataset: Dataset, frames: int | None, companions: int = 0) -> None:
    """Refuse numbers of frames that the sequences of `dataset` do not have.

    Raises:
        ValueError: If the data are images, or the longest sequence has fewer than `frames`; or,
            with companions, the shortest has fewer than both together.
    """
    if frames is None and not companions:
        return
    if not dataset.is_sequence:
        raise ValueError(
            f"frames is {frames}, but {dataset.name} are images without sequence ids; expected "
            "sequences. Leave it out, or see docs/sequences.md for how to give sequences"
        )
    longest = dataset.images.shape[1]
    shortest = longest if dataset.lengths is None else int(dataset.lengths.min())
    if frames is not None and (type(frames) is not int or not 1 <= frames <= longest):
        raise ValueError(
            f"frames is {frames}; expected an integer from 1 to {longest}, the frames of the "
            f"longest sequence of {dataset.name}"
        )
    if companions and (frames is None or not 0 < companions <= shortest - frames):
        raise ValueError(
            f"companions is {companions} beside frames {frames}; expected at most {shortest} "
            f"frames together, as many as the shortest sequence of {dataset.name} has. "
            "Choose fewer"
        )
