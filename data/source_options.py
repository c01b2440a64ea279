"""Options of a source: the keyword arguments of the function that loads it, read from text."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .errors import DataError

_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def keywords(maker: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the keyword-only parameters of a function by name."""
    parameters = inspect.signature(maker).parameters
    return {n: p for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def read_options(
    source: str, makers: Sequence[Callable[..., Any]], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return options as the types that a source's functions ask for.

    Args:
        source: What messages call the source.
        makers: The functions; their keyword-only arguments are the options.
        given: Values by name, text or values of the right type.

    Raises:
        DataError: If there is no such option, or a value is not of its type.
    """
    hints = {name: get_type_hints(maker)[name] for maker in makers for name in keywords(maker)}
    for name in given:
        if name not in hints:
            close = get_close_matches(name, hints, n=1)
            accepted = f"expected one of {', '.join(hints)}" if hints else "it has none"
            hint = f" Did you mean {close[0]}?" if close else ""
            raise DataError(f"option of {source} is {name!r}; {accepted}.{hint}")
    return {name: _read(name, value, hints[name]) for name, value in given.items()}


def _read(name: str, value: Any, hint: Any) -> Any:
    if Path in get_args(hint):  # a name, or a path, which is to be found from any folder
        is_path = bool(Path(value).suffix) or any(mark in str(value) for mark in "/\\")
        return str(Path(value).resolve()) if is_path else value
    if get_origin(hint) is UnionType or NoneType in get_args(hint):
        if value in (None, "none"):
            return None
        hint = next(kind for kind in get_args(hint) if kind is not NoneType)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            accepted = ", ".join(map(str, get_args(hint)))
            raise DataError(f"{name} is {value!r}; expected one of {accepted}")
        return value
    if hint is bool and isinstance(value, str) and value in _TRUTH:
        return _TRUTH[value]
    if hint in (int, float) and isinstance(value, str):
        try:
            return hint(value)
        except ValueError:
            pass
    if hint is float and type(value) is int:
        return float(value)
    if get_origin(hint) is tuple:
        given = value.split(",") if isinstance(value, str) else value
        items = given if isinstance(given, list | tuple) else (given,)
        return tuple(_read(name, item, get_args(hint)[0]) for item in items)
    if type(value) is not hint:
        words = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
        raise DataError(f"{name} is {value!r}; expected {words.get(hint, hint)}")
    return value
