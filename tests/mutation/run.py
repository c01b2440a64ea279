"""Seed the catalogue's bugs, one at a time, into a copy and see which tests notice.

    python -m tests.mutation.run [--only NAME] [--json FILE]

Nothing in the working tree is changed. The tests run with the copy's folders as `unbraid`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .catalogue import MUTANTS
from .mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("analysis", "data", "guides", "inference", "models", "nets")
TESTED = (
    "inference",
    "nets",
    "models",
    "guides",
    "unbraid/test_methods.py",
    "unbraid/test_hooks_by_name.py",
)
# Tests of files and processes know no estimator, and may fail for reasons of their own.
LEFT_OUT = ("atomic", "checkpoint", "faults", "interrupts", "lock")
TIME_LIMIT = 900  # seconds for one mutant


class Outcome(NamedTuple):
    """What became of one mutant.

    Args:
        name: The mutant's name.
        killed_by: The first test that failed; empty where all passed.
        reason: The first line of its error.
        seconds: How long the tests ran.
    """

    name: str
    killed_by: str
    reason: str
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all mutants, or those named; return 1 if one survives, 2 if the tests fail without."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description=__doc__)
    names = [mutant.name for mutant in MUTANTS]
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="NAME",
        help="name of a mutant; may be repeated",
    )
    parser.add_argument("--json", type=Path, help="file for the outcomes")
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTANTS if not options.only or m.name in options.only]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "copy"
        make_copy(copy)
        refuse_another_source(copy)
        unharmed = run_tests(copy, "no mutant", ordered_tests(copy, ""))
        if unharmed.killed_by:
            print(f"the tests fail without a mutant: {unharmed.killed_by}: {unharmed.reason}")
            return 2
        print(f"{'no mutant':32} passes ({unharmed.seconds:.0f} s)", flush=True)
        outcomes = [tried(copy, mutant) for mutant in chosen]
    if options.json:
        options.json.write_text(json.dumps([o._asdict() for o in outcomes], indent=1) + "\n")
    killed = sum(bool(outcome.killed_by) for outcome in outcomes)
    print(f"killed {killed} of {len(outcomes)}")
    return int(killed < len(outcomes))


def make_copy(copy: Path) -> None:
    """Copy the sources, and lay links so that the copy's folders import as `unbraid.NAME`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    for name in PACKAGES:
        (copy / "unbraid" / name).symlink_to(copy / name, target_is_directory=True)


def environment(copy: Path) -> dict[str, str]:
    """Environment in which the copy comes first; stale bytecode could hide a mutant."""
    return {
        **os.environ,
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "300",  # pytest cuts reasons to the width of the terminal
    }


def refuse_another_source(copy: Path) -> None:
    """Make sure that what is imported is the copy, not an installed package.

    Raises:
        RuntimeError: If a package comes from somewhere else.
    """
    names = ["unbraid", *(f"unbraid.{name}" for name in PACKAGES)]
    program = f"import importlib; [print(importlib.import_module(n).__file__) for n in {names}]"
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, cwd=copy, env=environment(copy), check=True, capture_output=True, text=True
    ).stdout.split()
    strangers = [path for path in found if not Path(path).is_relative_to(copy)]
    if strangers or len(found) != len(names):
        raise RuntimeError(f"imported {strangers or found}; expected files in {copy}")


def ordered_tests(copy: Path, file: str) -> list[str]:
    """Test files, those that are most likely to notice a change of `file` first."""
    folder, stem = Path(file).parent.name, Path(file).stem
    paths: list[Path] = []
    for name in TESTED:
        place = copy / "tests" / name
        paths += sorted(place.glob("test_*.py")) if place.is_dir() else [place]
    prefixes = tuple(f"test_{word}" for word in LEFT_OUT)
    kept = [path for path in paths if not path.stem.startswith(prefixes)]

    def rank(path: Path) -> tuple[bool, bool]:
        return not path.stem.startswith(f"test_{stem}"), path.parent.name != folder

    return [str(path.relative_to(copy)) for path in sorted(kept, key=rank)]


def tried(copy: Path, mutant: Mutant) -> Outcome:
    """Seed one mutant into the copy, run the tests, and take it out again."""
    path = copy / mutant.file
    source = path.read_text()
    path.write_text(mutant.apply(source))
    try:
        outcome = run_tests(copy, mutant.name, ordered_tests(copy, mutant.file))
    finally:
        path.write_text(source)
    verdict = f"killed by {outcome.killed_by}" if outcome.killed_by else "SURVIVED"
    print(f"{mutant.name:32} {verdict} ({outcome.seconds:.0f} s)", flush=True)
    return outcome


def run_tests(copy: Path, name: str, tests: list[str]) -> Outcome:
    """Run quick tests until one fails."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow"]
    command += ["-p", "no:cacheprovider", *tests]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment(copy),
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return Outcome(name, "the time limit", "", TIME_LIMIT)
    seconds = round(time.monotonic() - start, 1)
    if done.returncode == 0:
        return Outcome(name, "", "", seconds)
    failure = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", done.stdout, re.MULTILINE)
    if failure is None:
        return Outcome(name, "no test: pytest itself", done.stdout[-300:] + done.stderr, seconds)
    return Outcome(name, failure[1], failure[2] or "", seconds)


if __name__ == "__main__":
    sys.exit(main())
