"""The semi-supervised adversarial autoencoder: critics hold classes and codes at their priors."""

from dataclasses import dataclass, replace

from unbraid import guides, models
from unbraid.inference import LeftOut, Supervision

from . import aae
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = aae.CITATION


@dataclass(frozen=True)
class Options(aae.Options):
    """Options of the semi-supervised adversarial autoencoder.

    Args:
        classes: Number of classes, at least 2; that of the data's labels unless given. More are
            for clusters, with label_weight=0.
        label_weight: Weight of the cross-entropy on labelled data; 0 looks at no label.
        weight: Weight of the losses of classes and of code against their critics, beside
            -log p(x|z) in nats.
    """

    classes: int | None = None
    label_weight: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None:
            in_range("classes", self.classes, 2, 65_536)
        in_range("label_weight", self.label_weight, 0.0)


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair, its two critics and the cross-entropy."""
    options.require_images(data)
    classes = _number_of_classes(options, data)
    likelihood = options.make_likelihood(data)
    parts = Parts(
        model=models.SemiSupervisedAAE(
            options.make_decoder(data, classes + options.latent_dim, likelihood),
            classes,
            options.latent_dim,
        ),
        guide=guides.SemiSupervisedAAE(
            options.make_label_encoder(
                data, classes, options.latent_dim, options.encoder == "deterministic"
            )
        ),
        likelihood=likelihood,
        weights={"label": LeftOut(), "z": LeftOut()},
        choose_by_bound=False,
    )
    hooks = []
    if options.label_weight:
        hooks.append(Supervision("label", options.label_weight))
    if options.weight:
        hooks += [
            aae.critic_of(options, data, parts, site, name)
            for site, name in (("label", "label_prior"), ("z", "prior"))
        ]
    streams = ("labelled",) if options.label_weight else ()
    return replace(parts, hooks=tuple(hooks), streams=streams)


def _number_of_classes(options: Options, data: DataSpec) -> int:
    if options.label_weight and data.classes < 2:
        raise ValueError(
            f"the data have labels of {data.classes} classes; expected at least 2. Give labels, "
            "-1 where one is not known, or look at none with label_weight=0 and classes=10"
        )
    if options.classes is None and data.classes < 2:
        raise OptionError(
            f"classes is not given, and the data have labels of {data.classes} classes; expected "
            "at least 2. Give classes=10"
        )
    classes = data.classes if options.classes is None else options.classes
    if options.label_weight and classes < data.classes:
        raise OptionError(
            f"classes is {classes}; expected at least {data.classes}, those of the labels. Leave "
            "it out, or look at no label with label_weight=0"
        )
    return classes
