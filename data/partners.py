"""Partners: another datum that has the same label, group or factors."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from .dataset import Dataset, first
from .sharing import joint_key, shared_values


class Partners:
    """Who shares what with whom, sorted once, so that a draw of any size is a few tensor steps.

    Args:
        dataset: Images.
        shared: What a datum and its partner have in common: `label`, `group`, the name of a
            factor, or several of these.

    Raises:
        ValueError: If the data are sequences, lack one of these or do not know it of all, or if
            a datum is the only one with its values; the message names them.
    """

    def __init__(self, dataset: Dataset, shared: str | Sequence[str]) -> None:
        names = (shared,) if isinstance(shared, str) else tuple(shared)
        if dataset.is_sequence:
            raise ValueError(
                f"partners are {shared!r}, but {dataset.name} are sequences; expected images. "
                "Frames of one sequence are had by companions"
            )
        if not names:
            raise ValueError("partners are (); expected a name, such as 'label', or several")
        values = shared_values(dataset, names, "partners")
        key = joint_key(values)
        counts = key.bincount()
        alone = first(counts[key] == 1)
        if alone is not None:
            what = ", ".join(
                f"{name} {int(value[alone])}" for name, value in zip(names, values, strict=True)
            )
            raise ValueError(
                f"number of {dataset.name} with {what} is 1; expected at least 2, a datum and its "
                "partner. Leave such data out, or share less"
            )
        order = key.argsort(stable=True)
        first_place = counts.cumsum(0) - counts
        rank = torch.empty_like(key)
        rank[order] = torch.arange(len(key)) - first_place[key[order]]
        tables = (order, first_place[key], rank, counts[key])
        self._order, self._first, self._rank, self._count = (
            table.to(dataset.device) for table in tables
        )

    def draw(self, index: Tensor, seed: int) -> Tensor:
        """Draw a partner for each of the data at `index`, uniformly among the others like it.

        Args:
            index: int64 `(B,)`.
            seed: Of the draw, which is the same on every device.

        Returns:
            int64 `(B,)`, none of them the datum itself.
        """
        generator = Generator().manual_seed(seed)
        # Of 63 bits, so that remainders are as good as uniform.
        draws = torch.empty(len(index), dtype=torch.int64).random_(generator=generator)
        count = self._count[index]
        steps = 1 + draws.to(index.device) % (count - 1)  # along the circle of those like it
        return self._order[self._first[index] + (self._rank[index] + steps) % count]
