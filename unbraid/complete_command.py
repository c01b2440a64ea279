"""The command that completes images of which some pixels are seen."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from unbraid.methods import in_range

from .commands import Folder, check_seed
from .console import print_json, print_table
from .exit_codes import DONE

if TYPE_CHECKING:
    from unbraid.inference import MaskedPosterior


@dataclass(frozen=True)
class Complete:
    """Complete images of which some pixels are seen, by any method of single images.

    The codes are inferred from the seen pixels alone; completions are draws of the posterior, with
    weights. svi takes a second or two for each image, nuts a minute.

    Example: unbraid complete runs/vae --observe lower --by svi --count 8 --draws 5

    Args:
        folder: Folder of the run; the picture goes to pictures/completed.png in it.
        observe: The part that is seen: lower, upper, left, right or centre; or a file .npy of
            bools (H, W) or (N, H, W), true where a pixel is seen.
        by: importance: draws around what the guide says of filled images; svi: Normals that are
            fitted to each image; nuts: Markov chains for each image.
        count: Number of images, the first ones of the split.
        draws: Completions of each image.
        samples: Draws of the codes of each image.
        prior_share: Share of importance samples that the prior gives.
        split: Which part of the data.
        seed: Seed of the noise; the run's unless given.
        out: Further files: .png for the picture, .npz for the arrays.
        device: auto, cpu, cuda, cuda:N or mps.
        json: Print one JSON object.
    """

    folder: Folder
    observe: Annotated[str, arg(metavar="lower|upper|left|right|centre|FILE.npy")] = "lower"
    by: Literal["importance", "svi", "nuts"] = "svi"
    count: int = 8
    draws: int = 5
    samples: int = 1000
    prior_share: float = 0.1
    split: Literal["test", "validation", "train"] = "test"
    seed: int | None = None
    out: Annotated[tuple[str, ...], arg(metavar="FILE [FILE ...]")] = ()
    device: str = "auto"
    json: bool = False

    def run(self) -> int:
        """Complete; returns the exit code."""
        in_range("--count", self.count, 1)
        in_range("--draws", self.draws, 1)
        in_range("--samples", self.samples, self.draws)
        in_range("--prior-share", self.prior_share, 0.0, 0.99)
        check_seed(self.seed)
        from .completing import FILES, monte_carlo_error, save_picture
        from .load_run import load
        from .out_files import check_out
        from .run_folder import require_writable

        for path in self.out:
            check_out(path, FILES)
        run = load(self.folder, self.device)
        require_writable(run.folder)
        completed = run.complete(
            self.observe,
            by=self.by,
            count=self.count,
            draws=self.draws,
            samples=self.samples,
            prior_share=self.prior_share,
            split=self.split,
            seed=self.seed,
            progress=sys.stderr.isatty(),
        )
        paths = [save_picture(run, completed), *map(completed.save, self.out)]
        if self.json:
            found = completed.posterior.summary()
            found["monte_carlo_error"] = monte_carlo_error(completed.posterior)
            print_json({**found, "observe": self.observe, "files": [str(p) for p in paths]})
            return DONE
        print_table(_rows(completed.posterior, monte_carlo_error(completed.posterior)))
        for path in paths:
            print(path)
        return DONE


def _rows(
    posterior: "MaskedPosterior", monte_carlo_error: float | None
) -> list[tuple[str, str, str]]:
    found: dict[str, Any] = posterior.summary()

    def shown(name: str, form: str) -> str:
        return "not known" if found[name] is None else format(found[name], form)

    error = "" if found["log_evidence_se"] is None else f" +- {found['log_evidence_se']:,.2f}"
    evidence = f"{shown('log_evidence', ',.2f')}{error} nats"
    over = ", +- over images" if error else ""
    what = f"mean of {found['n']:,} images, by {found['by']}{over}"
    rows = [("log p(x seen)", evidence, what)]
    if monte_carlo_error is not None:
        of_draws = f"+- {monte_carlo_error:,.2f} nats"
        rows.append(("of the draws", of_draws, "for these very images"))
    rows += [
        (
            "sample size",
            f"{shown('effective_sample_size', ',.1f')} effective",
            f"of {found['samples']:,} draws",
        ),
        ("Pareto k-hat", shown("pareto_k_max", ".2f"), "at most; above 0.7 is not to be trusted"),
    ]
    if found["by"] == "nuts":
        rows.append(("R-hat", shown("r_hat", ".3f"), "mean of each image's largest"))
    return rows + [("remark", "", remark) for remark in found["remarks"]]
