"""Objects turned by actions: content of one view, and a pose that recurrent actions turn."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from unbraid import guides, models
from unbraid.data import Turning
from unbraid.inference import LeftOut, LinearWarmup
from unbraid.nets import (
    FrameEncoder,
    Likelihood,
    PlaneTurn,
    TensorTurn,
    Trunk,
)

from .image_nets import NetOptions
from .method import DataSpec, Parts
from .options import OptionError, in_range

if TYPE_CHECKING:
    from unbraid.inference import Weight

CITATION = """@inproceedings{yang2015weakly,
  title = {Weakly-supervised Disentangling with Recurrent Transformations for {3D} View Synthesis},
  author = {Yang, Jimei and Reed, Scott and Yang, Ming-Hsuan and Lee, Honglak},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2015}
}"""
EXAMPLE = "--data coil20 --data-set turns=true size=32 --batch-size 20 --steps 5000"

SCALES = {"published": 0.5**0.5, "variational": 0.1}
REMARK = (
    "The density is conditional, log p(x|a): of all frames of a clip, the first included, given "
    "the actions between them."
)


@dataclass(frozen=True)
class Options(NetOptions):
    """Options of recurrent rotation by actions.

    Args:
        likelihood: `auto` is `normal`, whose -log p is the squared error over twice the variance.
        form: `published`: codes are points, so that neither a bound nor importance sampling is to
            be had. `variational`: they are Normals, and log p(x|a) is defined.
        turn: What actions do to a pose. `tensor`: one learned matrix for each direction, as
            published. `planes`: points of planes rotate by the angle, which comes back after a
            whole turn, and of which any part can be asked for.
        rounds: Of `planes`: rounds per whole turn, for the planes in order, again and again.
        curriculum: Rotations `T` of a clip, by stage of the training, comma-separated.
        stage_steps: Steps of each stage but the last, which goes on to the end; one number for all
            of them, or one for each.
        factor: The factor of frames that is their angle, in degrees.
        scale: Standard deviation of a pixel of the `normal` likelihood, above 0; none is sqrt(1/2)
            for points, where -log p is the squared error, and 0.1 for Normals.
        content_dim: Number of coordinates of the content, 1 to 4096; 512 as published.
        pose_dim: Number of coordinates of a pose, 1 to 4096; 128 as published.
        code_hidden: Widths of the hidden layers from a frame's features to either code,
            comma-separated.
        warmup: Of Normals: steps over which the divergences' weight rises from 0 to 1; 0 for none.
    """

    activation: Literal["relu", "leaky-relu", "tanh", "silu", "softplus"] = "leaky-relu"
    form: Literal["published", "variational"] = "published"
    turn: Literal["tensor", "planes"] = "tensor"
    rounds: tuple[int, ...] = (1, 2, 3, 4)
    curriculum: tuple[int, ...] = (1, 2, 4, 8, 16)
    stage_steps: tuple[int, ...] = (1000,)
    factor: str = "angle"
    content_dim: int = 64
    pose_dim: int = 16
    code_hidden: tuple[int, ...] = (128,)
    warmup: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("content_dim", self.content_dim, 1, 4096)
        in_range("pose_dim", self.pose_dim, 1, 4096)
        in_range("warmup", self.warmup, 0)
        for name in ("code_hidden", "rounds", "curriculum", "stage_steps"):
            for value in getattr(self, name):
                in_range(name, value, 1, 10**9)
        if not self.curriculum or not self.rounds:
            raise OptionError(
                f"curriculum is {self.curriculum} and rounds {self.rounds}; expected at least one "
                "number each, such as curriculum=1,2,4,8,16"
            )
        if len(self.stage_steps) not in (1, len(self.curriculum) - 1):
            raise OptionError(
                f"stage_steps are {len(self.stage_steps)} numbers beside {len(self.curriculum)} "
                f"stages; expected one for all, or {len(self.curriculum) - 1}, as the last stage "
                "goes on to the end"
            )
        if self.turn == "planes" and self.pose_dim % 2:
            raise OptionError(
                f"pose_dim is {self.pose_dim} with turn=planes; expected an even number, two for "
                "each plane"
            )

    def require_turntable(self, data: DataSpec) -> int:
        """Return the number of frames of a turn.

        Raises:
            ValueError: If the data are no sequences, or differ in length.
            OptionError: If clips would be longer than a turn.
        """
        frames = data.sequence_length
        if frames is None or data.ragged:
            found = "images" if frames is None else "sequences of different lengths"
            raise ValueError(
                f"data are {found}; expected whole turns of a turntable, such as coil20 with "
                "turns=true. See docs/action-rotation.md"
            )
        if max(self.curriculum) >= frames:
            raise OptionError(
                f"curriculum is {','.join(map(str, self.curriculum))}; expected 1 to {frames - 1} "
                f"rotations, since a turn has {frames} frames. Choose fewer"
            )
        return frames

    def make_turning(self) -> Turning:
        """Say which clips are drawn, stage by stage."""
        stages = len(self.curriculum) - 1
        steps = self.stage_steps * stages if len(self.stage_steps) == 1 else self.stage_steps
        return Turning(self.curriculum, steps, self.factor)

    def make_likelihood(self, data: DataSpec) -> Likelihood:
        """Make the likelihood: a Normal of `scale` unless another one is asked for."""
        if self.likelihood == "auto":
            return self.named_likelihood("normal", data)
        return super().make_likelihood(data)

    @property
    def pixel_scale(self) -> float:
        """Standard deviation of a pixel of the `normal` likelihoods."""
        return SCALES[self.form] if self.scale is None else self.scale

    def make_code(self, trunk: Trunk, dim: int) -> FrameEncoder:
        """Make an encoder of views to one of the codes."""
        points = self.form == "published"
        return FrameEncoder(trunk, dim, self.code_hidden, self.activation, points)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair.

    Raises:
        ValueError: If the data are no whole turns.
        OptionError: If clips would be longer than a turn.
    """
    steps = options.require_turntable(data)
    if options.warmup and options.form == "published":
        raise OptionError(
            f"warmup is {options.warmup} with form=published; expected 0, since points have no "
            "divergence. Leave it out, or set form=variational"
        )
    likelihood = options.make_likelihood(data)
    content, pose = options.content_dim, options.pose_dim
    trunk = options.make_trunk(data)
    weights: dict[str, float | Weight] = {}
    if options.form == "published":
        weights = {"content": LeftOut(), "pose": LeftOut()}
    elif options.warmup:
        weights = {"kl": LinearWarmup(options.warmup)}
    tensor = options.turn == "tensor"
    return Parts(
        model=models.ActionRotation(
            options.make_decoder(data, content + pose, likelihood),
            TensorTurn(pose) if tensor else PlaneTurn(pose, steps, options.rounds),
            content,
            pose,
        ),
        guide=guides.ActionRotation(
            options.make_code(trunk, content), options.make_code(trunk, pose)
        ),
        likelihood=likelihood,
        weights=weights,
        keys=("x", "actions"),
        turning=options.make_turning(),
        choose_by_bound=False,
        remark=None if options.form == "published" else REMARK,
    )
