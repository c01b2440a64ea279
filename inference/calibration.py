r"""Whether a guide is calibrated: ranks of what the model drew among what the guide draws.

Codes and data are drawn from the model, `z ~ p(z)`, `x ~ p(x|z)`, and the guide draws codes of
each `x`. If the guide is the posterior, the rank of the true coordinate among its draws is
uniform; a guide that is too narrow has too many ranks at the ends, one too wide too many in the
middle, and one that leans has them at one end. Data that the model would not draw are not judged.

Source: Talts et al. (2018), algorithm 1 and theorem 1, https://arxiv.org/abs/1804.06788.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import log, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyro.distributions import Delta
from scipy.stats import chi2
from torch import Tensor

from .device import device_of
from .eligibility import layers_of
from .evaluating import own_noise
from .sites import Program, Runner, Site, in_mode, modules_of
from .whole_numbers import whole_number

CHUNK = 100  # simulations that are drawn together
FEWEST_PER_BIN = 5


@dataclass(frozen=True)
class Calibration:
    """Ranks of the model's codes among the guide's draws, and a test of their uniformity.

    Attributes:
        ranks: By latent site, int64 `(N, K)`, from 0 to `draws`.
        draws: Number `L` of the guide's draws per simulation.
        p_values: By site, `(K,)`: of the chi-squared test of the ranks of each coordinate in
            `bins` bins of equal width.
        bins: Number of bins.
        seed: Seed of all draws.
    """

    ranks: Mapping[str, NDArray[np.int64]]
    draws: int
    p_values: Mapping[str, NDArray[np.float64]]
    bins: int
    seed: int

    @property
    def simulations(self) -> int:
        """Number `N` of simulations."""
        return len(next(iter(self.ranks.values())))

    @property
    def p_value(self) -> float:
        """Of all coordinates together: the smallest one's, times their number (Bonferroni)."""
        values = np.concatenate(list(self.p_values.values()))
        return float(min(1.0, values.min() * len(values)))

    def passes(self, false_alarm: float = 1e-3) -> bool:
        """Whether uniform ranks are not refuted at this probability of a false alarm."""
        return self.p_value >= false_alarm

    def band(self, false_alarm: float = 0.01) -> float:
        """Largest distance of a coordinate's distribution of ranks from uniform, by chance.

        Source: Massart (1990), corollary 1, https://doi.org/10.1214/aop/1176990746, which holds
        of ranks too, whose steps are coarser.
        """
        return sqrt(log(2.0 / false_alarm) / (2.0 * self.simulations))

    def summary(self) -> dict[str, Any]:
        """Return plain numbers, for JSON."""
        return {
            "simulations": self.simulations,
            "draws": self.draws,
            "bins": self.bins,
            "seed": self.seed,
            "p_value": self.p_value,
            "p_values": {name: values.tolist() for name, values in self.p_values.items()},
        }


def simulation_based_calibration(
    model: Program,
    guide: Program,
    *,
    simulations: int = 2000,
    draws: int = 199,
    bins: int = 20,
    arguments: Callable[[Mapping[str, Tensor]], tuple[Any, ...]] | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Rank codes that the model draws among codes that the guide draws given the model's data.

    Args:
        model: The generative program, called as `model(size=B)`.
        guide: The inference program.
        simulations: Number `N` of draws of the model, at least `5 * bins`.
        draws: Number `L` of the guide's draws for each; `L + 1` is a multiple of `bins`.
        bins: Number of bins of the test, at least 2.
        arguments: From the values of the model's sites by name to the guide's arguments; the value
            of `x` alone unless given.
        seed: Seed of all draws.
        progress: Called with the number of simulations done.

    Raises:
        ValueError: If a number is out of range, the model gives no data, or no latent site of the
            guide is continuous with one event dimension.

    Example:
        >>> simulation_based_calibration(run.model, run.guide).p_value
    """
    bins, draws = whole_number("bins", bins, 2), whole_number("draws", draws, 2)
    simulations = whole_number("simulations", simulations, FEWEST_PER_BIN * bins)
    if (draws + 1) % bins:
        raise ValueError(
            f"draws is {draws}; expected one less than a multiple of bins, {bins}, so that all "
            f"bins hold equally many ranks. Take {bins * max(1, (draws + 1) // bins) - 1}"
        )
    parts: dict[str, list[Tensor]] = {}
    modules = modules_of(model, guide)
    with own_noise(device_of(*modules)), in_mode(False, modules), torch.no_grad():
        torch.manual_seed(seed)
        for start in range(0, simulations, CHUNK):
            size = min(CHUNK, simulations - start)
            for name, ranks in _ranks(model, guide, size, draws, arguments).items():
                parts.setdefault(name, []).append(ranks.cpu())
            if progress is not None:
                progress(start + size)
    ranks = {name: torch.cat(of).numpy() for name, of in parts.items()}
    p_values = {name: _uniform_p_values(of, draws, bins) for name, of in ranks.items()}
    return Calibration(ranks, draws, p_values, bins, seed)


def _ranks(
    model: Program,
    guide: Program,
    size: int,
    draws: int,
    arguments: Callable[[Mapping[str, Tensor]], tuple[Any, ...]] | None,
) -> dict[str, Tensor]:
    """Draw from the model and rank, `(size, K)` by site."""
    sites = Runner().run(partial(model, size=size), ()).sites
    values = {name: site.value for name, site in sites.items()}
    if arguments is None and "x" not in values:
        raise ValueError(
            f"the model has no site 'x'; it has {', '.join(values)}. Give arguments, which makes "
            "the guide's arguments of the model's values"
        )
    args = (values["x"],) if arguments is None else arguments(values)
    drawn = Runner(particles=draws).run(guide, args).sites
    known = {
        name: site
        for name, site in sites.items()
        if name in drawn and _is_ranked(site) and not _is_point(drawn[name])
    }
    if not known:
        raise ValueError(
            f"sites of the guide are {', '.join(drawn) or 'none'}; expected a continuous latent "
            "site of one code per datum. Discrete codes, points and codes of frames have no ranks"
        )
    return {
        name: (drawn[name].value < site.value).sum(0).reshape(size, -1)
        for name, site in known.items()
    }


def _is_ranked(site: Site) -> bool:
    distribution: Any = site.fn
    one_code = len(distribution.event_shape) == 1 and len(distribution.batch_shape) == 1
    return one_code and not distribution.support.is_discrete and not site.observed


def _is_point(site: Site) -> bool:
    return any(isinstance(layer, Delta) for layer in layers_of(site.fn))


def _uniform_p_values(ranks: NDArray[np.int64], draws: int, bins: int) -> NDArray[np.float64]:
    expected = len(ranks) / bins
    columns = (ranks // ((draws + 1) // bins)).T
    counts = np.stack([np.bincount(column, minlength=bins) for column in columns])
    return chi2.sf(((counts - expected) ** 2 / expected).sum(1), bins - 1)
