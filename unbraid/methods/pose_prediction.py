"""The next frames of clips, predicted in the space of poses: a second stage on a trained run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from unbraid import guides, models
from unbraid.inference import LeftOut
from unbraid.nets import LSTMTransition

from .frame_codes import trained_codes
from .method import DataSpec, Parts
from .options import OptionError, in_range

if TYPE_CHECKING:
    from unbraid.inference import Weight

CITATION = """@inproceedings{denton2017unsupervised,
  title = {Unsupervised Learning of Disentangled Representations from Video},
  author = {Denton, Emily and Birodkar, Vighnesh},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017}
}"""
EXAMPLE = "--data moving-mnist --data-set form=drnet size=32 digit_size=16 --set codes=runs/drnet"

REMARK = (
    "The density is of successive frames of a clip, all of them together, whose content is told "
    "from the last one that a prediction is shown, so that importance sampling may put log p(x) "
    "too low."
)


@dataclass(frozen=True)
class Options:
    """Options of prediction in pose space.

    Args:
        codes: Folder of a run of drnet or static-dynamic, whose encoders and decoder are kept as
            they are.
        n_past: Frames that are seen; the last one gives the content. At least 1.
        n_future: Frames after these in the clips of the training. At least 1.
        hidden: Units of a layer of the LSTM; 256 as published.
        layers: Its layers; 2 as published.
        output: linear, or tanh as published, where poses are in [-1, 1].
        scale: Standard deviation of a pose around its prediction, above 0, the same for all; none
            for one that is learned for each coordinate. With sqrt(1/2) the loss is the published
            squared error.
        content: Whether the LSTM is shown the content.
        decode: Whether frames are decoded in each step, for their -log p and the bound to be
            logged. No weight that is trained depends on it, and steps without it are faster; the
            bound of validation clips is there all the same. Points are never decoded.
        draws: Whether the LSTM learns from draws of codes that are Normals, so that the loss is a
            bound of log p(x). false takes their means as points, as published codes are: no bound,
            and no noise that hides how fast things move.
    """

    codes: str | None = None
    n_past: int = 5
    n_future: int = 10
    hidden: int = 256
    layers: int = 2
    output: Literal["linear", "tanh"] = "linear"
    scale: float | None = None
    content: bool = True
    decode: bool = True
    draws: bool = True
    first_stages: ClassVar[tuple[str, ...]] = ("codes",)

    def __post_init__(self) -> None:
        in_range("n_past", self.n_past, 1, 4096)
        in_range("n_future", self.n_future, 1, 4096)
        in_range("hidden", self.hidden, 1, 65_536)
        in_range("layers", self.layers, 1, 64)
        if self.scale is not None:
            in_range("scale", self.scale, 0.0, open_low=True)
        if self.codes is not None:
            # A run is to be found from wherever it is loaded.
            object.__setattr__(self, "codes", str(Path(self.codes).resolve()))

    def require_windows(self, data: DataSpec) -> str:
        """Return the folder of the run whose codes are predicted.

        Raises:
            ValueError: If the data are images.
            OptionError: If there is no folder, or the longest clip is too short.
        """
        if data.sequence_length is None:
            raise ValueError(
                "data are images without sequence ids; expected clips, whose frames follow each "
                "other in time. See docs/sequences.md for how to give them"
            )
        if self.n_past + self.n_future > data.sequence_length:
            raise OptionError(
                f"n_past is {self.n_past} and n_future {self.n_future}; expected at most "
                f"{data.sequence_length} together, the frames of a clip. Choose fewer, or give "
                "longer clips"
            )
        if self.codes is None:
            raise OptionError(
                "codes is none; expected the folder of a run of drnet or static-dynamic, whose "
                "poses are predicted. Train one first, then set codes=DIR"
            )
        return self.codes


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair on the nets of the run that is named.

    Raises:
        OptionError: If the run is not there or does not fit, or clips are too short.
        ValueError: If the data are images.
    """
    trained = trained_codes("codes", options.require_windows(data), data, draws=options.draws)
    transition = LSTMTransition(
        trained.pose_dim,
        trained.told if options.content else 0,
        options.hidden,
        options.layers,
        options.output,
        options.scale,
    )
    steps = options.n_past + options.n_future
    weights: dict[str, float | Weight] = {}
    if trained.points:
        weights["content"] = LeftOut()  # no prior was fitted to points
    if trained.points or not options.decode:
        # A constant of the training. Unless it is logged, a step decodes no frame.
        weights["x"] = LeftOut(logged=False, constant=True)
    return Parts(
        model=models.PosePrediction(trained.decoder, transition, trained.content_dim, steps),
        guide=guides.PosePrediction(trained.codes, options.n_past),
        likelihood=trained.likelihood,
        weights=weights,
        frames=steps,
        past=options.n_past,
        choose_by_bound=not trained.points,
        remark=None if trained.points else REMARK,
    )
