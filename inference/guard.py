"""Hold updates back once something is not finite, on the device where the optimiser can."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer


class Guard:
    """A flag on the device that a non-finite loss or gradient sets for good.

    Args:
        device: Where losses and gradients are.

    Attributes:
        bad: 1 once a loss or gradient was not finite, else 0; a scalar float.
    """

    def __init__(self, device: torch.device) -> None:
        self.bad = torch.zeros((), device=device)
        self._one = torch.ones((), device=device)

    def watch(self, optimizer: Optimizer) -> None:
        """Make an optimiser skip its updates once the flag is set, without a host read if it can.

        The fused optimisers of torch read `found_inf` on the device, as `torch.amp.GradScaler`
        has them do.
        """
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            optimizer.found_inf = self.bad  # pyright: ignore[reportAttributeAccessIssue]
            optimizer.grad_scale = None  # pyright: ignore[reportAttributeAccessIssue]

    def step(self, optimizer: Optimizer, parameters: Sequence[Tensor], loss: Tensor) -> bool:
        """Let an optimiser step unless its loss or gradients are, or something was, not finite.

        Returns:
            False where the update was held back on the host; on the device nobody knows yet.
        """
        found = [p.grad for p in parameters if p.grad is not None]
        with torch.no_grad():
            torch._amp_foreach_non_finite_check_and_unscale_(  # pyright: ignore[reportPrivateImportUsage]
                found, self.bad, self._one
            )
            torch.maximum(self.bad, (~torch.isfinite(loss)).to(self.bad.dtype), out=self.bad)
        if not hasattr(optimizer, "found_inf") and bool(self.bad):
            return False
        optimizer.step()
        return True
