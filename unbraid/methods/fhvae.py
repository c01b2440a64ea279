"""The factorised hierarchical VAE: of two codes of each frame, one stays near its sequence's."""

from dataclasses import dataclass
from math import prod

from unbraid import guides, models
from unbraid.inference import LinearWarmup, SequenceDiscrimination
from unbraid.nets import JointNormal

from .method import DataSpec, Parts
from .options import in_range
from .sequence_nets import SequenceOptions, with_preset

CITATION = """@inproceedings{hsu2017unsupervised,
  title = {Unsupervised Learning of Disentangled and Interpretable Representations from Sequential
    Data},
  author = {Hsu, Wei-Ning and Zhang, Yu and Glass, James},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017}
}"""
EXAMPLE = "--data moving-mnist --data-set size=32 digit_size=16"

PUBLISHED = {
    "static_dim": 32,
    "dynamic_dim": 32,
    "hidden": (256, 256),
    "code_hidden": (256, 256),
}
"""Sizes of the published codes and layers, whose nets are recurrent and of speech."""


@dataclass(frozen=True)
class Options(SequenceOptions):
    """Options of the FHVAE.

    Args:
        alpha: Weight of the log-probability that each frame's content is of its own sequence
            among all of them, at least 0; 10 as published, 0 for the bound alone.
        static_scale: Standard deviation of the sequences' codes, positive; 1 as published.
        content_scale: Standard deviation of the frames' contents about their sequence's code,
            positive; 0.5 as published.
    """

    alpha: float = 10.0
    static_scale: float = 1.0
    content_scale: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("alpha", self.alpha, 0.0)
        in_range("static_scale", self.static_scale, 0.0, open_low=True)
        in_range("content_scale", self.content_scale, 0.0, open_low=True)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair for the given data.

    The paper takes the prior of a sequence's code into account once per sequence, `1 / N_i` per
    frame. Here `n` of `T` frames are drawn at a time, so it counts `n / T`; of ragged sequences,
    `T` is the length of the longest.
    """
    options.require_sequences(data)
    options = with_preset(options, PUBLISHED)
    likelihood = options.make_likelihood(data)
    trunk = options.make_trunk(data)
    scales = (options.static_scale, options.content_scale)
    guide = guides.FHVAE(
        trunk,
        JointNormal(
            (prod(trunk.feature_shape),),
            options.static_dim,
            options.code_hidden,
            options.activation,
        ),
        options.make_frame_encoder(trunk, options.dynamic_dim),
        data.size,
        options.static_dim,
        *scales,
        ragged=data.ragged,
    )
    discrimination = SequenceDiscrimination(
        "content", lambda: guide.table, options.content_scale**2, options.alpha
    )
    keys = options.keys(data)
    warmup = {"kl": LinearWarmup(options.warmup)} if options.warmup else {}
    return Parts(
        model=models.FHVAE(
            options.make_joint_decoder(data, likelihood),
            options.static_dim,
            options.dynamic_dim,
            *scales,
            frames=options.frames,
            ragged=data.ragged,
        ),
        guide=guide,
        likelihood=likelihood,
        weights={"static": options.frames / (data.sequence_length or 1), **warmup},
        hooks=(discrimination,) if options.alpha else (),
        keys=(*keys, "index"),
        inspection_keys=keys,
        frames=options.frames,
    )
