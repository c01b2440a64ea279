"""The variational autoencoder."""

from dataclasses import dataclass

from unbraid import guides, models
from unbraid.inference import LinearWarmup

from .image_nets import NetOptions
from .method import DataSpec, Parts
from .options import in_range

CITATION = """@inproceedings{kingma2014auto,
  title = {Auto-Encoding Variational {B}ayes},
  author = {Kingma, Diederik P. and Welling, Max},
  booktitle = {International Conference on Learning Representations},
  year = {2014}
}"""


@dataclass(frozen=True)
class Options(NetOptions):
    """Options of the VAE.

    Args:
        latent_dim: Number of code coordinates, 1 to 4096.
        warmup: Steps over which the divergence's weight goes from `warmup_from` to 1; 0 for none.
        warmup_from: The divergence's weight at first, at least 0; above 1, only the codes that say
            most come in at first, such as places.
    """

    latent_dim: int = 10
    warmup: int = 0
    warmup_from: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("latent_dim", self.latent_dim, 1, 4096)
        in_range("warmup", self.warmup, 0)
        in_range("warmup_from", self.warmup_from, 0.0)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair for the given data."""
    options.require_images(data)
    likelihood = options.make_likelihood(data)
    decoder = options.make_decoder(data, options.latent_dim, likelihood)
    return Parts(
        model=models.VAE(decoder, options.latent_dim),
        guide=guides.VAE(options.make_encoder(data, options.latent_dim)),
        likelihood=likelihood,
        weights={"z": LinearWarmup(options.warmup, options.warmup_from)} if options.warmup else {},
    )
