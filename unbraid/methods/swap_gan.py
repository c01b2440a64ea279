"""The VAE of swapped codes with a critic: what images share cannot stay in the other code."""

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from unbraid.inference import (
    GRADIENT_PENALTIES,
    Adversary,
    CriticSchedule,
    SwappedByClass,
    SwappedPairs,
    critic_adam,
)
from unbraid.nets import ConvCritic

from . import swap_vae
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = (
    swap_vae.CITATION
    + """
@article{szabo2017challenges,
  title = {Challenges in Disentangling Independent Factors of Variation},
  author = {Szab{\\'o}, Attila and Hu, Qiyang and Portenier, Tiziano and Zwicker, Matthias
            and Favaro, Paolo},
  journal = {arXiv:1711.02245},
  year = {2017}
}"""
)

MOST_CLASSES = 4096
HAVE_TARGETS = ("logistic", "least-squares")


@dataclass(frozen=True)
class Options(swap_vae.Options):
    """Options of the VAE of swapped codes with a critic.

    Args:
        critic: `label`: it sees an image and the class of its specified code (Mathieu et al.
            2016). `pair`: it sees two images and no class (Szabó et al. 2017).
        adversary: Weight of the pair's loss against the critic, beside -log p(x | z, s) in nats; 0
            for no critic.
        rule: The objectives of critic and pair.
        draws: Whether the critic also sees images whose unspecified codes are draws of their
            prior; with critic=label.
        smoothing: How far the critic's target of data lies below 1, 0 to 0.5; rules logistic and
            least-squares alone have targets.
        critic_channels: Channels of the critic's convolutions, comma-separated.
        critic_hidden: Width of the critic's linear layer.
        critic_rate: Learning rate of the critic.
        critic_steps: Critic steps per step of the pair.
    """

    critic: Literal["label", "pair"] = "label"
    adversary: float = 8.0
    rule: Literal["logistic", "least-squares", "wasserstein", "hinge"] = "logistic"
    draws: bool = True
    smoothing: float = 0.05
    critic_channels: tuple[int, ...] = (32, 64)
    critic_hidden: int = 128
    critic_rate: float = 2e-4
    critic_steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("adversary", self.adversary, 0.0)
        in_range("smoothing", self.smoothing, 0.0, 0.5)
        for width in self.critic_channels:
            in_range("critic_channels", width, 1, 65_536)
        in_range("critic_hidden", self.critic_hidden, 1, 65_536)
        in_range("critic_rate", self.critic_rate, 0.0, 10.0, open_low=True)
        in_range("critic_steps", self.critic_steps, 1, 1000)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair of swapped codes, and the critic of images whose codes are of two data.

    Raises:
        ValueError: If the data are no images, or do not know what partners share.
    """
    parts = swap_vae.build(options, data)
    if not options.adversary:
        return parts
    swap_vae.require_shared(options.shared, data)
    channels, height, width = data.shape
    if options.critic == "label":
        view = _by_class(options, data)
        shape, extra = data.shape, view.classes
    else:
        view = SwappedPairs("specified")
        shape, extra = (2 * channels, height, width), 0
    smoothing = options.smoothing if options.rule in HAVE_TARGETS else 0.0
    hook = Adversary(
        "gan",
        view,
        ConvCritic(shape, extra, options.critic_channels, options.critic_hidden),
        options.rule,
        options.adversary,
        schedule=CriticSchedule(steps=options.critic_steps, smoothing=smoothing),
        gradient_penalty=GRADIENT_PENALTIES.get(options.rule, 0.0),
        optimizer=critic_adam(options.critic_rate),
    )
    needs_partners = options.swapped or options.critic == "pair"
    return replace(
        parts,
        hooks=(*parts.hooks, hook),
        partners=options.shared if needs_partners else None,
    )


def _by_class(options: Options, data: DataSpec) -> SwappedByClass:
    """The view of a critic that is told classes: of labels, or of all values of factors."""
    if options.shared == ("label",):
        return SwappedByClass("specified", data.classes, draws=options.draws)
    sizes = dict(zip(data.factor_names, data.factor_sizes, strict=True))
    unknown = [name for name in options.shared if name not in sizes]
    classes = prod(sizes.get(name, 1) for name in options.shared)
    if unknown or classes > MOST_CLASSES:
        found = f"{classes} classes" if not unknown else f"{unknown[0]!r} among others"
        raise OptionError(
            f"shared is {', '.join(options.shared)}, {found}; with critic=label expected label "
            f"alone, or factors of at most {MOST_CLASSES} values together. Use critic=pair"
        )
    places = tuple((data.factor_names.index(name), sizes[name]) for name in options.shared)
    return SwappedByClass("specified", classes, places, draws=options.draws)
