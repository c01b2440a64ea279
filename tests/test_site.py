"""The pages that the documentation makes of the code, which `make docs` builds."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from unbraid.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def site(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs/site"))
    names = ("rewriting", "mathml", "method_pages", "generated")
    yield SimpleNamespace(**{name: import_module(name) for name in names})
    for name in names:
        del sys.modules[name]


def docstring_of(site, text: str) -> str:
    lines = text.split("\n")
    site.rewriting.docstring(None, "module", "name", None, None, lines)
    return "\n".join(lines)


def test_docstrings_get_formulas_and_tables(site):
    written = "Of \\( a_b \\), and\n\n\\[ c = d,\n e \\]\n\n| x | y |\n|---|---|\n| 1 | 2 |"
    text = docstring_of(site, written)
    assert ":math:`a_b`" in text
    assert ".. math::\n\n    c = d, e\n" in text
    assert ".. list-table::\n\n   * - x\n     - y\n   * - 1\n     - 2\n" in text
    assert "\\[" not in text
    assert "|" not in text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[a](docs/vitae.md)", "[a](../vitae.md)"),
        ("[docs/vitae.md](docs/vitae.md)", "[](../vitae.md)"),
        ("[b](examples/first_steps.py)", "[b](examples/first_steps.md)"),
        ("[LICENSE](LICENSE)", "`LICENSE`"),
        ("[CHANGELOG.md](CHANGELOG.md)", "[CHANGELOG.md](CHANGELOG.md)"),
        ("[c](https://pyro.ai)", "[c](https://pyro.ai)"),
    ],
)
def test_links_of_the_root_lead_into_the_site(site, written, expected):
    assert site.rewriting.from_root(written) == expected


def test_links_of_a_page_lead_to_copies(site):
    source = ["[a](../CONTRIBUTING.md#b) [c](../examples/own_hook.py) [d](vitae.md)"]
    site.rewriting.links(None, "hooks", source)
    made = "[a](/generated/CONTRIBUTING.md#b) [c](/generated/examples/own_hook.md) [d](vitae.md)"
    assert source == [made]


def test_every_method_has_a_page_with_its_pair_and_options(site, tmp_path):
    pages = site.method_pages.method_pages((ROOT / "README.md").read_text(), tmp_path)
    assert pages.keys() == METHODS.keys()
    for name, page in pages.items():
        assert page.startswith(f"# `{name}`\n"), name
        assert "## Model: `unbraid.models." in page, name
        assert "## Options" in page, name
        assert "\\(" not in page.partition("## Options")[0], name
        assert "```bibtex\n@" in page, name
        assert (tmp_path / f"{name}.png").exists() == ("## Graph" in page), name
    assert "hook `Adversary`" in pages["factor-vae"]
    assert "| `latent_dim` | 10 | integer |" in pages["vae"]


def test_links_of_a_row_to_other_sites_stay(site, tmp_path, monkeypatch):
    linked = "[a](https://pyro.ai) and [b](docs/vitae.md#c)"
    monkeypatch.setattr(site.method_pages, "METHODS", {"vae": METHODS["vae"]})
    page = site.method_pages.method_pages(f"| `vae` | {linked} | p | |", tmp_path)["vae"]
    assert "[A](https://pyro.ai) and [b](../../vitae.md#c)".lower() in page.lower()


def test_a_method_that_the_readme_lacks_is_named(site, tmp_path):
    readme = (ROOT / "README.md").read_text().replace("| `fhvae` |", "| fhvae |")
    with pytest.raises(ValueError, match="lacks \\['fhvae'\\]"):
        site.method_pages.method_pages(readme, tmp_path)


def test_the_interface_has_names_that_are_imported_when_used(site):
    page = site.generated.interface_page("unbraid", "Methods and runs")
    assert ".. autoclass:: unbraid.Run\n" in page
    for name in ("train", "load", "compare", "turn"):
        assert f".. autofunction:: unbraid.{name}\n" in page


def test_notebooks_become_pages(site):
    page = site.generated.example_page(ROOT / "examples/first_steps.py")
    assert page.startswith("# First steps\n")
    assert "```python\nrun = unbraid.train(" in page
    assert "# %%" not in page


def test_formulas_are_mathml(site):
    written = []
    with pytest.raises(Exception) as done:
        site.mathml.inline(SimpleNamespace(body=written), SimpleNamespace(astext=lambda: "a_b"))
    assert type(done.value).__name__ == "SkipNode"
    assert "<msub>" in written[0]
    assert written[0].startswith("<math")


def test_every_page_of_the_folder_is_listed():
    index = (ROOT / "docs/index.md").read_text().splitlines()
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages <= set(index)
