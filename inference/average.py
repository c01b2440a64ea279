"""An exponential moving average of a pair's weights."""

import copy

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .sites import Program, modules_of


class AveragedPair:
    """Copies of model and guide whose parameters follow the trained ones (Polyak averaging).

    Args:
        model: The trained model.
        guide: The trained guide; what the two share, the copies share.
        decay: Share of the old average that a step keeps, in (0, 1). It starts lower, as
            `(1 + n) / (10 + n)` after n steps, so that the first weights are soon forgotten.

    Raises:
        ValueError: If `decay` is not between 0 and 1.
    """

    def __init__(self, model: Program, guide: Program, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"ema is {decay}; expected a number between 0 and 1, such as 0.999")
        self.decay = decay
        self.model, self.guide = copy.deepcopy((model, guide))
        self._targets, self._sources = [], []
        seen: set[int] = set()
        for program, averaged in ((model, self.model), (guide, self.guide)):
            pairs = zip(_parameters(averaged), _parameters(program), strict=True)
            for target, source in pairs:
                if id(target) not in seen:
                    seen.add(id(target))
                    self._targets.append(target.requires_grad_(False))
                    self._sources.append(source)

    def update(self, step: int) -> None:
        """Move the averages towards the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(self._targets, self._sources, step)


def _parameters(program: Program) -> list[nn.Parameter]:
    return [parameter for module in modules_of(program) for parameter in module.parameters()]
