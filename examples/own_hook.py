"""Write a loss hook of your own: a penalty, and an adversary that hides the digit from the code.

Run: python examples/own_hook.py [--steps 600]
"""

import argparse
from typing import Any

import torch
from torch import Tensor

from unbraid import guides, models
from unbraid.data import Batches, load
from unbraid.inference import Adversary, Hook, Labelled, Objective, fit
from unbraid.nets import MLPCritic, MLPDecoder, MLPEncoder, make_likelihood


class Brightness(Hook):
    """The squared distance between the mean brightness of new images and of the data."""

    sites = ("z", "x")

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def penalty(self, terms: Any, batch: Any) -> Tensor:
        """Decode draws of the prior and compare."""
        drawn = terms["z"].p.sample()
        made = terms.replay({"z": drawn})["x"].p.mean
        return self.weight * (made.mean() - batch["x"].mean()).square()


class DigitOfCode:
    """What the critic is shown: the first half of each code, and the digit."""

    sites = ("z",)

    def __call__(self, terms: Any, batch: Any, reference: bool) -> Labelled:
        """Return codes and labels."""
        return Labelled((terms["z"].value[..., :4],), batch["label"])


def main() -> None:
    """Train with both hooks; say how well the critic reads the digit at the end."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=600, help="steps of training")
    steps = parser.parse_args().steps

    torch.manual_seed(0)
    digits = load("mnist-small", binarise="dynamic").train
    model = models.VAE(MLPDecoder(8, digits.shape, make_likelihood("bernoulli", 1)), 8)
    guide = guides.VAE(MLPEncoder(digits.shape, 8))
    hidden = Adversary(
        "hidden",
        DigitOfCode(),
        MLPCritic(4, hidden=(64,), outputs=10),
        "uniform",
        weight=20.0,
        moves="guide",
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    )
    hooks = [Brightness(1000.0), hidden]
    batches = Batches(digits, 100)
    result = fit(
        model,
        guide,
        batches,
        steps=steps,
        objective=Objective(hooks=hooks),
        log_every=max(1, steps // 4),
        progress=False,
    )
    for row in result.history:
        print(
            f"step {row['step']:5d}  elbo {row['elbo']:8.2f}  Brightness {row['Brightness']:6.2f}"
            f"  critic's accuracy {row['hidden_accuracy']:.2f}"
        )


if __name__ == "__main__":
    main()
