"""Static and dynamic codes from unordered frames, with a learned prior p(z|f)."""

from dataclasses import dataclass

from unbraid import guides, models
from unbraid.inference import LinearWarmup
from unbraid.nets import PairwiseEncoder

from .method import DataSpec, Parts
from .options import in_range
from .sequence_nets import PUBLISHED, SequenceOptions, with_preset

CITATION = """@inproceedings{helminger2018disentangled,
  title = {Disentangled Dynamic Representations from Unordered Data},
  author = {Helminger, Leonhard and Djelouah, Abdelaziz and Gross, Markus and Weber, Romann M.},
  booktitle = {Symposium on Advances in Approximate Bayesian Inference},
  year = {2018}
}"""
EXAMPLE = "--data moving-mnist --data-set size=32 digit_size=16"


@dataclass(frozen=True)
class Options(SequenceOptions):
    """Options of the static/dynamic model.

    Args:
        pair_channels: Channels of the convolution of a pair of frames and of the one after it.
        companions: Further frames per sequence and step, from which alone the static code is then
            inferred while training: no frame gives both codes (the paper's future work). 0 infers
            both from the same frames, as published; otherwise at least 1.
    """

    pair_channels: int = 64
    companions: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("pair_channels", self.pair_channels, 1, 65_536)
        in_range("companions", self.companions, 0, 4096)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair for the given data."""
    options.require_sequences(data)
    options = with_preset(options, {**PUBLISHED, "pair_channels": 512})
    likelihood = options.make_likelihood(data)
    trunk = options.make_trunk(data)
    keys = options.keys(data)
    return Parts(
        model=models.StaticDynamic(
            options.make_joint_decoder(data, likelihood),
            options.make_prior(options.dynamic_dim),
            options.static_dim,
            options.frames,
        ),
        guide=guides.StaticDynamic(
            trunk,
            PairwiseEncoder(
                trunk.feature_shape,
                options.static_dim,
                options.pair_channels,
                options.last_hidden,
                options.activation,
            ),
            options.make_frame_encoder(trunk, options.dynamic_dim),
        ),
        likelihood=likelihood,
        weights={"kl": LinearWarmup(options.warmup)} if options.warmup else {},
        keys=("x", "length", "companions") if options.companions else keys,
        inspection_keys=keys,
        frames=options.frames,
        companions=options.companions,
    )
