"""A hook that keeps parameters where they are for the first steps."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .hooks import Hook
from .whole_numbers import whole_number


class Hold(Hook):
    """Keeps parameters of the pair where they are until a step, then lets them learn.

    A likelihood whose scale is small and fixed at first makes the nets place the image before the
    scale can grow to explain what is not in place. Their gradients are 0 until then, and Adam
    counts these steps: the first ones after the release are up to four learning rates long.

    Source: the variance switch of Detlefsen & Hauberg (2019), https://arxiv.org/abs/1906.11881.

    Args:
        parameters: What to hold; an optimiser without weight decay leaves them as they are.
        steps: The first step that moves them, at least 1.

    Raises:
        ValueError: If `steps` is no positive integer, or there are no parameters.
    """

    step: Tensor

    def __init__(self, parameters: Iterable[nn.Parameter], steps: int) -> None:
        super().__init__()
        self.steps = whole_number("steps", steps, 1)
        self._held = tuple(parameters)  # a tuple: they belong to the pair, not to the hook
        if not self._held:
            raise ValueError("parameters is empty; expected at least one. Drop the hook")
        self.register_buffer("step", torch.zeros(1))

    def after_backward(self) -> None:
        """Set the gradients to zero while the parameters are held."""
        free = (self.step[0] >= self.steps).float()
        for parameter in self._held:
            if parameter.grad is not None:
                parameter.grad = parameter.grad * free

    def advance(self) -> None:
        """Go on to the next step."""
        self.step.add_(1.0)
