"""Settings that are integers."""

from numbers import Integral


def whole_number(name: str, number: int, least: int) -> int:
    """Return a setting that is an integer of at least `least`; NumPy's integers are made Python's.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(number, Integral) or isinstance(number, bool) or number < least:
        raise ValueError(f"{name} is {number!r}; expected an integer of at least {least}")
    return int(number)
