"""Samples of a mixture of guide and prior, a fixed number of each in every unit."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .blocks import BLOCK
from .eligibility import Layout
from .guide_draws import Draw, GuideDraws, same_distributions
from .noise_seeds import mix, seed_noise
from .sites import Program, Runner, Site

_STAGE = 1
"""Sets the noise of the prior apart from that of the guide."""
_AT_A_TIME = 2
"""Samples of the prior that one run of the model gives; a constant, because the noise depends on
it, and a small one, because the model decodes them."""


class MixtureDraws(GuideDraws):
    """Draws of guide and prior for one block of data, with their densities under the guide.

    The guide's are those that it would give alone. In every unit, some of them make room for draws
    of the prior, and each datum's are put in an order of its own: so every sample is one of the
    mixture, also where samples end within a unit.

    Where the prior does not depend on what was sampled, the model runs for the first unit alone.

    Args:
        model: The generative program, whose latents are drawn from its prior.
        guide: The inference program.
        block: Arguments of both: at most 32 data.
        layout: How the pair is laid out: no site of it is enumerated.
        seed: Seeds of the noise: the user's and the block's.
        of_prior: Draws of the prior in every unit, from 1 to 31.
    """

    def __init__(
        self,
        model: Program,
        guide: Program,
        block: tuple[Tensor, ...],
        layout: Layout,
        seed: tuple[int, int],
        of_prior: int,
    ) -> None:
        super().__init__(guide, block, layout, 1, seed)
        self._model, self._of_prior = model, of_prior
        self._prior: dict[str, Site] | None = None

    def _whole(self, index: int) -> list[Draw]:
        of_guide = super()._whole(index)
        seed_noise(mix(*self._seed, _STAGE), index, self._args[0].device)
        of_prior = self._draw_prior(index)
        kept = self.unit_size - self._of_prior
        order = torch.rand(self.unit_size, BLOCK, device=self._args[0].device).argsort(0)
        values = {}
        for draw in of_guide:
            name = draw.site.name
            both = torch.cat([draw.value[:kept], of_prior[name]])
            values[name] = _reordered(both, order)
        return [self._draw(site, site.value) for site in self._at(values).values()]

    def _at(self, values: Mapping[str, Tensor]) -> dict[str, Site]:
        """The guide's sites with other values."""
        if self._independent:
            return {name: self._first[name]._replace(value=v) for name, v in values.items()}
        runner = Runner(self._layout.nesting, self.unit_size)
        return runner.run(self._guide, self._args, values).sites

    def _draw_prior(self, index: int) -> dict[str, Tensor]:
        """Values of the latents from the prior, as many as of the prior are in a unit."""
        runs = -(-self._of_prior // _AT_A_TIME)
        if index == 0:
            found = [self._run_model() for _ in range(max(2, runs))]
            self._prior = found[0] if same_distributions(*found[:2]) else None
        elif self._prior is None:
            found = [self._run_model() for _ in range(runs)]
        else:
            sites = self._prior.values()
            drawn = [{s.name: s.fn.sample() for s in sites} for _ in range(runs)]
            return self._joined(drawn)
        return self._joined([{n: site.value for n, site in sites.items()} for sites in found])

    def _joined(self, runs: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.cat([run[name] for run in runs])[: self._of_prior] for name in runs[0]}

    def _run_model(self) -> dict[str, Site]:
        runner = Runner(self._layout.nesting, _AT_A_TIME)
        sites = runner.run(self._model, self._args).sites
        return {name: sites[name] for name in self._layout.latents}


def _reordered(values: Tensor, order: Tensor) -> Tensor:
    """Put draws `(S, B, ...)` into an order `(S, B)`."""
    index = order.reshape(*order.shape, *(1,) * (values.dim() - 2))
    return values.gather(0, index.expand_as(values))
