"""Pages that are made of the code, the notebooks, and the pages of the repository's root."""

import shutil
from pathlib import Path

import jupytext
from method_pages import method_pages
from rewriting import PAGES, from_root

import unbraid

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "unbraid": "Methods and runs",
    "unbraid.models": "Models",
    "unbraid.guides": "Guides",
    "unbraid.nets": "Nets and likelihoods",
    "unbraid.transforms": "Warps",
    "unbraid.inference": "Inference",
    "unbraid.analysis": "Analysis",
    "unbraid.data": "Data",
}


def write_pages(folder: Path) -> None:
    """Write all of them anew into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for source, page in PAGES.items():
        text = from_root((ROOT / source.removeprefix("../")).read_text())
        write(folder / f"{Path(page).name}.md", text)
    for path in sorted((ROOT / "examples").glob("*.py")):
        write(folder / "examples" / f"{path.stem}.md", example_page(path))
    for package, title in PACKAGES.items():
        page = folder / "interface" / f"{package.rpartition('.')[2]}.md"
        write(page, interface_page(package, title))
    for name, page in method_pages((ROOT / "README.md").read_text(), folder / "methods").items():
        write(folder / "methods" / f"{name}.md", page)


def interface_page(package: str, title: str) -> str:
    """Return the page of a package: all of its public names, by their docstrings."""
    lines = [f".. automodule:: {package}"]
    if package == "unbraid":  # its names are imported when they are used, so autodoc sees none
        names = [name for name in unbraid.__all__ if not name.startswith("_")]
        kinds = ["class" if name[0].isupper() else "function" for name in names]
        lines += [f".. auto{k}:: unbraid.{n}" for k, n in zip(kinds, names, strict=True)]
    body = "\n\n".join(lines)
    return f"# {title}: `{package}`\n\n```{{eval-rst}}\n{body}\n```\n"


def example_page(path: Path) -> str:
    """Return a notebook as a page, or a script as one block."""
    text = path.read_text()
    if text.startswith("# %%"):
        cells = jupytext.reads(text, fmt="py:percent").cells
        pieces = [
            cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
            for cell in cells
        ]
        return "\n\n".join(pieces) + "\n"
    title = text.removeprefix('"""').partition("\n")[0]
    return f"# {title}\n\n```python\n{text}```\n"


def write(path: Path, text: str) -> None:
    """Write a page, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
