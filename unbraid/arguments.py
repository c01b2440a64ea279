"""From the words of a command line to a command, or one line on what is wrong with them."""

import dataclasses
import re
import types
from collections.abc import Sequence
from contextlib import redirect_stderr
from difflib import get_close_matches
from io import StringIO
from itertools import dropwhile, takewhile
from typing import Any, Literal, Union, get_args, get_origin

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
)

from unbraid.methods import OptionError, find_method

from .calibrate_command import Calibrate
from .commands import Evaluate, Report, Sample, Train, as_flag
from .compare_command import Compare
from .complete_command import Complete
from .config import Settings
from .listings import Data, Hooks, Methods
from .predict_command import Predict

Command = (
    Train
    | Evaluate
    | Compare
    | Report
    | Sample
    | Complete
    | Calibrate
    | Predict
    | Methods
    | Hooks
    | Data
)
COMMANDS = {kind.__name__.lower(): kind for kind in get_args(Command)}

_ABOUT = """Train disentangling models of images, and judge them by importance-sampled likelihood.

--version tells the version. --debug, with any command, shows where an error came from.

Example: unbraid train vae --data mnist-small --out runs/vae"""
_STYLE = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
)
_POSITIONAL = ("method", "folder", "folders", "name", "source")
_NUMBERS = {int: ("INTEGER", "an integer"), float: ("NUMBER", "a number")}
_REWORDED = (
    (r"^Error parsing (\S+):", r"\1 is"),
    (r"^Missing value for argument '(\S+)'.*", r"\1 is empty; expected a value"),
    (r"^Unrecognized options: (.*)", r"surplus word is \1; expected no more words"),
)
_PLAIN = str.maketrans("│─╰╯", " ---")  # boxes are drawn like this where there is no UTF-8
_registry = ConstructorRegistry()


def parse(words: Sequence[str]) -> Command:
    """Read the words of a command line, without the program's name.

    Raises:
        OptionError: If a command, method, flag or value is not one of those accepted.
        SystemExit: After the help that was asked for.
    """
    if not {"-h", "--help"} & set(words):
        _check_names(words)
    said = StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(
                Command,  # pyright: ignore[reportArgumentType]
                prog="unbraid",
                description=_ABOUT,
                args=words,
                config=_STYLE,
                registry=_registry,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise OptionError(_one_line(said.getvalue())) from None


def _check_names(words: Sequence[str]) -> None:
    """Refuse unknown commands, flags and methods, in this order, with the nearest known ones."""
    if not words:
        raise OptionError(
            f"no command is given; expected one of {', '.join(COMMANDS)}. See unbraid --help"
        )
    command, *rest = words
    _check_known("command", command, list(COMMANDS), "unbraid --help")
    flags = _flags(COMMANDS[command])
    for word in rest:
        if word.startswith("--"):
            flag = as_flag(word.split("=")[0].removeprefix("--"))
            _check_known(f"flag of {command}", flag, flags, f"unbraid {command} --help")
    if command == "train" and rest and not rest[0].startswith("-"):
        find_method(rest[0])


def _check_known(what: str, word: str, known: list[str], help_command: str) -> None:
    if word in known:
        return
    close = get_close_matches(word, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"See {help_command}"
    raise OptionError(f"{what} is {word!r}; expected one of {', '.join(known)}. {hint}")


def _flags(command: type) -> list[str]:
    names = [field.name for field in dataclasses.fields(command)]
    if "settings" in names:
        names += [field.name for field in dataclasses.fields(Settings)]
    return [as_flag(name) for name in names if name not in (*_POSITIONAL, "settings")]


def _one_line(box: str) -> str:
    """What tyro says in a box, between its title and the first rule across it, in our own form."""
    rows = box.translate(_PLAIN).splitlines()[1:]
    said = list(takewhile(lambda row: not _is_rule(row), dropwhile(_is_rule, rows)))
    missing = [row.strip() for row in said if re.match(r" {6}\S", row)]
    if missing:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not given"
    text = " ".join(row.strip() for row in said).rstrip(".")
    for pattern, words in _REWORDED:
        text = re.sub(pattern, words, text)
    return text


def _is_rule(row: str) -> bool:
    return not row.strip(" -")


@_registry.primitive_rule
def _read_scalar(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Read numbers and choices, also those that may be left out, with messages of our own."""
    is_union = get_origin(info.type) in (Union, types.UnionType)
    kinds = [kind for kind in get_args(info.type) if kind is not type(None)]
    kind = kinds[0] if is_union and len(kinds) == 1 else info.type
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        metavar, expected = "{" + ",".join(choices) + "}", f"one of {', '.join(choices)}"
    elif kind in _NUMBERS:
        choices = None
        metavar, expected = _NUMBERS[kind]
    else:
        return None

    def read(words: list[str]) -> Any:
        try:
            return kind(words[0]) if choices is None else choices[choices.index(words[0])]
        except ValueError:
            raise ValueError(f"{words[0]}; expected {expected}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, (int, float, str)),
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )
