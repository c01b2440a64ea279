"""Give a method as many parameters as another, so that a comparison is of like with like."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from unbraid.inference import pair_parameters
from unbraid.methods import DataSpec, OptionError, load_method, read_options

WIDTHS = ("hidden", "channels")
"""Options of the image nets that are scaled, where the nets use them."""


class Match(NamedTuple):
    """Options of a method, and the number of parameters that it has by them."""

    options: dict[str, Any]
    parameters: int


def count_parameters(method: str, options: Mapping[str, Any], data_spec: DataSpec) -> int:
    """Count the trainable numbers of a method's pair, shared weights once.

    Args:
        method: Name of the method.
        options: Its options by name.
        data_spec: What it is built for.

    Raises:
        OptionError: If a name or a value is not accepted.
    """
    chosen = load_method(method)
    with torch.random.fork_rng(devices=[]):
        parts = chosen.build(read_options(chosen.options, options), data_spec)
    return sum(parameter.numel() for parameter in pair_parameters(parts.model, parts.guide))


def match_hidden(
    method: str,
    target_parameters: int,
    options: Mapping[str, Any],
    data_spec: DataSpec,
    tolerance: float = 0.02,
) -> Match:
    """Scale the widths of a method's image nets by one factor, for the nearest number of weights.

    Args:
        method: Name of the method.
        target_parameters: Number of parameters of the other method, by `count_parameters`.
        options: Options by name; the widths that they, or else the method's defaults, give are
            scaled.
        data_spec: What the method is built for.
        tolerance: Largest relative difference from the target.

    Raises:
        OptionError: If an option is not accepted, or no width comes near enough.
    """
    widths = _used_widths(method, options, data_spec)

    def scaled(factor: float) -> Match:
        new = {name: _scale(width, factor) for name, width in widths.items()}
        changed = {**options, **new}
        return Match(changed, count_parameters(method, changed, data_spec))

    low, high = scaled(0.0), scaled(1.0)
    below, above = 0.0, 1.0
    while high.parameters < target_parameters:
        below, above, low, high = above, 2 * above, high, scaled(2 * above)
    while above - below > 1e-6 and low.options != high.options:
        middle = (below + above) / 2
        found = scaled(middle)
        if found.parameters < target_parameters:
            below, low = middle, found
        else:
            above, high = middle, found
    best = min(low, high, key=lambda match: abs(match.parameters - target_parameters))
    if abs(best.parameters - target_parameters) > tolerance * target_parameters:
        raise OptionError(
            f"parameters of {method} are {best.parameters} at the nearest; expected "
            f"{target_parameters} to {tolerance:.2g} of it. Change the other options, or allow "
            "a larger tolerance"
        )
    return best


def _used_widths(
    method: str, options: Mapping[str, Any], data_spec: DataSpec
) -> dict[str, tuple[int, ...]]:
    """Return the widths on which the number of parameters depends."""
    read = read_options(load_method(method).options, options)
    widths = {name: getattr(read, name) for name in WIDTHS if hasattr(read, name)}
    count = count_parameters(method, options, data_spec)
    used = {
        name: width
        for name, width in widths.items()
        if count_parameters(method, {**options, name: _scale(width, 2)}, data_spec) != count
    }
    if not used:
        raise OptionError(
            f"widths of {method} do not change its number of parameters; expected one of "
            f"{', '.join(WIDTHS)} that does. Choose a method with nets of images"
        )
    return used


def _scale(width: tuple[int, ...], factor: float) -> tuple[int, ...]:
    return tuple(max(1, round(factor * size)) for size in width)
