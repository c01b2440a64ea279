"""What a method is: options, and a function that builds its pair for given data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .index import find_method
from .options import OptionError

if TYPE_CHECKING:
    from torch import nn

    from unbraid.data import OneActive, Turning
    from unbraid.inference import Hook, Objective, Weight
    from unbraid.nets import Likelihood

    from .given import Given


@dataclass(frozen=True)
class DataSpec:
    """What a method may know of the data that it is built for.

    Args:
        shape: Image shape `(C, H, W)`.
        kind: `"binary"`, `"grey"` or `"colour"`.
        size: Number of training data (images, or sequences).
        classes: Number of label classes, 0 without labels.
        factor_sizes: Number of values of each true factor, 0 where continuous.
        factor_names: Their names.
        sequence_length: Number of frames of the longest sequence, or None for images.
        ragged: Whether sequences differ in their number of frames.
    """

    shape: tuple[int, int, int]
    kind: str
    size: int
    classes: int = 0
    factor_sizes: tuple[int, ...] = ()
    factor_names: tuple[str, ...] = ()
    sequence_length: int | None = None
    ragged: bool = False


@dataclass(frozen=True)
class Parts:
    """A method, built: the pair and what its training adds.

    Args:
        model: The generative program.
        guide: The inference program.
        likelihood: The likelihood of its observed images, which checks the data before training.
        weights: Weights of the objective's terms, by site.
        hooks: Loss hooks.
        keys: Keys of a batch that the pair takes, in order.
        streams: Keys of further batches of the training data that each batch carries; one named
            `labelled` is of the data whose label is known.
        partners: What a datum of the batch and its partner, another datum, have in common: label,
            group, or names of factors; None for no partners.
        active: What varies in the sets that batches of images are made of, all else held fixed;
            None for batches of images as they come.
        inspection_keys: Keys that the pair takes of data that it is inspected or judged on, where
            these are not `keys`.
        frames: Frames drawn of each sequence at every step, for methods of sequences.
        companions: Further frames of each sequence that a batch carries.
        past: How many of the frames of a clip are seen where the others are predicted. Frames are
            then successive ones, in the order of time; None for methods that predict nothing.
        choose_by_bound: Whether validation data choose the weights that are kept, by their bound
            at unit weights; where training does not raise that, the last weights are kept.
        remark: What has to be said wherever log p(x) of the pair is reported, a sentence.
        turning: Which clips of turntables are drawn, stage by stage; None for other methods.
        given: The condition that the pair is given, where its densities are conditional.
        tells: Site at which the pair says the class of an image, where an evaluation is to count
            how often that is wrong; None for pairs that say none.
    """

    model: "nn.Module"
    guide: "nn.Module"
    likelihood: "Likelihood"
    weights: Mapping[str, "float | Weight"] = field(default_factory=dict)
    hooks: Sequence["Hook"] = ()
    keys: tuple[str, ...] = ("x",)
    streams: Sequence[str] = ()
    partners: str | Sequence[str] | None = None
    active: "OneActive | None" = None
    inspection_keys: tuple[str, ...] | None = None
    frames: int | None = None
    companions: int = 0
    past: int | None = None
    choose_by_bound: bool = True
    remark: str | None = None
    given: "Given | None" = None
    turning: "Turning | None" = None
    tells: str | None = None

    @property
    def inspected(self) -> tuple[str, ...]:
        """Keys that the pair takes of data that it is inspected or judged on."""
        return self.keys if self.inspection_keys is None else self.inspection_keys

    def objective(self, particles: int = 1) -> "Objective":
        """Make the objective that it is trained with.

        Args:
            particles: Draws of the guide per datum; several raise the importance-weighted bound.

        Raises:
            OptionError: If there are several and a weight is none of single draws.
        """
        from unbraid.inference import ImportanceWeighted, Objective

        if particles == 1:
            return Objective(self.weights, self.hooks)
        try:
            return ImportanceWeighted(particles, self.weights, self.hooks)
        except ValueError as error:
            raise OptionError(f"particles is {particles}, but {error}") from error


@dataclass(frozen=True)
class Method:
    """A method by name.

    Args:
        name: Its name on the command line.
        summary: One line.
        options: Dataclass of its settings.
        build: Makes its parts from options and data.
        citation: BibTeX of its paper.
        example: What follows its name in an example of `unbraid train`.
    """

    name: str
    summary: str
    options: type
    build: Callable[[Any, DataSpec], Parts]
    citation: str
    example: str = "--data mnist-small"


def load_method(name: str) -> Method:
    """Import a method's module and return the method.

    Raises:
        OptionError: If there is no such method.
    """
    entry = find_method(name)
    module = import_module(f"{__package__}.{entry.module}")
    example = getattr(module, "EXAMPLE", Method.example)
    return Method(name, entry.summary, module.Options, module.build, module.CITATION, example)
