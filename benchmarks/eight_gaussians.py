"""Which objectives of adversaries find all of eight Gaussians in a ring.

Run: python -m benchmarks.eight_gaussians --picture docs/images/eight_gaussians.png

A small generator and critic are trained with each objective of `unbraid.inference.Adversary`, with
the same nets, batches, optimisers and number of the generator's steps. A mode counts as covered
where at least 1 % of 2500 samples lie within three standard deviations of it. Finished rows are
kept under --out and not run again.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from unbraid.inference import (
    Adversary,
    AgainstData,
    CriticSchedule,
    LeftOut,
    Objective,
    fit,
    write_json_atomically,
)
from unbraid.nets import MLPCritic

from .ring import LATENT, NEAR, SPREAD, Generator, PriorGuide, RingBatches, centres, coverage

ROWS: dict[str, dict[str, Any]] = {
    "logistic": {},
    "density-ratio": {},
    "least-squares": {},
    "hinge": {},
    "wasserstein": {"steps": 5, "gradient_penalty": 1.0},
    "reverse": {},
    "uniform": {},
}
"""Rules with their critic's steps and slope penalty; `flip` has the gradients of `logistic`."""
HIDDEN = (128, 128)
BATCH, STEPS, SAMPLES = 256, 3000, 2500
GENERATOR_RATE, CRITIC_RATE, BETAS = 1e-3, 1e-3, (0.5, 0.9)


def adversary(rule: Any, steps: int = 1, gradient_penalty: float = 0.0) -> Adversary:
    """Make the critic of points and the generator's objective against it."""
    return Adversary(
        "gan",
        AgainstData(samples=False),  # the guide draws from the prior: what it gives are samples
        MLPCritic(2, HIDDEN, activation="leaky-relu"),
        rule,
        schedule=CriticSchedule(steps=steps),
        gradient_penalty=gradient_penalty,
        optimizer=lambda p: torch.optim.Adam(p, lr=CRITIC_RATE, betas=BETAS, fused=True),
    )


def train(rule: str, seed: int, steps: int) -> tuple[Tensor, dict[str, Any]]:
    """Train a generator; return samples `(2500, 2)` and what it came to."""
    torch.manual_seed(seed)
    model, guide = Generator(HIDDEN), PriorGuide()
    hook = adversary(rule, **ROWS[rule])
    started = time.process_time()
    result = fit(
        model,
        guide,
        RingBatches(BATCH, seed),
        steps=steps,
        objective=Objective({"x": LeftOut()}, [hook]),
        optimizer=lambda p: torch.optim.Adam(p, lr=GENERATOR_RATE, betas=BETAS, fused=True),
        seed=seed,
        log_every=max(1, steps // 20),
        progress=False,
    )
    seconds = time.process_time() - started
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed + 10_000)
        points = model.net(torch.randn(SAMPLES, LATENT))
    found = coverage(points)._asdict()
    found["accuracy"] = result.history[-1]["gan_accuracy"]
    return points, {"rule": rule, "seed": seed, "steps": steps, "seconds": seconds, **found}


def finish(rule: str, seed: int, steps: int, out: Path) -> tuple[Tensor, dict[str, Any]]:
    """Train a row unless it is there already, and keep it."""
    place = out / f"{rule}-{seed}-{steps}.json"
    if place.exists():
        points = torch.from_numpy(np.load(place.with_suffix(".npy")))
        return points, json.loads(place.read_text(encoding="utf-8"))
    points, row = train(rule, seed, steps)
    out.mkdir(parents=True, exist_ok=True)
    np.save(place.with_suffix(".npy"), points.numpy())
    write_json_atomically(place, row)
    return points, row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table of Markdown: over seeds, the modes of each, and means."""
    lines = [
        "| objective | critic steps | modes covered, by seed | high quality | KL of the modes, "
        "nats | critic's accuracy | CPU seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule in dict.fromkeys(row["rule"] for row in rows):
        mine = [row for row in rows if row["rule"] == rule]
        modes = ", ".join(str(row["modes"]) for row in mine)
        known = [row["divergence"] for row in mine if row["divergence"] is not None]
        divergence = f"{mean(known):.3f}" if known else "none near"
        lines.append(
            f"| `{rule}` | {ROWS[rule].get('steps', 1)} | {modes} | "
            f"{mean(row['quality'] for row in mine):.1%} | {divergence} | "
            f"{mean(row['accuracy'] for row in mine):.2f} | "
            f"{median(row['seconds'] for row in mine):.0f} |"
        )
    return "\n".join(lines)


def picture(drawn: dict[str, tuple[Tensor, dict[str, Any]]]) -> Figure:
    """Draw the samples of each objective's worst run over the modes."""
    columns = 4
    lines = -(-len(drawn) // columns)
    figure = Figure(figsize=(2.3 * columns, 2.5 * lines), dpi=150, layout="constrained")
    axes = [*figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat]
    for axis, (rule, (points, row)) in zip(axes, drawn.items(), strict=False):
        for x, y in centres().tolist():
            axis.add_patch(Circle((x, y), NEAR * SPREAD, fill=False, color="#D55E00", zorder=3))
        axis.scatter(*points.T, s=2, alpha=0.25, color="#0072B2", linewidths=0)
        axis.set_title(f"{rule}: {row['modes']} of 8, {row['quality']:.0%}", fontsize=9)
        axis.set_aspect("equal")
        axis.set(xlim=(-3, 3), ylim=(-3, 3))
        axis.tick_params(labelsize=7)
    for axis in axes[len(drawn) :]:
        axis.set_visible(False)
    figure.suptitle(
        "2500 samples (blue) and three standard deviations of the eight Gaussians (orange):\n"
        "modes covered and share of samples within, of the seed with the fewest modes",
        fontsize=9,
    )
    return figure


def main(words: Sequence[str] | None = None) -> int:
    """Train the rows, print the table, draw the picture; 1 where fewer than two find all modes."""
    parser = argparse.ArgumentParser(
        description="Which objectives of adversaries find all modes of a ring"
    )
    parser.add_argument("--rows", nargs="+", choices=[*ROWS], default=[*ROWS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=Path("runs/eight-gaussians"))
    parser.add_argument("--picture", type=Path)
    chosen = parser.parse_args(words)
    torch.set_num_threads(1)
    rows, drawn = [], {}
    for rule in chosen.rows:
        for seed in chosen.seeds:
            points, row = finish(rule, seed, chosen.steps, chosen.out)
            rows.append(row)
            if rule not in drawn or row["modes"] < drawn[rule][1]["modes"]:
                drawn[rule] = points, row
            print(f"{rule} {seed}: {row['modes']} modes, {row['quality']:.1%}", file=sys.stderr)
    print(table(rows))
    if chosen.picture is not None:
        chosen.picture.parent.mkdir(parents=True, exist_ok=True)
        picture(drawn).savefig(chosen.picture, metadata={"Software": None})
    complete = [r for r in chosen.rows if all(w["modes"] == 8 for w in rows if w["rule"] == r)]
    print(f"all modes with every seed: {', '.join(complete) or 'none'}", file=sys.stderr)
    return 0 if len(complete) >= 2 else 1


if __name__ == "__main__":
    sys.exit(main())
