"""Rows of tables that are trained one by one and kept: what each is, and which are there."""

import json
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import unbraid
from unbraid import Run
from unbraid.inference import pair_parameters, write_json_atomically

ROW, VALUES, ASKED = "row.json", "values.npz", "asked"
DATA_SEED = 0  # rows and seeds of a table are judged on the same data


@dataclass(frozen=True)
class Row:
    """What is trained: a method on a data set, by a seed.

    Attributes:
        setting: Key of the data set among the settings.
        method: Name of the row: a method, or one of its variants.
        seed: Seed of weights, batches and noise.
        steps: Steps of the training.
        split: Which data are judged: `"test"`, or `"validation"` while settings are chosen.
    """

    setting: str
    method: str
    seed: int
    steps: int
    split: str = "test"

    def folder(self, out: Path) -> Path:
        """Where the row is kept."""
        return out / self.setting / f"{self.method}-{self.seed}"

    def finished(self, out: Path, **settings: Any) -> dict[str, Any] | None:
        """Return the row's results, or None where they are not there yet.

        Args:
            out: Folder of the table.
            **settings: Those that the row is to be of, as given to `keep`.

        Raises:
            ValueError: If the folder holds the results of other settings.
        """
        folder = self.folder(out)
        if not (folder / ROW).exists():
            return None
        found = json.loads((folder / ROW).read_text(encoding="utf-8"))
        if (found["steps"], found["split"]) != (self.steps, self.split):
            raise ValueError(
                f"{folder} holds {found['steps']} steps judged on {found['split']}; expected "
                f"{self.steps} on {self.split}. Choose another --out, or remove the folder"
            )
        asked, kept = _plain(settings), found.get(ASKED, {})
        differing = [n for n in {**asked, **kept} if asked.get(n) != kept.get(n)]
        if asked and kept and differing:
            has, expected = (_shown(of.get(differing[0])) for of in (kept, asked))
            raise ValueError(
                f"{folder} holds results of {differing[0]} {has}; expected {expected}. Choose "
                "another --out, or remove the folder"
            )
        return found

    def finish(
        self,
        out: Path,
        judge: Callable[[Run], dict[str, Any]],
        method: str,
        data: str,
        **settings: Any,
    ) -> dict[str, Any]:
        """Return the row's results; train and judge what is not there yet.

        Args:
            out: Folder of the table.
            judge: Says of the trained run what is kept beside the seconds of its training.
            method: Name of the method.
            data: Name of the data.
            **settings: Further arguments of `unbraid.train`.

        Raises:
            KeyboardInterrupt: If a signal stopped the training; a part of it is never judged.
            ValueError: If the folder holds the results of other settings.
        """
        asked = {"data": data, **settings}
        found = self.finished(out, **asked)
        if found is not None:
            return found
        run, seconds = self.train(out, method, data, **settings)
        return self.keep(out, run, asked, training_seconds=seconds, **judge(run))

    def train(self, out: Path, method: str, data: str, **settings: Any) -> tuple[Run, int]:
        """Train the row's run, or go on with the part of it that is there.

        Args:
            out: Folder of the table.
            method: Name of the method.
            data: Name of the data.
            **settings: Further arguments of `unbraid.train`.

        Returns:
            The run, and the seconds of this process's CPU time that it took.

        Raises:
            KeyboardInterrupt: If a signal stopped the training; a part of it is never judged.
        """
        folder, started = self.folder(out), time.process_time()
        begun = (folder / "checkpoints").exists()
        given = {"steps": self.steps, "data_seed": DATA_SEED, "seed": self.seed, **settings}
        run = unbraid.train(
            method,
            data,
            folder,
            resume=begun,
            force=folder.exists() and not begun,
            say=lambda _: None,
            **given,
        )
        if run.result is None or run.result.stopped == "signal":
            raise KeyboardInterrupt(f"{folder} was stopped; the same command goes on with it")
        return run, round(time.process_time() - started)

    def keep(
        self, out: Path, run: Run, settings: Mapping[str, Any], **results: Any
    ) -> dict[str, Any]:
        """Write the row's results beside what they are of, and return all.

        Args:
            out: Folder of the table.
            run: The trained run.
            settings: What it was trained with, which `finished` compares.
            **results: What it came to.
        """
        found = {
            "setting": self.setting,
            "method": self.method,
            "seed": self.seed,
            "steps": self.steps,
            "split": self.split,
            "parameters": sum(p.numel() for p in pair_parameters(run.model, run.guide)),
            **results,
            "options": run.config["options"],
            ASKED: _plain(settings),
            "versions": run.config.get("versions"),
        }
        write_json_atomically(self.folder(out) / ROW, found)
        return found


def row_of(run: Run, setting: str, split: str) -> dict[str, Any]:
    """Return what a row begins with, of a run that was trained otherwise.

    Args:
        run: The run.
        setting: Key of its data among the settings of the table.
        split: Which of its data are judged.
    """
    return {
        "setting": setting,
        "method": f"{run.config['method']} in {run.folder.name}",
        "seed": run.config["seed"],
        "steps": run.step,
        "split": split,
        "parameters": sum(p.numel() for p in pair_parameters(run.model, run.guide)),
        "training_seconds": None,
    }


def table_parser(
    description: str | None,
    rows: Collection[str],
    *,
    out: str,
    shown: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    steps: int | None = None,
) -> ArgumentParser:
    """Return a parser of what all tables of rows ask for.

    Args:
        description: What `--help` says, line by line.
        rows: The rows that there are.
        out: Where rows are kept unless `--out` says otherwise.
        shown: The rows that are trained unless `--rows` names others; all unless given.
        seeds: Their seeds, likewise.
        steps: Their steps; those of their settings unless given.
    """
    parser = ArgumentParser(description=description, formatter_class=RawTextHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(rows), default=list(shown or rows))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(seeds))
    given = "in place of the setting's" if steps is None else None
    parser.add_argument("--steps", type=int, default=steps, help=given)
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--threads", type=int, default=1)
    return parser


def add_mode(parser: ArgumentParser) -> None:
    """Let a table be told how its steps run."""
    parser.add_argument(
        "--mode",
        choices=["record", "compile", "graph"],
        help="how a step runs, as of unbraid train; graph is fastest on an NVIDIA GPU",
    )


def mode_of(mode: str | None) -> dict[str, str]:
    """Return the setting of a training that says so; none where a table's own is to stay."""
    return {} if mode is None else {"mode": mode}


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them, options one by one; how progress is shown is none."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": each for key, each in value.items()}
        elif name != "progress":
            flat[name] = value
    return json.loads(json.dumps(flat, default=str))


def _shown(value: Any) -> str:
    return "as by default" if value is None else str(value)
