"""Options and construction of the encoder and decoder that image methods share."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from unbraid.nets import (
    LIKELIHOODS,
    BroadcastDecoder,
    ConvDecoder,
    ConvEncoder,
    Encoder,
    LabelEncoder,
    Likelihood,
    MLPDecoder,
    MLPEncoder,
    PointEncoder,
    Trunk,
    conv_trunk,
    default_likelihood,
    make_likelihood,
    mlp_trunk,
)

from .method import DataSpec
from .options import OptionError, in_range

PIXEL_SCALE = 0.1
SMALLEST_SIDE = 8  # pixels, of images that convolutions take


@dataclass(frozen=True)
class NetOptions:
    """Nets and likelihood.

    Args:
        likelihood: `auto` follows the data: bernoulli (binary), continuous-bernoulli (grey),
            discretised-logistic (colour). Otherwise one of these, bernoulli-grey (the
            cross-entropy of grey values, no likelihood), normal, or normal-learned.
        scale: Standard deviation of a pixel of `normal`, and what that of `normal-learned` starts
            from (that one above 0.001 and below 1), where images range from 0 to 1; none is 0.1.
            Smaller ones draw finer.
        nets: `mlp`, `conv`, or `auto`: convolutions from 32 x 32 pixels up.
        hidden: Widths of the encoder's hidden layers, comma-separated; the decoder's are the
            same in reverse. With convolutions the last one alone, between them and the code.
        channels: Channels of the encoder's convolutions, likewise.
        activation: What follows each hidden layer.
        code_spread: Standard deviation that the outputs of the decoder's first layer start with,
            about 2 for few codes; 0 for Glorot's rule, which makes them small, or for 1 where
            the decoder is `broadcast`.
        decoder: `mirror`, the encoder's layers in reverse, or `broadcast`: one net of the code and
            the place draws every part of the image, so that places are easily told apart.
        broadcast_hidden: Widths of the hidden layers of a broadcast decoder, comma-separated.
        broadcast_patch: Pixels on a side of the squares that it draws; divides height and width.
    """

    likelihood: str = "auto"
    scale: float | None = None
    nets: Literal["auto", "mlp", "conv"] = "auto"
    hidden: tuple[int, ...] = (512, 256)
    channels: tuple[int, ...] = (32, 32, 64, 64)
    activation: Literal["relu", "leaky-relu", "tanh", "silu", "softplus"] = "relu"
    code_spread: float = 0.0
    decoder: Literal["mirror", "broadcast"] = "mirror"
    broadcast_hidden: tuple[int, ...] = (128, 128)
    broadcast_patch: int = 4
    convolves_from: ClassVar[int] = 32  # pixels on each side, with nets=auto
    weighs_by_scale: ClassVar[bool] = False  # whether weights depend on it, whatever is likely

    def __post_init__(self) -> None:
        if self.scale is not None:
            in_range("scale", self.scale, 0.0, open_low=True)
        for name in ("hidden", "channels", "broadcast_hidden"):
            for width in getattr(self, name):
                in_range(name, width, 1, 65_536)
        in_range("code_spread", self.code_spread, 0.0)
        in_range("broadcast_patch", self.broadcast_patch, 1, 65_536)
        if not self.broadcast_hidden:
            raise OptionError(
                "broadcast_hidden is none; expected at least one width. Name one, such as 64,64"
            )

    def require_images(self, data: DataSpec) -> None:
        """Raise `ValueError` if the data are sequences."""
        if data.sequence_length is not None:
            raise ValueError(
                f"data are sequences of {data.sequence_length} frames; expected images. "
                "Save the frames as images, choose a method for sequences or groups, or leave "
                "groups out where it made them of images"
            )

    def make_likelihood(self, data: DataSpec) -> Likelihood:
        """Make the likelihood that the options or the data ask for."""
        name = default_likelihood(data.kind) if self.likelihood == "auto" else self.likelihood
        return self.named_likelihood(name, data)

    def named_likelihood(self, name: str, data: DataSpec) -> Likelihood:
        """Make the likelihood of this name, with `scale` where it has one.

        Raises:
            OptionError: If there is no such likelihood, or it has no scale and one is set.
        """
        channels, scaled = data.shape[0], name.startswith("normal")
        try:
            if scaled and name in LIKELIHOODS:
                return make_likelihood(name, channels, scale=self.pixel_scale)
            likelihood = make_likelihood(name, channels)
        except ValueError as error:
            raise OptionError(str(error)) from error
        # Earlier versions of some methods recorded 0.1 whatever the likelihood was.
        if not self.weighs_by_scale and self.scale not in (None, PIXEL_SCALE):
            raise OptionError(
                f"scale is {self.scale:g}, but likelihood {name} has none; expected none. Leave "
                "it out, or set likelihood=normal or normal-learned"
            )
        return likelihood

    @property
    def pixel_scale(self) -> float:
        """Standard deviation of a pixel of the `normal` likelihoods."""
        return PIXEL_SCALE if self.scale is None else self.scale

    def convolves(self, data: DataSpec) -> bool:
        """Whether the nets of these images have convolutions.

        Raises:
            ValueError: If they are to have, and the images are too small.
        """
        height, width = data.shape[1:]
        if self.nets == "conv" and min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"images are {height} x {width} pixels with nets=conv; expected height and width "
                f"of at least {SMALLEST_SIDE}. Set nets=mlp, or leave it out"
            )
        is_large = min(height, width) >= self.convolves_from
        return self.nets == "conv" or (self.nets == "auto" and is_large)

    @property
    def last_hidden(self) -> int:
        """Width of the layer between convolutions and code.

        Raises:
            OptionError: If there is none.
        """
        if not self.hidden:
            raise OptionError(
                "hidden is none; expected at least one width, of the layer between convolutions "
                "and code. Name one, or choose nets=mlp"
            )
        return self.hidden[-1]

    def make_trunk(self, data: DataSpec) -> Trunk:
        """Make the net that maps an image, or a frame, to features."""
        if self.convolves(data):
            return conv_trunk(data.shape, self.channels, self.activation)
        return mlp_trunk(data.shape, self.hidden, self.activation)

    def make_encoder(self, data: DataSpec, latent_dim: int) -> Encoder:
        """Make an encoder of images to a Normal over codes `(..., latent_dim)`."""
        if self.convolves(data):
            return ConvEncoder(
                data.shape, latent_dim, self.channels, self.last_hidden, self.activation
            )
        return MLPEncoder(data.shape, latent_dim, self.hidden, self.activation)

    def make_point_encoder(self, data: DataSpec, latent_dim: int) -> PointEncoder:
        """Make an encoder of images to one code each, with the layers of `make_encoder`."""
        convolves = self.convolves(data)
        return PointEncoder(
            data.shape,
            latent_dim,
            self.hidden[-1:] if convolves else self.hidden,
            self.channels if convolves else None,
            self.activation,
        )

    def make_label_encoder(
        self, data: DataSpec, classes: int, latent_dim: int, points: bool
    ) -> LabelEncoder:
        """Make an encoder of images to classes and codes, with the layers of `make_encoder`."""
        convolves = self.convolves(data)
        return LabelEncoder(
            data.shape,
            classes,
            latent_dim,
            self.hidden[-1:] if convolves else self.hidden,
            self.channels if convolves else None,
            self.activation,
            points,
        )

    def make_decoder(
        self, data: DataSpec, latent_dim: int, likelihood: Likelihood
    ) -> ConvDecoder | MLPDecoder | BroadcastDecoder:
        """Make a decoder of codes to the likelihood's distribution of images."""
        if self.decoder == "broadcast":
            return self._broadcast(data, latent_dim, likelihood)
        if self.convolves(data):
            return ConvDecoder(
                latent_dim,
                data.shape,
                likelihood,
                self.channels[::-1],
                self.last_hidden,
                self.activation,
                self.code_spread,
            )
        return MLPDecoder(
            latent_dim,
            data.shape,
            likelihood,
            self.hidden[::-1],
            self.activation,
            self.code_spread,
        )

    def _broadcast(
        self, data: DataSpec, latent_dim: int, likelihood: Likelihood
    ) -> BroadcastDecoder:
        try:
            return BroadcastDecoder(
                latent_dim,
                data.shape,
                likelihood,
                self.broadcast_hidden,
                self.activation,
                self.code_spread or 1.0,
                self.broadcast_patch,
            )
        except ValueError as error:
            raise OptionError(f"broadcast_{error}") from error


@dataclass(frozen=True)
class LabelledNetOptions(NetOptions):
    """Options of the nets of methods that learn from labels of images."""

    def require_labels(self, data: DataSpec) -> None:
        """Raise `ValueError` if the data are no images with labels of at least two classes."""
        self.require_images(data)
        if data.classes < 2:
            raise ValueError(
                f"the data have labels of {data.classes} classes; expected at least 2. Give "
                "labels, -1 where one is not known"
            )
