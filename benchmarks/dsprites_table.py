"""How well FactorVAE, beta-TCVAE and a VAE pull dSprites' factors apart, over several seeds.

Run: python -m benchmarks.dsprites_table --rows vae beta-tcvae factor-vae --seeds 0 1 2 3 4
Finished rows are kept under --out and not run again. Scores are of all images of the split, those
along the way of 20 000. Every row has the same nets, steps, batches and learning rate. --decoder
mirror has the encoder's layers in reverse for a decoder, in place of one that knows places.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unbraid
from unbraid.analysis import factor_vae_score, mig_of_means, mig_of_posteriors
from unbraid.data import Batches, Dataset
from unbraid.inference import write_json_atomically

from .rows import Row, table_parser

FACTORS = ("shape", "scale", "orientation", "position x", "position y")
# A divergence that weighs more at first lets places in before all else, each in one code.
COMMON = {
    "nets": "mlp",
    "hidden": (256, 256),
    "broadcast_hidden": (64, 64),
    "broadcast_patch": 8,
    "latent_dim": 10,
    "warmup": 2000,
    "warmup_from": 6.0,
}
CRITIC = {"critic_hidden": (256, 256, 256), "critic_rate": 1e-3, "critic_steps": 3}
ROWS: dict[str, dict[str, Any]] = {
    "vae": {"method": "vae", "options": {}},
    "beta-tcvae": {"method": "beta-tcvae", "options": {"beta": 4.0}},
    "factor-vae": {"method": "factor-vae", "options": {"gamma": 40.0, **CRITIC}},
}
LEARNING_RATE, BATCH_SIZE, SIZE = 1e-3, 64, 64
PIECES = 6  # curves have as many points
SEEN = 20_000


def codes_of(run: Any, data: Dataset, limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and scales of the guide, and the factors but colour, of a random part of the data."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:limit]
    part = data.take(order.sort().values)
    means, scales = [], []
    with torch.no_grad():
        for batch in Batches(part, 2000, shuffle=False, device=run.device):
            normal = run.guide.encoder(batch["x"]).base_dist
            means.append(normal.loc.cpu().numpy().copy())
            scales.append(normal.scale.cpu().numpy().copy())
    if part.factors is None:
        raise ValueError("the data have no factors; expected dSprites")
    return np.concatenate(means), np.concatenate(scales), part.factors[:, 1:].numpy()


def scores(run: Any, data: Dataset, limit: int) -> dict[str, Any]:
    """The FactorVAE score and the mutual information gaps of a run."""
    means, scales, factors = codes_of(run, data, limit)
    voted = factor_vae_score(means, factors)
    gap = mig_of_posteriors(means, scales, factors)
    without_shape = mig_of_posteriors(means, scales, factors[:, 1:])
    return {
        "factor_vae_score": voted.score,
        "active": int(np.sum(voted.active)),
        "mig": gap.score,
        "mig_without_shape": without_shape.score,
        "mig_of_means": mig_of_means(means, factors).score,
        "gaps": dict(zip(FACTORS, np.asarray(gap.gaps).tolist(), strict=True)),
    }


def settings_of(method: str, decoder: str, progress: bool) -> dict[str, Any]:
    """What a row is trained with, beside its seed and steps."""
    kind = ROWS[method]
    return {
        "method": kind["method"],
        "data": "dsprites",
        "options": {**COMMON, "decoder": decoder, **kind["options"]},
        "data_options": {"size": SIZE},
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "schedule": "constant",
        "keep": "last",
        "progress": progress,
    }


def finish(row: Row, out: Path, decoder: str, progress: bool) -> dict[str, Any]:
    """Train a row piece by piece, score it after each, and keep what it came to.

    Raises:
        ValueError: If the folder holds the results of other settings.
    """
    settings = settings_of(row.method, decoder, progress)
    found = row.finished(out, **settings)
    if found is not None:
        return found
    folder = row.folder(out)
    curve = json.loads((folder / "curve.json").read_text()) if _begun(folder) else []
    run, seconds = None, sum(point["seconds"] for point in curve)
    for piece in range(len(curve) + 1, PIECES + 1):
        steps = row.steps * piece // PIECES
        run, more = row.train(
            out,
            **settings,
            steps=steps,
            validate_every=row.steps,
        )
        seconds += more
        found = scores(run, run.split(row.split), SEEN)
        curve.append({"step": steps, "seconds": more, **found})
        write_json_atomically(folder / "curve.json", curve)
    run = unbraid.load(folder) if run is None else run
    whole = scores(run, run.split(row.split), len(run.split(row.split)))
    return row.keep(out, run, settings, **whole, curve=curve, training_seconds=seconds)


def _begun(folder: Path) -> bool:
    return (folder / "curve.json").exists() and (folder / "checkpoints").exists()


def print_row(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    print(
        f"| {row['method']} | {row['seed']} | {row['factor_vae_score']:.3f} | {row['mig']:.3f} | "
        f"{row['mig_without_shape']:.3f} | {row['mig_of_means']:.3f} | {row['active']} | "
        f"{row['training_seconds']:.0f} |",
        flush=True,
    )


def print_curves(rows: Sequence[dict[str, Any]]) -> None:
    """Print the medians over seeds along the training."""
    print("\n| method | step | FactorVAE score | MIG |\n|---|---|---|---|")
    for method in dict.fromkeys(row["method"] for row in rows):
        curves = [row["curve"] for row in rows if row["method"] == method]
        for points in zip(*curves, strict=True):
            medians = [np.median([p[key] for p in points]) for key in ("factor_vae_score", "mig")]
            print(f"| {method} | {points[0]['step']} | {medians[0]:.3f} | {medians[1]:.3f} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print the table."""
    parser = table_parser(__doc__, ROWS, out="runs/dsprites-table", seeds=range(5), steps=30_000)
    parser.add_argument("--decoder", choices=["broadcast", "mirror"], default="broadcast")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    print("| method | seed | FactorVAE score | MIG | without shape | MIG of means | active | s |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for seed in given.seeds:
        for method in given.rows:
            row = Row("dsprites", method, seed, given.steps, given.split)
            rows.append(finish(row, given.out, given.decoder, progress=sys.stderr.isatty()))
            print_row(rows[-1])
    print_curves(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
