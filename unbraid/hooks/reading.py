"""Read a hook as it is written on a command line, such as `factor:gamma=6`."""

from importlib import import_module
from typing import Any

from unbraid.methods import OptionError, read_options

from .index import find_hook


def read_hook(text: str) -> tuple[str, dict[str, str]]:
    """Split `NAME` or `NAME:KEY=VALUE,KEY=VALUE` into the name and the values as text.

    A piece without `=` goes on with the value before it: `factor:hidden=64,64,gamma=6`.

    Raises:
        OptionError: If the words are no name with values, or there is no such hook.
    """
    name, colon, rest = text.partition(":")
    find_hook(name)
    given: dict[str, str] = {}
    last = None
    for piece in rest.split(",") if colon else ():
        key, equals, value = piece.partition("=")
        if key in given and equals:
            raise OptionError(
                f"hook is {text!r}, with {key} twice; expected it once. Leave one of both out"
            )
        if equals:
            last = key
            given[key] = value
        elif last is not None:
            given[last] += f",{piece}"
        else:
            raise OptionError(
                f"hook is {text!r}; expected NAME or NAME:KEY=VALUE,KEY=VALUE, such as "
                f"{name}:site=z. See unbraid hooks {name}"
            )
    return name, given


def hook_module(name: str) -> Any:
    """Import the module of a hook's `Options` and `build`."""
    return import_module(f"{__package__}.{find_hook(name).module}")


def hook_options(text: str) -> tuple[str, Any]:
    """Return the name and the checked options of a hook as written on a command line.

    Raises:
        OptionError: If a name or value is not accepted.
    """
    name, given = read_hook(text)
    try:
        return name, read_options(hook_module(name).Options, given)
    except OptionError as error:
        said = str(error)
        stop = "" if said.endswith((".", "?")) else "."
        raise OptionError(f"hook {name}: {said}{stop} See unbraid hooks {name}") from error
