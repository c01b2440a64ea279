"""Sets of images in which one factor varies and all others are held fixed.

Source: Kulkarni, Whitney, Kohli & Tenenbaum (2015), "Deep Convolutional Inverse Graphics Network",
section 3, https://arxiv.org/abs/1503.03167, whose every batch is one such set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from .dataset import Dataset
from .sharing import joint_key, shared_values


@dataclass(frozen=True)
class OneActive:
    """What varies in the sets that a batch is made of, and how large they are.

    Args:
        kinds: Of each kind of set, the names of the factors that vary in it, together.
        together: Images of a set, at least 2; they follow each other in the batch.
        shares: How often each kind is drawn, in proportion; equally often unless given.

    Raises:
        ValueError: If there is no kind, a factor is in several, or a number is out of range.
    """

    kinds: tuple[tuple[str, ...], ...]
    together: int = 20
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = [name for kind in self.kinds for name in kind]
        if not self.kinds or not all(self.kinds) or len(set(names)) < len(names):
            raise ValueError(
                f"kinds of sets are {self.kinds}; expected at least one, each of names of "
                "factors, and no name twice"
            )
        if type(self.together) is not int or self.together < 2:
            raise ValueError(
                f"together is {self.together!r}; expected an integer of at least 2, since one "
                "image shows nothing that varies"
            )
        if self.shares and (
            len(self.shares) != len(self.kinds) or not all(0 < s < 1e9 for s in self.shares)
        ):
            raise ValueError(
                f"shares are {self.shares}; expected {len(self.kinds)} positive numbers, one per "
                "kind of set"
            )


class ActiveSets:
    """Who can be in a set with whom, sorted once.

    Args:
        dataset: Images whose factors have classes.
        chosen: What varies.

    Raises:
        ValueError: If the data are sequences, do not know a factor or know it as a number, or have
            no two images that differ in nothing but what varies.
    """

    def __init__(self, dataset: Dataset, chosen: OneActive) -> None:
        if dataset.is_sequence:
            raise ValueError(
                f"sets with one active factor are asked of {dataset.name}, which are sequences; "
                "expected images. Choose a method for sequences"
            )
        self._together = chosen.together
        shares = chosen.shares or (1.0,) * len(chosen.kinds)
        self._shares = torch.tensor(shares, dtype=torch.float64)
        everything = {name for kind in chosen.kinds for name in kind}
        everything |= {
            name
            for name, size in zip(dataset.factor_names, dataset.factor_sizes, strict=True)
            if size != 1
        }
        names = sorted(everything)
        values = dict(zip(names, shared_values(dataset, names, "images of a set"), strict=True))
        self._alike = [_Alike.of(dataset.name, values, kind) for kind in chosen.kinds]

    def draw(self, sets: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw sets: what varies in each, an image that has company, and its set from all of that.

        Kinds are drawn by their shares; the image uniformly from all that have company of that
        kind; the set uniformly from the image and its company, so that some may come twice.

        Args:
            sets: Number of sets.
            seed: Of the draw, which is the same on every device.

        Returns:
            Which images, int64 `(sets * together,)`, one set behind the other, and what varies in
            the set of each: the number of its kind, likewise.
        """
        generator = Generator().manual_seed(seed)
        kinds = torch.multinomial(self._shares, sets, replacement=True, generator=generator)
        # Of 63 bits, so that remainders are as good as uniform.
        draws = torch.empty(sets, 1 + self._together, dtype=torch.int64)
        draws.random_(generator=generator)
        chosen = [self._alike[k].draw(row) for k, row in zip(kinds.tolist(), draws, strict=True)]
        return torch.cat(chosen), kinds.repeat_interleave(self._together)


@dataclass(frozen=True, eq=False)
class _Alike:
    """Images by what is held fixed.

    Args:
        order: All images, those that are alike next to each other, int64 `(N,)`.
        first: Where the images like each one begin in this order, int64 `(N,)`.
        count: How many they are, int64 `(N,)`.
        accompanied: The images like which there are some with another value of what varies.
    """

    order: Tensor
    first: Tensor
    count: Tensor
    accompanied: Tensor

    @classmethod
    def of(cls, name: str, values: Mapping[str, Tensor], varying: Sequence[str]) -> "_Alike":
        some = values[varying[0]]
        held = [value for factor, value in values.items() if factor not in varying]
        key = joint_key(held or [torch.zeros_like(some)])
        both = joint_key([key, *(values[factor] for factor in varying)])
        variants = key[_one_of_each(both)].bincount()
        accompanied = (variants[key] > 1).nonzero().squeeze(1)
        if not len(accompanied):
            raise ValueError(
                f"no two {name} differ in {' and '.join(varying)} alone; expected data in which "
                "the other factors are held fixed, such as a complete grid. Take more data"
            )
        counts = key.bincount()
        return cls(
            key.argsort(stable=True), (counts.cumsum(0) - counts)[key], counts[key], accompanied
        )

    def draw(self, numbers: Tensor) -> Tensor:
        """Turn large random numbers, int64 `(1 + M,)`, into the images of a set, `(M,)`."""
        image = self.accompanied[numbers[0] % len(self.accompanied)]
        return self.order[self.first[image] + numbers[1:] % self.count[image]]


def _one_of_each(key: Tensor) -> Tensor:
    """Return a datum of each key, numbered from 0."""
    place = torch.empty(int(key.max()) + 1, dtype=torch.int64)
    place[key] = torch.arange(len(key))
    return place
