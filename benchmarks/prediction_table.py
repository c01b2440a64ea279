"""Coloured moving digits rolled out for 500 frames in pose space, beside AE-LSTM and a still.

Run: python -m benchmarks.prediction_table --digits 1 --seeds 0 --drnet-table runs/drnet-table
The clips are those of benchmarks.drnet_table. `drnet` and `ae-lstm`, whose one code is as wide as
content and pose together, each train an autoencoder, an LSTM on its codes (pose-prediction), and
go from mean to mean; `standing` is the last frame that is seen, over and over, which ought to
fail. A judge of real frames tells the digits; motion is that of the centre of each colour, which
is read from true frames in the same way. Finished rows are kept under --out and not run again; one
that was stopped goes on.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid import Run
from unbraid.analysis import predict
from unbraid.inference import write_json_atomically

from . import drnet_table
from .conditional_likelihood import paired
from .prediction_films import Plan, Truth, watch
from .prediction_scores import scores
from .rows import ROW, VALUES, Row

PLAN = Plan()
AHEAD: dict[str, Any] = {"n_past": PLAN.past, "n_future": 15, "draws": False}
LENGTH = 40  # frames of the clips that the LSTM learns from
TRAIN: dict[str, Any] = {"batch_size": 32, "learning_rate": 1e-3}  # of codes and of the LSTM
CODES_STEPS, STEPS = 80_000, 12_000
WIDTH = drnet_table.OPTIONS["static_dim"] + drnet_table.OPTIONS["dynamic_dim"]
CODES: dict[str, dict[str, Any]] = {
    "drnet": drnet_table.ROWS["drnet"],
    "ae-lstm": {
        **drnet_table.POINTS,
        "static_dim": 0,
        "join": "concatenate",
        "dynamic_dim": WIDTH,
        "similarity": 0.0,
        "adversary": 0.0,
    },
}
"""By name: the options of a row's codes beside those of `drnet_table`."""
STANDING = "standing"
KEPT = 0.9  # of the digits that are told at frame 10: what `drnet` is to reach at frame 500


def digits_of(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the data."""
    return {**drnet_table.DIGITS, "digits": drnet_table.SETTINGS[asked.setting]}


def codes(name: str, seed: int, asked: argparse.Namespace) -> tuple[Path, int]:
    """Return the folder of a row's codes and their steps; train what is not there yet.

    Raises:
        FileNotFoundError: If `--drnet-table` is given and has no finished row of that seed.
        KeyboardInterrupt: If a signal stopped the training.
    """
    if asked.drnet_table is not None:
        there = Row(asked.setting, name, seed, 0).folder(asked.drnet_table)
        if (there / ROW).exists():
            return there, json.loads((there / ROW).read_text(encoding="utf-8"))["steps"]
        if name in drnet_table.ROWS:
            raise FileNotFoundError(
                f"{there} holds no finished row; expected one of benchmarks.drnet_table. Finish "
                "it there, or leave --drnet-table out to train it here"
            )
    row = Row(f"codes-{asked.setting}", name, seed, asked.codes_steps, asked.split)
    run, _ = row.train(
        asked.out,
        "drnet",
        "moving-mnist",
        options={**drnet_table.OPTIONS, **CODES[name]},
        data_options=digits_of(asked),
        progress=asked.progress,
        **TRAIN,
    )
    return run.folder, asked.codes_steps


def finish(row: Row, truth: Truth, asked: argparse.Namespace) -> dict[str, Any]:
    """Return the row's results; train and judge what is not there yet.

    Raises:
        FileNotFoundError: If `--drnet-table` is given and has no finished row of that seed.
        KeyboardInterrupt: If a signal stopped a training; a part of it is never judged.
        ValueError: If the folder holds the results of other settings.
    """
    settings: dict[str, Any] = {"data_options": {**digits_of(asked), "length": LENGTH}, **TRAIN}
    found = row.finished(asked.out, **settings)
    if found is not None:
        check(row, found, truth.plan, asked)
        return found
    if row.method == STANDING:
        return finish_standing(row, truth, asked.out)
    folder, steps = codes(row.method, row.seed, asked)
    run, seconds = row.train(
        asked.out,
        "pose-prediction",
        "moving-mnist",
        options={**AHEAD, "codes": str(folder)},
        progress=asked.progress,
        **settings,
    )
    watched = watch(rolled_out(run, truth), rolled_out(run, truth.near), truth)
    watched.save(run.folder / VALUES)
    trained = {"codes_steps": steps, "training_seconds": seconds}
    results = {**clips_of(truth.plan), **trained, **scores(watched, truth)}
    return row.keep(asked.out, run, settings, **results)


def finish_standing(row: Row, truth: Truth, out: Path) -> dict[str, Any]:
    """Judge the last frame that is seen, over and over; returns the results."""
    watched = watch(truth.standing(), truth.near.standing(), truth)
    folder = row.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    watched.save(folder / VALUES)
    found = {**asdict(row), **clips_of(truth.plan), **scores(watched, truth)}
    write_json_atomically(folder / ROW, found)
    return found


def clips_of(plan: Plan) -> dict[str, int]:
    """Return of how many clips a row tells, far ahead and at first."""
    return {"clips": plan.clips, "near_clips": plan.near_clips}


def check(row: Row, found: dict[str, Any], plan: Plan, asked: argparse.Namespace) -> None:
    """Raise `ValueError` where a finished row has other clips, options, or codes' steps."""
    expected: dict[str, Any] = dict(clips_of(plan))
    if row.method in CODES:
        expected |= AHEAD
        if asked.drnet_table is None:
            expected["codes_steps"] = asked.codes_steps
    kept = {**found.get("options", {}), **found}
    for name, value in expected.items():
        if kept.get(name) != value:
            raise ValueError(
                f"{row.folder(asked.out)} has {name}={kept.get(name)}; expected {value}. Choose "
                "another --out, or remove the folder"
            )


def rolled_out(run: Run, truth: Truth) -> Iterator[torch.Tensor]:
    """Yield what a run predicts of the clips, from mean to mean, a few frames at a time."""
    seen = truth.seen.to(run.device)
    for part in predict(run.model, run.guide, seen, truth.plan.frames):
        yield part[0]


def print_row(row: dict[str, Any], plan: Plan) -> None:
    """Print what is known of a finished row, and the aim."""
    trained = ""
    if row["method"] != STANDING:
        trained = f", seed {row['seed']}, {row['steps']} steps on codes of {row['codes_steps']}"
    print(
        f"\n### {row['setting']}: {row['method']}{trained}: {row['clips']} {row['split']} clips\n"
    )
    print(f"| frame | {' | '.join(row['told'])} |")
    print("|---" * (len(row["told"]) + 1) + "|")
    for name, shares in (("predicted", row["told"]), ("true", row["told_of_truth"])):
        cells = map(within, shares.values())
        print(f"| digits told of {name} frames | {' | '.join(cells)} |")
    aim = f", >= {KEPT:g} is the aim" if row["method"] == "drnet" else ""
    # Nothing that is told by chance is lost, so the ratio says nothing where the shares are low.
    print(
        f"\nDigits told at frame {plan.horizons[-1]} over those at frame {plan.early}: "
        f"{within(row['kept'])}{aim}; a guess is right once in ten\n"
    )
    first, last = plan.window
    print(
        f"| frames {first} to {last} | predicted | true | distance | of halves of the true |\n"
        "|---|---|---|---|---|"
    )
    for name, unit in (("speed", "pixels a frame"), ("bounces", "in 100 frames")):
        own = row[name]
        cells = [within(part, 2, "deviation", "s.d. ") for part in (own, own["truth"])]
        cells += [f"{own[key]:.3f}" for key in ("distance", "distance_of_halves")]
        print(f"| {name}, {unit} | {' | '.join(cells)} |")
    print(
        f"\nThe place of a digit is known in {100 * row['placed']:.1f} % of these frames. First "
        f"{plan.first} predicted frames of {row['near_clips']} clips: SSIM "
        f"{within(row['ssim'], 4)}, PSNR {within(row['psnr'], 2)} dB",
        flush=True,
    )


def print_difference(row: Row, other: Row, out: Path) -> None:
    """Print how much nearer a row is to the truth at first, clip by clip, where both are there."""
    paths = [r.folder(out) / VALUES for r in (row, other)]
    if not all((path.parent / ROW).exists() for path in paths):
        return
    both = [np.load(path) for path in paths]
    print(f"\n### {row.method} above {other.method}, seed {row.seed}, paired over clips\n")
    for name, unit, places in (("ssim", "", 4), ("psnr", " dB", 2)):
        mean, error = paired(both[0][name], both[1][name])
        aim = ", above two standard errors is the aim" if name == "ssim" else ""
        print(f"{name.upper()} {mean:+.{places}f} ± {error:.{places}f}{unit}{aim}", flush=True)


def within(
    value: dict[str, Any], places: int = 3, spread: str = "standard_error", sign: str = "± "
) -> str:
    """Return a mean and how far it spreads, in words."""
    if value["mean"] is None:
        return "not known"
    return f"{value['mean']:.{places}f} {sign}{value[spread]:.{places}f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows, print a table for each, and what one is above the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=[*CODES, STANDING], default=None)
    parser.add_argument(
        "--digits", type=int, choices=list(drnet_table.SETTINGS.values()), default=2
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=STEPS, help="of the LSTM")
    parser.add_argument("--codes-steps", type=int, default=CODES_STEPS)
    parser.add_argument("--drnet-table", type=Path, help="folder whose finished codes are taken")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--out", type=Path, default=Path("runs/prediction-table"))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    asked.progress = sys.stderr.isatty()
    torch.set_num_threads(asked.threads)
    asked.setting = drnet_table.setting_of(asked.digits)
    judges = asked.out / asked.setting
    truth = Truth(digits_of(asked), asked.split, PLAN, judges, asked.progress)
    rows = asked.rows or [*CODES, STANDING]
    if STANDING in rows:  # of no seed
        print_row(finish(Row(asked.setting, STANDING, 0, 0, asked.split), truth, asked), PLAN)
    for seed in asked.seeds:
        own = {name: Row(asked.setting, name, seed, asked.steps, asked.split) for name in CODES}
        for name in rows:
            if name in own:
                print_row(finish(own[name], truth, asked), PLAN)
        print_difference(own["drnet"], own["ae-lstm"], asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
