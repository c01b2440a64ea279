"""Likelihoods by name."""

from difflib import get_close_matches
from typing import Any

from .bernoulli import Bernoulli, BernoulliGrey
from .continuous_bernoulli import ContinuousBernoulli
from .discretised_logistic import DiscretisedLogistic
from .likelihood import Likelihood
from .normal import Normal, NormalLearned

LIKELIHOODS: dict[str, type[Likelihood]] = {
    likelihood.name: likelihood
    for likelihood in (
        Bernoulli,
        ContinuousBernoulli,
        Normal,
        NormalLearned,
        DiscretisedLogistic,
        BernoulliGrey,
    )
}

_DEFAULTS = {
    "binary": "bernoulli",
    "grey": "continuous-bernoulli",
    "colour": "discretised-logistic",
}


def make_likelihood(name: str, channels: int, **options: Any) -> Likelihood:
    """Return the likelihood `name` for images of `channels` channels.

    Args:
        name: A key of `LIKELIHOODS`.
        channels: Number `C` of image channels.
        **options: Further arguments of the likelihood's class, such as `scale` of `normal`.

    Raises:
        ValueError: If there is no likelihood of this name; a close one is suggested.
    """
    if name not in LIKELIHOODS:
        close = get_close_matches(name, LIKELIHOODS, n=1)
        hint = f"Did you mean {close[0]}?" if close else "Choose one of these."
        raise ValueError(
            f"likelihood is {name!r}; expected one of {', '.join(LIKELIHOODS)}. {hint}"
        )
    return LIKELIHOODS[name](channels, **options)


def default_likelihood(kind: str) -> str:
    """Return the name of the likelihood that fits data of a kind.

    Args:
        kind: `binary`, `grey` or `colour`.

    Raises:
        ValueError: If the kind is none of these.
    """
    if kind not in _DEFAULTS:
        raise ValueError(
            f"kind is {kind!r}; expected one of {', '.join(_DEFAULTS)}. Choose one of these."
        )
    return _DEFAULTS[kind]
