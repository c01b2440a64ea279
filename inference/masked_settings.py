"""How a masked posterior is found: the settings, and what is wrong with them."""

from typing import NamedTuple

from .nuts import FEWEST
from .whole_numbers import whole_number

WAYS = ("importance", "svi", "nuts")


class Settings(NamedTuple):
    """The settings of `masked_posterior`, which says what they are."""

    by: str
    site: str
    draws: int
    samples: int
    prior_share: float
    fills: int
    rounds: int
    starts: int
    steps: int
    chains: int
    warmup: int
    seed: int
    rows: int


def check_settings(settings: Settings) -> Settings:
    """Refuse settings that are out of range; return them with integers of Python's.

    Raises:
        ValueError: If one is.
    """
    if settings.by not in WAYS:
        raise ValueError(f"by is {settings.by!r}; expected one of {', '.join(WAYS)}")
    counts = ("draws", "samples", "fills", "rounds", "starts", "steps", "chains", "warmup", "rows")
    least = {**dict.fromkeys(counts, 1), "seed": 0}
    settings = settings._replace(
        **{name: whole_number(name, getattr(settings, name), at) for name, at in least.items()}
    )
    if not 0 <= settings.prior_share < 1:
        raise ValueError(
            f"prior_share is {settings.prior_share}; expected a number of at least 0 and below 1"
        )
    if settings.draws > settings.samples:
        raise ValueError(
            f"draws is {settings.draws}, but samples is {settings.samples}; expected at most as "
            "many completions as samples. Raise samples"
        )
    each, rest = divmod(settings.samples, settings.chains)
    if settings.by == "nuts" and (rest or each < FEWEST):
        raise ValueError(
            f"samples is {settings.samples} and chains is {settings.chains}; expected a multiple "
            f"of chains, with {FEWEST} draws in each at least. Change one of them"
        )
    return settings
