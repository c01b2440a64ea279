"""The step of the static/dynamic model against its number of frames, 2 to 16.

Run `python -m benchmarks.static_dynamic_step`. The guide's pairs are compared with the same pairs
convolved one by one, as stacked maps. All are stepped in turns, in one process, on one thread.
"""

import sys
from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unbraid.inference import Objective, Step, fused_adam, pair_parameters
from unbraid.methods import DataSpec, Parts, load_method, read_options
from unbraid.nets import PairwiseEncoder, diagonal_normal

from .timing import compare, one_thread, print_table

FRAMES = (2, 4, 8, 16)
SHAPE = (3, 32, 32)
BATCH = 16
TARGETS = {f"{n} frames": n / 2 for n in FRAMES[1:]}


class NaivePairs(PairwiseEncoder):
    """The same mean over pairs, every pair's stacked maps convolved on their own."""

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Any:
        """Return the Normal of each sequence; all frames are true."""
        size, frames = features.shape[:2]
        weight, bias = (self.halves.get_parameter(name) for name in ("weight", "bias"))
        stacked = torch.cat(weight.split(self.channels), 1)
        both = torch.stack(bias.split(self.channels)).sum(0)
        pairs = list(permutations(range(frames), 2))
        maps = torch.cat([torch.cat([features[:, i], features[:, j]], 1) for i, j in pairs])
        padding = weight.shape[-1] // 2
        found = self.activation(functional.conv2d(maps, stacked, both, padding=padding))
        pooled = found.view(len(pairs), size, *found.shape[1:]).mean(0)
        return diagonal_normal(self.head(pooled).unsqueeze(1))


def parts_for(frames: int, naive: bool) -> Parts:
    """Build the pair; with `naive`, its static encoder convolves pair by pair."""
    method = load_method("static-dynamic")
    options = {"frames": frames, "likelihood": "normal-learned", "pair_channels": 128}
    torch.manual_seed(0)
    data = DataSpec(SHAPE, "colour", 250, sequence_length=178)
    parts = method.build(read_options(method.options, options), data)
    if naive:
        encoder: Any = parts.guide.static_encoder
        encoder.__class__ = NaivePairs
    return parts


def stepper(frames: int, naive: bool = False) -> Callable[[], Any]:
    """Return a function that takes one training step on fixed frames."""
    parts = parts_for(frames, naive)
    optimizer = fused_adam(pair_parameters(parts.model, parts.guide))
    step = Step(parts.model, parts.guide, Objective(), optimizer, mode="record")
    x = torch.rand(BATCH, frames, *SHAPE)
    return lambda: step((x,))


def same_codes() -> None:
    """Make sure that both forms give the same static codes."""
    x = torch.rand(BATCH, 4, *SHAPE)
    means = []
    for naive in (False, True):
        guide: Any = parts_for(4, naive).guide
        with torch.no_grad():
            means.append(guide.static_encoder(guide.trunk(x), None).mean)
    torch.testing.assert_close(*means, rtol=1e-4, atol=1e-5)


def main() -> bool:
    """Print the tables; return whether the step is at most linear in the number of frames."""
    one_thread()
    same_codes()
    ours = {f"{n} frames": stepper(n) for n in FRAMES}
    title = f"A step / that of 2 frames: {BATCH} sequences of {SHAPE}, recorded"
    found = compare(ours, "2 frames", rounds=11)
    reached = print_table(title, found, TARGETS)
    slopes = [
        (found[f"{b} frames"].milliseconds - found[f"{a} frames"].milliseconds) / (b - a)
        for a, b in pairwise(FRAMES)
    ]
    print("\nms per further frame: " + ", ".join(f"{slope:.1f}" for slope in slopes), flush=True)
    for frames in FRAMES:
        both = {"pairs of halves": stepper(frames), "stacked pairs": stepper(frames, True)}
        title = f"Stacked pairs / pairs of halves, {frames} frames"
        print_table(title, compare(both, "pairs of halves", rounds=5), {})
    return reached


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
