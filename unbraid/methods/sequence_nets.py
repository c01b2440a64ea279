"""Options and construction that the methods of exchangeable frames share."""

from dataclasses import dataclass, fields, replace
from math import prod
from typing import ClassVar, Literal, TypeVar

from torch import nn

from unbraid.nets import (
    Decoder,
    JointNormal,
    Likelihood,
    Trunk,
    modulate,
)

from .image_nets import NetOptions
from .method import DataSpec
from .options import OptionError, in_range

PUBLISHED = {
    "channels": (256, 256, 256, 256),
    "hidden": (512, 512),
    "code_hidden": (512, 512),
}
"""Sizes of Helminger et al. (2018), appendix C."""

Chosen = TypeVar("Chosen", bound="SequenceOptions")


@dataclass(frozen=True)
class FramesOptions(NetOptions):
    """Nets, codes and frames.

    Args:
        static_dim: Number of coordinates of a sequence's static code, 1 to 4096.
        dynamic_dim: Number of coordinates of a frame's dynamic code, 1 to 4096.
        frames: Frames drawn of each sequence at every step, at least 2.
        code_hidden: Widths of the hidden layers between codes, comma-separated.
        warmup: Steps over which the divergences' weight rises from 0 to 1; 0 for none.
        join: How the decoder's first layer takes the two codes: `concatenate`, side by side as
            published, or `modulate`, where a net on the dynamic code scales features of the static
            one, which learns sooner that the same thing is shown elsewhere.
        join_hidden: Widths of the hidden layers of that net, comma-separated. Two tell poses
            apart that one takes for the same. With `modulate`, `code_spread` is of this net.
    """

    static_dim: int = 32
    dynamic_dim: int = 2
    frames: int = 3
    code_hidden: tuple[int, ...] = (128, 128)
    warmup: int = 0
    join: Literal["concatenate", "modulate"] = "concatenate"
    join_hidden: tuple[int, ...] = (256,)
    activation: Literal["relu", "leaky-relu", "tanh", "silu", "softplus"] = "leaky-relu"
    fewest_static: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("static_dim", self.static_dim, self.fewest_static, 4096)
        in_range("dynamic_dim", self.dynamic_dim, 1, 4096)
        in_range("frames", self.frames, 2, 4096)
        in_range("warmup", self.warmup, 0)
        if self.join == "modulate" and self.decoder == "broadcast":
            raise OptionError(
                "join is modulate with decoder=broadcast; expected concatenate, since a broadcast "
                "decoder takes the codes beside the place. Leave one of both out"
            )
        if self.join == "modulate" and not self.static_dim:
            raise OptionError(
                "join is modulate with static_dim=0; expected a static code. Set that, or leave "
                "join out"
            )
        for name in ("code_hidden", "join_hidden"):
            widths: tuple[int, ...] = getattr(self, name)
            if not widths:
                raise OptionError(f"{name} is none; expected at least one width, such as 128,128")
            for width in widths:
                in_range(name, width, 1, 65_536)

    def require_sequences(self, data: DataSpec) -> None:
        """Raise `ValueError` unless the data are sequences of two frames or more."""
        if data.sequence_length is None:
            raise ValueError(
                "data are images without sequence ids; expected sequences: .npz with sequences, "
                "or with images and sequence_ids, a folder of frame folders with --data-set "
                "sequences=true, GIFs or videos. See docs/sequences.md, or choose a method for "
                "images, such as vae"
            )
        if data.sequence_length < 2:
            raise ValueError(
                "data are sequences of one frame; expected at least 2, since what a sequence has "
                "in common shows in several frames. Choose a method for images, such as vae"
            )
        if self.frames > data.sequence_length:
            raise OptionError(
                f"frames is {self.frames}; expected 2 to {data.sequence_length}, the frames of "
                f"the longest sequence. Set frames={data.sequence_length} or fewer"
            )

    def make_prior(self, dim: int) -> JointNormal:
        """Make the conditional prior of a code with `dim` coordinates, given the static code."""
        return JointNormal((self.static_dim,), dim, self.code_hidden, self.activation)

    def make_frame_encoder(self, trunk: Trunk, dim: int) -> JointNormal:
        """Make the encoder of a frame's code from its features and the static code."""
        inputs = (prod(trunk.feature_shape), self.static_dim)
        return JointNormal(inputs, dim, self.code_hidden, self.activation)

    def make_joint_decoder(
        self, data: DataSpec, likelihood: Likelihood, dynamic_dim: int | None = None
    ) -> Decoder:
        """Make the decoder of a static code and of dynamic ones, `dynamic_dim` unless given."""
        pose_dim = self.dynamic_dim if dynamic_dim is None else dynamic_dim
        decoder = self.make_decoder(data, self.static_dim + pose_dim, likelihood)
        self.join_first(decoder.net, pose_dim)
        return decoder

    def join_first(self, layers: nn.Sequential, dynamic_dim: int) -> None:
        """Let the first of a decoder's layers take the codes as `join` says.

        Raises:
            OptionError: If `join_hidden` is set and there is no net that it is of.
        """
        if self.join != "modulate" and self.join_hidden != FramesOptions.join_hidden:
            raise OptionError(
                f"join_hidden is {','.join(map(str, self.join_hidden))} with join={self.join}; "
                "expected join=modulate, whose net it is of. Set that, or leave join_hidden out"
            )
        if self.join == "modulate":
            modulate(
                layers,
                self.static_dim,
                dynamic_dim,
                self.activation,
                self.join_hidden,
                self.code_spread,
            )

    def keys(self, data: DataSpec) -> tuple[str, ...]:
        """Keys of a batch that the pair takes: the lengths too, where sequences differ in them."""
        return ("x", "length") if data.ragged else ("x",)


@dataclass(frozen=True)
class SequenceOptions(FramesOptions):
    """Nets, codes, frames, and the sizes of a paper.

    Args:
        preset: `light` for CPUs, or `published`: the paper's sizes, for GPUs. Sizes that are set
            to others than the light ones count before the preset.
    """

    preset: Literal["light", "published"] = "light"


def with_preset(options: Chosen, published: dict) -> Chosen:
    """Return options in which the preset's sizes stand wherever nothing else was set."""
    if options.preset == "light":
        return options
    defaults = {field.name: field.default for field in fields(options)}
    chosen = {n: v for n, v in published.items() if getattr(options, n) == defaults[n]}
    return replace(options, **chosen)
