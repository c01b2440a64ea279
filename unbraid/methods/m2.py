"""The semi-supervised deep generative model (M2), of images or of the codes of a VAE (M1+M2)."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from unbraid import guides, models
from unbraid.inference import LinearWarmup, Supervision
from unbraid.nets import ClassEncoder, ClassLogits, Likelihood, NormalVector

from .image_nets import LabelledNetOptions, NetOptions
from .method import DataSpec, Parts
from .options import OptionError, in_range
from .trained import trained_parts

CITATION = """@inproceedings{kingma2014semi,
  title = {Semi-supervised Learning with Deep Generative Models},
  author = {Kingma, Diederik P. and Rezende, Danilo J. and Mohamed, Shakir and Welling, Max},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2014}
}"""

SITE = "label"
CODES, LEAST = 64, 0.001
_OF_CODES_TOO = ("hidden", "activation")  # the options of nets that M1+M2 has as well


@dataclass(frozen=True)
class Options(LabelledNetOptions):
    """Options of the semi-supervised deep generative model.

    Args:
        latent_dim: Number of code coordinates beside the class, 1 to 4096.
        alpha: Weight of -log q(label | x), averaged over labelled images, beside the bound in
            nats per image: 0.1 is the 0.1 N of a sum over N images. 0 for the bound alone.
        features: Folder of a trained VAE whose codes are modelled in place of the images (M1+M2).
            Its weights are kept as they are; the likelihood is its own.
        warmup: Steps over which the weight of the code's divergence goes from `warmup_from` to 1;
            0 for none.
        warmup_from: That weight at first, at least 0; above 1 the class is cheaper than the code.
    """

    hidden: tuple[int, ...] = (500,)
    latent_dim: int = 50
    alpha: float = 0.1
    features: str | None = None
    warmup: int = 0
    warmup_from: float = 10.0
    first_stages: ClassVar[tuple[str, ...]] = ("features",)

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("latent_dim", self.latent_dim, 1, 4096)
        in_range("alpha", self.alpha, 0.0)
        in_range("warmup", self.warmup, 0)
        in_range("warmup_from", self.warmup_from, 0.0)
        if self.features is not None:
            self._refuse_nets_of_images()
            # A run is to be found from wherever it is loaded.
            object.__setattr__(self, "features", str(Path(self.features).resolve()))

    def _refuse_nets_of_images(self) -> None:
        for name in (f.name for f in fields(NetOptions) if f.name not in _OF_CODES_TOO):
            given, default = (getattr(of, name) for of in (self, type(self)))
            if given != default:
                told, expected = (
                    ",".join(map(str, it)) if isinstance(it, tuple) else it
                    for it in (given, default)
                )
                raise OptionError(
                    f"{name} is {told}; expected {expected} beside features, whose VAE has its "
                    "own. Leave it out"
                )


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair and the classification loss.

    Raises:
        OptionError: If the features are of no VAE, or of one of other images.
        ValueError: If the data are no images with labels.
    """
    options.require_labels(data)
    pair = _of_images(options, data) if options.features is None else _of_codes(options, data)
    model, guide, likelihood = pair
    supervised = options.alpha > 0
    return Parts(
        model=model,
        guide=guide,
        likelihood=likelihood,
        weights={"z": LinearWarmup(options.warmup, options.warmup_from)} if options.warmup else {},
        hooks=(Supervision(SITE, options.alpha),) if supervised else (),
        keys=("x", SITE),
        streams=("labelled",) if supervised else (),
        inspection_keys=("x",),
        tells=SITE,
    )


def _of_images(options: Options, data: DataSpec) -> tuple[Any, Any, Likelihood]:
    likelihood = options.make_likelihood(data)
    convolves = options.convolves(data)
    hidden = options.hidden[-1:] if convolves else options.hidden
    layers = (hidden, options.channels if convolves else None, options.activation)
    size = options.latent_dim
    decoder = options.make_decoder(data, data.classes + size, likelihood)
    model = models.SemiSupervisedVAE(decoder, data.classes, size)
    guide = guides.SemiSupervisedVAE(
        ClassLogits(data.shape, data.classes, *layers),
        ClassEncoder(data.shape, data.classes, size, *layers),
        data.classes,
    )
    return model, guide, likelihood


def _of_codes(options: Options, data: DataSpec) -> tuple[Any, Any, Likelihood]:
    decoder, encoder, likelihood = _trained_vae(str(options.features), data)
    width, size = decoder.latent_dim, options.latent_dim
    layers = (options.hidden, None, options.activation)
    generated = NormalVector(data.classes + size, width, options.hidden[::-1], options.activation)
    model = models.SemiSupervisedVAE(generated, data.classes, size, decoder)
    guide = guides.SemiSupervisedVAE(
        ClassLogits((width,), data.classes, *layers),
        ClassEncoder((width,), data.classes, size, *layers),
        data.classes,
        encoder,
        heeded_codes(decoder),
    )
    return model, guide, likelihood


@torch.no_grad()
def heeded_codes(decoder: Any) -> Tensor:
    """Return which coordinates of codes a decoder looks at, bool `(K,)`.

    A VAE leaves some unused: they are noise to the decoder, and would be to a classifier. Each is
    drawn anew for some codes of the prior; it counts if that changes the decoder's outputs, in the
    mean square, by at least `LEAST` of what the coordinate that matters most does.

    Args:
        decoder: Has `latent_dim` and `raw`.
    """
    width = decoder.latent_dim
    generator = torch.Generator().manual_seed(0)
    codes, others = torch.randn(2, CODES, width, generator=generator)
    outputs = decoder.raw(codes)
    changes = []
    for k in range(width):
        changed = codes.clone()
        changed[:, k] = others[:, k]
        changes.append((decoder.raw(changed) - outputs).square().mean())
    change = torch.stack(changes)
    return change >= LEAST * change.max()


def _trained_vae(folder: str, data: DataSpec) -> tuple[Any, Any, Likelihood]:
    """Decoder, encoder and likelihood of a run, whose weights no longer move."""
    name, parts = trained_parts("features", folder)
    model, guide = parts.model, parts.guide
    if not (isinstance(model, models.VAE) and isinstance(guide, guides.VAE)):
        raise OptionError(
            f"features is {folder}, a run of {name}; expected one of a VAE, whose only code is z. "
            "Train vae or beta-vae for them"
        )
    decoder: Any = model.decoder
    encoder: Any = guide.encoder
    if tuple(decoder.shape) != tuple(data.shape):
        raise OptionError(
            f"features is {folder}, of images of shape {tuple(decoder.shape)}; expected "
            f"{tuple(data.shape)}. Train a VAE on these images"
        )
    for module in (decoder, encoder):
        module.requires_grad_(False)
    return decoder, encoder, parts.likelihood
