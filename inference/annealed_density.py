"""The densities along an annealed path, and their gradients, in bounded memory."""

import torch
from torch import Tensor

from .annealed_start import ProgramStart, Start
from .check import PairError
from .continuous import ContinuousModel
from .hmc import Point
from .log_density import log_density


class AnnealedDensity:
    """From the start's density to the model's joint one, for a fixed group of data.

    Args:
        model: The model.
        args: Its arguments, of `B` data.
        start: Where the path starts.
        rows: Evaluations of the model's nets at a time, though at least one for each datum.
    """

    def __init__(
        self, model: ContinuousModel, args: tuple[Tensor, ...], start: Start, rows: int
    ) -> None:
        self._model, self._args, self._start = model, args, start
        self._chains = max(1, rows // len(args[0]))
        self._from_prior = isinstance(start, ProgramStart) and start.densities is None

    def __call__(self, position: Tensor) -> Point:
        """Evaluate the densities and their gradients at positions `(C, B, K)`.

        Raises:
            PairError: If a log density has another shape than `(C, B)`.
        """
        parts = [self._evaluate(part) for part in position.split(self._chains)]
        return parts[0] if len(parts) == 1 else Point(*map(torch.cat, zip(*parts, strict=True)))

    def _evaluate(self, position: Tensor) -> Point:
        with torch.enable_grad():
            position = position.detach().requires_grad_()
            base, gain = self._base_and_gain(position)
            base_slope, gain_slope = _slope(base, position), _slope(gain, position)
        return Point(position.detach(), base.detach(), gain.detach(), base_slope, gain_slope)

    def _base_and_gain(self, position: Tensor) -> tuple[Tensor, Tensor]:
        values, jacobian = self._model.latents.values(position)
        sites = self._model.run(self._args, values)
        shape = position.shape[:2]
        densities: dict[str, Tensor] = {}
        for name in (*values, *self._model.observed):
            density = log_density(sites[name])
            if torch.broadcast_shapes(density.shape, shape) != shape:
                raise PairError(
                    f"site {name!r} has a log density of shape {tuple(density.shape)} for "
                    f"{shape[0]} chains of {shape[1]} data; expected {tuple(shape)}. Programs and "
                    "nets must broadcast over one more dim, left of the data's"
                )
            densities[name] = density.double()
        zero = torch.zeros_like(jacobian, dtype=torch.float64)
        prior = sum((densities[name] for name in values), jacobian.double())
        likelihood = sum((densities[name] for name in self._model.observed), zero)
        if self._from_prior:
            return prior.expand(shape), likelihood.expand(shape)
        base = self._start.log_density(position, values, jacobian).double()
        return base.expand(shape), prior + likelihood - base


def _slope(log_density: Tensor, position: Tensor) -> Tensor:
    """The gradient; zero where nothing depends on the position."""
    if not log_density.requires_grad:
        return torch.zeros_like(position)
    (slope,) = torch.autograd.grad(
        log_density.sum(), position, retain_graph=True, materialize_grads=True, allow_unused=True
    )
    return slope
