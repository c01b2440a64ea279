r"""How near decoded images are to the data in the features of a net: a learned similarity.

\[ d(x, \bar x) = \frac{1}{2} \sum_i (f_i(x) - f_i(\bar x))^2 \]

That is `-log N(f(x); f(mean image), I)` up to a constant. Since `f` may change while it is in use,
it is no likelihood of the images.

Source: Larsen et al. (2016), eq. 8, https://arxiv.org/abs/1512.09300.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .hooks import Batch, Hook
from .image_examples import data_rows, mean_rows
from .terms import Terms
from .weights import Weight, as_weight


class FeatureSimilarity(Hook):
    """The distance of mean images from the data in features, with a weight for each side.

    The features' net is held fixed: no gradient of this penalty moves it, and it is no part of
    this hook. That of an adversary of images, `critic.features`, is kept with that adversary.

    Args:
        name: Name of its part of the loss, which is the sum of both sides' shares.
        features: From images `(n, C, H, W)` to features `(n, ...)`.
        model: Weight of the distance in what moves the model, at least 0, or a schedule.
        guide: Weight of the distance in what moves the guide, likewise.
        site: The observed site of the images.
    """

    def __init__(
        self,
        name: str,
        features: Callable[[Tensor], Tensor],
        model: float | Weight = 1.0,
        guide: float | Weight = 1.0,
        site: str = "x",
    ) -> None:
        super().__init__()
        self.name, self.sites, self.site = name, (site,), site
        self._features = (features,)  # in a tuple, so that a module becomes no part of this one
        self.model_weight, self.guide_weight = as_weight(model), as_weight(guide)

    def penalty(self, terms: Terms, batch: Batch) -> dict[str, Tensor]:
        """Return each side's weighted distance, nats per image."""
        distance = self.distance(terms)
        return {
            "model": self.model_weight(distance, None),
            "guide": self.guide_weight(distance, None),
        }

    def distance(self, terms: Terms) -> Tensor:
        """Return the distance itself, mean over images, a scalar."""
        features, term = self._features[0], terms[self.site]
        with torch.no_grad():
            wanted = features(data_rows(term)).flatten(1)
        found = features(mean_rows(term)).flatten(1)
        found = found.unflatten(0, (-1, len(wanted)))  # particles are on the left of the data
        return 0.5 * (found - wanted).square().sum(-1).mean()
