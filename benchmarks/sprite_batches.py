"""Composing batches of characters, against Pillow and against frames that were composed before.

Run: python -m benchmarks.sprite_batches [--rounds 21]

The sheets are downloaded, 0.4 MB, unless UNBRAID_DATA names a folder that has them. Pillow
composes one frame after the other from cells in memory that are opaque in the middle and empty
around it, as characters are, and shrinks it where frames are smaller.
Frames that were composed before are looked up in a tensor: one of all identities in all poses
would take 0.7 GB at 32 x 32 and 2.8 GB at 64 x 64; here it has fewer identities.
"""

import argparse
import itertools
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.timing import compare, one_thread, print_table
from unbraid.data import Dataset, load

CASES = {64: 120, 32: 24}  # sequences in a batch, by the size of frames
CELL = 64  # pixels of composed frames, before they are shrunk
FRAMES, KEPT = 3, 128  # frames of each sequence; identities that are composed before
DRAWS = 16  # batches that are drawn beforehand, to be made in turns

Drawn = list[tuple[Tensor, Tensor]]  # sequences and places of batches
Cells = list[list[list[Image.Image]]]  # by layer, variant and pose


def draw(data: Dataset, batch: int) -> Drawn:
    """Draw which frames of which sequences some batches hold."""
    count, total = min(len(data), KEPT), data.images.shape[1]
    return [
        (torch.randint(0, count, (batch,)), torch.rand(batch, total).argsort(1)[:, :FRAMES])
        for _ in range(DRAWS)
    ]


def fetching(data: Dataset, drawn: Drawn) -> Callable[[], Tensor]:
    """Return a function that makes one of the batches after the other."""
    turns = itertools.cycle(drawn)
    return lambda: data.frames(*next(turns))


def pillow_cells(poses: int) -> Cells:
    """Draw a cell for every variant of five layers in every pose, of which a fifth is opaque."""

    def cell() -> Image.Image:
        image = Image.new("RGBA", (CELL, CELL))
        image.paste((200, 100, 50, 255), (24, 10, 40, 60))
        return image

    return [[[cell() for _ in range(poses)] for _ in range(count)] for count in (6, 6, 6, 6, 1)]


def by_pillow(data: Dataset, drawn: Drawn, cells: Cells) -> Callable[[], Tensor]:
    """Return a function that composes one of the batches after the other, frame by frame."""
    turns, looks, size = itertools.cycle(drawn), data.factors, data.shape[-1]
    if looks is None:
        raise ValueError("factors of the data are None; expected the attributes of characters")

    def frame(look: list[int], pose: int) -> np.ndarray:
        image = Image.new("RGBA", (CELL, CELL), "black")
        for layer, variant in zip(cells, [*look, 0], strict=True):
            image = Image.alpha_composite(image, layer[variant][pose])
        return np.asarray(image.convert("RGB").reduce(CELL // size))

    def batch() -> Tensor:
        sequences, places = next(turns)
        chosen = zip(looks[sequences].tolist(), places.tolist(), strict=True)
        frames = np.stack([frame(look, pose) for look, poses in chosen for pose in poses])
        return torch.from_numpy(frames).movedim(-1, 1).unflatten(0, tuple(places.shape))

    return batch


def main() -> None:
    """Measure both sizes and print milliseconds per batch and frames per second."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    one_thread()
    torch.manual_seed(0)
    for size, batch in CASES.items():
        data = load("sprites", options={"size": size}).train
        drawn, kept = draw(data, batch), Dataset(data.pixels(torch.arange(KEPT)))
        cells = pillow_cells(data.images.shape[1])
        variants: dict[str, Callable[[], object]] = {
            "composed": fetching(data, drawn),
            "composed by Pillow, frame by frame": by_pillow(data, drawn, cells),
            f"looked up among {KEPT} identities": fetching(kept, drawn),
        }
        results = compare(variants, "composed", rounds=given.rounds)
        title = f"{batch} x {FRAMES} frames of {size} x {size}: ratio to composing"
        print_table(title, results, {})
        milliseconds = results["composed"].milliseconds
        rate = 1000 * batch * FRAMES / milliseconds
        print(f"\ncomposed: {milliseconds:.2f} ms per batch, {rate:,.0f} frames per second")


if __name__ == "__main__":
    main()
