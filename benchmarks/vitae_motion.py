"""Whether C-VITAE's perspective is the pose: one digit under two known motions.

Run: python -m benchmarks.vitae_motion --seed 0
Trains C-VITAE with a perspective of size 4, rotates and shifts every test digit twice by known
amounts, and compares the motion from the one image to the other with the one read off the two
gammas. --setting mnist-motion warps by affine maps, which can pass a turn off as a slant;
mnist-similarity turns, scales and shifts only, and mnist-rigid leaves scales out, too. Settings
are to be chosen with --split validation. --search reads motions off searched perspectives, too.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.metrics import r2_score
from torch import Tensor

import unbraid
from unbraid import Run
from unbraid.analysis import search_codes, warp_model
from unbraid.data import load
from unbraid.transforms import Transform, make_transform, pixel_centres

from .rows import DATA_SEED, Row, add_mode
from .vitae_print import print_row
from .vitae_run import finish
from .vitae_scores import Codes, codes_of
from .vitae_settings import SETTINGS

CHOICES, METHOD = ("mnist-motion", "mnist-similarity", "mnist-rigid"), "c-vitae"
DEGREES, SHARE = 20.0, 0.1
INK = 0.5  # grey value from which a pixel is inked
R2_TARGET, MOVEMENT_TARGET = 0.9, 0.1
ROUNDS, CANDIDATES, BATCH = 6, 60, 250  # of a search: four numbers of perspective want many
CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)


def relative_motion(transform: Transform, first: Tensor, second: Tensor) -> Tensor:
    """Return the affine maps from images under `first` to those under `second`, `(N, 2, 3)`."""
    back = transform.inverse_points(CORNERS.expand(len(first), 3, 2), first.double())
    goals = transform.points(back, second.double())
    shift = goals[:, 0]
    return torch.stack([goals[:, 1] - shift, goals[:, 2] - shift, shift], -1)


def readings(maps: Tensor) -> Tensor:
    """Return the rotation (radians) and shifts (half sides) of affine maps, `(N, 3)`."""
    angle = torch.atan2(maps[:, 1, 0] - maps[:, 0, 1], maps[:, 0, 0] + maps[:, 1, 1])
    return torch.stack([angle, maps[:, 0, 2], maps[:, 1, 2]], -1)


def displacements(maps: Tensor, digits: Tensor) -> Tensor:
    """Return where maps carry the inked pixels, from where those were, `(M, 2)`, in pixels."""
    height, width = digits.shape[-2:]
    centres = pixel_centres(height, width, maps)
    carried = centres @ maps[..., :2].transpose(-1, -2) + maps[..., 2].unsqueeze(-2)
    return (carried - centres)[digits.flatten(1) > INK] * max(height, width) / 2


@dataclass(frozen=True)
class Agreement:
    """How well some images' rotations are read off, and how far their appearances move.

    Attributes:
        name: Which images.
        count: How many they are.
        r2: R^2 of the rotation.
        degrees: Root mean square of what is amiss in the rotation.
        share: Their share of all squared errors of the rotation.
        movement: Root mean square of the appearances' deviation within a pair, of the spread.
    """

    name: str
    count: int
    r2: float
    degrees: float
    share: float
    movement: float


def by_class(true: Tensor, found: Tensor, moved: Tensor, labels: Tensor) -> list[Agreement]:
    """Return the agreement of rotations by class, and without the worst class or percent.

    Args:
        true: Rotations from the one image to the other, radians `(N,)`.
        found: The same, as read off.
        moved: How far each appearance moves, of the spread, `(N,)`.
        labels: Classes `(N,)`.
    """
    errors = (true - found).square()
    kept = errors.argsort()[: len(errors) - len(errors) // 100]
    classes = labels.unique().tolist()
    worst = max(classes, key=lambda label: float(errors[labels == label].sum()))
    parts = {str(label): (labels == label).nonzero()[:, 0] for label in classes}
    parts[f"all but {worst}"] = (labels != worst).nonzero()[:, 0]
    parts["all but the worst percent"] = kept
    return [
        Agreement(
            name,
            len(part),
            r2_score(true[part].numpy(), found[part].numpy()),
            math.degrees(errors[part].mean().sqrt()),
            float(errors[part].sum() / errors.sum()),
            float(moved[part].square().mean().sqrt()),
        )
        for name, part in parts.items()
    ]


def measure(run: Run, split: str, count: int, seed: int, *, search: bool = False) -> bool:
    """Print the agreement of known and inferred motion; return whether the targets are reached.

    With `search`, motions are read off searched perspectives in place of the guide's.
    """
    part = getattr(load(run.config["data"], seed=DATA_SEED), split)
    chosen = torch.arange(min(count, len(part)))
    digits = part.pixels(chosen).float() / 255
    warp = make_transform("rotation+translation", part.shape, padding="zeros")
    generator = torch.Generator().manual_seed(seed)
    limits = torch.tensor([math.radians(DEGREES), 2 * SHARE, 2 * SHARE])
    motions = [(2 * torch.rand(len(digits), 3, generator=generator) - 1) * limits for _ in "12"]
    encode = _searched if search else codes_of
    codes = [encode(run, warp(digits, motion)) for motion in motions]
    model = warp_model(run.model)
    with torch.no_grad():
        gammas = [model.gamma(code["perspective"].to(run.device)).cpu() for code in codes]
    maps = relative_motion(model.transform.cpu(), *gammas)
    true_maps = relative_motion(warp.double(), *motions)
    found, true = readings(maps), readings(true_maps)
    reached = True
    print("\n| relative motion | R^2 | target |\n|---|---|---|")
    for name, one, other in zip(("rotation", "shift x", "shift y"), true.T, found.T, strict=True):
        r2 = r2_score(one.numpy(), other.numpy())
        reached &= r2 >= R2_TARGET
        print(f"| {name} | {r2:.3f} | >= {R2_TARGET:g} |")
    first_images = warp.float()(digits, motions[0])
    inked = [displacements(m, first_images).numpy() for m in (true_maps, maps)]
    print(f"| displacement of inked pixels | {r2_score(*inked):.3f} | |")
    first, second = (code["appearance"] for code in codes)
    distances = (first - second).square().sum(1).sqrt() / math.sqrt(2)
    spread = torch.cat([first, second]).var(0).sum().sqrt()
    moved = distances / spread
    share = float(moved.square().mean().sqrt())
    reached &= share < MOVEMENT_TARGET
    print(
        f"\nThe appearance moves by {share:.3f} of its spread over digits (target < "
        f"{MOVEMENT_TARGET:g}): root mean squares over {len(digits)} digits, of the deviation "
        f"within a pair and over all. Half of the digits move by less than "
        f"{float(moved.median()):.3f}."
    )
    if part.labels is not None:
        _print_by_class(by_class(true[:, 0], found[:, 0], moved, part.labels[chosen]))
    return reached


def _searched(run: Run, images: Tensor) -> Codes:
    found = search_codes(
        run.model,
        run.guide,
        [part.to(run.device) for part in images.split(BATCH)],
        site="perspective",
        rounds=ROUNDS,
        candidates=CANDIDATES,
    )
    print(f"\nSearched: {float(found.gain.mean()):.2f} nats above the guide", flush=True)
    return found.codes


def _print_by_class(rows: list[Agreement]) -> None:
    print("\n| digit | count | rotation R^2 | error, degrees | share of errors | movement |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        told = f"{row.r2:.3f} | {row.degrees:.1f} | {row.share:.3f} | {row.movement:.3f}"
        print(f"| {row.name} | {row.count} | {told} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is not trained, and measure; exit status 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--setting", choices=CHOICES, default=CHOICES[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--share", type=float, default=1 / 3, help="of the steps in full")
    parser.add_argument("--steps", type=int, help="in place of a share")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--search", action="store_true", help="searched codes as well")
    parser.add_argument("--out", type=Path, default=Path("runs/vitae-table"))
    add_mode(parser)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    steps = given.steps or max(round(given.share * SETTINGS[given.setting].steps), 1)
    row = Row(given.setting, METHOD, given.seed, steps, given.split)
    print_row(finish(row, given.out, mode=given.mode, progress=sys.stderr.isatty()))
    run = unbraid.load(row.folder(given.out))
    reached = measure(run, given.split, given.images, given.seed)
    if given.search:
        reached = measure(run, given.split, given.images, given.seed, search=True)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
