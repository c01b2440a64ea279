"""DrNet on turned objects, characters and talking people: what single frames' codes tell.

Run: python -m benchmarks.drnet_clips --settings coil20 --rows drnet no-adversary --seeds 0
Content and pose are those of one frame. Probes, trained on frames of the clips that the pair was
trained on, read who is shown and what it does from either, on frames that it never saw. Finished
rows are kept under --out, with a picture of swaps, and not run again; one that was stopped goes on
where it was.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import torch
from matplotlib.figure import Figure
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor

from unbraid import Run
from unbraid.analysis import (
    KnownSequences,
    Leakage,
    decode_frames,
    leakage,
    sequence_codes,
    swap_figure,
)
from unbraid.data import Batches, Dataset

from .rows import Row, table_parser

CHUNK = 16  # clips whose frames are encoded together
PICTURE, SHOWN = "swaps.png", 5


@dataclass(frozen=True)
class Setting:
    """One data set: what is trained on it, and which of its frames are judged.

    Attributes:
        data: Name of the data.
        data_options: Options of the data.
        options: Options of every row.
        train: Settings of the training.
        steps: Steps of the training.
        frames: Frames of each clip that probes are trained on, and asked about; all, unless given.
        few_clips: Whether an identity has one clip or three. Then no clip is held back to stop a
            probe early, which would learn less of those who are in it; the nearest frames are
            asked too, which may tell more than a net learns from so few.
    """

    data: str
    data_options: dict[str, Any]
    options: dict[str, Any]
    train: dict[str, Any]
    steps: int
    frames: int | None = None
    few_clips: bool = False

    @property
    def probes(self) -> tuple[Literal["mlp", "knn"], ...]:
        """Which kinds of probes are asked."""
        return ("mlp", "knn") if self.few_clips else ("mlp",)


_OPTIONS: dict[str, Any] = {
    "nets": "conv",
    "channels": (16, 32, 64),
    "static_dim": 64,
    "dynamic_dim": 16,
    "similarity": 0.001,
    "adversary": 0.1,
    "critic_steps": 2,
}
_NORMALS: dict[str, Any] = {
    "form": "variational",
    "join": "modulate",
    "hidden": (512,),
    "code_hidden": (256,),
    "critic": "pair",
}
SETTINGS = {
    "coil20": Setting(
        data="coil20",
        data_options={"size": 32, "turns": True},
        options={
            **_OPTIONS,
            **_NORMALS,
            "dynamic_dim": 2,
            "similarity": 0.1,
            "scale": 0.1,
            "content_warmup": 1000,
            "critic_hidden": (128, 64),
        },
        train={"batch_size": 20, "learning_rate": 1e-3},
        steps=6000,
        few_clips=True,
    ),
    "sprites": Setting(
        data="sprites",
        data_options={"size": 32},
        options={
            **_OPTIONS,
            **_NORMALS,
            "dynamic_dim": 6,
            "scale": 0.07,
            "content_warmup": 1500,
            "critic_hidden": (256, 128),
        },
        train={"batch_size": 48, "learning_rate": 1e-3},
        steps=12_000,
        frames=10,
    ),
    "grid-faces": Setting(
        data="grid-faces",
        data_options={"size": 32},
        options={**_OPTIONS, "dynamic_dim": 4, "adversary": 0.003},
        train={"batch_size": 30, "learning_rate": 1e-3},
        steps=4000,
        few_clips=True,
    ),
}
ROWS: dict[str, dict[str, Any]] = {
    "drnet": {},
    "no-adversary": {"adversary": 0.0},
    "published": {"form": "published", "content_warmup": 0},
    "variational": {"form": "variational"},
}
"""By name: the options of a row beside those of the setting."""
CONTENT = 0.95
"""What content is to tell at least: the object, the mean attribute or the person."""


@dataclass(frozen=True)
class Frames:
    """Frames of clips, `N` of each in no order, with the codes that each of them gives alone.

    Attributes:
        x: Frames `(S, N, C, H, W)` in [0, 1].
        static: Contents `(S, N, F)`.
        dynamic: Poses `(S, N, Z)`.
        content: What is known of the clips, `(S, A)`.
        pose: What is known of the frames, `(S, N, G)`, or None.
        names: What both are called.
    """

    x: Tensor
    static: Tensor
    dynamic: Tensor
    content: Tensor
    pose: Tensor | None
    names: tuple[tuple[str, ...], tuple[str, ...]]

    def known(self, grouped: bool) -> KnownSequences:
        """Every frame as a clip of its own; errors and early stopping by clip where `grouped`."""
        clips, frames = self.dynamic.shape[:2]
        return KnownSequences(
            self.static.flatten(0, 1),
            self.dynamic.flatten(0, 1).unsqueeze(1),
            sequence_factors=self.content.repeat_interleave(frames, 0),
            frame_factors=None if self.pose is None else self.pose.flatten(0, 1).unsqueeze(1),
            groups=torch.arange(clips).repeat_interleave(frames) if grouped else None,
        )


def encode(
    run: Run, data: Dataset, frames: int | None, seed: int, *, drawn: bool = False
) -> Frames:
    """Encode frames of every clip, drawn by `seed`, each by itself: to means of codes or draws."""
    count = data.images.shape[1] if frames is None else frames
    batches = Batches(data, CHUNK, shuffle=False, frames=count, seed=seed)
    kept: list[dict[str, Tensor]] = []
    draws: list[tuple[Tensor, Tensor]] = []

    def passing() -> Iterator[tuple[Tensor]]:
        for batch in batches:
            kept.append({key: value.clone() for key, value in batch.items()})
            singles = kept[-1]["x"].flatten(0, 1).unsqueeze(1)
            if drawn:  # without gradients, by `seed`: `sequence_codes` asks for this
                content, pose = run.guide(singles.to(run.device))
                draws.append((content.flatten(1).cpu(), pose.flatten(1).cpu()))
            yield (singles,)

    codes = sequence_codes(run.model, run.guide, passing(), seed=seed)
    static, dynamic = codes.static, codes.dynamic.squeeze(1)
    if drawn:
        static, dynamic = (torch.cat(parts) for parts in zip(*draws, strict=True))
    whole = {key: torch.cat([batch[key] for batch in kept]) for key in kept[0]}
    if data.factors is None:
        content, of_clips = whole["label"].unsqueeze(1), ("identity",)
    else:
        content, of_clips = whole["factors"], data.factor_names
    pose, of_frames = whole.get("frame_factors"), data.frame_factor_names
    if pose is not None and of_frames == ("angle",):
        turned = pose.deg2rad()  # 355 and 0 degrees are neighbours
        pose, of_frames = torch.cat([turned.cos(), turned.sin()], -1), ("cosine", "sine")
    return Frames(
        whole["x"],
        static.unflatten(0, (-1, count)),
        dynamic.unflatten(0, (-1, count)),
        content,
        pose,
        (of_clips, of_frames),
    )


def told(learnt: Frames, asked: Frames, few_clips: bool, probe: Literal["mlp", "knn"]) -> Leakage:
    """Ask probes who is shown and what it does, from content and from pose."""
    of_clips, of_frames = learnt.names
    return leakage(
        learnt.known(grouped=not few_clips),
        asked.known(grouped=True),
        probe=probe,
        sequence_names=of_clips,
        frame_names=of_frames,
        seed=0,
    )


def told_by_object(learnt: Frames, asked: Frames) -> dict[str, dict[str, float]]:
    """What the 5 nearest frames of the same object tell of its angle, a mean R² over objects.

    Nothing makes the poses of two objects agree about where their turns begin, so that an angle
    may be told from a pose only where the object is known. The frames themselves say what could
    be told: of round objects, nothing.
    """
    if learnt.pose is None or asked.pose is None:
        return {}
    found: dict[str, list[float]] = {"static": [], "dynamic": [], "x": []}
    of = {int(known): place for place, known in enumerate(learnt.content[:, 0])}
    for place, known in enumerate(asked.content[:, 0]):
        trained = of[int(known)]
        for name, scores in found.items():
            codes, others = (getattr(frames, name).flatten(2) for frames in (learnt, asked))
            nearest = KNeighborsRegressor().fit(codes[trained], learnt.pose[trained])
            scores.append(float(nearest.score(others[place], asked.pose[place])))
    return {
        name: {"score": mean(scores), "standard_error": stdev(scores) / len(scores) ** 0.5}
        for name, scores in found.items()
    }


def frame_errors(run: Run, shown: Frames) -> dict[str, float]:
    """Mean squared error of a pixel, of frames drawn from the content of another of their clip.

    `own` has the frame's pose, `other pose` that of a third frame of the clip, and `other content`
    the frame's pose beside the content of another clip.
    """
    content, pose = shown.static.roll(1, 1), shown.dynamic
    drawn = {
        "own": (content, pose),
        "other pose": (content, pose.roll(2, 1)),
        "other content": (content.roll(1, 0), pose),
    }
    return {
        name: float((_decode(run, *codes) - shown.x).square().mean())
        for name, codes in drawn.items()
    }


def swaps(run: Run, data: Dataset) -> Figure:
    """Contents of five clips, evenly spread, beside the poses of the last clip."""
    chosen = torch.linspace(0, len(data) - 1, SHOWN + 1).long().unique()
    x = data.pixels(chosen).to(run.device) / 255
    return swap_figure(run.model, run.guide, (x[:-1],), (x[-1:],))


def _decode(run: Run, content: Tensor, pose: Tensor) -> Tensor:
    return decode_frames(run.model, content, pose.unsqueeze(-2)).squeeze(-4)


def finish(row: Row, out: Path, *, progress: bool) -> dict[str, Any]:
    """Do what `Row.finish` says."""
    setting = SETTINGS[row.setting]
    return row.finish(
        out,
        lambda run: judge(run, setting, row.split),
        "drnet",
        setting.data,
        options={**setting.options, **ROWS[row.method]},
        data_options=setting.data_options,
        progress=progress,
        **setting.train,
    )


def judge(run: Run, setting: Setting, split: str) -> dict[str, Any]:
    """What probes tell from codes of single frames, and errors of frames; draws swaps beside."""
    parts = (run.data.train, 1), (run.split(split), 0)
    learnt, asked = (encode(run, data, setting.frames, seed) for data, seed in parts)
    swaps(run, run.split(split)).savefig(run.folder / PICTURE)
    found = {
        probe: told(learnt, asked, setting.few_clips, probe).table() for probe in setting.probes
    }
    if run.config["options"]["form"] == "variational":
        learnt_draws, asked_draws = (
            encode(run, data, setting.frames, seed, drawn=True) for data, seed in parts
        )
        for probe in setting.probes:
            of_draws = told(learnt_draws, asked_draws, setting.few_clips, probe)
            found[f"{probe} of draws"] = of_draws.table()
    return {
        "last": run.result.history[-1] if run.result and run.result.history else {},
        "leakage": found,
        "by_object": told_by_object(learnt, asked) if setting.few_clips else {},
        "errors": frame_errors(run, asked),
    }


def print_factor(row: dict[str, Any], kind: str, about: str, factor: str, discrete: bool) -> None:
    """Print what one kind of probe tells of a factor, from content and from pose."""
    static, dynamic = (
        next(
            probe
            for probe in row["leakage"][kind]
            if (probe["about"], probe["factor"], probe["discrete"], probe["codes"])
            == (about, factor, discrete, codes)
        )
        for codes in ("static", "dynamic")
    )
    cells = [f"{p['score']:.3f} ± {p['standard_error']:.3f}" for p in (static, dynamic)]
    if (kind, about, factor, row["method"]) == ("mlp", "content", "mean", "drnet"):
        cells[0] += f", >= {CONTENT:g} is the aim"
    name = f"{kind}: {about}: {factor}{'' if discrete else ' (R²)'}"
    print(f"| {name} | {cells[0]} | {cells[1]} | {static['chance']:.3f} |")


def print_row(row: dict[str, Any]) -> None:
    """Print what is known of a finished row, and whether content tells what it is to tell."""
    print(
        f"\n### {row['setting']}: {row['method']}, seed {row['seed']}, {row['steps']} steps, "
        f"{row['split']} frames\n\n"
        f"{row['parameters']:,} parameters, {row['training_seconds']} s of training\n"
    )
    print("| known | from content | from pose | largest class |\n|---|---|---|---|")
    for kind, table in row["leakage"].items():
        for factor in dict.fromkeys((p["about"], p["factor"], p["discrete"]) for p in table):
            print_factor(row, kind, *factor)
    if row["by_object"]:
        static, dynamic, x = (
            f"{told['score']:.3f} ± {told['standard_error']:.3f}"
            for told in (row["by_object"][name] for name in ("static", "dynamic", "x"))
        )
        print(f"| angle of a known object (R²) | {static} | {dynamic} | from the frame: {x} |")
    errors = ", ".join(f"{name} {error:.4f}" for name, error in row["errors"].items())
    print(f"\nSquared error of a pixel: {errors}")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Finish the rows and print a table for each."""
    parser = table_parser(__doc__, ROWS, out="runs/drnet-clips", shown=["drnet", "no-adversary"])
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    for setting in given.settings:
        for seed in given.seeds:
            for name in given.rows:
                steps = given.steps or SETTINGS[setting].steps
                row = Row(setting, name, seed, steps, given.split)
                print_row(finish(row, given.out, progress=sys.stderr.isatty()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
