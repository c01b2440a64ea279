"""The VAE of swapped codes: one code is taken from another image with the same label."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from unbraid import guides, models
from unbraid.inference import LeftOut, SwappedReconstruction

from .image_nets import NetOptions
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = """@inproceedings{mathieu2016disentangling,
  title = {Disentangling factors of variation in deep representations using adversarial training},
  author = {Mathieu, Micha{\\"e}l and Zhao, Junbo Jake and Sprechmann, Pablo and Ramesh, Aditya
            and LeCun, Yann},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2016}
}"""


@dataclass(frozen=True)
class Options(NetOptions):
    """Options of the VAE of swapped codes.

    Args:
        shared: What an image and its partner have in common, and the specified code is to hold:
            `label`, `group`, or names of factors, comma-separated.
        specified_dim: Number of coordinates of the specified code, 1 to 4096.
        unspecified_dim: Number of coordinates of the unspecified code, 1 to 4096.
        specified: `point`: the specified code is one point per image, so that neither a bound nor
            importance sampling is to be had. `normal`: a Normal, held at its prior.
        reconstruction: Weight of -log p(x | z, s) with an image's own codes.
        swapped: Weight of -log p(x | z, s') with the partner's specified code; 0 looks at no
            partner.
        divergence: Weight of the divergence of the unspecified code from its prior, and of a
            normal specified one from its own.
    """

    shared: tuple[str, ...] = ("label",)
    specified_dim: int = 16
    unspecified_dim: int = 16
    specified: Literal["point", "normal"] = "point"
    reconstruction: float = 0.5
    swapped: float = 1.0
    divergence: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("specified_dim", self.specified_dim, 1, 4096)
        in_range("unspecified_dim", self.unspecified_dim, 1, 4096)
        for name in ("reconstruction", "swapped", "divergence"):
            in_range(name, getattr(self, name), 0.0)
        if not self.shared:
            raise OptionError("shared is empty; expected label, group or names of factors")


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair, and its reconstruction with partners' codes.

    Raises:
        ValueError: If the data are no images, or do not know what partners share.
    """
    options.require_images(data)
    if options.swapped:
        require_shared(options.shared, data)
    likelihood = options.make_likelihood(data)
    size = options.specified_dim + options.unspecified_dim
    make = options.make_point_encoder if options.specified == "point" else options.make_encoder
    weight = options.divergence or LeftOut()
    return Parts(
        model=models.SwapVAE(
            options.make_decoder(data, size, likelihood),
            options.specified_dim,
            options.unspecified_dim,
        ),
        guide=guides.SwapVAE(
            make(data, options.specified_dim), options.make_encoder(data, options.unspecified_dim)
        ),
        likelihood=likelihood,
        weights={
            "x": options.reconstruction,
            "specified": LeftOut() if options.specified == "point" else weight,
            "unspecified": weight,
        },
        hooks=(SwappedReconstruction("specified", options.swapped),) if options.swapped else (),
        partners=options.shared if options.swapped else None,
        choose_by_bound=False,
    )


def require_shared(shared: Sequence[str], data: DataSpec) -> None:
    """Refuse data that do not know what partners share, or of which it is always the same.

    Raises:
        ValueError: If there are fewer than two labels.
        OptionError: If a name is none of the data's discrete factors.
    """
    sizes = dict(zip(data.factor_names, data.factor_sizes, strict=True))
    for name in shared:
        if name == "label" and data.classes < 2:
            raise ValueError(
                f"the data have labels of {data.classes} classes; expected at least 2. Give "
                "labels, or name what partners share otherwise with shared=NAME"
            )
        if name not in ("label", "group") and sizes.get(name, 0) < 1:
            discrete = [factor for factor, size in sizes.items() if size]
            raise OptionError(
                f"shared is {name!r}; expected {', '.join(['label', 'group', *discrete])}: "
                "discrete factors of the data. Choose one or several"
            )
    factors = [sizes[name] for name in shared if name in sizes]
    if len(factors) == len(shared) and prod(factors) < 2:
        raise OptionError(
            f"shared is {', '.join(shared)}, which has one value in all data; expected at least "
            "2. Choose another factor"
        )
