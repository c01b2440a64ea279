"""The Python in the documents runs, at small sizes."""

import copy
import re
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SIZES = {
    "range(1000)": "range(3)",
    "range(100)": "range(3)",
    "samples=1000": "samples=2",
    "samples=500": "samples=2",
    "epochs=20": "steps=3",
    "steps=1500": "steps=3",
    "temperatures=500": "temperatures=3",
    '"sequences": 1000': '"sequences": 200',
}


NOT_RUN = {"docs/design.md", "docs/sequences.md"}  # sketches, and films of one's own


def documents() -> list[str]:
    """Return the documents that hold Python."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    named = (str(page.relative_to(ROOT)) for page in pages if "\n```python\n" in page.read_text())
    return [name for name in named if name not in NOT_RUN]


def python_of(document: str) -> list[str]:
    """Return the blocks of Python of a document, with fewer steps and samples."""
    text = (ROOT / document).read_text()
    for written, small in SIZES.items():
        text = text.replace(written, small)
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


@pytest.mark.parametrize("document", documents())
def test_it_runs(document, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = python_of(document)
    assert blocks
    names: dict[str, Any] = {"__name__": "document"}
    for block in blocks:
        exec(compile(block, document, "exec"), names)
    if document == "README.md":
        assert (tmp_path / "runs/vae/report.html").is_file()
        assert re.search(r"log p\(x\) -\d+\.\d\d \+- \d", capsys.readouterr().out)


@pytest.mark.parametrize("trap", ["not registered", "names in use"])
def test_stock_pyro_trains_nothing_in_the_traps(trap):
    """What docs/stock-pyro.md warns of is so."""
    setting, training, _ = python_of("docs/stock-pyro.md")
    names: dict[str, Any] = {}
    exec(setting, names)
    modules = torch.nn.ModuleList([names["model"], names["guide"]])
    before = [p.detach().clone() for p in modules.parameters()]
    if trap == "not registered":
        training = training.replace(
            "return lambda *args: pyro.module(name, module)(*args)", "return module"
        )
    else:
        training = training.replace("pyro.clear_param_store()", "")
        stored = names | {name: copy.deepcopy(names[name]) for name in ("model", "guide")}
        exec(training, stored)
    exec(training, names)
    pyro.clear_param_store()
    assert names["step"] > 0
    for old, new in zip(before, modules.parameters(), strict=True):
        assert torch.equal(old, new)
