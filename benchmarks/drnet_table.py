"""DrNet with its adversary and without: what content and pose know of coloured moving digits.

Run: python -m benchmarks.drnet_table --rows drnet no-adversary --seeds 0
Two digits, a red and a green one, of 16 x 16 pixels bounce in 32 x 32; the pose code is far larger
than two places need, so that nothing but the adversary keeps the digits out of it. Both codes are
those of single frames: probes, trained on codes of training clips, read digits and places from
them. Finished rows are kept under --out and not run again; one that was stopped goes on.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import unbraid
from unbraid import Run
from unbraid.analysis import KnownSequences, Leakage, leakage, sequence_codes
from unbraid.data import Batches, Dataset
from unbraid.inference import pair_parameters, write_json_atomically

from .rows import ROW, Row

DATA_SEED = 0  # all rows and seeds are judged on the same clips
CLIPS, CHUNK = 8000, 200  # that probes are trained on, and how many are encoded together
DIGITS: dict[str, Any] = {
    "form": "drnet",
    "size": 32,
    "digit_size": 16,
    "digits_from": "mnist",
    "sequences": 20_000,
}
OPTIONS: dict[str, Any] = {
    "static_dim": 64,
    "dynamic_dim": 64,
    "nets": "conv",
    "channels": (16, 32, 64),
    "similarity": 0.001,
    "adversary": 0.1,
    "critic_steps": 2,
}
TRAIN: dict[str, Any] = {"batch_size": 32, "learning_rate": 1e-3}
STEPS = 40_000
ROWS: dict[str, dict[str, Any]] = {
    "drnet": {},
    "no-adversary": {"adversary": 0.0},
    "no-similarity": {"similarity": 0.0},
    "skips": {"skips": True},
    "variational": {"form": "variational"},
}
"""By name: the options of a row beside `OPTIONS`."""
BARS = {
    ("digit", "dynamic"): ("<=", 0.20),
    ("digit", "static"): (">=", 0.95),
    ("place", "dynamic"): (">=", 0.95),
}
"""What `drnet` is to reach."""


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Return the row's results; train and judge what is not there yet.

    Raises:
        KeyboardInterrupt: If a signal stopped the training; a part of it is never judged.
        ValueError: If the folder holds the results of other settings.
    """
    found = row.finished(out)
    if found is not None:
        return found
    folder, started = row.folder(out), time.process_time()
    run = unbraid.train(
        "drnet",
        "moving-mnist",
        folder,
        options={**OPTIONS, **ROWS[row.method]},
        data_options=DIGITS,
        resume=(folder / "checkpoints").exists(),
        force=folder.exists() and not (folder / "checkpoints").exists(),
        progress=progress,
        say=lambda _: None,
        steps=row.steps,
        seed=row.seed,
        data_seed=DATA_SEED,
        **TRAIN,
    )
    if run.result is None or run.result.stopped == "signal":
        raise KeyboardInterrupt(f"{folder} was stopped; the same command goes on with it")
    found = {
        "setting": row.setting,
        "method": row.method,
        "seed": row.seed,
        "steps": row.steps,
        "split": row.split,
        "training_seconds": round(time.process_time() - started),
        "parameters": sum(p.numel() for p in pair_parameters(run.model, run.guide)),
        "last": run.result.history[-1],
        "leakage": judge(run, row.split).table(),
        "options": run.config["options"],
        "versions": run.config.get("versions"),
    }
    write_json_atomically(folder / ROW, found)
    return found


def judge(run: Run, split: str) -> Leakage:
    """Ask probes for digits and places, from content and from pose of single frames."""
    learnt, asked = known(run, run.data.train, 1, CLIPS), known(run, run.split(split), 0, CLIPS)
    return leakage(
        learnt,
        asked,
        sequence_names=["red digit", "green digit"],
        frame_names=["red x", "red y", "green x", "green y"],
        max_rows=CLIPS,
        seed=0,
    )


def known(run: Run, data: Dataset, seed: int, clips: int) -> KnownSequences:
    """The codes of one frame of each of some clips, and what is known of it."""
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:clips]
    batches = Batches(data.take(chosen), CHUNK, shuffle=False, frames=1, seed=seed)
    factors: list[tuple[torch.Tensor, torch.Tensor]] = []

    def frames() -> Any:
        for batch in batches:
            factors.append((batch["factors"].clone(), batch["frame_factors"].clone()))
            yield (batch["x"],)

    codes = sequence_codes(run.model, run.guide, frames())
    of_clips, of_frames = (torch.cat(parts) for parts in zip(*factors, strict=True))
    return KnownSequences(
        codes.static, codes.dynamic, sequence_factors=of_clips, frame_factors=of_frames
    )


def print_row(row: dict[str, Any]) -> None:
    """Print what is known of a finished row, and which bars it reaches."""
    print(
        f"\n### {row['method']}, seed {row['seed']}, {row['steps']} steps, {row['split']} clips\n"
        f"\n{row['parameters']:,} parameters, {row['training_seconds']} s of training\n"
    )
    print("| known | from content | from pose | chance |\n|---|---|---|---|")
    for about, name, unit in (("content", "digit", ""), ("pose", "place", " (R²)")):
        cells = []
        for codes in ("static", "dynamic"):
            (mean,) = (
                probe
                for probe in row["leakage"]
                if (probe["about"], probe["codes"], probe["factor"]) == (about, codes, "mean")
            )
            bar = BARS.get((name, codes)) if row["method"] == "drnet" else None
            aim = "" if bar is None else f", {bar[0]} {bar[1]:g} is the aim"
            cells.append(f"{mean['score']:.3f} ± {mean['standard_error']:.3f}{aim}")
        print(f"| {name}{unit} | {cells[0]} | {cells[1]} | {mean['chance']:.3f} |")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=["drnet", "no-adversary"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--out", type=Path, default=Path("runs/drnet-table"))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    for seed in given.seeds:
        for name in given.rows:
            row = Row("digits", name, seed, given.steps, given.split)
            print_row(finish(row, given.out, progress=sys.stderr.isatty()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
