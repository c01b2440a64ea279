"""Options and construction of classifiers whose code in between is shaped by hooks."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from unbraid import guides, models
from unbraid.nets import Likelihood, PointEncoder, mlp

from .image_nets import SMALLEST_SIDE, LabelledNetOptions
from .method import DataSpec, Parts
from .options import in_range


@dataclass(frozen=True)
class LabelOptions(LabelledNetOptions):
    """Options of a classifier in two halves.

    Args:
        nets: `mlp`, `conv`, or `auto`: convolutions from 8 x 8 pixels up.
        latent_dim: Number of code coordinates, 1 to 4096.
        codes: `point`: the encoder gives a code. `normal`: it gives a Normal, held at a standard
            normal prior by `divergence`.
        standardised: Whether each image is brought to mean 0 and variance 1 over its pixels before
            it is encoded to a point.
        normalised: Whether each point code is brought to mean 0 and variance 1 over its
            coordinates.
        divergence: Weight of the divergence of normal codes from their prior.
        head_hidden: Widths of the hidden layers from the code to the label, comma-separated; none
            for a linear classifier.
        classification: Weight of -log p(label | z), averaged over all data of a batch; those
            without a label count as 0.
        reconstruction: Weight of -log p(x | z); 0 for no decoder.
    """

    nets: Literal["auto", "mlp", "conv"] = "auto"
    hidden: tuple[int, ...] = (256,)
    latent_dim: int = 64
    codes: Literal["point", "normal"] = "point"
    standardised: bool = False
    normalised: bool = True
    divergence: float = 1e-3
    head_hidden: tuple[int, ...] = ()
    classification: float = 1.0
    reconstruction: float = 0.0
    convolves_from: ClassVar[int] = SMALLEST_SIDE

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("latent_dim", self.latent_dim, 1, 4096)
        for width in self.head_hidden:
            in_range("head_hidden", width, 1, 65_536)
        for name in ("divergence", "classification", "reconstruction"):
            in_range(name, getattr(self, name), 0.0)

    def make_points(self, data: DataSpec) -> PointEncoder:
        """Make an encoder of images to one code each."""
        channels = self.channels if self.convolves(data) else None
        return PointEncoder(
            data.shape,
            self.latent_dim,
            self.hidden,
            channels,
            self.activation,
            self.standardised,
            self.normalised,
        )

    def make_head(self, data: DataSpec) -> nn.Module:
        """Make the net from codes to the logits of the label."""
        return mlp((self.latent_dim, *self.head_hidden, data.classes), self.activation)


class LabelsAlone(Likelihood):
    """Stands where a model observes labels and no images; checks the images all the same."""

    name: ClassVar[str] = "labels"
    is_likelihood: ClassVar[bool] = False


def build_classifier(options: LabelOptions, data: DataSpec) -> Parts:
    """Build the pair for the given data.

    Raises:
        ValueError: If the data are no images with labels.
    """
    options.require_labels(data)
    likelihood, decoder = LabelsAlone(data.shape[0]), None
    if options.reconstruction:
        likelihood = options.make_likelihood(data)
        decoder = options.make_decoder(data, options.latent_dim, likelihood)
    normal = options.codes == "normal"
    encoder: Any = (
        options.make_encoder(data, options.latent_dim) if normal else options.make_points(data)
    )
    weights = {"label": options.classification}
    if decoder is not None:
        weights["x"] = options.reconstruction
    if normal:
        weights["z"] = options.divergence
    return Parts(
        model=models.Classifier(options.make_head(data), options.latent_dim, decoder, normal),
        guide=guides.Classifier(encoder),
        likelihood=likelihood,
        weights=weights,
        keys=("x", "label"),
    )
