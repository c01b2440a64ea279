"""Codes none of whose coordinates can be told from the others: predictability minimisation."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .examples import code_rows
from .hooks import Batch, CriticLoss, Hook
from .terms import Terms
from .weights import Weight, as_weight
from .whole_numbers import whole_number

Form = Literal["normalised", "published"]
_LEAST_VARIANCE = 1e-8


class Predictability(Hook):
    """Predictors tell each coordinate of a code from the others, and the code is to prevent it.

    - Form `"normalised"`: coordinates are standardised over the batch, `s_i`, and the error
      `e_i = mean (s_i - P_i(s_-i))^2` is the share of the variance that the others do not tell.
      The penalty is `weight` times the mean of `1 - min(e_i, 1)`: that of `-e_i`, bounded at 0,
      where a predictor does no better than the mean. It knows nothing of the scale of codes, and
      of Normal codes the best linear predictor's `e_i` is `1 / (R^-1)_ii`, `R` their correlations.
    - Form `"published"` (Schmidhuber 1992, Neural Computation 4(6), eq. 1 and 2): coordinates are
      squashed, `y_i = sigmoid(z_i)`, and the penalty is minus `weight` times the mean of
      `(y_i - P_i(y_-i))^2`. It also rewards variance, up to units that are 0 or 1 at random.

    Predictors minimise the mean of the same errors. Independent coordinates are at rest. A code
    that no other coordinate tells can still be anything in itself; and where predictors are too
    weak or too slow, dependent coordinates look independent.

    Args:
        site: A latent site with one code per datum, of at least two coordinates.
        predictors: A module from codes `(n, K)` to predictions `(n, K)`, each of which must not
            depend on its own coordinate: `LeaveOneOut`.
        weight: Weight of the penalty, a number of at least 0 or a schedule.
        form: Whose errors.
        steps: Steps of the predictors per step of the pair, at least 1.
        optimizer: Makes the predictors' optimiser; Adam with learning rate 1e-4 and betas 0.5,
            0.9 unless given.

    Raises:
        ValueError: If a number is out of range or there is no such form.
    """

    def __init__(
        self,
        site: str,
        predictors: nn.Module,
        weight: float | Weight = 1.0,
        *,
        form: Form = "normalised",
        steps: int = 1,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
    ) -> None:
        super().__init__()
        if form not in get_args(Form):
            raise ValueError(f"form is {form!r}; expected {' or '.join(get_args(Form))}")
        self.sites, self.moves = (site,), "guide"
        self.predictors, self.form, self.critic_steps = (
            predictors,
            form,
            whole_number("steps", steps, 1),
        )
        self.weight = as_weight(weight)
        self._make = optimizer

    def make_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the predictors' optimiser."""
        make = super().make_optimizer if self._make is None else self._make
        return make(parameters)

    def critic_parameters(self) -> list[nn.Parameter]:
        """The predictors' parameters."""
        return [p for p in self.predictors.parameters() if p.requires_grad]

    def errors(self, codes: Tensor) -> Tensor:
        """The predictors' mean squared errors `(K,)` on codes `(n, K)`, of the hook's form.

        Raises:
            ValueError: If predictions have another shape than the codes.
        """
        shown = torch.sigmoid(codes) if self.form == "published" else standardised(codes)
        told = self.predictors(shown)
        if told.shape != shown.shape:
            raise ValueError(
                f"the predictors give shape {tuple(told.shape)}; expected {tuple(shown.shape)}, "
                "one number for each"
            )
        return (shown - told).square().mean(0)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted penalty, a scalar.

        Raises:
            ValueError: If the site has no sampled code per datum, or the predictors do not fit.
        """
        errors = self.errors(code_rows(terms, self.sites[0]))
        if self.form == "published":
            return self.weight(-errors.mean(), None)
        return self.weight((1.0 - errors.clamp(max=1.0)).mean(), None)

    def critic_inputs(self, terms: Terms, batch: Batch) -> list[tuple[Tensor, ...]]:
        """Return the codes, for each of the predictors' steps."""
        codes = code_rows(terms, self.sites[0]).detach()
        return [(codes,)] * self.critic_steps

    def critic_loss_of(self, inputs: tuple[Tensor, ...]) -> CriticLoss:
        """Return the mean of the errors."""
        loss = self.errors(inputs[0]).mean()
        return CriticLoss(loss, {"error": loss.detach()})


def standardised(codes: Tensor) -> Tensor:
    """Codes `(n, K)` with mean 0 and variance 1 in each coordinate, 0 where it is constant."""
    centred = codes - codes.mean(0)
    return centred / (centred.square().mean(0) + _LEAST_VARIANCE).sqrt()
