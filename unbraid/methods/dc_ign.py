"""The inverse graphics network: coordinates of their own for factors, by sets in which one varies.

It is a method of images beside the group VAE, not an option of it: what a set shares depends on
what varies in it, and what is trained is a plain VAE of single images, judged as such.
"""

from dataclasses import dataclass

from unbraid import guides, models
from unbraid.data import OneActive
from unbraid.inference import ClampedReconstruction, LeftOut

from .image_nets import NetOptions
from .method import DataSpec, Parts
from .options import OptionError, in_range

CITATION = """@inproceedings{kulkarni2015deep,
  title = {Deep Convolutional Inverse Graphics Network},
  author = {Kulkarni, Tejas D. and Whitney, William F. and Kohli, Pushmeet
            and Tenenbaum, Joshua B.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2015}
}"""
EXAMPLE = "--data dsprites-small --set intrinsic=shape"


@dataclass(frozen=True)
class Options(NetOptions):
    """Options of the inverse graphics network.

    Args:
        active: Names of the factors that vary one at a time, comma-separated; each has coordinates
            of its own. All discrete factors that are not intrinsic unless given.
        intrinsic: Names of factors that vary together, and share the rest of the coordinates;
            none unless given.
        active_dim: Number of coordinates of each active factor, 1 to 4096.
        intrinsic_dim: Number of coordinates of the intrinsic factors, 1 to 4096.
        together: Images of a set, at least 2, of which the batch size is a multiple; 20 as
            published, where a batch is one set.
        intrinsic_share: How often the intrinsic factors vary for each time that an active one
            does; 10 as published.
        invariance: Pull of clamped coordinates towards the mean of their set, at least 0; 0.01 as
            published.
        filtered: Whether the decoder's gradient stops at clamped coordinates, as published.
        divergence: Weight of the code's divergence from its prior, at least 0.
    """

    active: tuple[str, ...] = ()
    intrinsic: tuple[str, ...] = ()
    active_dim: int = 1
    intrinsic_dim: int = 10
    together: int = 20
    intrinsic_share: float = 1.0
    invariance: float = 0.01
    filtered: bool = True
    divergence: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("active_dim", self.active_dim, 1, 4096)
        in_range("intrinsic_dim", self.intrinsic_dim, 1, 4096)
        in_range("together", self.together, 2, 4096)
        in_range("intrinsic_share", self.intrinsic_share, 0.0, 1e6, open_low=True)
        in_range("invariance", self.invariance, 0.0)
        in_range("divergence", self.divergence, 0.0)

    def require_factors(self, data: DataSpec) -> tuple[str, ...]:
        """Return the names of the factors that vary one at a time.

        Raises:
            ValueError: If the data have no factors that vary.
            OptionError: If the names that are given are not the data's, or leave one out.
        """
        known = {n: s for n, s in zip(data.factor_names, data.factor_sizes, strict=True) if s != 1}
        if not known:
            raise ValueError(
                "the data have no factors that vary; expected factors with classes, in a complete "
                "grid such as dsprites. Give factors, or choose a method without, such as vae"
            )
        continuous = [name for name, size in known.items() if not size]
        if continuous:
            raise ValueError(
                f"factors {', '.join(continuous)} of the data are continuous; expected discrete "
                "ones alone, of which sets can share a value. Round them, or leave them out"
            )
        for option, names in (("active", self.active), ("intrinsic", self.intrinsic)):
            for name in names:
                if known.get(name, 0) < 2:
                    discrete = [factor for factor, size in known.items() if size]
                    raise OptionError(
                        f"{option} is {name!r}; expected one or several of {', '.join(discrete)}: "
                        "discrete factors of the data"
                    )
        active = self.active or tuple(n for n, s in known.items() if s and n not in self.intrinsic)
        chosen = [*active, *self.intrinsic]
        if len(set(chosen)) < len(chosen):
            raise OptionError(
                f"active is {','.join(active)} and intrinsic {','.join(self.intrinsic)}; expected "
                "no factor twice"
            )
        left = [name for name in known if name not in chosen]
        if left:
            raise OptionError(
                f"active is {','.join(active)} and intrinsic {','.join(self.intrinsic)}; expected "
                f"{', '.join(left)} in one of them too, as no coordinate would hold them"
            )
        return active


def build(options: Options, data: DataSpec) -> Parts:
    """Build the pair, and its reconstruction of sets with all but one factor clamped.

    Raises:
        ValueError: If the data are no images, or have no factors.
        OptionError: If the names of factors are not the data's.
    """
    options.require_images(data)
    active = options.require_factors(data)
    kinds: list[tuple[str, ...]] = [(name,) for name in active]
    dims, shares = [options.active_dim] * len(active), [1.0] * len(active)
    if options.intrinsic:
        kinds.append(options.intrinsic)
        dims.append(options.intrinsic_dim)
        shares.append(options.intrinsic_share)
    likelihood = options.make_likelihood(data)
    size = sum(dims)
    return Parts(
        model=models.VAE(options.make_decoder(data, size, likelihood), size),
        guide=guides.VAE(options.make_encoder(data, size)),
        likelihood=likelihood,
        weights={"x": LeftOut(), "z": options.divergence or LeftOut()},
        hooks=(
            ClampedReconstruction(options.together, dims, options.invariance, options.filtered),
        ),
        active=OneActive(tuple(kinds), options.together, tuple(shares)),
        choose_by_bound=False,
        remark="The pair was trained on codes of sets with all but one factor clamped, which is "
        "no bound of log p(x).",
    )
