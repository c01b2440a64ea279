r"""Hooks on mixed codes: they come back from the image that they make, and every chunk shows.

With the mixed image \( x_3 \) of `mixing_examples`, its code \( f_3' = \text{Enc}(x_3) \), and \(
f_1'' = m \odot f_3' + (1 - m) \odot f_1 \), the cycle costs \( -\log p(x_1 \mid f_1'') \): what
was lent to the mixed image must be found in it. A decoder that ignores a chunk passes that too,
so that a classifier has to tell from the three images which chunks were lent.

Source: Hu et al. (2018), https://arxiv.org/abs/1711.07410, who minimise a squared
distance, which is that of a Normal likelihood with a fixed scale.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from .hooks import Batch, CriticLoss, Hook
from .mixing_examples import mix
from .terms import Terms
from .weights import Weight, as_weight


class MixingCycle(Hook):
    """`weight` times `-log p(x)` given the code whose lent chunks are read from the mixed image.

    Args:
        code: A latent site with one code `(K,)` per datum.
        chunks: Number of its chunks, a divisor of `K`.
        weight: Weight, a number of at least 0 or a schedule.
        site: The observed site of the images, the guide's first argument.
    """

    name = "cycle"

    def __init__(
        self, code: str, chunks: int, weight: float | Weight = 1.0, site: str = "x"
    ) -> None:
        super().__init__()
        self.sites = (code, site)
        self.code, self.chunks, self.site = code, chunks, site
        self.weight = as_weight(weight)

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted cost, nats per datum.

        Raises:
            ValueError: As `mix`.
        """
        mixed = mix(terms, self.code, self.chunks, self.site)
        found = terms.encode(mixed.images, *terms.args[1:])[self.code].value
        back = mixed.wide * found + (1.0 - mixed.wide) * mixed.codes
        again = terms.replay({self.code: back})
        return self.weight(-again.per_datum(again[self.site].log_p).mean(), None)


class WhichChunk(Hook):
    """A classifier tells which chunks of a mixed image are whose; the pair helps it.

    It is no adversary: classifier and pair minimise the same cross-entropy, averaged over chunks,
    each with an optimiser of its own. So every chunk has to change the image, and differently.

    Args:
        code: A latent site with one code `(K,)` per datum.
        chunks: Number of its chunks, a divisor of `K`.
        classifier: A module from the datum, the other one and the mixed image, joined along
            channels, `(n, 3C, H, W)`, to logits `(n, chunks)` of a chunk being the datum's.
        weight: Weight of the pair's cross-entropy, a number of at least 0 or a schedule.
        site: The observed site of the images.
        optimizer: Makes the classifier's optimiser; Adam with learning rate 1e-4 and betas 0.5,
            0.9 unless given.
    """

    name = "chunk"

    def __init__(
        self,
        code: str,
        chunks: int,
        classifier: nn.Module,
        weight: float | Weight = 1.0,
        site: str = "x",
        *,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
    ) -> None:
        super().__init__()
        self.sites = (code, site)
        self.code, self.chunks, self.site = code, chunks, site
        self.classifier = classifier
        self.weight = as_weight(weight)
        self._make = optimizer

    def make_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the classifier's optimiser."""
        make = super().make_optimizer if self._make is None else self._make
        return make(parameters)

    def critic_parameters(self) -> list[nn.Parameter]:
        """The classifier's parameters."""
        return [p for p in self.classifier.parameters() if p.requires_grad]

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted cross-entropy, nats per chunk.

        Raises:
            ValueError: As `mix`, or if the classifier gives another number of logits.
        """
        logits, mask = self._told(*self._shown(terms))
        return self.weight(binary_cross_entropy_with_logits(logits, mask), None)

    def critic_inputs(self, terms: Terms, batch: Batch) -> list[tuple[Tensor, ...]]:
        """Return the joined images and the mask."""
        return [self._shown(terms)]

    def critic_loss_of(self, inputs: tuple[Tensor, ...]) -> CriticLoss:
        """Return the classifier's cross-entropy, and the share of chunks that it tells rightly."""
        logits, mask = self._told(*inputs)
        right = ((logits > 0) == (mask > 0.5)).to(logits.dtype).mean()
        loss = binary_cross_entropy_with_logits(logits, mask)
        return CriticLoss(loss, {"accuracy": right.detach()})

    def _shown(self, terms: Terms) -> tuple[Tensor, Tensor]:
        mixed = mix(terms, self.code, self.chunks, self.site)
        return torch.cat([mixed.first, mixed.second, mixed.images], 1), mixed.mask

    def _told(self, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.classifier(images)
        if logits.shape != mask.shape:
            raise ValueError(
                f"the classifier gives shape {tuple(logits.shape)}; expected {tuple(mask.shape)}, "
                "a logit for each chunk. Make it with as many outputs"
            )
        return logits, mask
