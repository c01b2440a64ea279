"""The MMD-VAE: a VAE whose aggregate posterior is held at the prior; InfoVAE and WAE-MMD."""

from dataclasses import dataclass, replace
from typing import Literal

from unbraid.inference import MMD, LeftOut, LinearWarmup, Weight

from . import vae
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = """@inproceedings{zhao2019infovae,
  title = {{InfoVAE}: Balancing Learning and Inference in Variational Autoencoders},
  author = {Zhao, Shengjia and Song, Jiaming and Ermon, Stefano},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2019}
}
@inproceedings{tolstikhin2018wasserstein,
  title = {Wasserstein Auto-Encoders},
  author = {Tolstikhin, Ilya and Bousquet, Olivier and Gelly, Sylvain and
            Sch{\\"o}lkopf, Bernhard},
  booktitle = {International Conference on Learning Representations},
  year = {2018}
}"""


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the MMD-VAE.

    Args:
        alpha: 1 minus the weight of the divergence (Zhao et al. 2017, eq. 6), at most 1: at 1 it
            is left out, as in WAE-MMD.
        lambda_prior: The weight of the discrepancy is alpha + lambda_prior - 1; above 0, and at
            least 1 - alpha. 200 is that of WAE on MNIST: its code has 10 beside 0.05 |x - x'|^2,
            and |x - x'|^2 is the cost of a Normal of variance 1/2 in nats.
        kernel: Of the discrepancy: that of WAE, or that of InfoVAE.
        scales: Scales of the kernel's widths, comma-separated; 1 for the mean squared distance
            2 K of two draws of the prior. Unless given the published ones: seven from 0.1 to 10,
            or K / 2.
        unbiased: Whether the discrepancy is the U-statistic, which may be below 0.
        warmup: Steps over which the divergence's weight goes from `warmup_from` to 1 - alpha, that
            of the discrepancy from 0 where `warmup_from` is below 1; 0 for none.
    """

    alpha: float = 1.0
    lambda_prior: float = 200.0
    kernel: Literal["inverse-multiquadric", "gaussian"] = "inverse-multiquadric"
    scales: tuple[float, ...] | None = None
    unbiased: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not float("-inf") < self.alpha <= 1.0:
            raise OptionError(f"alpha is {self.alpha}; expected a finite number of at most 1")
        in_range("lambda_prior", self.lambda_prior, 0.0, open_low=True)
        if self.discrepancy_weight < 0.0:
            raise OptionError(
                f"lambda_prior is {self.lambda_prior}; expected at least 1 - alpha = "
                f"{1.0 - self.alpha:g}, since alpha + lambda_prior - 1 is a weight"
            )
        if self.warmup and self.warmup_from and self.alpha == 1.0:
            raise OptionError(
                f"warmup_from is {self.warmup_from:g} with alpha=1; expected 0, as the "
                "discrepancy alone is weighed, and rises from 0. Leave it out"
            )
        for scale in self.scales or ():
            in_range("scales", scale, 0.0, open_low=True)

    @property
    def discrepancy_weight(self) -> float:
        """The weight of the discrepancy; rounded, so that 2.82 - 1.82 - 1 is 0."""
        return round(self.alpha + self.lambda_prior - 1.0, 12)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair; only the objective differs."""
    parts = vae.build(options, data)
    if options.alpha == 1.0:
        parts = replace(parts, weights={"z": LeftOut()}, choose_by_bound=False)
    elif options.alpha != 0.0:  # at 0 the weight is the VAE's
        parts = replace(parts, weights={"z": _divergence(options)})
    if not options.discrepancy_weight:
        return parts
    rises = options.warmup and options.warmup_from < 1.0
    weight = options.discrepancy_weight
    hook = MMD(
        "z",
        LinearWarmup(options.warmup, 0.0, weight) if rises else weight,
        kernel=options.kernel,
        scales=options.scales or None,
        unbiased=options.unbiased,
    )
    return replace(parts, hooks=(hook,))


def _divergence(options: Options) -> float | Weight:
    weight = 1.0 - options.alpha
    if not options.warmup:
        return weight
    return LinearWarmup(options.warmup, options.warmup_from, weight)
