"""What Sphinx reads otherwise than readers of the repository: links, formulas and tables."""

import re
from typing import Any

PAGES = {
    "../README.md": "generated/README",
    "../CONTRIBUTING.md": "generated/CONTRIBUTING",
    "../CHANGELOG.md": "generated/CHANGELOG",
    "../CODE_OF_CONDUCT.md": "generated/CODE_OF_CONDUCT",
}
"""Pages outside of the folder that are copied into it, and where."""
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
FORMULA = re.compile(r"\\\((.+?)\\\)", re.DOTALL)
TABLE = re.compile(r"^( *)(\|.*)\n *\|[-|]+\n((?: *\|.*(?:\n|$))+)", re.MULTILINE)
SHOWN_FORMULA = re.compile(r"^( *)\\\[(.+?)\\\]", re.DOTALL | re.MULTILINE)


def links(app: object, docname: str, source: list[str]) -> None:
    """Let links to files outside of the folder lead to their copies, or be their names alone."""
    if not docname.startswith("generated/"):
        source[0] = LINK.sub(_inside, source[0])


def _inside(link: re.Match[str]) -> str:
    target = link[1]
    if target in PAGES:
        return f"](/{PAGES[target]}.md{link[2] or ''})"
    example = re.fullmatch(r"\.\./examples/(\w+)\.py", target)
    if example:
        return f"](/generated/examples/{example[1]}.md)"
    return link[0]


def from_root(text: str) -> str:
    """Return a page of the repository's root with links as of the folder `docs/generated`."""

    def moved(link: re.Match[str]) -> str:
        target = link[1]
        if target.startswith("docs/"):
            return f"](../{target.removeprefix('docs/')}{link[2] or ''})"
        example = re.fullmatch(r"examples/(\w+)\.py", target)
        if example:
            return f"](examples/{example[1]}.md)"
        return link[0]

    text = LINK.sub(moved, re.sub(r"\[(docs/[\w-]+\.md)\]\(\1\)", r"[](\1)", text))  # titles
    return re.sub(r"\[([\w.]+)\]\(\1\)", lambda link: _page_or_name(link[1]), text)


def _page_or_name(name: str) -> str:
    """A link to another page of the root; files that are no pages are only named."""
    return f"[{name}]({name})" if f"../{name}" in PAGES else f"`{name}`"


def docstring(
    app: object, what: str, name: str, thing: object, options: Any, lines: list[str]
) -> None:
    """Write formulas and tables as reStructuredText does; a docstring has LaTeX and Markdown."""
    text = TABLE.sub(_table, "\n".join(lines))
    text = SHOWN_FORMULA.sub(_shown, text)
    text = FORMULA.sub(lambda found: f":math:`{' '.join(found[1].split())}`", text)
    lines[:] = text.split("\n")


def _shown(found: re.Match[str]) -> str:
    indent, formula = found[1], " ".join(found[2].split())
    return f"{indent}.. math::\n\n{indent}    {formula}\n"


def _table(found: re.Match[str]) -> str:
    indent = found[1]
    lines = [f"{indent}.. list-table::", ""]
    for row in [found[2], *found[3].splitlines()]:
        for place, cell in enumerate(row.strip().strip("|").split(" | ")):
            lines.append(f"{indent}   {'*' if place == 0 else ' '} - {cell.strip()}")
    return "\n".join([*lines, "", ""])
