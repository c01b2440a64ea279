r"""The divergence of a posterior without a density, by a critic: adversarial variational Bayes.

\[ KL(q(z|x) \| p(z)) = E_q[T(x, z)], \qquad
   T = E_q[T(x, (z - \mu_x) / \sigma_x)] + E_q[\log r(z|x) - \log p(z)] \]

`T` is the log-ratio that the best critic tells: of the posterior to the prior or, with the
adaptive contrast, of the standardised posterior to a standard normal, `r = N(mu, sigma^2)`. What a
critic tells is too low where it lags behind: with it there is no bound of `log p(x)`.

Source: Mescheder et al. (2017), sections 3.1 and 4, https://arxiv.org/abs/1701.04722.
"""

from typing import Any

from torch import Tensor, nn
from torch.distributions import Normal

from .adversary import Adversary
from .examples import code_rows
from .hooks import Batch
from .joint_examples import AgainstMoments, JointAgainstPrior, repeated_data
from .terms import Terms
from .weights import Weight


class ImplicitDivergence(Adversary):
    """A joint critic's estimate of the divergence of a guide's codes from their prior.

    Leave the site's own term out of the loss: `weights={"z": LeftOut()}`.

    Args:
        name: Name of its part of the loss, nats per datum at weight 1.
        critic: From data `(n, ...)` and codes `(n, K)` to scores `(n,)` or `(n, 1)`.
        view: What the critic is shown: `JointAgainstPrior`, or `AgainstMoments` for the adaptive
            contrast.
        weight: Weight of the divergence, a number of at least 0 or a schedule.
        **settings: Further ones of `Adversary`, such as `schedule` and `optimizer`.

    Example:
        >>> ImplicitDivergence("kl_z", ConvCritic((1, 28, 28), 8), JointAgainstPrior("z"))
    """

    def __init__(
        self,
        name: str,
        critic: nn.Module,
        view: JointAgainstPrior | AgainstMoments,
        weight: float | Weight = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(name, view, critic, "density-ratio", weight, **settings)
        self._contrasted = view if isinstance(view, AgainstMoments) else None

    def penalty(self, terms: Terms, batch: Batch) -> Tensor:
        """Return the weighted divergence, mean over data, a scalar.

        Raises:
            ValueError: If the pair runs with several particles, or as an `Adversary` says.
        """
        self._refuse_copies(terms)
        view = self._contrasted
        if view is None:
            return super().penalty(terms, batch)
        mean, scale = view.contrast(terms)
        codes = code_rows(terms, view.site)
        x = repeated_data(terms, view.data, view.site)
        ratio = -self._scores((x, (codes - mean) / scale)).mean()
        contrast = Normal(mean, scale).log_prob(codes).sum(-1).mean()
        divergence = ratio + contrast - terms[view.site].log_p.mean()
        return self.weighted(divergence)

    def _refuse_copies(self, terms: Terms) -> None:
        """Refuse particles of points, which are copies of one draw."""
        site = self.view.sites[0]
        if terms.runner.particles > 1 and terms[site].is_point:
            raise ValueError(
                f"particles is {terms.runner.particles}, but guide site {site!r} is a point "
                "(Delta) at one draw, of which they are copies; expected 1. Use larger batches"
            )
