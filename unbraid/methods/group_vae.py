"""The group VAE: what the items of a group share, accumulated over them, and the rest of each."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from unbraid import guides, models
from unbraid.inference import LinearWarmup
from unbraid.nets import ACCUMULATIONS, JointNormal

from .method import DataSpec, Parts
from .options import in_range
from .sequence_nets import FramesOptions

if TYPE_CHECKING:
    from unbraid.inference import Weight

CITATION = """@inproceedings{bouchacourt2018multi,
  title = {Multi-Level Variational Autoencoder: Learning Disentangled Representations from Grouped
    Observations},
  author = {Bouchacourt, Diane and Tomioka, Ryota and Nowozin, Sebastian},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2018}
}"""
EXAMPLE = "--data mnist-small --data-set groups=label"


@dataclass(frozen=True)
class Options(FramesOptions):
    """Options of the group VAE; a group is a sequence whose order does not count.

    Args:
        static_dim: Number of coordinates of the code that a group shares, 1 to 4096.
        dynamic_dim: Number of coordinates of an item's own code, 1 to 4096.
        frames: Items drawn of each group at every step, at least 2.
        accumulate: What the items say of the shared code: `product` of their Normals and the
            prior; `product-of-items`, without the prior (Bouchacourt 2018); `mean` of their means
            and variances (Hosoya 2019).
        item_divergence: Weight of the divergence of the items' own codes, at least 0; above 1,
            what a group shares is cheaper in the code that it shares. 1 is the bound.
    """

    static_dim: int = 16
    dynamic_dim: int = 8
    accumulate: Literal["product", "product-of-items", "mean"] = "product"
    item_divergence: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("item_divergence", self.item_divergence, 0.0)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair for the given data."""
    options.require_sequences(data)
    likelihood = options.make_likelihood(data)
    trunk = options.make_trunk(data)
    features = (prod(trunk.feature_shape),)
    static, dynamic = (
        JointNormal(features, dim, options.code_hidden, options.activation)
        for dim in (options.static_dim, options.dynamic_dim)
    )
    return Parts(
        model=models.GroupVAE(
            options.make_joint_decoder(data, likelihood),
            options.static_dim,
            options.dynamic_dim,
            options.frames,
        ),
        guide=guides.GroupVAE(trunk, static, dynamic, ACCUMULATIONS[options.accumulate]),
        likelihood=likelihood,
        weights=_weights(options),
        keys=options.keys(data),
        frames=options.frames,
    )


def _weights(options: Options) -> "dict[str, float | Weight]":
    ends = {"static": 1.0, "dynamic": options.item_divergence}
    if options.warmup:
        return {site: LinearWarmup(options.warmup, 0.0, end) for site, end in ends.items()}
    return {site: end for site, end in ends.items() if end != 1}
