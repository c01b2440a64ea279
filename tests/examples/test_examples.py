"""The examples run as they are, at small sizes."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = {
    "first_steps.py": 'OUT, STEPS, SAMPLES, LIMIT = "run", 30, 5, 20',
    "which_part_is_pose.py": """
OUT, STEPS, SHOWN = "run", 20, 40
DATA, AUGMENT = "mnist-small", {"binarise": "dynamic", "rotate": 20, "translate": 0.1}
""",
    "what_moves.py": """
OUT, STEPS, SHOWN = "run", 10, 12
DATA = "moving-mnist"
DATA_OPTIONS = {"digits": 1, "size": 32, "digit_size": 16, "sequences": 300, "length": 6}
""",
    "content_and_pose.py": """
OUT, STEPS, STEPS_AHEAD, SHOWN = "run", 10, 5, 12
DATA = "moving-mnist"
DATA_OPTIONS = {"form": "drnet", "digits": 1, "size": 32, "digit_size": 16, "sequences": 300}
""",
    "what_labels_say.py": """
OUT, STEPS = "runs", 20
SAMPLES, LIMIT = 5, 10
""",
    "inspect_a_posterior.py": """
OUT, STEPS = "run", 20
DRAWS, CHAIN_DRAWS, WARMUP, DIGITS = 20, 10, 10, 2
SIMULATIONS, RANKED = 100, 19
""",
    "your_own_pair.py": "STEPS, SAMPLES, LIMIT = 5, 3, 10",
    "likelihood_report.py": """
OUT, STEPS = "runs", 5
SAMPLES, LIMIT = 20, 8
CHAINS, TEMPERATURES, ANNEALED = 2, 3, 4
""",
}


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


def test_the_hooks_script_runs(tmp_path):
    words = [sys.executable, "-W", "error", EXAMPLES / "own_hook.py", "--steps", "4"]
    done = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True)
    rows = done.stdout.splitlines()
    assert len(rows) == 4
    assert all("critic's accuracy" in row and "Brightness" in row for row in rows)


def executed(name: str, folder: Path) -> list[Any]:
    """What the cells of a notebook with small sizes put out, run in an empty folder."""
    notebook = jupytext.read(EXAMPLES / name)
    (sizes,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    sizes.source = SMALL[name]
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(outputs: list[Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


def printed(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") for output in outputs)


def test_the_first_steps_run_and_show_their_pictures(tmp_path):
    outputs = executed("first_steps.py", tmp_path)
    assert (tmp_path / "run" / "report.html").is_file()
    assert pictures(outputs) == 5
    assert "100 codes of each of 64 digits: (100, 64, 10)" in printed(outputs)
    assert str(Path("run", "report.html")) in printed(outputs)


def test_the_notebook_on_pose_runs_and_shows_its_pictures(tmp_path):
    outputs = executed("which_part_is_pose.py", tmp_path)
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "run" / "perspective.gif").is_file()
    assert pictures(outputs) == 7
    assert re.search(r"digit from perspective  0\.\d\d \+- 0\.\d\d", printed(outputs))
    assert re.search(r"appearance +\d+\.\d nats", printed(outputs))


def test_the_notebook_on_sequences_runs_and_shows_its_pictures(tmp_path):
    outputs = executed("what_moves.py", tmp_path)
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "run" / "swap.gif").is_file()
    assert pictures(outputs) == 9
    assert "mean of content | static: " in printed(outputs)
    assert re.search(r"log p of 3 frames -?\d+\.\d \+- \d", printed(outputs))


def test_the_notebook_on_content_and_pose_runs_and_shows_its_pictures(tmp_path):
    outputs = executed("content_and_pose.py", tmp_path)
    text = printed(outputs)
    assert (tmp_path / "run" / "codes" / "report.html").is_file()
    assert (tmp_path / "run" / "ahead" / "predicted.gif").is_file()
    assert pictures(outputs) == 8
    assert "mean of content | static: " in text
    for name in ("its own content", "another clip's", "black frames"):
        assert re.search(rf"(?m)^{name} +\d+\.\d\d$", text)
    for name in ("psnr", "sampled_psnr", "copied_psnr"):
        assert re.search(rf"(?m)^{name} +\d+\.\d\d \+- \d+\.\d\d dB$", text)


def test_the_notebook_on_labels_runs_and_shows_its_pictures(tmp_path):
    outputs = executed("what_labels_say.py", tmp_path)
    assert (tmp_path / "runs" / "cvae" / "report.html").is_file()
    assert pictures(outputs) == 7
    text = printed(outputs)
    assert re.search(r"of_samples \{'logistic': 0\.\d+, 'knn': 0\.\d+\}", text)
    assert re.search(r"\{'error': 0\.\d+, 'standard_error': 0\.\d+, 'n': 2000\}", text)
    assert re.search(r"digit from the dynamic code 0\.\d\d\d", text)
    shares = [float(share) for share in re.findall(r"(?m)^\d: (\d\.\d\d\d)$", text)]
    assert len(shares) == 10
    assert abs(sum(shares) - 1) < 0.006  # ten shares, each rounded to 0.0005
    assert "log p(x|c), given a condition: runs/cvae; of the others log p(x)." in text
    assert re.search(r"m2 \{'logistic': ", text)


def test_the_notebook_on_a_pair_of_ones_own_runs(tmp_path):
    outputs = executed("your_own_pair.py", tmp_path)
    text = printed(outputs)
    assert "latent site 'ink' is in the model but not in the guide" in text
    assert len(re.findall(r"log p\(x\) -\d+\.\d\d \+- \d", text)) == 3
    assert len(re.findall(r"ink from `(?:ink|shape)`: R2 -?\d", text)) == 6
    assert text.count("'SaysInk': ") == 2
    assert text.count("'HSIC': ") == 1
    assert pictures(outputs) == 1


def test_the_notebook_on_likelihoods_runs(tmp_path):
    outputs = executed("likelihood_report.py", tmp_path)
    text = printed(outputs)
    assert (tmp_path / "runs" / "vae" / "report.html").is_file()
    assert re.search(r"log p\(x\) -\d+\.\d\d \+- \d+\.\d\d nats, K = 20, n = 8", text)
    assert re.search(r"annealed   -\d+\.\d\d nats, the first 4 images", text)
    assert re.search(r"between -\d+\.\d\d and -\d+\.\d\d nats", text)
    assert "\\begin{tabular}" in text
    assert pictures(outputs) == 2


def test_the_notebook_on_posteriors_runs(tmp_path):
    outputs = executed("inspect_a_posterior.py", tmp_path)
    text = printed(outputs)
    assert re.search(r"effective sample +\[ ?\d+\. +\d+\.\] of 20", text)
    assert re.search(r"the chains' means +\[.+\]", text)
    assert "draws of all digits  (2, 4, 20)" in text
    assert re.search(r"p-value \d", text)
    assert pictures(outputs) == 4
