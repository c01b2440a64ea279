"""The commands that work on runs. Importing them imports no torch; running them does."""

import re
import shlex
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from unbraid.methods import OptionError, in_range

from .config import Settings, TrainConfig
from .console import (
    annealed_rows,
    code_rows,
    evaluation_rows,
    fitted_rows,
    print_json,
    print_next,
    print_table,
    say,
)
from .exit_codes import DONE

if TYPE_CHECKING:
    from .run import Run

Folder = Annotated[Positional[str], arg(metavar="DIR")]
_SEEDS = 2**32 - 1
ANNEALED_DATA = 100
"""Data that are annealed, or fitted, unless --limit says otherwise: each takes seconds."""


def as_flag(name: str) -> str:
    """Return the flag of a setting: `--batch-size` of `batch_size`."""
    return f"--{name.replace('_', '-')}"


def check_seed(seed: int | None) -> None:
    """Refuse a seed that is out of range; without one that of the run is taken."""
    if seed is not None:
        in_range("--seed", seed, 0, _SEEDS)


@dataclass(frozen=True)
class Train:
    """Train a method on data and keep everything in a folder.

    Example: unbraid train vae --data mnist-small --out runs/vae --epochs 20 --set latent_dim=16

    Args:
        method: Name of the method; `unbraid methods` lists them.
        data: Name of a set (`unbraid data` lists them) or path of your own: an .npz file, a folder
            of images, of frame folders or of videos, or idx files.
        out: Folder of the run.
        set: Options of the method; `unbraid methods METHOD` lists them.
        data_set: Options of the data; `unbraid data NAME` lists them.
        hook: A loss hook beside the method's own, such as factor:gamma=6, as often as you like;
            `unbraid hooks` lists them.
        resume: Go on with the run in the folder.
        force: Replace the run in the folder.
        json: Print one JSON object.
    """

    method: Annotated[Positional[str], arg(metavar="METHOD")]
    data: Annotated[str, arg(metavar="NAME|PATH")]
    out: Annotated[str, arg(metavar="DIR")]
    settings: Settings
    set: Annotated[
        UseAppendAction[tuple[tuple[str, ...], ...]], arg(metavar="KEY=VALUE [KEY=VALUE ...]")
    ] = ()
    data_set: Annotated[
        UseAppendAction[tuple[tuple[str, ...], ...]], arg(metavar="KEY=VALUE [KEY=VALUE ...]")
    ] = ()
    hook: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME[:KEY=VALUE,...]")] = ()
    resume: bool = False
    force: bool = False
    json: bool = False

    def run(self) -> int:
        """Train; returns the exit code."""
        config = self._config()
        if self.resume and self.force:
            raise OptionError(
                "--resume and --force are both given; expected one. Drop one of them"
            )
        from .training import train_config

        try:
            run = train_config(
                config,
                self.out,
                resume=self.resume,
                force=self.force,
                progress=sys.stderr.isatty(),
                say=say,
            )
        except KeyboardInterrupt:
            if (Path(self.out) / "checkpoints").exists():
                say(f"stopped at once; go on with: {config.command(self.out)} --resume")
            raise
        return self._tell(run, config)

    def _config(self) -> TrainConfig:
        options = by_name("--set", self.set, f"unbraid methods {self.method}")
        data_options = by_name("--data-set", self.data_set, f"unbraid data {self.data}")
        try:
            return TrainConfig(
                self.method, self.data, options, data_options, self.hook, **vars(self.settings)
            )
        except OptionError as error:
            text = re.sub(r"^\w+(?= is )", lambda name: as_flag(name[0]), str(error))
            raise OptionError(text) from None

    def _tell(self, run: "Run", config: TrainConfig) -> int:
        result = run.result
        if result is None:
            raise RuntimeError("a run that was just trained has no result")
        if self.json:
            print_json(
                {
                    "folder": str(run.folder),
                    "step": result.step,
                    "stopped": result.stopped,
                    "validation_elbo": result.best_bound,
                    "judged_step": run.step,
                }
            )
        if result.signal is not None:
            resume = f"{config.command(self.out)} --resume"
            say(f"stopped at step {result.step}; go on with: {resume}")
            return 128 + result.signal
        if not self.json:
            rows = [("run", self.out), ("steps", f"{result.step:,} ({result.stopped})")]
            if result.best_bound is not None:
                bound = f"{result.best_bound:,.2f} nats per datum, at step {result.best_step:,}"
                rows.append(("best validation bound", bound))
                if run.step != result.best_step:
                    rows.append(("weights that are judged", f"of step {run.step:,} (see --keep)"))
            print_table(rows)
            folder = shlex.quote(self.out)
            print_next(f"unbraid {_judging(run, folder)}", f"unbraid report {folder}")
        return DONE


def _judging(run: "Run", folder: str) -> str:
    """Return the command that judges a run: by what it predicts, by log p(x), or by its codes."""
    if run.parts.past is not None:
        return f"predict {folder}"
    from .evaluations import has_likelihood

    return f"evaluate {folder}" + ("" if has_likelihood(run) else " --estimator none")


def by_name(flag: str, given: tuple[tuple[str, ...], ...], listing: str) -> dict[str, str]:
    """Read words KEY=VALUE; a later flag counts before an earlier one."""
    options: dict[str, str] = {}
    if () in given:
        raise OptionError(f"{flag} is empty; expected KEY=VALUE. See {listing}")
    for words in given:
        own: dict[str, str] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                raise OptionError(f"{flag} is {word!r}; expected KEY=VALUE. See {listing}")
            if name in own:
                raise OptionError(
                    f"{flag} has {name} twice, {own[name]!r} and {value!r}; expected it once. "
                    "Leave one of both out"
                )
            own[name] = value
        options |= own
    return options


_IMPORTANCE, _ANNEALED, _FITTED = ("importance",), ("annealed",), ("fitted",)
_ESTIMATORS = (*_IMPORTANCE, *_ANNEALED, *_FITTED)
_HEEDED_BY: dict[str, tuple[str, ...]] = {
    "samples": (*_IMPORTANCE, *_FITTED),
    "frames": _IMPORTANCE,
    "inner_samples": _IMPORTANCE,
    "widen": _IMPORTANCE,
    "prior_share": _IMPORTANCE,
    "chains": _ANNEALED,
    "temperatures": _ANNEALED,
    "start": _ANNEALED,
    "starts": _FITTED,
    "steps": _FITTED,
    "limit": _ESTIMATORS,
    "no_codes": _ESTIMATORS,
}
"""By flag of `Evaluate`: the estimators that heed it, where not all do."""


@dataclass(frozen=True)
class Evaluate:
    """Estimate the log-likelihood of held-out data, and score codes by labels and factors.

    Which scores there are depends on what is known of the data; what is left out is said, and why.
    Annealing takes minutes per hundred images; it also judges methods whose guide has no density,
    and says whether importance sampling came out too low. Fitted draws importance samples from
    Normals that are fitted to each image, which mends a guide that is too narrow, in a second
    or so an image. Numbers of all three go beside each other. An evaluation of other settings
    that was there before is kept in the run's earlier-evaluations.

    Example: unbraid evaluate runs/vae --samples 1000 --limit 500 --json

    Args:
        folder: Folder of the run.
        estimator: importance; annealed or fitted, without scores of codes; or none, for the scores
            alone.
        samples: Importance samples per datum.
        starts: Normals that are fitted to a datum, each from another start, 1 to 32.
        steps: Steps of their fit.
        chains: Annealed chains per datum.
        temperatures: Steps of an annealed chain; more are more exact.
        start: Where annealed chains start: prior, or guide, which needs fewer steps if it is good.
        limit: Use the first so many data only, of ordered training data a random few; all unless
            given, when annealing or fitting 100.
        split: Which part of the data.
        seed: Seed of the noise; the run's unless given.
        frames: Frames of each sequence; as many as in training unless given.
        inner_samples: Samples of each frame's codes per sample of its sequence's.
        widen: Factor of the guide's standard deviations when importance samples are drawn.
        prior_share: Share of importance samples that the prior gives, which bounds the weights.
        no_codes: Leave out the scores of codes, which take up to half a minute.
        device: auto, cpu, cuda, cuda:N or mps.
        json: Print one JSON object, nested as evaluation.json is.
    """

    folder: Folder
    estimator: Literal["importance", "annealed", "fitted", "none"] = "importance"
    samples: int = 5000
    starts: int = 4
    steps: int = 300
    chains: int = 16
    temperatures: int = 1000
    start: Literal["prior", "guide"] = "prior"
    limit: int | None = None
    split: Literal["test", "validation", "train"] = "test"
    seed: int | None = None
    frames: int | None = None
    inner_samples: int = 1
    widen: float = 1.0
    prior_share: float = 0.0
    no_codes: bool = False
    device: str = "auto"
    json: bool = False

    def run(self) -> int:
        """Evaluate; returns the exit code."""
        in_range("--samples", self.samples, 1)
        in_range("--starts", self.starts, 1, 32)
        in_range("--steps", self.steps, 1)
        in_range("--chains", self.chains, 1)
        in_range("--temperatures", self.temperatures, 1)
        if self.limit is not None:
            in_range("--limit", self.limit, 1)
        check_seed(self.seed)
        if self.frames is not None:
            in_range("--frames", self.frames, 1)
        in_range("--inner-samples", self.inner_samples, 1)
        in_range("--widen", self.widen, 0.01, 100.0)
        in_range("--prior-share", self.prior_share, 0.0, 0.99)
        self._refuse_flags_of_others()
        from unbraid.inference import NoLikelihoodError

        from .evaluation_files import ANNEALED, CODES, FITTED
        from .evaluations import can_be_annealed
        from .load_run import load

        run = load(self.folder, self.device)
        try:
            evaluation, rows_of = self._evaluate(run), evaluation_rows
        except NoLikelihoodError as error:
            hints = ["--estimator none scores the codes alone"]
            if self.estimator == "importance" and can_be_annealed(run):
                hints.insert(0, "--estimator annealed needs no guide")
            hint = f"On the command line, {', '.join(hints)}"
            raise NoLikelihoodError(f"{error}. {hint}") from error
        except KeyboardInterrupt as stopped:
            for note in getattr(stopped, "__notes__", ()):
                say(note)
            raise
        if self.no_codes:  # those that are there are of an earlier evaluation
            evaluation.pop("codes", None)
        part = None
        if self.estimator == "annealed":
            rows_of, part = annealed_rows, ANNEALED
        elif self.estimator == "fitted":
            rows_of, part = fitted_rows, FITTED
        elif self.estimator == "none":
            rows_of, part = code_rows, CODES
        if self.json:
            print_json(evaluation if part is None else {part: evaluation})
        else:
            print_table(rows_of(evaluation))
            print_next(f"unbraid report {shlex.quote(self.folder)}")
        return DONE

    def _refuse_flags_of_others(self) -> None:
        for field in fields(self):
            value, heeding = getattr(self, field.name), _HEEDED_BY.get(field.name)
            if heeding and self.estimator not in heeding and value != field.default:
                flag = f"--{field.name.replace('_', '-')}"
                given = flag if value is True else f"{flag} {value}"
                raise OptionError(
                    f"{given} is given with --estimator {self.estimator}, which has no use for "
                    f"it; expected --estimator {' or '.join(heeding)}. Drop one of them"
                )

    def _evaluate(self, run: "Run") -> dict[str, Any]:
        progress = sys.stderr.isatty()
        if self.estimator == "annealed":
            return run.evaluate_annealed(
                self.chains,
                self.temperatures,
                start=self.start,
                split=self.split,
                limit=ANNEALED_DATA if self.limit is None else self.limit,
                seed=self.seed,
                progress=progress,
            )
        if self.estimator == "fitted":
            from .evaluations import evaluate_fitted

            return evaluate_fitted(
                run,
                self.samples,
                starts=self.starts,
                steps=self.steps,
                split=self.split,
                limit=ANNEALED_DATA if self.limit is None else self.limit,
                seed=int(run.config["seed"]) if self.seed is None else self.seed,
                progress=progress,
            )
        if self.estimator == "none":
            return run.score_codes(split=self.split, seed=self.seed)
        return run.evaluate(
            self.samples,
            split=self.split,
            limit=self.limit,
            seed=self.seed,
            frames=self.frames,
            inner_samples=self.inner_samples,
            widen=self.widen,
            prior_share=self.prior_share,
            codes=not self.no_codes,
            progress=progress,
        )


@dataclass(frozen=True)
class Report:
    """Draw the figures, and write the report, one self-contained page, and a model card.

    Example: unbraid report runs/vae

    Args:
        folder: Folder of the run.
    """

    folder: Folder

    def run(self) -> int:
        """Write the report; returns the exit code."""
        from .load_run import load

        path = load(self.folder).report()
        print(path)
        print(path.with_name("model_card.md"))
        print_next(f"open {shlex.quote(str(path))} in a browser")
        return DONE


@dataclass(frozen=True)
class Sample:
    """Draw images from the model's prior.

    Example: unbraid sample runs/vae --count 64 --out samples.npz

    Args:
        folder: Folder of the run; the picture goes to pictures/samples.png in it.
        count: Number of samples.
        seed: Seed of the codes.
        out: Further files: .png for the picture, .npz for the arrays: the codes by site, and
            images drawn from the likelihood.
        device: auto, cpu, cuda, cuda:N or mps.
    """

    folder: Folder
    count: int = 64
    seed: int = 0
    out: Annotated[tuple[str, ...], arg(metavar="FILE [FILE ...]")] = ()
    device: str = "auto"

    def run(self) -> int:
        """Draw; returns the exit code."""
        in_range("--count", self.count, 1, 65_536)
        check_seed(self.seed)
        from .load_run import load
        from .out_files import check_out
        from .sampling import FILES, save_samples

        for path in self.out:
            check_out(path, FILES)
        run = load(self.folder, self.device)
        for path in save_samples(run, self.count, self.seed, self.out):
            print(path)
        return DONE
