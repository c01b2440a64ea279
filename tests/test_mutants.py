"""The catalogue of mutants fits the code: every bug that it seeds has a place to go to."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_every_mutant_can_be_seeded(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    mutants = importlib.import_module("tests.mutation.catalogue").MUTANTS
    for mutant in mutants:
        source = (ROOT / mutant.file).read_text()
        assert mutant.apply(source) != source
    assert len({mutant.name for mutant in mutants}) == len(mutants) > 100
    assert f"holds {len(mutants)} bugs today" in (ROOT / "docs/verification.md").read_text()
    with pytest.raises(ValueError, match="its old text occurs 0 times"):
        mutants[0].apply("nothing of the kind")
