"""The commands that list methods and data."""

import dataclasses
import inspect
import re
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tyro.conf import Positional, UseAppendAction, arg

from unbraid.data import SOURCES
from unbraid.hooks import HOOKS, find_hook, hook_module
from unbraid.methods import METHODS, load_method

from .commands import by_name
from .console import print_json, print_next, print_table
from .exit_codes import DONE

_WORDS = {int: "integer", float: "number", bool: "true or false", str: "text", Path: "path"}


@dataclass(frozen=True)
class Methods:
    """List the methods, or the options of one.

    Example: unbraid methods vae

    Args:
        name: A method, for its options.
        json: Print one JSON document.
    """

    name: Annotated[Positional[str | None], arg(metavar="METHOD")] = None
    json: bool = False

    def run(self) -> int:
        """Print the list; returns the exit code."""
        if self.name is None:
            summaries = {name: entry.summary for name, entry in METHODS.items()}
            if self.json:
                print_json(summaries)
            else:
                print_table(list(summaries.items()))
                print_next(f"unbraid methods {next(iter(summaries))}")
            return DONE
        method = load_method(self.name)
        options = describe_options(method.options)
        if self.json:
            print_json({"name": method.name, "summary": method.summary, "options": options})
            return DONE
        print(f"{method.name}: {method.summary}\n")
        rows = [(o["name"], o["default"], o["type"], o["help"]) for o in options]
        print_table([("option", "default", "values", "meaning"), *rows])
        print_next(f"unbraid train {self.name} {method.example} --out runs/{self.name}")
        return DONE


@dataclass(frozen=True)
class Hooks:
    """List the loss hooks that can join methods, or the options of one.

    All but `scene`, which is of sequences, join methods that have a code of each image.

    Example: unbraid hooks factor

    Args:
        name: A hook, for its options.
        json: Print one JSON document.
    """

    name: Annotated[Positional[str | None], arg(metavar="HOOK")] = None
    json: bool = False

    def run(self) -> int:
        """Print the list; returns the exit code."""
        if self.name is None:
            summaries = {name: entry.summary for name, entry in HOOKS.items()}
            if self.json:
                print_json(summaries)
            else:
                print_table(list(summaries.items()))
                print_next("unbraid hooks factor")
            return DONE
        summary = find_hook(self.name).summary
        options = describe_options(hook_module(self.name).Options)
        if self.json:
            print_json({"name": self.name, "summary": summary, "options": options})
            return DONE
        print(f"{self.name}: {summary}\n")
        rows = [(o["name"], o["default"], o["type"], o["help"]) for o in options]
        print_table([("option", "default", "values", "meaning"), *rows])
        first = options[0]
        words = getattr(hook_module(self.name), "EXAMPLE", "vae --data mnist-small --out runs/vae")
        print_next(f"unbraid train {words} --hook {self.name}:{first['name']}={first['default']}")
        return DONE


@dataclass(frozen=True)
class Data:
    """List the sets that are known by name, or describe one, or data of your own.

    Of data that are loaded, each factor is said to be of classes or continuous, and those options
    are listed which the data accept.

    Example: unbraid data digits.npz

    Args:
        source: A name, or a path of your own: an .npz file, a folder of images, of frame folders
            or of videos, or idx files.
        data_set: Options of the data, such as sequences=true for a folder of frame folders.
        json: Print one JSON document.
    """

    source: Annotated[Positional[str | None], arg(metavar="NAME|PATH")] = None
    data_set: Annotated[
        UseAppendAction[tuple[tuple[str, ...], ...]], arg(metavar="KEY=VALUE [KEY=VALUE ...]")
    ] = ()
    json: bool = False

    def run(self) -> int:
        """Print the list or the description; returns the exit code."""
        if self.source is None:
            known = {name: dataclasses.asdict(source) for name, source in SOURCES.items()}
            if self.json:
                print_json(known)
            else:
                print_table([(name, source.summary) for name, source in SOURCES.items()])
                print_next("unbraid train vae --data mnist-small --out runs/vae")
            return DONE
        given = by_name("--data-set", self.data_set, f"unbraid data {self.source}")
        facts, factors, options = _facts(self.source, given)
        if self.json:
            known = {} if factors is None else {"factors": factors}
            print_json({**facts, **known, "options": options})
            return DONE
        print_table([(name, _in_words(value)) for name, value in facts.items()])
        if factors:
            print()
            rows = [(factor["name"], factor["of"], _kind_in_words(factor)) for factor in factors]
            print_table([("factor", "of", "values"), *rows])
            if self.source not in SOURCES:
                print("integers are read as classes, floats as continuous")
        if options:
            print("\noptions, set by --data-set:")
            rows = [(o["name"], o["default"], o["type"], o["help"]) for o in options]
            print_table([("option", "default", "values", "meaning"), *rows])
        return DONE


def describe_options(kind: type) -> list[dict[str, str]]:
    """Return name, default, accepted values and meaning of each field of an options dataclass.

    Args:
        kind: A dataclass; the meanings come from the `Args` of its docstring and of its bases'.
    """
    hints, meanings = get_type_hints(kind), _meanings(kind)
    return [
        {
            "name": field.name,
            "default": _in_words(field.default),
            "type": _values(hints[field.name]),
            "help": meanings.get(field.name, ""),
        }
        for field in dataclasses.fields(kind)
    ]


def _facts(
    source: str, given: dict[str, str]
) -> tuple[dict[str, Any], list[dict[str, Any]] | None, list[dict[str, str]]]:
    """What is known of data, of their factors, and their options.

    Those with a name are only made where options are given; their factors are not told else.
    """
    from unbraid.data import accepted_options, describe, factor_kinds, load, options_of

    if source in SOURCES and not given:
        facts = {"name": source, **dataclasses.asdict(SOURCES[source])}
        return facts, None, _data_options(source, options_of(source))
    splits = load(source, options=given)
    facts = {
        "name": splits.train.name,
        "shape": splits.train.shape,
        "kind": splits.train.kind,
        "train": describe(splits.train),
        "validation": describe(splits.validation),
        "test": describe(splits.test),
    }
    options = accepted_options(source, splits, given)
    return facts, factor_kinds(splits), _data_options(source, options)


def _kind_in_words(factor: dict[str, Any]) -> str:
    if factor["kind"] == "classes":
        return "1 class" if factor["classes"] == 1 else f"{factor['classes']} classes"
    low, high = factor["range"]
    return f"continuous, {low:g} to {high:g}"


def _data_options(source: str, options: dict[str, inspect.Parameter]) -> list[dict[str, str]]:
    """Return name, default, accepted values and meaning of options of data."""
    from unbraid.data import makers_of

    hints: dict[str, Any] = {}
    meanings: dict[str, str] = {}
    for maker in makers_of(source):
        hints |= get_type_hints(maker)
        meanings |= _read_args(maker.__doc__)
    return [
        {
            "name": name,
            "default": _in_words(parameter.default),
            "type": _values(hints[name]),
            "help": meanings.get(name, ""),
        }
        for name, parameter in options.items()
    ]


def _meanings(kind: type) -> dict[str, str]:
    meanings: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        meanings |= _read_args(base.__doc__)
    return meanings


def _read_args(docstring: str | None) -> dict[str, str]:
    """Return what the section `Args` of a docstring says of each name."""
    _, _, text = inspect.cleandoc(docstring or "").partition("Args:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in found}


def _values(hint: Any) -> str:
    """The values that a type annotation accepts, in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(arguments)
    if origin is tuple:
        return f"{_values(arguments[0])}s, comma-separated"
    if origin in (Union, types.UnionType):
        words = [_values(kind) for kind in arguments if kind is not type(None)]
        return " or ".join([*words, "none"] if type(None) in arguments else words)
    return _WORDS.get(hint, str(hint))


def _in_words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
