"""The VAE/GAN: a VAE whose images a critic judges, by its verdict and by its features."""

from dataclasses import dataclass, replace
from typing import Literal

from unbraid.inference import (
    GRADIENT_PENALTIES,
    Adversary,
    AgainstData,
    CriticSchedule,
    FeatureSimilarity,
    LeftOut,
    critic_adam,
)
from unbraid.nets import ConvCritic, Likelihood

from . import vae
from .method import DataSpec, Parts
from .options import in_range

CITATION = """@inproceedings{larsen2016autoencoding,
  title = {Autoencoding beyond pixels using a learned similarity metric},
  author = {Larsen, Anders Boesen Lindbo and S{\\o}nderby, S{\\o}ren Kaae and Larochelle, Hugo
            and Winther, Ole},
  booktitle = {International Conference on Machine Learning},
  year = {2016}
}"""


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the VAE/GAN.

    Args:
        likelihood: `auto` is bernoulli for binary data, else normal, whose mean image is the
            decoder's output as it is: others, such as continuous-bernoulli, hardly reach the black
            and white that a critic knows the data by.
        features: Weight, in the encoder's loss, of the distance between the features of data and
            reconstructions; the divergence from the prior has weight 1. 1 as published, for more
            features than those of this critic: too small, and codes say nothing.
        gamma: Weight of the same in the decoder's loss (Larsen et al. 2016, algorithm 1).
        adversary: Weight of the critic's verdict in the decoder's loss.
        pixels: Weight of -log p(x|z) in the loss of both; 0 leaves it out, as published, and
            log p(x) is then that of a likelihood that nothing trains.
        rule: The objectives of critic and decoder.
        discriminate_reconstructions: Whether the critic sees reconstructions beside images decoded
            from draws of the prior.
        critic_channels: Channels of the critic's convolutions, comma-separated.
        critic_hidden: Width of the critic's linear layer, after the features.
        critic_rate: Learning rate of the critic.
        critic_steps: Critic steps per step of the pair.
    """

    features: float = 5.0
    gamma: float = 5.0
    adversary: float = 1.0
    pixels: float = 0.0
    rule: Literal["logistic", "least-squares", "wasserstein", "hinge"] = "logistic"
    discriminate_reconstructions: bool = True
    critic_channels: tuple[int, ...] = (16, 32, 64)
    critic_hidden: int = 256
    critic_rate: float = 1e-4
    critic_steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("features", "gamma", "adversary", "pixels"):
            in_range(name, getattr(self, name), 0.0)
        for width in self.critic_channels:
            in_range("critic_channels", width, 1, 65_536)
        in_range("critic_hidden", self.critic_hidden, 1, 65_536)
        in_range("critic_rate", self.critic_rate, 0.0, 10.0, open_low=True)
        in_range("critic_steps", self.critic_steps, 1, 1000)

    def make_likelihood(self, data: DataSpec) -> Likelihood:
        """Make the likelihood that the options or the data ask for."""
        if self.likelihood == "auto" and data.kind != "binary":
            return self.named_likelihood("normal", data)
        return super().make_likelihood(data)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair, the critic of its images, and the distance in its features."""
    parts = vae.build(options, data)
    critic = ConvCritic(data.shape, channels=options.critic_channels, hidden=options.critic_hidden)
    adversary = Adversary(
        "gan",
        AgainstData(reconstructions=options.discriminate_reconstructions),
        critic,
        options.rule,
        options.adversary,
        moves="model",
        schedule=CriticSchedule(steps=options.critic_steps),
        gradient_penalty=GRADIENT_PENALTIES.get(options.rule, 0.0),
        optimizer=critic_adam(options.critic_rate),
    )
    similarity = FeatureSimilarity(
        "features", critic.features, model=options.gamma, guide=options.features
    )
    trained = options.pixels > 0.0
    remark = "log p(x) is that of the pixel likelihood added to the method"
    return replace(
        parts,
        weights={**parts.weights, "x": options.pixels if trained else LeftOut()},
        hooks=(adversary, similarity),
        choose_by_bound=False,
        remark=f"{remark}, which has weight {options.pixels:g} in its loss beside the critic."
        if trained
        else f"{remark}, which nothing trains: it says little of how good the images are.",
    )
