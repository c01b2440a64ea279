"""Which frames of each sequence a step sees."""

import torch
from torch import Generator, Tensor

from .dataset import Dataset
from .wording import counted


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


def draw_windows(
    shape: tuple[int, int], total: int, lengths: Tensor | None, seed: int
) -> tuple[Tensor, Tensor]:
    """Draw successive frames of each sequence, in the order of time; every start is as likely.

    Args:
        shape: Sequences and frames of each, `(B, N)`; no sequence has fewer than `N`.
        total: Number of frames of a sequence, padding included.
        lengths: Number of true frames of each, int64 `(B,)`; all of them where None.
        seed: Of the draw, which is the same on every device.

    Returns:
        Places int64 `(B, N)`, and bool `(B, N)`: all of them are of true frames.
    """
    count, frames = shape
    # Row by row, so that the first windows of many are those of few.
    share = torch.rand(count, generator=Generator().manual_seed(seed), dtype=torch.float64)
    starts = torch.full((count,), total - frames + 1)
    if lengths is not None:
        starts = lengths - frames + 1
    first = (share.to(starts.device) * starts).long()
    places = first.unsqueeze(1) + torch.arange(frames, device=first.device)
    return places, torch.ones_like(places, dtype=torch.bool)


def check_windows(dataset: Dataset, frames: int | None, companions: int) -> None:
    """Refuse numbers of successive frames that not every sequence has.

    Raises:
        ValueError: If there is no number of frames, or there are companions, or the shortest
            sequence has fewer than `frames`.
    """
    if frames is None or companions:
        raise ValueError(
            f"frames is {frames} and companions is {companions} beside ordered; expected a number "
            "of frames and no companions, which would be in no order. Leave companions out"
        )
    shortest = _shortest(dataset)
    if frames > shortest:
        raise ValueError(
            f"frames is {frames}, in the order of time; expected at most {shortest}, as many as "
            f"the shortest sequence of {dataset.name} has. Choose fewer, or give longer ones"
        )


def _shortest(dataset: Dataset) -> int:
    return dataset.images.shape[1] if dataset.lengths is None else int(dataset.lengths.min())


def check_frames(
    dataset: Dataset, frames: int | None, companions: int = 0, ordered: bool = False
) -> None:
    """Refuse numbers of frames that the sequences of `dataset` do not have.

    Raises:
        ValueError: If the data are images, or the longest sequence has fewer than `frames`; or,
            with companions, the shortest has fewer than both together, or, in the order of time,
            fewer than `frames`.
    """
    if frames is None and not companions and not ordered:
        return
    if not dataset.is_sequence:
        raise ValueError(
            f"frames is {frames}, but {dataset.name} are images without sequence ids; expected "
            "sequences. Leave it out, or see docs/sequences.md for how to give sequences"
        )
    longest, shortest = dataset.images.shape[1], _shortest(dataset)
    if frames is not None and (type(frames) is not int or not 1 <= frames <= longest):
        raise ValueError(
            f"frames is {frames}; expected an integer from 1 to {longest}, the frames of the "
            f"longest sequence of {dataset.name}"
        )
    if companions and (frames is None or not 0 < companions <= shortest - frames):
        raise ValueError(
            f"companions is {companions} beside frames {frames}; expected at most "
            f"{counted(shortest, 'frames')} together, as many as the shortest sequence of "
            f"{dataset.name} has. Choose fewer"
        )
    if ordered:
        check_windows(dataset, frames, companions)
