"""A run: a trained pair, its data and its folder."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from unbraid.data import Dataset
from unbraid.inference import (
    AnnealedLikelihood,
    Checkpoints,
    FitResult,
    LogLikelihood,
    Proposal,
    annealed_log_likelihood,
    log_likelihood,
    resolve_device,
)
from unbraid.methods import Method, OptionError, Parts, judged_weights, load_method

from .config import TrainConfig
from .fingerprints import check_data
from .held_out import first_judged, held_out_batches
from .preparation import RunData, prepare_again

if TYPE_CHECKING:
    from xarray import DataTree

    from unbraid.analysis import PredictedClips

    from .calibrating import Calibrated
    from .completing import Completed


class Run:
    """A trained pair with its data and its folder.

    Attributes:
        folder: Where everything is kept.
        config: What `config.json` says.
        parts: The method's parts.
        result: How the training ended; None for a run that was loaded.
        step: Step of the weights that are loaded.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        parts: Parts,
        data: RunData | None = None,
        result: FitResult | None = None,
    ) -> None:
        self.folder, self.config, self.parts, self.result = folder, config, parts, result
        self._data = data
        self.step = 0

    @property
    def model(self) -> nn.Module:
        """The generative program."""
        return self.parts.model

    @property
    def guide(self) -> nn.Module:
        """The inference program."""
        return self.parts.guide

    @property
    def method(self) -> Method:
        """The method."""
        return load_method(self.config["method"])

    @property
    def device(self) -> torch.device:
        """Where the pair is."""
        return next(self.parts.model.parameters()).device

    @property
    def data(self) -> RunData:
        """The data, loaded when first asked for.

        Raises:
            ConfigError: If they are not the data that the run was trained on.
            DataError: If they are not there any more.
        """
        if self._data is None:
            names = {field.name for field in fields(TrainConfig)}
            config = TrainConfig(**{k: v for k, v in self.config.items() if k in names})
            found = prepare_again(config, self.folder)
            check_data(found.fingerprint, found.annotation_fingerprints, self.config)
            self._data = found
        return self._data

    @property
    def data_seed(self) -> int:
        """Seed of the splits, and of what is drawn once for held-out data."""
        given = self.config.get("data_seed")
        return self.config["seed"] if given is None else given

    def load_weights(self) -> None:
        """Load the weights to judge: the best or the last, averaged where that was asked.

        Raises:
            CheckpointError: If no checkpoint is usable.
        """
        store = Checkpoints(self.folder / "checkpoints")
        prefix = "averaged_" if self.config["ema"] is not None else ""
        modules = {f"{prefix}model": self.model, f"{prefix}guide": self.guide}
        self.step = store.load_modules(modules, judged_weights(self.config, self.parts))
        self.model.eval()
        self.guide.eval()

    def to(self, device: str) -> "Run":
        """Move the pair to a device, by name; returns the run."""
        chosen = resolve_device(device)
        self.model.to(chosen)
        self.guide.to(chosen)
        return self

    def split(self, name: str) -> Dataset:
        """Return the data of `"test"`, `"validation"` or `"train"`; other splits are refused."""
        if name not in ("test", "validation", "train"):
            raise OptionError(f"split is {name!r}; expected test, validation or train")
        return getattr(self.data, name)

    def log_likelihood(
        self,
        samples: int = 5000,
        *,
        split: str = "test",
        limit: int | None = None,
        seed: int | None = None,
        frames: int | None = None,
        progress: bool = True,
        **settings: Any,
    ) -> LogLikelihood:
        """Estimate log p(x) of held-out data by importance sampling, datum by datum.

        Args:
            samples: Number `K` of importance samples per datum, at least 1.
            split: `"test"`, `"validation"` or `"train"`.
            limit: Use the first so many data only; of ordered training data a random few.
            seed: Seed of the noise; the run's unless given.
            frames: Frames of each sequence, drawn once by the seed of the data; as many as in
                training unless given.
            progress: Whether to show progress and the remaining time.
            **settings: Handed to `unbraid.inference.log_likelihood`.

        Raises:
            OptionError: If there is no such split, or `limit` is out of range.
            ValueError: As `unbraid.inference.log_likelihood`.
        """
        dataset = self._first(split, limit)
        with tqdm(total=len(dataset), disable=not progress, unit="datum") as bar:

            def advance(done: int) -> None:
                bar.update(done - bar.n)

            return log_likelihood(
                self.model,
                self.guide,
                held_out_batches(
                    dataset, self.parts, self.device, 64, frames=frames, seed=self.data_seed
                ),
                keys=self.parts.inspected,
                samples=samples,
                seed=self._seed(seed),
                likelihood=self.parts.likelihood,
                progress=advance,
                **settings,
            )

    def _first(self, split: str, limit: int | None) -> Dataset:
        return first_judged(self, split, limit)

    def annealed_log_likelihood(
        self,
        *,
        split: str = "test",
        limit: int | None = 100,
        seed: int | None = None,
        progress: bool = True,
        **settings: Any,
    ) -> AnnealedLikelihood:
        """Estimate log p(x) of held-out images by annealed importance sampling, one by one.

        Args:
            split: `"test"`, `"validation"` or `"train"`.
            limit: As of `log_likelihood`; None for all.
            seed: Seed of the noise; the run's unless given.
            progress: Whether to show progress and the remaining time.
            **settings: Handed to `unbraid.inference.annealed_log_likelihood`.

        Raises:
            OptionError: If there is no such split, or `limit` is out of range.
            ValueError: As `unbraid.inference.annealed_log_likelihood`.
        """
        dataset = self._first(split, limit)
        shown = "{percentage:5.1f}%|{bar}| {elapsed}<{remaining}"
        with tqdm(total=len(dataset), disable=not progress, bar_format=shown) as bar:

            def advance(done: float) -> None:
                bar.update(done - bar.n)

            return annealed_log_likelihood(
                self.model,
                self.guide,
                held_out_batches(dataset, self.parts, self.device, 64, seed=self.data_seed),
                keys=self.parts.inspected,
                seed=self._seed(seed),
                likelihood=self.parts.likelihood,
                progress=advance,
                **settings,
            )

    def evaluate(
        self,
        samples: int = 5000,
        *,
        split: str = "test",
        limit: int | None = None,
        seed: int | None = None,
        frames: int | None = None,
        inner_samples: int = 1,
        widen: float = 1.0,
        prior_share: float = 0.0,
        codes: bool = True,
        progress: bool = True,
    ) -> dict[str, Any]:
        """Estimate log p(x), score the codes, and write `evaluation.json`.

        Args:
            samples: Number `K` of importance samples per datum, at least 1.
            split: `"test"`, `"validation"` or `"train"`.
            limit: Use the first so many data only; of ordered training data a random few.
            seed: Seed of the noise; the run's unless given.
            frames: Frames of each sequence, drawn once by the seed of the data; as many as in
                training unless given.
            inner_samples: Samples of each frame's codes per sample of its sequence's, whose
                weights are averaged before the frames are multiplied; at least 1.
            widen: Factor of the standard deviations of the guide's Normals in the proposal.
            prior_share: Share of the samples that the prior gives, in [0, 1).
            codes: Whether the codes are scored by what is known of the data, as `score_codes`.
            progress: Whether to show progress and the remaining time.

        Returns:
            `elbo`, `log_likelihood`, `log_likelihood_se`, `samples`, `n`, `seed` and the
            diagnostics; nats per datum. Of methods with a condition c they are of log p(x|c):
            `given` names it, and `condition_from_codes` says how well probes tell it from codes.
            Methods that say classes have `classification`: `error`, `standard_error` and `n`.
            `codes` is what `score_codes` returns.
        """
        from .evaluations import evaluate

        return evaluate(
            self,
            samples,
            split=split,
            limit=limit,
            seed=self._seed(seed),
            frames=frames,
            inner_samples=inner_samples,
            proposal=Proposal(widen, prior_share),
            codes=codes,
            progress=progress,
        )

    def score_codes(self, *, split: str = "test", seed: int | None = None) -> dict[str, Any]:
        """Score the codes by the labels and factors of the data; add it to `evaluation.json`.

        Args:
            split: Which data are judged: `"test"`, `"validation"` or `"train"`.
            seed: Seed of draws and probes; the run's unless given.

        Returns:
            Of images, `of` has by latent site the `scores` that the factors allow with their
            `intervals`, what is `left_out` and why, and `told`, what probes tell of each factor.
            Of sequences, `leakage` has what probes tell from static and from dynamic codes. Where
            nothing is known of the data, `left_out` says so.
        """
        from .evaluations import score_codes

        return score_codes(self, split=split, seed=self._seed(seed))

    def evaluate_annealed(
        self,
        chains: int = 16,
        temperatures: int = 1000,
        *,
        start: str = "prior",
        split: str = "test",
        limit: int | None = 100,
        seed: int | None = None,
        progress: bool = True,
    ) -> dict[str, Any]:
        """Estimate log p(x) by annealing and add it to `evaluation.json` as `annealed`.

        Args:
            chains: Chains per datum, at least 1.
            temperatures: Steps from the start to the posterior, at least 1.
            start: `"prior"`, or `"guide"`.
            split: `"test"`, `"validation"` or `"train"`.
            limit: As of `log_likelihood`; None for all.
            seed: Seed of the noise; the run's unless given.
            progress: Whether to show progress and the remaining time.

        Returns:
            `log_likelihood`, `log_likelihood_se`, `monte_carlo_error`, `remarks`, the settings and
            the diagnostics; nats per datum.
        """
        from .evaluations import evaluate_annealed

        return evaluate_annealed(
            self,
            chains,
            temperatures,
            start=start,
            split=split,
            limit=limit,
            seed=self._seed(seed),
            progress=progress,
        )

    def probe_condition(self, seed: int | None = None) -> dict[str, Any]:
        """Say how well probes tell the condition from codes, of methods that are given one.

        Args:
            seed: Seed of codes that are sampled; the run's unless given.

        Returns:
            As `evaluation.json` has it: by name of the condition and by kind of codes.
        """
        from .conditions import probe_condition

        return probe_condition(self, self._seed(seed))

    def judge_labels(
        self, *, split: str = "test", limit: int | None = None
    ) -> dict[str, Any] | None:
        """Count how often a method that says the class of an image is wrong.

        Args:
            split: `"test"`, `"validation"` or `"train"`.
            limit: Use the first so many data only; of ordered training data a random few.

        Returns:
            `error` and `standard_error`, in [0, 1], and the number `n` of data whose label is
            known; None of other methods, and where no label is known.

        Raises:
            OptionError: If there is no such split, or `limit` is out of range.
        """
        from .labels import judge_labels

        return judge_labels(self, self._first(split, limit))

    def complete(
        self,
        observe: str | Tensor = "lower",
        *,
        by: str = "svi",
        count: int = 8,
        split: str = "test",
        seed: int | None = None,
        progress: bool = True,
        **settings: Any,
    ) -> "Completed":
        """Complete images of which some pixels are seen.

        Args:
            observe: The part that is seen: `"lower"`, `"upper"`, `"left"`, `"right"` or
                `"centre"`; a file `.npy`; or a bool tensor `(H, W)` or `(count, H, W)`, true where
                a pixel is seen.
            by: `"importance"`, `"svi"` or `"nuts"`.
            count: Number of images, the first ones of the split.
            split: `"test"`, `"validation"` or `"train"`.
            seed: Seed of the noise; the run's unless given.
            progress: Whether to show progress and the remaining time.
            **settings: Handed to `unbraid.inference.masked_posterior`, such as `draws`.
        """
        from .completing import complete

        return complete(
            self,
            observe,
            by=by,
            count=count,
            split=split,
            seed=self._seed(seed),
            progress=progress,
            **settings,
        )

    def predict(
        self,
        past: int | None = None,
        future: int | None = None,
        *,
        samples: int = 0,
        count: int = 8,
        split: str = "test",
        seed: int | None = None,
    ) -> "PredictedClips":
        """Predict how clips go on after their first frames, and hold it against how they did.

        Args:
            past: Frames that are seen; as many as in training unless given.
            future: Frames to predict; up to the end of the clips unless given.
            samples: Trajectories with noise, beside the one that goes from mean to mean.
            count: Number of clips, the first ones of the split.
            split: `"test"`, `"validation"` or `"train"`.
            seed: Seed of the noise; the run's unless given.

        Returns:
            True and predicted frames, and how near they are.

        Raises:
            OptionError: If a number is out of range, clips are too short or the run predicts
                nothing.
        """
        from .predicting import predict

        return predict(
            self, past, future, samples=samples, count=count, split=split, seed=self._seed(seed)
        )

    def _seed(self, seed: int | None) -> int:
        return int(self.config["seed"]) if seed is None else seed

    def posterior(
        self,
        draws: int = 1000,
        *,
        by: str = "importance",
        split: str = "test",
        limit: int = 16,
        seed: int | None = None,
        **settings: Any,
    ) -> "DataTree":
        """Draw codes of held-out data from their posterior, in a form that ArviZ reads.

        Args:
            draws: Draws of each datum, at least 1; of nuts of each chain, at least 10.
            by: `"importance"`, draws of the guide with weights; `"resampled"`, these drawn anew by
                their weights; or `"nuts"`, Markov chains from them.
            split: `"test"`, `"validation"` or `"train"`.
            limit: Use the first so many data, of ordered training data a random few.
            seed: Seed of the draws; the run's unless given.
            **settings: Handed to `unbraid.analysis.posterior`: of nuts, `warmup` and `chains`.

        Returns:
            As `unbraid.analysis.posterior`.
        """
        from unbraid.analysis import posterior

        data = self._first(split, limit)
        batches = held_out_batches(data, self.parts, self.device, len(data), seed=self.data_seed)
        parts = [[batch[key].clone() for key in self.parts.inspected] for batch in batches]
        args = tuple(torch.cat(of) for of in zip(*parts, strict=True))
        return posterior(
            self.model, self.guide, args, by=by, draws=draws, seed=self._seed(seed), **settings
        )

    def calibrate(
        self,
        simulations: int = 2000,
        draws: int = 199,
        *,
        seed: int | None = None,
        progress: bool = True,
    ) -> "Calibrated":
        """Ask whether the guide is calibrated; write `calibration.json` and a picture.

        Args:
            simulations: Data that the model draws, at least 100.
            draws: The guide's draws for each, one less than a multiple of 20.
            seed: Seed of all draws; the run's unless given.
            progress: Whether to show progress and the remaining time.
        """
        from .calibrating import calibrate

        return calibrate(self, simulations, draws, seed=self._seed(seed), progress=progress)

    def report(self) -> Path:
        """Draw the figures, write `report.html` and `model_card.md`; returns the page's path."""
        from .reporting import write_run_report

        return write_run_report(self)
