"""Whether a fresh classifier tells two samples apart: the area under its curve on other rows."""

import copy

import torch
from torch import Tensor
from torch.nn.functional import softplus

from unbraid.nets import MLPCritic

HIDDEN, BATCH, EPOCHS, RATE = (256, 256), 100, 40, 1e-3


def told_apart(own: Tensor, reference: Tensor, seed: int = 0) -> float:
    """Train a classifier on half of the rows and return its area under the curve on the others.

    Of the half that it is trained on, a fifth is kept back to say when it is best.

    Args:
        own: Rows `(n, K)`.
        reference: As many others.
        seed: Chooses the halves, the classifier's weights and its batches.

    Returns:
        0.5 where it cannot tell, 1 where it always can; below 0.5 by chance only.

    Raises:
        ValueError: If the two have not as many rows, or fewer than 20.
    """
    if own.shape != reference.shape or len(own) < 20:
        raise ValueError(
            f"samples have shapes {tuple(own.shape)} and {tuple(reference.shape)}; expected the "
            "same of at least 20 rows"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        critic = MLPCritic(own.shape[1], HIDDEN, activation="relu")
        optimizer = torch.optim.AdamW(critic.parameters(), lr=RATE, weight_decay=1e-2)
        order = torch.randperm(len(own))
        half = len(own) // 2
        kept = half // 5
        parts = order[kept:half], order[:kept], order[half:]
        learned, watched, tested = ((own[i], reference[i]) for i in parts)
        best, weights = -1.0, critic.state_dict()
        for _ in range(EPOCHS):
            pairing = torch.randperm(len(learned[0])), torch.randperm(len(learned[0]))
            for i, j in zip(*(rows.split(BATCH) for rows in pairing), strict=True):
                loss = softplus(critic(learned[0][i])) + softplus(-critic(learned[1][j]))
                optimizer.zero_grad()
                loss.mean().backward()
                optimizer.step()
            found = _area(critic, *watched)
            if found > best:
                best, weights = found, copy.deepcopy(critic.state_dict())
        critic.load_state_dict(weights)
        return _area(critic, *tested)


@torch.no_grad()
def _area(critic: MLPCritic, own: Tensor, reference: Tensor) -> float:
    return area_under_curve(critic(own).flatten(), critic(reference).flatten())


def area_under_curve(low: Tensor, high: Tensor) -> float:
    """The share of pairs in which the second one's score is higher; ties count half.

    Args:
        low: Scores `(n,)` that should be low.
        high: Scores `(m,)` that should be high.
    """
    below = torch.searchsorted(low.sort().values, high.contiguous())
    up_to = torch.searchsorted(low.sort().values, high.contiguous(), right=True)
    return float((below + up_to).double().mean()) / (2 * len(low))
