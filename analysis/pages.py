"""What all pages share: templates, those of HTML escape every text, and figures as PNG."""

from functools import cache
from io import BytesIO
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from matplotlib.figure import Figure

from . import markdown


@cache
def template(name: str) -> Template:
    """Return a template of this folder.

    One of HTML escapes every text; in one of Markdown each goes through a filter of `markdown`.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(markdown.FILTERS)
    return environment.get_template(name)


def figure_png(figure: Figure) -> bytes:
    """Return a figure as PNG; equal figures are equal files."""
    buffer = BytesIO()
    # Without the version of Matplotlib.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
