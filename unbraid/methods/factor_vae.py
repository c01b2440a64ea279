"""The FactorVAE: a VAE whose total correlation a critic estimates by a density ratio."""

from dataclasses import dataclass, replace

from unbraid.hooks import hook_module

from . import vae
from .method import DataSpec, Parts
from .options import critic_in_range, in_range

CITATION = """@inproceedings{kim2018disentangling,
  title = {Disentangling by Factorising},
  author = {Kim, Hyunjik and Mnih, Andriy},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}"""


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the FactorVAE.

    Args:
        gamma: Weight of the total correlation (Kim & Mnih 2018, eq. 2), at least 0; 6 to 40 in the
            literature.
        critic_hidden: Widths of the critic's hidden layers, comma-separated; six of 1000 as
            published.
        critic_rate: Learning rate of the critic.
        critic_steps: Critic steps per step of the pair, each with permutations of its own.
        warmup: Steps over which the divergence's weight goes from `warmup_from` to 1, that of the
            total correlation, where this is a rise, from 0 to gamma; 0 for none.
    """

    gamma: float = 10.0
    critic_hidden: tuple[int, ...] = (512, 512, 512)
    critic_rate: float = 1e-4
    critic_steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("gamma", self.gamma, 0.0)
        critic_in_range(self.critic_hidden, self.critic_rate, self.critic_steps)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair; only the objective differs."""
    parts = vae.build(options, data)
    factor = hook_module("factor")
    chosen = factor.Options(
        gamma=options.gamma,
        hidden=options.critic_hidden,
        rate=options.critic_rate,
        steps=options.critic_steps,
        warmup=options.warmup if options.warmup_from < 1.0 else 0,
    )
    added = factor.build(chosen, data, parts)
    return replace(parts, hooks=(added.hook,), streams=added.streams)
