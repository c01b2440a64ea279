"""Adversarial variational Bayes: a VAE whose posterior has no density, only draws."""

from dataclasses import dataclass
from typing import Literal

import torch

from unbraid import guides, models
from unbraid.inference import (
    AgainstMoments,
    CriticSchedule,
    ImplicitDivergence,
    JointAgainstPrior,
    LeftOut,
    LinearWarmup,
    critic_adam,
)
from unbraid.nets import ConvCritic, ImplicitEncoder, MLPCritic, NoiseBasisEncoder, NoiseEncoder

from . import vae
from .method import DataSpec, Parts
from .options import OptionError, critic_in_range, in_range

CITATION = """@inproceedings{mescheder2017adversarial,
  title = {Adversarial Variational {B}ayes: Unifying Variational Autoencoders and Generative
           Adversarial Networks},
  author = {Mescheder, Lars and Nowozin, Sebastian and Geiger, Andreas},
  booktitle = {International Conference on Machine Learning},
  year = {2017}
}"""

REMARK = (
    "The posterior is implicit: there is no bound of log p(x), neither from importance sampling "
    "nor from the critic, whose divergence may be too low. Annealing estimates log p(x)."
)


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of adversarial variational Bayes.

    Args:
        adaptive_contrast: Whether the critic tells standardised codes from standard normal draws,
            rather than codes from draws of the prior.
        encoder: basis draws codes as sums of functions of noise, so that their moments are known;
            noise feeds noise to the encoder beside the image, and moments are taken over draws.
        noise_dim: Number of standard normal numbers that a draw, or each function, is fed.
        functions: Number of functions of noise, of encoder basis alone.
        moment_draws: Draws that moments are taken over: of the functions, or of the encoder.
        critic_hidden: Widths of the critic's hidden layers, comma-separated; with convolutions the
            last one alone.
        critic_rate: Learning rate of the critic.
        critic_steps: Critic steps per step of the pair.
        critic_warmup: Steps at first in which the critic learns alone and the divergence is not in
            the loss.
    """

    adaptive_contrast: bool = True
    encoder: Literal["basis", "noise"] = "basis"
    noise_dim: int = 16
    functions: int = 32
    moment_draws: int = 64
    critic_hidden: tuple[int, ...] = (512, 512)
    critic_rate: float = 5e-4
    critic_steps: int = 1
    critic_warmup: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("noise_dim", self.noise_dim, 1, 4096)
        in_range("functions", self.functions, 1, 4096)
        in_range("moment_draws", self.moment_draws, 2, 65_536)
        critic_in_range(self.critic_hidden, self.critic_rate, self.critic_steps)
        in_range("critic_warmup", self.critic_warmup, 0)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair, whose divergence is left out of the loss for the critic's."""
    options.require_images(data)
    likelihood = options.make_likelihood(data)
    decoder = options.make_decoder(data, options.latent_dim, likelihood)
    encoder = _encoder(options, data)
    view = JointAgainstPrior("z")
    if options.adaptive_contrast:
        moments = encoder.moments if isinstance(encoder, NoiseBasisEncoder) else None
        view = AgainstMoments("z", moments, options.moment_draws)
    divergence = ImplicitDivergence(
        "divergence",
        _critic(options, data),
        view,
        LinearWarmup(options.warmup, options.warmup_from) if options.warmup else 1.0,
        schedule=CriticSchedule(steps=options.critic_steps, warmup=options.critic_warmup),
        optimizer=critic_adam(options.critic_rate),
    )
    return Parts(
        model=models.AVB(decoder, options.latent_dim),
        guide=guides.AVB(encoder),
        likelihood=likelihood,
        weights={"z": LeftOut()},
        hooks=(divergence,),
        choose_by_bound=False,
        remark=REMARK,
    )


def _encoder(options: Options, data: DataSpec) -> ImplicitEncoder:
    convolves = options.convolves(data)
    hidden = options.hidden[-1:] if convolves else options.hidden
    channels = options.channels if convolves else None
    common = {"hidden": hidden, "channels": channels, "activation": options.activation}
    if options.encoder == "noise":
        return NoiseEncoder(data.shape, options.latent_dim, options.noise_dim, **common)
    return NoiseBasisEncoder(
        data.shape,
        options.latent_dim,
        options.noise_dim,
        options.functions,
        draws=options.moment_draws,
        **common,
    )


def _critic(options: Options, data: DataSpec) -> torch.nn.Module:
    if options.convolves(data):
        if not options.critic_hidden:
            raise OptionError(
                "critic_hidden is none; expected at least one width, of the layer after the "
                "critic's convolutions. Name one, or set nets=mlp"
            )
        return ConvCritic(
            data.shape, options.latent_dim, options.channels, options.critic_hidden[-1]
        )
    size = data.shape[0] * data.shape[1] * data.shape[2] + options.latent_dim
    return MLPCritic(size, options.critic_hidden)
