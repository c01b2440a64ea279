"""The neural statistician: a static code from pooled frames, and layers of codes of each frame."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from unbraid import guides, models
from unbraid.inference import Emphasis, LinearWarmup
from unbraid.nets import JointNormal, PooledEncoder

from .method import DataSpec, Parts
from .options import OptionError, in_range
from .sequence_nets import SequenceOptions, with_preset

if TYPE_CHECKING:
    from unbraid.inference import Weight

CITATION = """@inproceedings{edwards2017towards,
  title = {Towards a Neural Statistician},
  author = {Edwards, Harrison and Storkey, Amos},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}"""
EXAMPLE = "--data moving-mnist --data-set size=32 digit_size=16"

PUBLISHED = {
    "static_dim": 512,
    "dynamic_dim": 16,
    "channels": (64, 128, 256),
    "hidden": (256, 256),
    "code_hidden": (256, 256, 256),
}
"""Sizes of the codes and layers of the published code for characters and faces."""


@dataclass(frozen=True)
class Options(SequenceOptions):
    """Options of the neural statistician.

    Args:
        layers: Layers of codes of each frame, 1 to 16, with `dynamic_dim` coordinates each.
        count: Whether the static code is told how many frames it was inferred from. Where all
            training sequences give equally many it cannot learn what that means.
        emphasis: `a` of the first step, at least 0: reconstructions count `1 + a` times and
            divergences `1 / (1 + a)` times; 1 in the published code, 0 for the bound itself.
        emphasis_steps: Steps after which `a` is halved, each time; an epoch in the published code.
    """

    layers: int = 1
    count: bool = False
    emphasis: float = 0.0
    emphasis_steps: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("layers", self.layers, 1, 16)
        in_range("emphasis", self.emphasis, 0.0)
        in_range("emphasis_steps", self.emphasis_steps, 1)
        if self.emphasis and self.warmup:
            raise OptionError(
                f"emphasis is {self.emphasis} beside warmup {self.warmup}; expected one of them, "
                "since both weigh the divergences. Set warmup=0"
            )


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair for the given data."""
    options.require_sequences(data)
    options = with_preset(options, PUBLISHED)
    likelihood = options.make_likelihood(data)
    trunk = options.make_trunk(data)
    return Parts(
        model=models.NeuralStatistician(
            options.make_joint_decoder(data, likelihood, options.layers * options.dynamic_dim),
            _layers(options),
            options.static_dim,
            options.frames,
        ),
        guide=guides.NeuralStatistician(
            trunk,
            PooledEncoder(
                trunk.feature_shape,
                options.static_dim,
                options.last_hidden,
                options.hidden[-1:],
                options.activation,
                options.count,
            ),
            _layers(options, prod(trunk.feature_shape)),
        ),
        likelihood=likelihood,
        weights=_weights(options),
        keys=options.keys(data),
        frames=options.frames,
    )


def _layers(options: Options, features: int = 0) -> list[JointNormal]:
    """One net per layer, top first: of any features, the layer above and the static code."""
    nets = []
    for layer in range(options.layers):
        widths = (features, options.dynamic_dim if layer else 0, options.static_dim)
        given = [width for width in widths if width]
        nets.append(
            JointNormal(given, options.dynamic_dim, options.code_hidden, options.activation)
        )
    return nets


def _weights(options: Options) -> "dict[str, float | Weight]":
    if options.emphasis:
        settings = (options.emphasis, options.emphasis_steps)
        return {"x": Emphasis(*settings), "kl": Emphasis(*settings, inverse=True)}
    return {"kl": LinearWarmup(options.warmup)} if options.warmup else {}
