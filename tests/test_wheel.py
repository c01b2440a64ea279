"""The built wheel, made by way of the source archive as a release is."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
    "package-dir"
]
OTHER_FILES = (
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "NOTICE",
    "README.md",
    "constraints.txt",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build in a copy, so that nothing is left in the checkout."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "MANIFEST.in", *OTHER_FILES):
        shutil.copy(ROOT / name, copy)
    for folder in {path.split("/")[0] for path in PACKAGES.values()} | {"tests", "examples"}:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy],
        check=True,
        capture_output=True,
    )
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert names >= {*OTHER_FILES, "pyproject.toml", "unbraid/__init__.py", "models/vae.py"}
    assert not {name for name in names if name.startswith(("tests", "examples"))}
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_the_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names - ours} == {
        wheel.name[: -len("-py3-none-any.whl")] + ".dist-info"
    }
    expected = {
        f"{package.replace('.', '/')}/{path.name}"
        for package, folder in PACKAGES.items()
        for path in (ROOT / folder).glob("*.py")
    }
    files = {
        "unbraid/py.typed",
        "unbraid/data/mnist_small.npz",
        "unbraid/data/body_mesh.npz",
        "unbraid/analysis/comparison.html",
        "unbraid/analysis/model_card.md",
        "unbraid/analysis/page_head.html",
        "unbraid/analysis/report.html",
    }
    assert ours == expected | files


def test_the_wheel_works_without_the_checkout(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = (
        "import unbraid, unbraid.models; from unbraid.data import load;"
        "print(unbraid.__file__, unbraid.models.__file__, len(load('mnist-small').test))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    face, models, count = done.stdout.split()
    assert Path(face) == tmp_path / "unbraid/__init__.py"
    assert Path(models) == tmp_path / "unbraid/models/__init__.py"
    assert count == "2000"
