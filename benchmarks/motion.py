"""How what is drawn in films moves: where it is, how fast, and how often it turns round."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from torch import Tensor

FLOOR = 0.1  # grey value up to which a pixel is empty: what is decoded is never quite black
LEAST_INK = 1.0  # sum of grey values above it, below which there is nothing to be placed
LEAST_RETREAT = 2.5  # pixels; less is no turn, but the jitter of a centre that is partly hidden


def centres(frames: Tensor) -> Tensor:
    """Return the centre of what each channel shows: x and y in pixels, weighted by grey values.

    Args:
        frames: Frames `(..., C, H, W)` in [0, 1].

    Returns:
        float32 `(..., C, 2)`, from 0 at the centre of the first pixel; NaN where a channel is
        empty.
    """
    ink = (frames.float() - FLOOR).clamp(min=0)
    total = ink.sum((-2, -1))
    along_x = ink.sum(-2) @ torch.arange(ink.shape[-1], dtype=ink.dtype, device=ink.device)
    along_y = ink.sum(-1) @ torch.arange(ink.shape[-2], dtype=ink.dtype, device=ink.device)
    places = torch.stack([along_x, along_y], -1) / total.unsqueeze(-1)
    return places.masked_fill((total < LEAST_INK).unsqueeze(-1), torch.nan)


def speeds(track: Tensor) -> Tensor:
    """Return how far each step of a track goes, in pixels a frame.

    Args:
        track: Places `(..., T, 2)`; NaN where they are not known.

    Returns:
        `(..., T - 1)`; NaN where a step has an end that is not known.
    """
    return track.diff(dim=-2).square().sum(-1).sqrt()


def turns(track: Tensor, least: float = LEAST_RETREAT) -> Tensor:
    """Count how often each coordinate of a track turns round.

    A turn counts once the coordinate has gone back from its furthest place by `least`: jitter
    never does, a digit between two walls always. One that is nearer to an end of the track than
    that is not seen.

    Args:
        track: Places `(..., T, K)`; those that are NaN are passed over.
        least: Pixels, above 0.

    Returns:
        int64 `(..., K)`.

    Raises:
        ValueError: If `least` is not above 0.
    """
    if not least > 0:
        raise ValueError(f"least is {least}; expected pixels, above 0. Give less than a room")
    places = track.movedim(-2, 0)
    low = torch.full_like(places[0], torch.inf)
    high = -low
    heading = torch.zeros_like(places[0], dtype=torch.int64)  # 1 where it rises, 0 until known
    count = torch.zeros_like(heading)
    for place in places:
        low, high = torch.fmin(low, place), torch.fmax(high, place)
        rises = (place - low >= least) & (heading <= 0)
        falls = (high - place >= least) & (heading >= 0)
        count += ((rises | falls) & (heading != 0)).long()
        heading = torch.where(rises, 1, torch.where(falls, -1, heading))
        # What is looked for from here on is how far it goes the new way.
        high, low = torch.where(rises, place, high), torch.where(falls, place, low)
    return count


def distance(values: Tensor, others: Tensor) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, 0 to 1; NaN is left out of both.

    That is the largest difference of the shares that are at most some number; 1 where one sample
    has no value at all.
    """
    known = [_known(values), _known(others)]
    if not all(map(len, known)):
        return 1.0
    return float(ks_2samp(*known, method="asymp").statistic)  # pyright: ignore


def _known(values: Tensor) -> NDArray[np.floating]:
    flat = values.flatten().double().numpy()
    return flat[~np.isnan(flat)]
