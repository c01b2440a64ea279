"""The adversarial autoencoder: a critic holds the codes as a whole at their prior."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from unbraid import guides
from unbraid.hooks import hook_module
from unbraid.inference import LeftOut

from . import vae
from .method import DataSpec, Parts
from .options import OptionError, critic_in_range, in_range

if TYPE_CHECKING:
    from unbraid.inference import Hook

CITATION = """@inproceedings{makhzani2016adversarial,
  title = {Adversarial Autoencoders},
  author = {Makhzani, Alireza and Shlens, Jonathon and Jaitly, Navdeep and Goodfellow, Ian
            and Frey, Brendan},
  booktitle = {International Conference on Learning Representations, Workshop Track},
  year = {2016}
}"""

REMARK = (
    "The guide was not trained to be near the posterior, so that importance sampling may put "
    "log p(x) far too low."
)


@dataclass(frozen=True)
class Options(vae.Options):
    """Options of the adversarial autoencoder.

    Args:
        encoder: gaussian samples codes around means; deterministic gives one code per image, so
            that neither a bound nor importance sampling is to be had.
        weight: Weight of the code's loss against the critic, beside -log p(x|z) in nats; 0 for a
            plain autoencoder without a critic.
        rule: The objectives of critic and code.
        critic_hidden: Widths of the critic's hidden layers, comma-separated.
        critic_rate: Learning rate of the critic.
        critic_steps: Critic steps per step of the pair.
        noise: Standard deviation of noise on the critic's inputs.
        warmup: Steps over which the weight rises from 0; 0 for none.
    """

    encoder: Literal["gaussian", "deterministic"] = "gaussian"
    weight: float = 100.0
    rule: Literal["logistic", "wasserstein", "least-squares", "hinge"] = "logistic"
    critic_hidden: tuple[int, ...] = (256, 256)
    critic_rate: float = 5e-4
    critic_steps: int = 3
    noise: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("weight", self.weight, 0.0)
        critic_in_range(self.critic_hidden, self.critic_rate, self.critic_steps)
        in_range("noise", self.noise, 0.0)
        if self.warmup_from:
            raise OptionError(
                f"warmup_from is {self.warmup_from}; expected 0, as a critic takes the place of "
                "the divergence, whose weight that is. Leave it out"
            )


def build(options: Options, data: DataSpec) -> Parts:
    """Build the VAE's pair, whose divergence is left out of the loss for the critic's."""
    parts = vae.build(options, data)
    parts = replace(parts, weights={"z": LeftOut()}, choose_by_bound=False, remark=REMARK)
    if options.encoder == "deterministic":
        parts = replace(
            parts, guide=guides.VAE(options.make_point_encoder(data, options.latent_dim))
        )
    if not options.weight:
        return parts
    return replace(parts, hooks=(critic_of(options, data, parts, "z", "prior"),))


def critic_of(options: Options, data: DataSpec, parts: Parts, site: str, name: str) -> "Hook":
    """Make the critic that tells a site's codes from draws of its prior.

    Args:
        options: The method's options.
        data: What is known of the data.
        parts: The pair.
        site: The site.
        name: Name of the hook.
    """
    critics = hook_module("prior")
    chosen = critics.Options(
        weight=options.weight,
        site=site,
        rule=options.rule,
        hidden=options.critic_hidden,
        rate=options.critic_rate,
        steps=options.critic_steps,
        noise=options.noise,
        warmup=options.warmup,
    )
    hook = critics.build(chosen, data, parts).hook
    hook.name = name
    return hook
