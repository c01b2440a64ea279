"""Domain adaptation: codes of which a critic cannot tell the domain, and a label from the code."""

from dataclasses import dataclass, replace
from typing import Literal

from unbraid.hooks import find_attribute
from unbraid.inference import (
    Adversary,
    CriticSchedule,
    DomainsOneSided,
    SigmoidWarmup,
    WithAttribute,
    critic_adam,
)
from unbraid.nets import MLPCritic

from .label_nets import LabelOptions, build_classifier
from .method import DataSpec, Parts
from .options import critic_in_range, in_range

CITATION = """@inproceedings{ganin2015unsupervised,
  title = {Unsupervised Domain Adaptation by Backpropagation},
  author = {Ganin, Yaroslav and Lempitsky, Victor},
  booktitle = {International Conference on Machine Learning},
  year = {2015}
}
@inproceedings{tzeng2017adversarial,
  title = {Adversarial Discriminative Domain Adaptation},
  author = {Tzeng, Eric and Hoffman, Judy and Saenko, Kate and Darrell, Trevor},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year = {2017}
}
@inproceedings{tzeng2015simultaneous,
  title = {Simultaneous Deep Transfer Across Domains and Tasks},
  author = {Tzeng, Eric and Hoffman, Judy and Darrell, Trevor and Saenko, Kate},
  booktitle = {International Conference on Computer Vision},
  year = {2015}
}"""
EXAMPLE = "--data mnist-domains"


@dataclass(frozen=True)
class Options(LabelOptions):
    """Options of domain adaptation.

    Args:
        domain: Name of the factor that says the domain: 0 is the source, the others targets.
        target: What the encoder wants the critic to say of the domain. `reverse`: the critic's
            loss as large as can be (Ganin & Lempitsky 2015). `flip`: another domain (Tzeng et al.
            2017). `uniform`: all domains alike (Tzeng et al. 2015). `none`: no critic.
        moved: Whose codes the critic moves: `both`, or of the `target` alone, domain 1.
        weight: Weight of the adversary's term, at least 0.
        warmup: Steps over which the weight rises, 2 / (1 + exp(-10 p)) - 1 (Ganin & Lempitsky
            2015); 0 for none.
        critic_hidden: Widths of the critic's hidden layers, comma-separated.
        critic_rate: Learning rate of the critic.
        critic_steps: Critic steps per step of the pair.
        critic_noise: Standard deviation of noise on the codes that the critic sees. Without any it
            tells domains by differences that no encoder gets rid of (Sønderby et al. 2017,
            https://arxiv.org/abs/1610.04490).
    """

    domain: str = "domain"
    target: Literal["reverse", "flip", "uniform", "none"] = "reverse"
    moved: Literal["both", "target"] = "both"
    weight: float = 1.0
    warmup: int = 2000
    critic_hidden: tuple[int, ...] = (256, 256)
    critic_rate: float = 1e-3
    critic_steps: int = 1
    critic_noise: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("weight", self.weight, 0.0)
        in_range("warmup", self.warmup, 0)
        critic_in_range(self.critic_hidden, self.critic_rate, self.critic_steps)
        in_range("critic_noise", self.critic_noise, 0.0)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair, and the critic of domains where there is one."""
    parts = build_classifier(options, data)
    if options.target == "none":
        return parts
    return replace(parts, hooks=(_adversary(options, data),))


def _adversary(options: Options, data: DataSpec) -> Adversary:
    domain = find_attribute(options.domain, data)
    view = WithAttribute if options.moved == "both" else DomainsOneSided
    weight = options.weight
    return Adversary(
        "domain",
        view("z", domain.key, domain.column, discrete=True),
        MLPCritic(options.latent_dim, options.critic_hidden, domain.classes),
        options.target,  # pyright: ignore[reportArgumentType]
        SigmoidWarmup(options.warmup, weight) if options.warmup else weight,
        moves="guide",
        schedule=CriticSchedule(steps=options.critic_steps, noise=options.critic_noise),
        optimizer=critic_adam(options.critic_rate),
    )
