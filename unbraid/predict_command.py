"""The command that predicts how clips go on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from unbraid.methods import in_range

from .commands import Folder, check_seed
from .console import print_json, print_table
from .exit_codes import DONE

if TYPE_CHECKING:
    from unbraid.analysis import PredictedClips

NAMES = {
    "psnr": "PSNR",
    "sampled_psnr": "PSNR of samples",
    "copied_psnr": "PSNR of the last frame",
    "ssim": "SSIM",
    "sampled_ssim": "SSIM of samples",
    "copied_ssim": "SSIM of the last frame",
}
"""What the qualities are called; those of the last frame are what a prediction has to surpass."""


@dataclass(frozen=True)
class Predict:
    """Predict how clips go on, in the space of poses, by a run of pose-prediction.

    The first frames of each clip are seen, all others are told from codes alone, as many as you
    like. Pictures and a film go to the run's folder. Where the clip has true frames, predictions
    are held against them.

    Example: unbraid predict runs/ahead --past 5 --future 100 --samples 3 --count 8

    Args:
        folder: Folder of the run; pictures/predicted.png, predicted.gif and horizon.png go there.
        past: Frames that are seen; as many as in training unless given.
        future: Frames to predict; up to the end of the clips unless given.
        samples: Trajectories with noise, beside the one that goes from mean to mean.
        count: Number of clips, the first ones of the split; images are kept of up to 64.
        split: Which part of the data.
        seed: Seed of the noise; the run's unless given.
        out: Further files: .png for the strip, .gif or .webp for the film, .npz for the arrays.
        device: auto, cpu, cuda, cuda:N or mps.
        json: Print one JSON object.
    """

    folder: Folder
    past: int | None = None
    future: int | None = None
    samples: int = 0
    count: int = 8
    split: Literal["test", "validation", "train"] = "test"
    seed: int | None = None
    out: Annotated[tuple[str, ...], arg(metavar="FILE [FILE ...]")] = ()
    device: str = "auto"
    json: bool = False

    def run(self) -> int:
        """Predict; returns the exit code."""
        for name, value in (("--past", self.past), ("--future", self.future)):
            if value is not None:
                in_range(name, value, 1)
        in_range("--samples", self.samples, 0)
        in_range("--count", self.count, 1)
        check_seed(self.seed)
        from .load_run import load
        from .out_files import check_out
        from .predicting import FILES, save, save_pictures
        from .run_folder import require_writable

        for path in self.out:
            check_out(path, FILES)
        run = load(self.folder, self.device)
        require_writable(run.folder)
        predicted = run.predict(
            self.past,
            self.future,
            samples=self.samples,
            count=self.count,
            split=self.split,
            seed=self.seed,
        )
        paths = [*save_pictures(run, predicted), *(save(predicted, path) for path in self.out)]
        if self.json:
            print_json({**predicted.summary(), "files": [str(path) for path in paths]})
            return DONE
        print_table(_rows(predicted))
        for path in paths:
            print(path)
        return DONE


def _rows(predicted: "PredictedClips") -> list[tuple[str, str, str]]:
    found = predicted.summary()
    if not found["clips"]:
        return [("quality", "not known", "the clips end with the frames that are seen")]
    of = f"mean of the first {found['first']} predicted frames of {found['clips']:,} clips"
    rows = []
    for name, words in NAMES.items():
        if name not in found:
            continue
        mean, error = found[name]["mean"], found[name]["standard_error"]
        form, unit = (".2f", " dB") if name.endswith("psnr") else (".4f", "")
        shown = format(mean, form)
        shown += "" if error is None else f" +- {format(error, form)}"
        rows.append((words, shown + unit, of))
        of = ""
    if "ssim" not in found:
        rows.append(("SSIM", "not known", "frames are smaller than its window of 11 pixels"))
    return rows
