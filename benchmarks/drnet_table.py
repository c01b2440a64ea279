"""DrNet with its adversary and without: what content and pose know of coloured moving digits.

Run: python -m benchmarks.drnet_table --rows drnet no-adversary --digits 1 --seeds 0
One red digit, or a red and a green one, of 16 x 16 pixels bounce in 32 x 32; the pose code is far
larger than places need, so that nothing but the adversary keeps the digits out of it. Both codes
are those of single frames: probes, trained on codes of training clips, read digits and places from
them; where codes are Normals, from their means and from draws, where they are points also by
linear probes, which find places among the thousands of numbers that skips add. They read
pictures as well, which show what a code hides from a probe: those decoded from poses beside the
content of one clip for all, and from contents beside one pose. A judge that learnt digits from
true frames says what swaps are taken for. Finished rows are kept under --out and not run again;
one that was stopped goes on. With --judge DIR a run that was trained otherwise, such as in stages
by unbraid train, is judged as rows are.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import unbraid
from unbraid import Run
from unbraid.analysis import KnownSequences, Leakage, decode_frames, leakage, sequence_codes
from unbraid.data import Batches, Dataset

from .drnet_swaps import JUDGE_STEPS, digit_judge, judged_swaps, swap_rows
from .rows import Row, add_mode, mode_of, row_of, table_parser

CLIPS, CHUNK = 40_000, 200  # that probes are trained on, and how many are encoded together
FEWER = 8000  # for linear probes, and for nets on maps, which take long to learn
SWAPS = 5000  # clips whose content is decoded with the pose of another
DIGITS: dict[str, Any] = {
    "form": "drnet",
    "size": 32,
    "digit_size": 16,
    "digits_from": "mnist",
    "sequences": 100_000,
}
OPTIONS: dict[str, Any] = {
    "static_dim": 64,
    "dynamic_dim": 64,
    "nets": "conv",
    "channels": (16, 32, 64),
    "hidden": (1024,),
    "code_hidden": (512,),
    "form": "variational",
    "scale": 0.07,
    "content_warmup": 6000,
    "join": "modulate",
    "similarity": 0.001,
    "adversary": 0.1,
    "critic": "pair",
    "critic_hidden": (256, 128),
    "critic_steps": 2,
}
DRAWS, PICTURES, BY_LINEAR = "leakage_of_draws", "leakage_of_pictures", "linear_leakage"
SWAPPED = "swaps"
SETTINGS = {"one-digit": 1, "digits": 2}
TRAIN: dict[str, Any] = {"batch_size": 128, "learning_rate": 1e-3}
STEPS = 40_000
POINTS: dict[str, Any] = {"form": "published", "content_warmup": 0}
ROWS: dict[str, dict[str, Any]] = {
    "drnet": {},
    "no-adversary": {"adversary": 0.0},
    "no-similarity": {"similarity": 0.0},
    "points": POINTS,
    "skips": {**POINTS, "skips": True},
}
"""By name: the options of a row beside `OPTIONS`."""
BARS = {
    ("digit", "dynamic"): ("<=", 0.20),
    ("digit", "static"): (">=", 0.95),
    ("place", "dynamic"): (">=", 0.95),
}
"""What `drnet` is to reach."""


def setting_of(digits: int) -> str:
    """Return the name of the setting with so many digits."""
    return next(name for name, count in SETTINGS.items() if count == digits)


def finish(row: Row, out: Path, *, mode: str | None = None, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    options = {**OPTIONS, **ROWS[row.method]}
    kept = out / row.setting / f"judge-{JUDGE_STEPS}.safetensors"

    return row.finish(
        out,
        lambda run: scores(run, row.split, kept, progress=progress),
        "drnet",
        "moving-mnist",
        options=options,
        data_options={**DIGITS, "digits": SETTINGS[row.setting]},
        progress=progress,
        **TRAIN,
        **mode_of(mode),
    )


def scores(run: Run, split: str, kept: Path | None = None, *, progress: bool) -> dict[str, Any]:
    """Ask probes and a judge; the judge of swaps is kept in a file where one is named."""
    drawn, skips = run.config["options"]["form"] == "variational", run.config["options"]["skips"]
    judge_of_swaps = digit_judge(run, JUDGE_STEPS, kept, progress=progress)
    kinds = {"means": False, **({"draws": True} if drawn else {})}
    return {
        "last": run.result.history[-1] if run.result and run.result.history else {},
        "leakage": judge(run, split, clips=FEWER if skips else CLIPS).table(),
        DRAWS: judge(run, split, drawn=True).table() if drawn else None,
        BY_LINEAR: None if drawn else judge(run, split, linear=True, clips=FEWER).table(),
        PICTURES: judge(run, split, drawn=drawn, pictures=True).table(),
        SWAPPED: {
            of: judged_swaps(
                run, known(run, run.split(split), 0, SWAPS, drawn=draws), judge_of_swaps, 0
            )
            for of, draws in kinds.items()
        },
    }


def judge_folder(folder: Path, split: str, *, progress: bool) -> dict[str, Any]:
    """Judge a run that was trained otherwise, such as from the command line; keep nothing.

    Raises:
        ValueError: If it is none of `drnet` on coloured digits.
    """
    run = unbraid.load(folder, "cpu")
    method, data = run.config["method"], run.config["data"]
    if (method, data, run.config["data_options"].get("form")) != (
        "drnet",
        "moving-mnist",
        "drnet",
    ):
        raise ValueError(
            f"{folder} is a run of {method} on {data}; expected drnet on moving-mnist with "
            "form=drnet, digits of a colour each. Name such a run"
        )
    digits = len(run.data.train.factor_names)
    if digits not in SETTINGS.values():
        raise ValueError(f"{folder} is of {digits} digits; expected 1 or 2. Name such a run")
    return {**row_of(run, setting_of(digits), split), **scores(run, split, progress=progress)}


def judge(
    run: Run,
    split: str,
    *,
    drawn: bool = False,
    pictures: bool = False,
    linear: bool = False,
    clips: int = CLIPS,
) -> Leakage:
    """Ask probes for digits and places, from content and from pose of single frames.

    With `pictures`, from frames decoded from either, all beside the other of one clip. Probes are
    trained on so many `clips`.
    """
    learnt = known(run, run.data.train, 1, clips, drawn=drawn)
    asked = known(run, run.split(split), 0, clips, drawn=drawn)
    if pictures:
        beside = (torch.as_tensor(learnt.static)[:1], torch.as_tensor(learnt.dynamic)[0])
        learnt, asked = (in_pictures(run, codes, *beside) for codes in (learnt, asked))
    colours = ("red", "green")[: len(run.data.train.factor_names)]
    return leakage(
        learnt,
        asked,
        sequence_names=[f"{colour} digit" for colour in colours],
        frame_names=[f"{colour} {axis}" for colour in colours for axis in "xy"],
        probe="logistic" if linear else "mlp",
        max_rows=clips,
        seed=0,
    )


def in_pictures(
    run: Run, codes: KnownSequences, content: torch.Tensor, pose: torch.Tensor
) -> KnownSequences:
    """Pixels of frames in place of the codes that they are decoded from.

    Args:
        run: The run.
        codes: Of single frames.
        content: One content `(1, F)`, which poses are decoded beside.
        pose: One pose `(1, Z)`, which contents are decoded beside.
    """
    colours = len(run.data.train.factor_names)  # the others stay black
    contents, poses = torch.as_tensor(codes.static), torch.as_tensor(codes.dynamic)
    of_content = decode_frames(run.model, contents, pose.expand(len(contents), 1, -1))
    of_pose = decode_frames(run.model, content, poses)
    return replace(
        codes,
        static=of_content[:, 0, :colours].flatten(1),
        dynamic=of_pose[:, :, :colours].flatten(2),
    )


def known(
    run: Run, data: Dataset, seed: int, clips: int, *, drawn: bool = False
) -> KnownSequences:
    """The codes of one frame of each of some clips, means or draws, and what is known of it."""
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:clips]
    batches = Batches(
        data.take(chosen), CHUNK, shuffle=False, device=run.device, frames=1, seed=seed
    )
    factors: list[tuple[torch.Tensor, torch.Tensor]] = []
    draws: list[tuple[torch.Tensor, torch.Tensor]] = []

    def frames() -> Any:
        for batch in batches:
            known = (batch["factors"], batch["frame_factors"])
            factors.append((known[0].to("cpu", copy=True), known[1].to("cpu", copy=True)))
            if drawn:  # without gradients, by `seed`: `sequence_codes` asks for this
                content, pose = run.guide(batch["x"])
                draws.append((content.squeeze(1).cpu(), pose.cpu()))
            yield (batch["x"],)

    codes = sequence_codes(run.model, run.guide, frames(), seed=seed)
    of_clips, of_frames = (torch.cat(parts) for parts in zip(*factors, strict=True))
    static, dynamic = codes.static, codes.dynamic
    if drawn:
        static, dynamic = (torch.cat(parts) for parts in zip(*draws, strict=True))
    return KnownSequences(static, dynamic, sequence_factors=of_clips, frame_factors=of_frames)


def print_row(row: dict[str, Any]) -> None:
    """Print what is known of a finished row, and which bars it reaches."""
    seconds = row["training_seconds"]
    print(
        f"\n### {row['setting']}: {row['method']}, seed {row['seed']}, {row['steps']} steps, "
        f"{row['split']} clips\n"
        f"\n{row['parameters']:,} parameters"
        + ("" if seconds is None else f", {seconds} s of training")
        + "\n"
    )
    print("| known | codes | from content | from pose | chance |\n|---|---|---|---|---|")
    names = {"means": "leakage", "draws": DRAWS, "linear": BY_LINEAR, "pictures": PICTURES}
    kinds = {of: row.get(name) for of, name in names.items()}  # older rows have no pictures
    for of, probes in kinds.items():
        for about, name, unit in (("content", "digit", ""), ("pose", "place", " (R²)")):
            cells, chance = [], 0.0
            for codes in ("static", "dynamic"):
                asked = [p for p in probes or () if (p["about"], p["codes"]) == (about, codes)]
                if not asked:
                    continue
                # One factor alone has no mean beside it.
                found = next((p for p in asked if p["factor"] == "mean"), asked[0])
                chance = found["chance"]
                bar = BARS.get((name, codes)) if row["method"].split()[0] == "drnet" else None
                aim = "" if bar is None else f", {bar[0]} {bar[1]:g} is the aim"
                cells.append(f"{found['score']:.3f} ± {found['standard_error']:.3f}{aim}")
            if cells:
                print(f"| {name}{unit} | {of} | {cells[0]} | {cells[1]} | {chance:.3f} |")
    if SWAPPED in row:  # older rows have none
        print("", *swap_rows(row[SWAPPED]), sep="\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print a table for each."""
    parser = table_parser(
        __doc__, ROWS, out="runs/drnet-table", shown=["drnet", "no-adversary"], steps=STEPS
    )
    parser.add_argument("--digits", type=int, choices=list(SETTINGS.values()), default=2)
    parser.add_argument("--judge", type=Path, help="the folder of a run")
    add_mode(parser)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.judge is not None:
        print_row(judge_folder(given.judge, given.split, progress=sys.stderr.isatty()))
        return 0
    setting = setting_of(given.digits)
    for seed in given.seeds:
        for name in given.rows:
            row = Row(setting, name, seed, given.steps, given.split)
            print_row(finish(row, given.out, mode=given.mode, progress=sys.stderr.isatty()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
