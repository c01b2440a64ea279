"""The DIP-VAE: a VAE whose codes are held uncorrelated over the data, with unit variances."""

from dataclasses import dataclass, replace
from typing import Literal

from unbraid.inference import DIP

from . import vae
from .method import DataSpec, Parts
from .options import in_range

CITATION = """@inproceedings{kumar2018variational,
  title = {Variational Inference of Disentangled Latent Concepts from Unlabeled Observations},
  author = {Kumar, Abhishek and Sattigeri, Prasanna and Balakrishnan, Avinash},
  booktitle = {International Conference on Learning Representations},
  year = {2018}
}"""

DIAGONAL_RATIO = {"i": 10.0, "ii": 1.0}  # of lambda_diag to lambda_offdiag, as published


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the DIP-VAE.

    Args:
        kind: Whose covariance is penalised: `i`, of the guide's means; `ii`, of its samples
            (Kumar et al. 2018, eq. 6 and 7).
        lambda_offdiag: Weight of the squared covariances, at least 0; 1 to 50 in the literature.
        lambda_diag: Weight of the squared distances of the variances from 1, at least 0; unless
            given ten times lambda_offdiag for kind i, and the same for kind ii.
    """

    kind: Literal["i", "ii"] = "ii"
    lambda_offdiag: float = 10.0
    lambda_diag: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("lambda_offdiag", self.lambda_offdiag, 0.0)
        if self.lambda_diag is not None:
            in_range("lambda_diag", self.lambda_diag, 0.0)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair; only the objective differs."""
    diagonal = options.lambda_diag
    if diagonal is None:
        diagonal = DIAGONAL_RATIO[options.kind] * options.lambda_offdiag
    hook = DIP("z", options.lambda_offdiag, diagonal, options.kind)
    return replace(vae.build(options, data), hooks=(hook,))
