"""The beta-VAE: a VAE whose divergence has a fixed weight, or is held at a growing capacity."""

from dataclasses import dataclass, replace

from unbraid.inference import Capacity

from . import vae
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = """@inproceedings{higgins2017beta,
  title = {beta-{VAE}: Learning Basic Visual Concepts with a Constrained Variational Framework},
  author = {Higgins, Irina and Matthey, Loic and Pal, Arka and Burgess, Christopher and Glorot,
            Xavier and Botvinick, Matthew and Mohamed, Shakir and Lerchner, Alexander},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}"""


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the beta-VAE.

    Args:
        beta: Weight of the divergence (Higgins et al. 2017, eq. 4); at least 0.
        capacity: Divergence in nats that the annealed form (Burgess et al. 2018, eq. 8) grows to;
            none for the fixed weight.
        capacity_steps: Steps over which the capacity grows from 0.
        gamma: How strongly the annealed form holds the divergence at the capacity.
    """

    beta: float = 4.0
    capacity: float | None = None
    capacity_steps: int = 100_000
    gamma: float = 1000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("beta", self.beta, 0.0)
        in_range("gamma", self.gamma, 0.0)
        in_range("capacity_steps", self.capacity_steps, 1)
        if self.capacity is not None:
            in_range("capacity", self.capacity, 0.0)
        for name in ("warmup", "warmup_from"):
            if not getattr(self, name):
                continue
            raise OptionError(
                f"{name} is {getattr(self, name)}; expected 0 for beta-vae, whose weight is beta. "
                "Use the vae for a warm-up, or capacity for an annealed form"
            )


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair; only the objective differs."""
    if options.capacity is None:
        weight = options.beta
    else:
        weight = Capacity(options.gamma, 0.0, options.capacity, options.capacity_steps)
    return replace(vae.build(options, data), weights={"z": weight})
