"""Read a method's options from text, such as `--set latent_dim=10`."""

import dataclasses
import types
from collections.abc import Mapping
from difflib import get_close_matches
from numbers import Integral
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Options = TypeVar("Options")


class OptionError(ValueError):
    """A name or a value that the user gave is not one of those accepted."""


def read_options(kind: type[Options], given: Mapping[str, Any]) -> Options:
    """Make a method's options from names and values; text is read as the option's type.

    Args:
        kind: A dataclass with annotated fields.
        given: Values by name: text from a command line, or values of the right type.

    Raises:
        OptionError: If a name is unknown, a value is not of its type, or the dataclass refuses it.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # pyright: ignore
    hints = get_type_hints(kind)
    for name in given:
        if name not in fields:
            close = get_close_matches(name, fields, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise OptionError(f"option is {name!r}; expected one of {', '.join(fields)}.{hint}")
    values = {name: _read(name, value, hints[name]) for name, value in given.items()}
    try:
        return kind(**values)
    except OptionError:
        raise
    except (TypeError, ValueError) as error:
        raise OptionError(str(error)) from error


_LISTS = {
    int: "integers joined by commas, such as 256,128",
    float: "numbers joined by commas, such as 0.5,2",
}


def _read(name: str, value: Any, hint: Any) -> Any:
    """Read one value as the type that its annotation asks for."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None or value == "none":
            return None
        hint = next(argument for argument in arguments if argument is not type(None))
        return _read(name, value, hint)
    if origin is Literal:
        if value not in arguments:
            raise OptionError(f"{name} is {value!r}; expected one of {', '.join(arguments)}")
        return value
    if origin is tuple:
        if value == "none":
            return ()
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            items = (items,)
        try:
            return tuple(_read(name, item, arguments[0]) for item in items)
        except OptionError:
            if arguments[0] not in _LISTS:
                raise
            raise OptionError(f"{name} is {value!r}; expected {_LISTS[arguments[0]]}") from None
    return _read_scalar(name, value, hint)


def _read_scalar(name: str, value: Any, kind: type) -> Any:
    if kind is bool:
        known = {"true": True, "false": False, "yes": True, "no": False, True: True, False: False}
        if value not in known:
            raise OptionError(f"{name} is {value!r}; expected true or false")
        return known[value]
    if isinstance(value, str) or (kind is float and type(value) is int):
        try:
            return kind(value)
        except ValueError:
            expected = {int: "an integer", float: "a number"}[kind]
            raise OptionError(f"{name} is {value!r}; expected {expected}") from None
    if type(value) is not kind:
        raise OptionError(f"{name} is {value!r}; expected {kind.__name__}")
    return value


def critic_in_range(
    hidden: tuple[int, ...],
    rate: float,
    steps: int,
    *,
    kind: str = "mlp",
    prefix: str = "critic_",
) -> None:
    """Refuse widths, a learning rate or steps of a critic that are out of range.

    Args:
        hidden: Widths, 1 to 65 536 each.
        rate: Above 0, at most 10.
        steps: 1 to 1000.
        kind: `mlp`, or `pair`, which needs one width at least.
        prefix: What the names of these options begin with.

    Raises:
        OptionError: If one is.
    """
    for width in hidden:
        in_range(f"{prefix}hidden", width, 1, 65_536)
    in_range(f"{prefix}rate", rate, 0.0, 10.0, open_low=True)
    in_range(f"{prefix}steps", steps, 1, 1000)
    if kind == "pair" and not hidden:
        raise OptionError(
            f"{prefix}hidden is none with critic=pair; expected one width at least, that of the "
            "embedding. Give it, or set critic=mlp"
        )


def integer_in_range(name: str, value: int, low: int, high: int | None = None) -> int:
    """Return an integer from `low` to `high`; NumPy's, such as a drawn seed, are made Python's.

    Raises:
        OptionError: If it is none, or outside.
    """
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if is_integer and low <= value and (high is None or value <= high):
        return int(value)
    range_ = f"of at least {low}" if high is None else f"from {low} to {high}"
    raise OptionError(f"{name} is {value}; expected an integer {range_}")


def in_range(
    name: str, value: float, low: float, high: float = float("inf"), *, open_low: bool = False
) -> None:
    """Refuse a number outside of `[low, high]`, or of `(low, high]` with `open_low`; NaN always.

    Raises:
        OptionError: If it is outside.
    """
    if (low < value if open_low else low <= value) and value <= high and value != float("inf"):
        return
    above = f"above {low:g}" if open_low else f"of at least {low:g}"
    most = f"{high:.0f}" if isinstance(value, int) else f"{high:g}"
    below = "" if high == float("inf") else f" and at most {most}"
    kind = "an integer" if isinstance(value, int) else "a finite number"
    raise OptionError(f"{name} is {value}; expected {kind} {above}{below}")
