"""The examples run as they are, at small sizes."""

import subprocess
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = 'OUT, STEPS, SAMPLES, LIMIT = "run", 30, 5, 20'


def test_the_training_script_runs(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            EXAMPLES / "train_vae.py",
            "--steps",
            "3",
            "--samples",
            "2",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    *_, elbo, log_p = done.stdout.splitlines()
    assert elbo.startswith("elbo ")
    assert log_p.startswith("log p(x) -")
    assert log_p.endswith("nats per digit")


@pytest.fixture
def notebook(tmp_path):
    """The notebook with small sizes, executed in an empty folder."""
    cells = jupytext.read(EXAMPLES / "first_steps.py")
    (sizes,) = [cell for cell in cells.cells if "parameters" in cell.metadata.get("tags", [])]
    sizes.source = SMALL
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(cells, timeout=300, kernel_name="python3", resources=place).execute()
    return cells


def test_the_notebook_runs_and_shows_its_pictures(notebook, tmp_path):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert (tmp_path / "run" / "report.html").is_file()
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5
    printed = "".join(output.get("text", "") for output in outputs)
    assert "100 codes of each of 64 digits: (100, 64, 10)" in printed
    assert str(Path("run", "report.html")) in printed
