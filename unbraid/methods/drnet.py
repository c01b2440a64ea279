"""DrNet: content and pose of clips, whose pose a scene discriminator keeps free of content."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

from unbraid import guides, models
from unbraid.inference import (
    CodeCycle,
    CodeSimilarity,
    Constant,
    CriticSchedule,
    LeftOut,
    LinearWarmup,
    SceneDiscriminator,
    critic_adam,
)
from unbraid.nets import (
    ClipEncoder,
    Decoder,
    EmptyEncoder,
    FrameEncoder,
    Likelihood,
    SkipDecoder,
    SkipEncoder,
    make_pair_critic,
)

from .method import DataSpec, Parts
from .options import OptionError, critic_in_range, in_range
from .sequence_nets import SequenceOptions, with_preset

if TYPE_CHECKING:
    from unbraid.inference import Hook, Weight

CITATION = """@inproceedings{denton2017unsupervised,
  title = {Unsupervised Learning of Disentangled Representations from Video},
  author = {Denton, Emily and Birodkar, Vighnesh},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017}
}"""
EXAMPLE = "--data moving-mnist --data-set form=drnet size=32 digit_size=16"

PUBLISHED = {
    "static_dim": 64,
    "dynamic_dim": 5,
    "channels": (64, 128, 256, 512),
    "code_hidden": (512,),
}
"""Sizes of the published code for coloured moving digits."""

COLOURS = 3
SCALES = {"published": 0.5**0.5, "variational": 0.1}
REMARK = (
    "The guide was trained to tell content from a single frame, so that from several of them "
    "importance sampling may put log p(x) too low."
)


@dataclass(frozen=True)
class Options(SequenceOptions):
    """Options of DrNet.

    Args:
        likelihood: `auto` is `normal`, whose -log p is the squared error over twice the variance.
        form: `published`: codes are points, so that neither a bound nor importance sampling is to
            be had. `variational`: they are Normals, held at their priors, and log p(x) is defined.
        scale: Standard deviation of a pixel of the `normal` likelihood, above 0; none is sqrt(1/2)
            for points, where -log p is the squared error, and 0.1 for Normals. Weights are
            translated by it beside other likelihoods, too.
        static_dim: Number of coordinates of a clip's content, 0 to 4096. With 0 there is none: a
            plain autoencoder of frames, whose pose says everything, with neither of the hooks.
        dynamic_dim: Number of coordinates of a frame's pose, 1 to 4096.
        frames: Frames drawn of each clip at every step, at least 2: the first gives the content,
            each other one its pose, and is decoded from both. 2 as published.
        code_hidden: Widths of the hidden layers from a frame's features to its code.
        skips: Whether the maps of the content encoder's convolutions go to the decoder too, as
            part of the content, which then tells where things are.
        preset: `light` for CPUs, or `published`: the sizes for coloured digits, for GPUs and for
            data of three channels. Sizes that are set to others than the light ones count before
            the preset.
        similarity: Weight of the mean squared difference of the content that two frames of a clip
            give, beside the mean squared error of a pixel; 1 as published, 0 for none.
        adversary: Weight of the cross-entropy of the scene discriminator's verdict on two poses of
            a clip, against a coin, likewise; 0 for no discriminator.
        cycle: Weight of how far the content is off that is told from a frame which was drawn from
            it and another clip's pose: in nats for Normals, for points that of their mean squared
            difference beside the mean squared error of a pixel; 0 for none.
        content_warmup: Steps over which the weight of the content's divergence rises from 0,
            so that content is not given up before the decoder can use it; 0 for none. Of Normals.
        content_weight: What that weight rises to, or is, 0 or more; 1 for the bound. Below 1, what
            either code could say comes cheaper from the content. Of Normals.
        standardised: Whether both of these see codes standardised over the batch, in place of the
            published batch normalisation; without, content may shrink until it tells nothing, and
            poses until the discriminator sees nothing.
        critic: What the discriminator is: `mlp`, as published, a net on both poses side by side;
            or `pair`, which embeds both with one net and compares the embeddings.
        critic_hidden: Widths of its hidden layers, comma-separated; of `pair` those of the
            shared net, at least one.
        critic_rate: Learning rate of the discriminator.
        critic_steps: Its steps per step of the pair.
        critic_warmup: Steps at first in which it learns alone.
    """

    form: Literal["published", "variational"] = "published"
    frames: int = 2
    static_dim: int = 64
    dynamic_dim: int = 8
    skips: bool = False
    similarity: float = 1.0
    adversary: float = 0.1
    cycle: float = 0.0
    content_warmup: int = 0
    content_weight: float = 1.0
    standardised: bool = True
    critic: Literal["mlp", "pair"] = "mlp"
    critic_hidden: tuple[int, ...] = (100, 100)
    critic_rate: float = 1e-3
    critic_steps: int = 1
    critic_warmup: int = 0
    fewest_static: ClassVar[int] = 0
    weighs_by_scale: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("similarity", self.similarity, 0.0)
        in_range("adversary", self.adversary, 0.0)
        in_range("cycle", self.cycle, 0.0)
        in_range("content_warmup", self.content_warmup, 0)
        in_range("content_weight", self.content_weight, 0.0)
        critic_in_range(self.critic_hidden, self.critic_rate, self.critic_steps, kind=self.critic)
        in_range("critic_warmup", self.critic_warmup, 0)
        for name in ("similarity", "adversary", "cycle", "skips", "content_warmup"):
            value = getattr(self, name)
            if value and not self.static_dim:
                none = "false" if name == "skips" else "0"
                raise OptionError(
                    f"{name} is {value} with static_dim=0; expected {none}, since there is no "
                    f"content. Set {name}={none}"
                )
        if self.content_weight != 1.0 and not self.static_dim:
            raise OptionError(
                f"content_weight is {self.content_weight} with static_dim=0; expected 1, since "
                "there is no content. Leave it out"
            )
        if self.skips and self.form == "variational":
            raise OptionError(
                "skips is true with form=variational; expected false, since maps are points and "
                "have no density. Leave it out, or set form=published"
            )
        if self.skips and self.cycle:
            raise OptionError(
                f"skips is true with cycle={self.cycle}; expected 0, since maps are part of "
                "such content, and say where things are. Leave one of both out"
            )
        if self.skips and self.decoder == "broadcast":
            raise OptionError(
                "skips is true with decoder=broadcast; expected mirror, which takes maps of every "
                "size. Leave one of both out"
            )

    @property
    def pixel_scale(self) -> float:
        """Standard deviation of a pixel, by which weights are translated."""
        return SCALES[self.form] if self.scale is None else self.scale

    def nats(self, data: DataSpec) -> float:
        r"""What a weight beside the mean squared error is worth beside -log p(x), in nats.

        The mean over \( D \) pixels and channels is \( 2 \sigma^2 / D \) times the squared error
        over twice the variance \( \sigma^2 \), and the frames but the one that content is of are
        added up.
        """
        return (self.frames - 1) * prod(data.shape) / (2.0 * self.pixel_scale**2)

    def make_likelihood(self, data: DataSpec) -> Likelihood:
        """Make the likelihood: a Normal of `scale` unless another one is asked for."""
        if self.likelihood == "auto":
            return self.named_likelihood("normal", data)
        return super().make_likelihood(data)

    def make_content(self, data: DataSpec) -> ClipEncoder | SkipEncoder | EmptyEncoder:
        """Make the encoder of a clip's content.

        Raises:
            OptionError: If there are skips and no convolutions.
        """
        points = self.form == "published"
        if not self.static_dim:
            return EmptyEncoder(points)
        trunk = self.make_trunk(data)
        if not self.skips:
            return ClipEncoder(trunk, self.static_dim, self.code_hidden, self.activation, points)
        if not self.convolves(data):
            raise OptionError(
                "skips is true, but the nets have no convolutions, whose maps it hands on; "
                "expected false. Leave it out, or set nets=conv"
            )
        return SkipEncoder(trunk, self.static_dim, self.code_hidden, self.activation)

    def make_frames(
        self,
        data: DataSpec,
        content: ClipEncoder | SkipEncoder | EmptyEncoder,
        likelihood: Likelihood,
    ) -> Decoder:
        """Make the decoder of content and pose."""
        if isinstance(content, SkipEncoder):
            decoder = SkipDecoder(
                self.static_dim,
                content.map_shapes,
                self.dynamic_dim,
                data.shape,
                likelihood,
                self.last_hidden,
                self.activation,
                self.code_spread,
            )
            self.join_first(decoder.head, self.dynamic_dim)
            return decoder
        return self.make_joint_decoder(data, likelihood)

    def require_clips(self, data: DataSpec) -> None:
        """Raise `ValueError` unless the data are two clips or more, in colours where asked for."""
        self.require_sequences(data)
        if self.adversary and data.size < 2:
            raise ValueError(
                f"data have {data.size} clip to train on; expected at least 2, since the scene "
                "discriminator tells pairs of one clip from pairs of two. Cut the video into "
                "clips with length=N, or set adversary=0"
            )
        if self.preset == "published" and data.shape[0] != COLOURS:
            raise ValueError(
                f"data have {data.shape[0]} channel; expected {COLOURS} with preset=published, "
                "the set-up of coloured digits, whose colours say which digit is which. Give "
                "colour videos, such as moving-mnist with form=drnet, or choose preset=light"
            )


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair and its two hooks.

    Raises:
        ValueError: If the data are no clips, or a single one, or grey beside the preset for
            coloured digits.
    """
    options.require_clips(data)
    for name in ("warmup", "content_warmup"):
        value = getattr(options, name)
        if value and options.form == "published":
            raise OptionError(
                f"{name} is {value} with form=published; expected 0, since points have no "
                "divergence. Leave it out, or set form=variational"
            )
    if options.content_weight != 1.0 and options.form == "published":
        raise OptionError(
            f"content_weight is {options.content_weight} with form=published; expected 1, since "
            "points have no divergence. Leave it out, or set form=variational"
        )
    options = with_preset(options, PUBLISHED)
    likelihood = options.make_likelihood(data)
    published = options.form == "published"
    content = options.make_content(data)
    pose = FrameEncoder(
        options.make_trunk(data),
        options.dynamic_dim,
        options.code_hidden,
        options.activation,
        published,
    )
    return Parts(
        model=models.DrNet(
            options.make_frames(data, content, likelihood),
            content.code_dim if isinstance(content, SkipEncoder) else options.static_dim,
            options.dynamic_dim,
            options.frames,
        ),
        guide=guides.DrNet(content, pose),
        likelihood=likelihood,
        weights=_weights(options),
        hooks=_hooks(options, data),
        keys=("x", "length", "companions"),
        inspection_keys=options.keys(data),
        frames=options.frames - 1,
        companions=1,
        choose_by_bound=False,
        remark=None if published else REMARK,
    )


def _weights(options: Options) -> dict[str, "float | Weight"]:
    """Weights of the divergences, which points have none of; that of content has its own."""
    if options.form == "published":
        return {"static": LeftOut(), "dynamic": LeftOut()}
    weights: dict[str, float | Weight] = {}
    if options.warmup:
        weights["kl"] = LinearWarmup(options.warmup)
    content = options.content_weight
    if options.content_warmup or (options.warmup and content != 1.0):
        weights["static"] = LinearWarmup(options.content_warmup or options.warmup, end=content)
    elif content != 1.0:
        weights["static"] = Constant(content)
    return weights


def _hooks(options: Options, data: DataSpec) -> tuple["Hook", ...]:
    nats = options.nats(data)
    hooks: list[Hook] = []
    if options.similarity:
        weight = nats * options.similarity
        hooks.append(CodeSimilarity("static", weight, options.static_dim, options.standardised))
    if options.adversary:
        schedule = CriticSchedule(options.critic_steps, options.critic_warmup)
        hooks.append(
            SceneDiscriminator(
                "dynamic",
                make_pair_critic(options.critic, options.dynamic_dim, options.critic_hidden),
                nats * options.adversary,
                standardised=options.standardised,
                schedule=schedule,
                optimizer=critic_adam(options.critic_rate),
            )
        )
    if options.cycle:
        points = options.form == "published"
        hooks.append(CodeCycle("static", nats * options.cycle if points else options.cycle))
    return tuple(hooks)
