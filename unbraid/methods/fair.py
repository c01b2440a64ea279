"""Fair representations: a label from a code that does not tell a sensitive attribute."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from unbraid.hooks import find_attribute
from unbraid.inference import (
    Adversary,
    CriticSchedule,
    GroupAdversary,
    Hook,
    ProjectedAdversary,
    SensitiveExamples,
    SigmoidWarmup,
    critic_adam,
    pair_parameters,
)
from unbraid.nets import MLPCritic, PredictionCritic

from .label_nets import LabelOptions, build_classifier
from .method import DataSpec, Parts
from .options import OptionError, critic_in_range, in_range

CITATION = """@inproceedings{edwards2016censoring,
  title = {Censoring Representations with an Adversary},
  author = {Edwards, Harrison and Storkey, Amos},
  booktitle = {International Conference on Learning Representations},
  year = {2016}
}
@article{beutel2017data,
  title = {Data Decisions and Theoretical Implications when Adversarially Learning Fair
           Representations},
  author = {Beutel, Alex and Chen, Jilin and Zhao, Zhe and Chi, Ed H.},
  journal = {arXiv preprint arXiv:1707.00075},
  year = {2017}
}
@inproceedings{zhang2018mitigating,
  title = {Mitigating Unwanted Biases with Adversarial Learning},
  author = {Zhang, Brian Hu and Lemoine, Blake and Mitchell, Margaret},
  booktitle = {AAAI/ACM Conference on {AI}, Ethics, and Society},
  year = {2018}
}
@inproceedings{madras2018learning,
  title = {Learning Adversarially Fair and Transferable Representations},
  author = {Madras, David and Creager, Elliot and Pitassi, Toniann and Zemel, Richard},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}"""
EXAMPLE = "--data coloured-digits --set attribute=colour"


@dataclass(frozen=True)
class Options(LabelOptions):
    """Options of fair representations.

    Args:
        kind: `edwards-storkey`: the critic's cross-entropy as large as can be, with a decoder
            where `reconstruction` is above 0. `beutel`: the same, of chosen data. `zhang`: the
            critic sees the prediction, and the gradient loses what would help the critic.
            `laftr`: the critic's error counts by group. `none`: no critic.
        attribute: Name of the factor that is sensitive.
        notion: What the critic sees: `parity` the code alone; `odds` the label beside it;
            `opportunity` the codes of data with the label `favoured` alone.
        favoured: The label of equal opportunity.
        weight: Weight of the adversary's term, at least 0; 0 for none.
        warmup: Steps over which the weight rises, 2 / (1 + exp(-10 p)) - 1; 0 for none.
        project: Whether `zhang` takes out the part of the gradient that helps the critic.
        critic_hidden: Widths of the critic's hidden layers, comma-separated; `zhang` has a linear
            critic of the prediction, without any.
        critic_rate: Learning rate of the critic.
        critic_steps: Critic steps per step of the pair.
        critic_noise: Standard deviation of noise on what the critic of a code sees, not on what
            that of `zhang` sees.
    """

    latent_dim: int = 16
    kind: Literal["none", "edwards-storkey", "beutel", "zhang", "laftr"] = "laftr"
    attribute: str = "colour"
    notion: Literal["parity", "odds", "opportunity"] = "parity"
    favoured: int = 1
    weight: float = 1.0
    warmup: int = 0
    project: bool = True
    critic_hidden: tuple[int, ...] = (64, 64)
    critic_rate: float = 1e-3
    critic_steps: int = 1
    critic_noise: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("favoured", "weight", "warmup"):
            in_range(name, getattr(self, name), 0)
        critic_in_range(self.critic_hidden, self.critic_rate, self.critic_steps)
        in_range("critic_noise", self.critic_noise, 0.0)
        if self.kind == "edwards-storkey" and self.notion != "parity":
            raise OptionError(
                f"notion is {self.notion!r}; expected parity, the only one of edwards-storkey. "
                "Choose kind=beutel, which differs by what the critic sees alone"
            )


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair, and the critic of the attribute where there is one."""
    parts = build_classifier(options, data)
    if options.notion == "opportunity" and options.favoured >= data.classes:
        raise OptionError(
            f"favoured is {options.favoured}; expected a label from 0 to {data.classes - 1}"
        )
    if options.kind == "none" or not options.weight:
        return parts
    return replace(parts, hooks=(_adversary(options, data, parts),))


def _adversary(options: Options, data: DataSpec, parts: Parts) -> Hook:
    known = find_attribute(options.attribute, data)
    beside = data.classes if options.notion == "odds" else 0
    view = SensitiveExamples(
        "label" if options.kind == "zhang" else "z",
        known.key,
        known.column,
        beside=beside or None,
        only=options.favoured if options.notion == "opportunity" else None,
        discrete=True,
    )
    weight = options.weight
    rising = SigmoidWarmup(options.warmup, weight) if options.warmup else weight
    noise = 0.0 if options.kind == "zhang" else options.critic_noise
    common: dict[str, Any] = {
        "schedule": CriticSchedule(steps=options.critic_steps, noise=noise),
        "optimizer": critic_adam(options.critic_rate),
    }
    if options.kind == "zhang":
        return ProjectedAdversary(
            "fairness",
            view,
            PredictionCritic(data.classes, known.classes, beside),
            rising,
            parameters=lambda: pair_parameters(parts.model, parts.guide),
            scale=options.classification,
            project=options.project,
            **common,
        )
    critic = MLPCritic(options.latent_dim + beside, options.critic_hidden, known.classes)
    common["moves"] = "guide"
    if options.kind == "laftr":
        return GroupAdversary("fairness", view, critic, rising, **common)
    return Adversary("fairness", view, critic, "reverse", rising, **common)
