"""The autoencoder of mixed codes: chunks of two images' codes make a third image."""

from dataclasses import dataclass, replace
from typing import Literal

import torch

from unbraid import guides
from unbraid.inference import (
    Adversary,
    LeftOut,
    MixedImages,
    MixingCycle,
    WhichChunk,
    chunk_size,
    critic_adam,
)
from unbraid.nets import ConvCritic

from . import vae
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = """@inproceedings{hu2018disentangling,
  title = {Disentangling Factors of Variation by Mixing Them},
  author = {Hu, Qiyang and Szab{\\'o}, Attila and Portenier, Tiziano and Favaro, Paolo
            and Zwicker, Matthias},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2018}
}"""


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the autoencoder of mixed codes.

    Args:
        latent_dim: Number of code coordinates, a multiple of `chunks`.
        encoder: `deterministic` gives one code per image, so that neither a bound nor importance
            sampling is to be had; `gaussian` samples codes, held at the prior.
        chunks: Number of chunks of equal size, at least 2.
        reconstruction: Weight of -log p(x | z) with an image's own code. The cycle holds it too,
            as a mask may lend nothing.
        cycle: Weight of -log p(x | z) with the code whose lent chunks come back from the mixed
            image; 0 leaves it out.
        adversary: Weight of the pair's loss against the critic of mixed images; 0 for no critic.
        classifier: Weight of the cross-entropy of which chunk is whose; 0 for no classifier.
        critic_channels: Channels of the convolutions of critic and classifier, comma-separated.
        critic_hidden: Width of their linear layer.
        critic_rate: Learning rate of the critic.
        classifier_rate: Learning rate of the classifier.
    """

    latent_dim: int = 16
    encoder: Literal["deterministic", "gaussian"] = "deterministic"
    chunks: int = 4
    reconstruction: float = 1.0
    cycle: float = 1.0
    adversary: float = 8.0
    classifier: float = 8.0
    critic_channels: tuple[int, ...] = (32, 64)
    critic_hidden: int = 128
    critic_rate: float = 2e-4
    classifier_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            chunk_size(self.latent_dim, self.chunks)
        except ValueError as error:
            raise OptionError(str(error)) from error
        for name in ("warmup", "warmup_from"):
            if getattr(self, name) and self.encoder == "deterministic":
                raise OptionError(
                    f"{name} is {getattr(self, name)}; expected 0 with encoder=deterministic, "
                    "whose codes have no divergence to weigh. Leave it out, or set "
                    "encoder=gaussian"
                )
        for name in ("reconstruction", "cycle", "adversary", "classifier"):
            in_range(name, getattr(self, name), 0.0)
        for width in self.critic_channels:
            in_range("critic_channels", width, 1, 65_536)
        in_range("critic_hidden", self.critic_hidden, 1, 65_536)
        for name in ("critic_rate", "classifier_rate"):
            in_range(name, getattr(self, name), 0.0, 10.0, open_low=True)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair, and what acts on its mixed codes."""
    parts = vae.build(options, data)
    weights = {**parts.weights, "x": options.reconstruction}
    if options.encoder == "deterministic":
        encoder = options.make_point_encoder(data, options.latent_dim)
        parts = replace(parts, guide=guides.VAE(encoder))
        weights["z"] = LeftOut()
    channels, height, width = data.shape
    hooks = []
    if options.cycle:
        hooks.append(MixingCycle("z", options.chunks, options.cycle))
    if options.adversary:
        critic = ConvCritic(
            data.shape, channels=options.critic_channels, hidden=options.critic_hidden
        )
        hooks.append(
            Adversary(
                "gan",
                MixedImages("z", options.chunks),
                critic,
                weight=options.adversary,
                optimizer=critic_adam(options.critic_rate),
            )
        )
    if options.classifier:
        classifier = ConvCritic(
            (3 * channels, height, width),
            channels=options.critic_channels,
            hidden=options.critic_hidden,
            outputs=options.chunks,
        )
        hooks.append(
            WhichChunk(
                "z",
                options.chunks,
                classifier,
                options.classifier,
                optimizer=lambda p: torch.optim.Adam(p, lr=options.classifier_rate, fused=True),
            )
        )
    return replace(parts, weights=weights, hooks=tuple(hooks), choose_by_bound=False)
