"""A page for each method: what README says of it, its pair, objective and options."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import torch
from rewriting import LINK, from_root

from unbraid import guides, models
from unbraid.analysis import graph_figure
from unbraid.listings import describe_options
from unbraid.methods import METHODS, DataSpec, Method, Parts, load_method, read_options

IMAGES = DataSpec(
    (1, 28, 28), "binary", 1000, classes=10, factor_sizes=(2, 3), factor_names=("domain", "colour")
)
CLIPS = DataSpec((3, 32, 32), "colour", 1000, classes=10, sequence_length=36)
DOCS = Path(__file__).resolve().parents[1]
SITES = re.compile(r"^Sites: .*?(?=\n\n)", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"(?<!\\)\|")  # of README's table: names, what it is, paper, reproduced


def method_pages(readme: str, folder: Path) -> dict[str, str]:
    """Return the text of each method's page, and write the pictures of them into a folder.

    Raises:
        ValueError: If README's table lacks a method.
    """
    rows = {}
    for line in readme.splitlines():
        names, *cells = [cell.strip() for cell in CELL.split(line)][1:-1] or [""]
        if len(cells) == 3 and names.startswith("`"):
            for name in re.findall(r"`([\w-]+)`", names):
                rows[name] = [LINK.sub(r"](../\1\2)", from_root(cell)) for cell in cells]
    missing = METHODS.keys() - rows.keys()
    if missing:
        raise ValueError(f"README's table of methods lacks {sorted(missing)}; add a row for each")
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _page(load_method(name), folder, *rows[name]) for name in METHODS}


def _page(method: Method, folder: Path, what: str, paper: str, reproduced: str) -> str:
    parts, data = _built(method)
    pieces = [f"# `{method.name}`", f"{what[0].upper()}{what[1:]}.", f"**Source:** {paper}."]
    if reproduced:
        pieces.append(f"**Reproduced:** {reproduced}.")
    train = f"unbraid train {method.name} --data NAME --out runs/{method.name}"
    pieces.append(f"```\n{train}\nunbraid methods {method.name}\n```")
    for role, program in zip(("Model", "Guide"), _programs(method, parts), strict=True):
        module = importlib.import_module(program.__module__)
        pieces.append(f"## {role}: `unbraid.{role.lower()}s.{program.__name__}`")
        pieces.append(_in_markdown(module.__doc__))
        sites = SITES.search(inspect.cleandoc(program.__doc__ or ""))
        if sites:
            pieces.append(sites[0])
    if parts is not None:
        save_graph(parts, data, folder / f"{method.name}.png")
        pieces += ["## Graph", f"![The graph of the pair]({method.name}.png)"]
        pieces += ["## Objective", _objective(parts)]
    picture = _picture(what)
    pieces += ["## Picture", picture] if picture else []
    pieces += ["## Options", _options(method), "## Citation", f"```bibtex\n{method.citation}\n```"]
    return "\n\n".join(pieces) + "\n"


def _picture(what: str) -> str:
    """The first picture of the page that a row links to, which may be one of a related method."""
    page = re.search(r"\]\(\.\./\.\./([\w-]+)\.md\)", what)
    image = page and re.search(r"!\[(.+?)\]\((images/.+?)\)", (DOCS / f"{page[1]}.md").read_text())
    if not page or not image:
        return ""
    return f"![{image[1]}](../../{image[2]})\n\n{image[1]}, from [](../../{page[1]}.md)."


def _built(method: Method) -> tuple[Parts | None, DataSpec]:
    """The method for small data of either kind; None where it needs another run."""
    for data in (IMAGES, CLIPS):
        try:
            return method.build(read_options(method.options, {}), data), data
        except ValueError:
            continue
    return None, IMAGES


def save_graph(parts: Parts, data: DataSpec, path: Path) -> None:
    """Draw the graph of a pair that is called with two data that mean nothing."""
    frames = () if data.sequence_length is None else (3,)
    x = torch.rand(2, *frames, *data.shape).round()
    values = {
        "x": x,
        "label": torch.zeros(2, dtype=torch.long),
        "factors": torch.zeros(2, len(data.factor_sizes), dtype=torch.long),
        "index": torch.arange(2),
        "length": torch.full((2,), 3),
        "actions": torch.zeros(2, 3),
    }
    arguments = [values[key] for key in parts.inspected]
    graph_figure(parts.model, parts.guide, *arguments).savefig(path)


def _programs(method: Method, parts: Parts | None) -> tuple[type, type]:
    """The classes of the pair; of methods that are not built, those in the files of its name."""
    if parts is not None:
        return type(parts.model), type(parts.guide)
    file = METHODS[method.name].module
    kinds = [*vars(models).values(), *vars(guides).values()]
    of_file = [k for k in kinds if getattr(k, "__module__", "").endswith(f".{file}")]
    return of_file[0], of_file[1]


def _objective(parts: Parts) -> str:
    lines = [
        "The loss is the mean over data of -log p(x | latents) and of the divergence of each "
        "latent site, in nats; of sites that are points there is no divergence."
    ]
    for site, weight in parts.weights.items():
        lines.append(f"- divergence of `{site}`: weight `{_in_words(weight)}`")
    for hook in parts.hooks:
        first = inspect.cleandoc(type(hook).__doc__ or "").partition("\n")[0]
        lines.append(f"- hook `{type(hook).__name__}`: {first}")
    if parts.remark:
        lines.append(f"\n{parts.remark}")
    return "\n".join(lines)


def _in_words(weight: Any) -> str:
    return f"{weight:g}" if isinstance(weight, int | float) else type(weight).__name__


def _options(method: Method) -> str:
    rows = [
        (f"`{o['name']}`", o["default"] or "", o["type"], o["help"])
        for o in describe_options(method.options)
    ]
    table = ["| option | default | values | meaning |", "|---|---|---|---|"]
    table += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(table)


def _in_markdown(docstring: str | None) -> str:
    text = inspect.cleandoc(docstring or "")
    text = re.sub(r"\\\[(.+?)\\\]", r"\n```{math}\n\1\n```\n", text, flags=re.DOTALL)
    return re.sub(r"\\\((.+?)\\\)", r"{math}`\1`", text, flags=re.DOTALL)
