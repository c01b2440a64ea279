"""How well the semi-supervised adversarial autoencoder tells digits, of which few are labelled.

Run: python -m benchmarks.aae_labels --labels 10 100 --seeds 0 1 2

Two rows for each number of labels per class: `aae-semi`, and the same without its critics, an
autoencoder with a classifier beside the code. Finished rows are kept under --out.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from unbraid.data import Batches, Dataset
from unbraid.inference import device_of

from .rows import Row, table_parser

OPTIONS: dict[str, Any] = {
    "encoder": "deterministic",
    "likelihood": "normal",
    "nets": "mlp",
    "hidden": (256, 256),
    "latent_dim": 8,
    "critic_hidden": (256, 256),
    "critic_rate": 5e-4,
    "noise": 0.3,
    "label_weight": 100.0,
}
ROWS: dict[str, dict[str, Any]] = {"aae-semi": {"weight": 100.0}, "no-critics": {"weight": 0.0}}
LEARNING_RATE, BATCH_SIZE = 1e-3, 100


@torch.no_grad()
def accuracy(guide: Any, data: Dataset) -> float:
    """The share of images with a known label whose likeliest class is theirs.

    Args:
        guide: A guide whose first result are shares of classes `(B, classes)`.
        data: The images.

    Raises:
        ValueError: If no label is known.
    """
    right = known = 0
    for batch in Batches(data, 1000, shuffle=False, device=device_of(guide)):
        if "label" in batch:
            found, label = guide(batch["x"])[0].argmax(-1), batch["label"]
            right += int((found == label).sum())
            known += int((label >= 0).sum())
    if not known:
        raise ValueError(f"number of {data.name} with a known label is 0; expected at least 1")
    return right / known


def finish(row: Row, labels: int, out: Path, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    return row.finish(
        out / f"labels-{labels}",
        lambda run: {"labels": labels, "accuracy": accuracy(run.guide, run.split(row.split))},
        "aae-semi",
        row.setting,
        options={**OPTIONS, **ROWS[row.method]},
        data_options={"labels_per_class": labels},
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        data_seed=row.seed,
        progress=progress,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print the table."""
    parser = table_parser(__doc__, ROWS, out="runs/aae-labels", seeds=(0, 1, 2), steps=10_000)
    parser.add_argument("--labels", nargs="+", type=int, default=[10])
    parser.add_argument("--data", choices=["mnist", "mnist-small"], default="mnist")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    print("| method | labels per class | seed | error | s |\n|---|---|---|---|---|")
    for labels in given.labels:
        for seed in given.seeds:
            for method in given.rows:
                row = Row(given.data, method, seed, given.steps, given.split)
                told = finish(row, labels, given.out, progress=sys.stderr.isatty())
                print(
                    f"| {method} | {labels} | {seed} | {100 * (1 - told['accuracy']):.2f} % | "
                    f"{told['training_seconds']:.0f} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
