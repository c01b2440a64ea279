"""The step of C-VITAE, and of the penalised VAEs, against a VAE's of the same nets.

Run `python -m benchmarks.vitae_step`. They are stepped in turns, in one process, on one thread.
C-VITAE has a second encoder, whose input needs a gradient, and warps twice.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch

from unbraid.inference import Objective, Step, fused_adam, pair_parameters
from unbraid.methods import DataSpec, load_method, read_options

from .timing import compare, one_thread, print_table

DATA = DataSpec((1, 28, 28), "binary", 60_000)
LARGER = DataSpec((1, 64, 64), "binary", 60_000)
TARGET = 1.9


def stepper(
    method: str, data: DataSpec, batch: int, mode: Any, **options: Any
) -> Callable[[], Any]:
    """Return a function that takes one training step of a method on fixed images."""
    torch.manual_seed(0)
    chosen = load_method(method)
    parts = chosen.build(read_options(chosen.options, options), data)
    objective = Objective(parts.weights, parts.hooks)
    optimizer = fused_adam(pair_parameters(parts.model, parts.guide))
    step = Step(parts.model, parts.guide, objective, optimizer, mode=mode)
    x = (torch.rand(batch, *data.shape) < 0.2).float()
    return lambda: step((x,))


def main() -> bool:
    """Print the tables; return whether every target is reached."""
    one_thread()
    reached = True
    vae, vitae = {"latent_dim": 4}, {"appearance_dim": 2, "perspective_dim": 2}
    for title, data, batch, mode in (
        ("784-512-256, batch 256, recorded", DATA, 256, "record"),
        ("784-512-256, batch 256, compiled", DATA, 256, "compile"),
        ("conv 64 x 64, batch 64, recorded", LARGER, 64, "record"),
    ):
        variants = {
            "vae": stepper("vae", data, batch, mode, **vae),
            "c-vitae": stepper("c-vitae", data, batch, mode, **vitae),
            "u-vitae": stepper("u-vitae", data, batch, mode, **vitae),
        }
        results = compare(variants, "vae", rounds=15)
        reached &= print_table(f"A step / a VAE's: {title}", results, {"c-vitae": TARGET})
    for batch in (128, 512):
        penalised = {
            name: stepper(name, DATA, batch, "record", latent_dim=10)
            for name in ("vae", "beta-tcvae", "dip-vae")
        }
        title = f"A step / a VAE's: 784-512-256, batch {batch}, recorded"
        print_table(title, compare(penalised, "vae", rounds=15), {})
    return reached


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
