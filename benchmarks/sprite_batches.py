"""Composing batches of characters, against the step on them, Pillow, and frames composed before.

Run: python -m benchmarks.sprite_batches [--rounds 21]
The step is that of `static-dynamic` with the nets of CPUs, recorded.

The sheets are downloaded, 0.4 MB, unless UNBRAID_DATA names a folder that has them. Pillow
composes one frame after the other from cells in memory that are opaque in the middle and empty
around it, as characters are, and shrinks it where frames are smaller.
Frames that were composed before are looked up in a tensor: one of all identities in all poses
would take 0.7 GB at 32 x 32 and 2.8 GB at 64 x 64; here it has fewer identities.
"""

import argparse
import itertools
import sys
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.timing import compare, one_thread, print_table
from unbraid.data import Dataset, load
from unbraid.inference import Objective, Step, fused_adam, pair_parameters
from unbraid.methods import DataSpec, load_method, read_options

CASES = {64: 120, 32: 24}  # sequences in a batch, by the size of frames
CELL = 64  # pixels of composed frames, before they are shrunk
FRAMES, KEPT = 3, 128  # frames of each sequence; identities that are composed before
DRAWS = 16  # batches that are drawn beforehand, to be made in turns
STEP = "a step of static-dynamic"

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


def stepper(size: int, batch: int) -> Callable[[], object]:
    """Return a function that takes one training step on fixed frames of this size."""
    method = load_method("static-dynamic")
    options = {"frames": FRAMES, "likelihood": "normal-learned"}
    spec = DataSpec((3, size, size), "colour", 1000, sequence_length=178)
    parts = method.build(read_options(method.options, options), spec)
    optimizer = fused_adam(pair_parameters(parts.model, parts.guide))
    step = Step(parts.model, parts.guide, Objective(), optimizer, mode="record")
    x = torch.rand(batch, FRAMES, *spec.shape)
    return lambda: step((x,))


def main() -> bool:
    """Print the tables of both sizes; return whether composing is no slower than a step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    one_thread()
    torch.manual_seed(0)
    reached = True
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
        step = {STEP: stepper(size, batch), "composed": fetching(data, drawn)}
        title = f"{batch} x {FRAMES} frames of {size} x {size}: ratio to a step"
        results = compare(step, STEP, rounds=given.rounds)
        reached &= print_table(title, results, {"composed": 1.0})
    return reached


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
