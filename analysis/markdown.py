"""Text that is not ours in Markdown and YAML, where it may be anything and must stay text."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from string import punctuation
from typing import Any

LONGEST = 200
"""Letters of a text within a line, beyond which it is cut."""
_MARKS = set(punctuation) - set("-,")  # which mean something at the start of a line alone
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # controls, marks of direction, surrogates


def visible(text: str) -> str:
    """Replace letters that are not seen, or break lines or files, by U+FFFD; keep newlines."""
    return "".join(
        letter if letter == "\n" or unicodedata.category(letter) not in _UNSEEN else "\ufffd"
        for letter in text.replace("\r\n", "\n").replace("\t", " ")
    )


def one_line(text: object) -> str:
    """Return a text as one line of seen letters, cut where it is long."""
    line = " ".join(visible(str(text)).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def inline(text: object) -> str:
    """Return a text in which nothing is markup, for within a line: punctuation is escaped.

    Source: CommonMark 0.31, section 2.4, by which any ASCII punctuation can be.
    """
    line = one_line(text)
    return _started("".join(f"\\{letter}" if letter in _MARKS else letter for letter in line))


def prose(text: object) -> str:
    """Return words of ours that may quote other text: what opens markup or links is escaped.

    Unlike `inline`, it leaves brackets and dots as they are, so that the file reads well too.
    """
    line = re.sub(r"[\\`*_\[\]<>&|$~@]", lambda found: f"\\{found[0]}", one_line(text))
    return line.replace("://", ":\\/\\/").replace("www.", "www\\.")


def sentence(text: object) -> str:
    """Return `prose` for a line of its own."""
    return _started(prose(text))


def _started(line: str) -> str:
    """Escape what means something at the start of a line: rules, items and headings."""
    return re.sub(r"^(\d*)([-+=#.)])", r"\1\\\2", line)


def code(text: object) -> str:
    """Return a text as a code span, delimited by more backticks than it holds in a row."""
    line = one_line(text) or " "
    mark = "`" * (1 + _longest_run(line))
    pad = " " if line.startswith("`") or line.endswith("`") or line == " " else ""
    return f"{mark}{pad}{line}{pad}{mark}"


def fence(text: str, language: str = "") -> str:
    """Return a text as a code block, fenced by more backticks than it holds in a row."""
    shown = visible(text).strip("\n")
    mark = "`" * max(3, 1 + _longest_run(shown))
    return f"{mark}{language}\n{shown}\n{mark}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def front_matter(values: Mapping[str, Any]) -> str:
    """Return lines of YAML, a key each, whose values are in the notation of JSON.

    JSON is YAML: strings are quoted, so that none of them is taken for anything else.

    Raises:
        ValueError: If a number is not finite.
    """
    return "\n".join(
        f"{key}: {json.dumps(_cleaned(value), ensure_ascii=False, allow_nan=False)}"
        for key, value in values.items()
    )


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {one_line(key): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list | tuple) else value


FILTERS: dict[str, Callable[..., str]] = {
    "code": code,
    "fence": fence,
    "inline": inline,
    "prose": prose,
    "sentence": sentence,
}
"""What templates of Markdown call them."""
