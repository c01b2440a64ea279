"""Whether the codes of an adversarial autoencoder, as a whole, are those of the prior.

Run: python -m benchmarks.aae_prior --seeds 0 1 2

Three rows with the same nets, batches and steps: `aae`, the same without its critic, and a VAE
whose divergence has the weight 0.1. A fresh classifier, which no method has seen, is trained on
half of the codes of held-out images against as many draws of the prior, and tested on the other
half. Finished rows are kept under --out and not run again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbraid import Run
from unbraid.data import Batches, Dataset

from .rows import Row, add_mode, mode_of, table_parser
from .told_apart import told_apart

COMMON: dict[str, Any] = {
    "likelihood": "normal",
    "nets": "mlp",
    "hidden": (256, 128),
    "latent_dim": 8,
}
AAE: dict[str, Any] = {
    "encoder": "deterministic",
    "weight": 140.0,
    "critic_hidden": (256, 256),
    "critic_rate": 5e-4,
    "critic_steps": 5,
}
ROWS: dict[str, dict[str, Any]] = {
    "aae": {"method": "aae", "options": AAE},
    "autoencoder": {"method": "aae", "options": {**AAE, "weight": 0.0}},
    "beta-vae": {"method": "beta-vae", "options": {"beta": 0.1}},
}
LEARNING_RATE, BATCH_SIZE = 1e-3, 100
MOST_AREA, MOST_ERROR = 0.6, 1.1


@torch.no_grad()
def codes_of(run: Any, data: Dataset, seed: int = 0) -> tuple[Tensor, float]:
    """Codes sampled by the guide, `(N, K)`, and the squared error of the images made of them.

    Args:
        run: A run.
        data: The images.
        seed: Of the codes.
    """
    codes, error = [], 0.0
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for batch in Batches(data, 1000, shuffle=False, device=run.device):
            z = run.guide(batch["x"])
            error += float((run.model.decoder(z).mean - batch["x"]).square().sum())
            codes.append(z.cpu())
    return torch.cat(codes), error / len(data)


def finish(
    row: Row, out: Path, options: dict[str, Any], progress: bool, mode: str | None = None
) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    kind = ROWS[row.method]
    # The last weights are judged: at the end alone the bound may choose, which an AAE has none of.
    more: dict[str, Any] = {} if kind["method"] == "aae" else {"validate_every": row.steps}
    return row.finish(
        out,
        lambda run: judge(run, row),
        kind["method"],
        row.setting,
        options={**COMMON, **kind["options"], **options},
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        **more,
        **mode_of(mode),
        progress=progress,
    )


def judge(run: Run, row: Row) -> dict[str, Any]:
    """How well a fresh classifier tells the codes from the prior, and what they are like."""
    codes, error = codes_of(run, run.split(row.split))
    prior = torch.randn(codes.shape, generator=torch.Generator().manual_seed(row.seed + 1))
    return {
        "area": told_apart(codes, prior, row.seed),
        "error": error,
        "means": codes.mean(0).tolist(),
        "scales": codes.std(0).tolist(),
    }


def print_row(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    scales = row["scales"]
    print(
        f"| {row['method']} | {row['seed']} | {row['area']:.3f} | {row['error']:.2f} | "
        f"{min(scales):.2f} to {max(scales):.2f} | {row['training_seconds']:.0f} |",
        flush=True,
    )


def verdict(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether the medians over seeds keep to the bars; says so."""

    def median(method: str, key: str) -> float:
        return float(np.median([row[key] for row in rows if row["method"] == method]))

    area, other = median("aae", "area"), median("beta-vae", "area")
    ratio = median("aae", "error") / median("autoencoder", "error")
    kept = area <= MOST_AREA < other and ratio <= MOST_ERROR
    print(
        f"\narea {area:.3f} (at most {MOST_AREA}; the VAE's is {other:.3f}), error {ratio:.3f} of "
        f"the autoencoder's (at most {MOST_ERROR}): {'kept' if kept else 'missed'}"
    )
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print the table; returns 1 where the bars are missed."""
    parser = table_parser(__doc__, ROWS, out="runs/aae-prior", seeds=(0, 1, 2), steps=60_000)
    parser.add_argument("--data", choices=["mnist", "mnist-small"], default="mnist")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="other options of aae"
    )
    add_mode(parser)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    print("| method | seed | area under the curve | squared error | scales | s |")
    print("|---|---|---|---|---|---|")
    rows = []
    for seed in given.seeds:
        for method in given.rows:
            row = Row(given.data, method, seed, given.steps, given.split)
            options = dict(word.split("=", 1) for word in given.set) if method == "aae" else {}
            progress = sys.stderr.isatty()
            rows.append(finish(row, given.out, options, progress, given.mode))
            print_row(rows[-1])
    if {row["method"] for row in rows} == set(ROWS):
        return 0 if verdict(rows) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
