"""The joint density of data and codes, as a function of the codes."""

import torch
from torch import Tensor

from .check import PairError
from .continuous import ContinuousModel
from .log_density import log_density
from .sites import Site


class JointDensity:
    """The joint density of codes and data for a fixed group of `B` data.

    Args:
        model: The model.
        args: Its arguments.
        rows: Evaluations of the model's nets at a time, though at least one for each datum.
    """

    def __init__(self, model: ContinuousModel, args: tuple[Tensor, ...], rows: int) -> None:
        self.model, self.args = model, args
        self._rows = rows
        self._at_a_time = max(1, rows // len(args[0]))

    def of(self, datum: int) -> "JointDensity":
        """The density of one of the data alone."""
        args = tuple(arg[datum : datum + 1] for arg in self.args)
        return JointDensity(self.model, args, self._rows)

    def parts(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Log prior and log likelihood of the data at codes `(S, B, K)`.

        The prior is a density of the real coordinates that the codes are laid out in.

        Returns:
            Both float64 `(S, B)`, nats; gradients flow where they are wanted.
        """
        found = [self._parts(part) for part in vectors.split(self._at_a_time)]
        prior, likelihood = (torch.cat(parts) for parts in zip(*found, strict=True))
        return prior, likelihood

    def joint(self, vectors: Tensor) -> Tensor:
        """Log density `(S, B)` of codes and data, float64, nats."""
        prior, likelihood = self.parts(vectors)
        return prior + likelihood

    def by_site(self, vectors: Tensor) -> dict[str, Tensor]:
        """Log likelihood of each observed site at codes `(S, B, K)`, float64 `(S, B)`, nats."""
        found = []
        for part in vectors.split(self._at_a_time):
            sites = self.model.run(self.args, self.model.latents.values(part)[0])
            shape = part.shape[:2]
            found.append(
                {n: self._of_site(sites[n], shape).expand(shape) for n in self.model.observed}
            )
        return {name: torch.cat([part[name] for part in found]) for name in self.model.observed}

    def _parts(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        values, jacobian = self.model.latents.values(vectors)
        sites = self.model.run(self.args, values)
        shape = vectors.shape[:2]
        zero = torch.zeros_like(jacobian, dtype=torch.float64)
        prior = sum((self._of_site(sites[name], shape) for name in values), jacobian.double())
        seen = sum((self._of_site(sites[name], shape) for name in self.model.observed), zero)
        return prior.expand(shape), seen.expand(shape)

    def _of_site(self, site: Site, shape: torch.Size) -> Tensor:
        density = self._log_density(site)
        if torch.broadcast_shapes(density.shape, shape) != shape:
            raise PairError(
                f"site {site.name!r} has a log density of shape {tuple(density.shape)} for "
                f"{shape[0]} draws of {shape[1]} data; expected {tuple(shape)}. Programs and "
                "nets must broadcast over one more dim, left of the data's"
            )
        return density.double()

    def _log_density(self, site: Site) -> Tensor:
        return log_density(site)
