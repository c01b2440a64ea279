"""Comparisons pair values of the same datum, say where they cannot, and escape every name."""

import csv
from html.parser import HTMLParser
from io import StringIO
from math import nan, sqrt
from typing import Any

import numpy as np
import pytest

from unbraid.analysis import (
    JudgedRun,
    compare,
    comparison_chart,
    comparison_csv,
    comparison_latex,
    comparison_page,
    comparison_text,
    comparison_values,
)

RANDOM = np.random.default_rng(0)
HARD = RANDOM.normal(-90.0, 20.0, 50)  # how likely each datum is, by any model


def run(name: str, values: Any, of: str = "digits test", **more: Any) -> Any:
    values = np.asarray(values, float)
    evaluation: Any = {
        "log_likelihood": float(HARD.mean()),
        "log_likelihood_se": float(HARD.std(ddof=1) / sqrt(50)),
        "elbo": float(HARD.mean()) - 5.0,
        "elbo_se": 1.0,
        "bits_per_dimension": 0.2,
        "likelihood": "bernoulli",
        "n": len(values),
        "samples": 100,
        "seed": 0,
        "split": "test",
        **more,
    }
    return JudgedRun(name, "vae", "digits", evaluation, values, of)


def rows_of(*runs: Any, **settings: Any) -> Any:
    return compare(runs, **settings).rows


def test_differences_are_paired():
    """A shift of 1 with a little noise is clear, although the means' errors are far larger."""
    noise = RANDOM.normal(0.0, 0.1, 50)
    base, better = run("base", HARD), run("better", HARD + 1.0 + noise)
    first, second = rows_of(base, better)
    assert first.difference is None and first.reason == ""
    told = second.difference
    assert told.mean == pytest.approx(1.0 + noise.mean(), abs=1e-12)
    assert told.standard_error == pytest.approx(noise.std(ddof=1) / sqrt(50), abs=1e-12)
    assert (told.count, told.is_clear) == (50, True)
    assert told.standard_error < base.evaluation["log_likelihood_se"] / 50
    [turned, _] = rows_of(base, better, against=1)
    assert turned.difference.mean == pytest.approx(-told.mean)


def test_data_that_one_did_not_judge_do_not_count():
    whole, first = run("whole", HARD), run("first", HARD[:20] + 2.0)
    told = rows_of(whole, first)[1].difference
    assert (told.mean, told.count) == (pytest.approx(2.0), 20)
    lost = HARD + 1.0
    lost[3] = -np.inf
    lost[5] = nan
    told = rows_of(whole, run("lost", lost))[1].difference
    assert (told.mean, told.count, told.is_clear) == (pytest.approx(1.0), 48, True)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (run("b", HARD, of="digits validation"), "judged on other data"),
        (run("b", HARD, bits_per_dimension=None), "densities of other values"),
        (run("b", HARD, is_likelihood=False, likelihood="bernoulli-grey"), "not a likelihood"),
        (JudgedRun("b", "vae", "digits", run("b", HARD).evaluation), "values of single data of b"),
        (run("b", HARD[:1]), "fewer than two data"),
    ],
)
def test_what_cannot_be_compared_is_said(other, reason):
    row = rows_of(run("a", HARD), other)[1]
    assert row.difference is None
    assert row.reason.startswith(reason)
    assert row.reason in comparison_text(compare([run("a", HARD), other]))


def test_other_conditions_are_not_compared():
    first, same, other = (run(n, HARD, given=[c]) for n, c in zip("abc", "xxy", strict=True))
    _, alike, unlike = rows_of(first, same, other)
    assert alike.difference is not None and unlike.difference is None
    assert unlike.reason == "given other conditions"


def test_bounds_of_one_kind_are_compared():
    kind = {"is_likelihood": False, "likelihood": "bernoulli-grey"}
    row = rows_of(run("a", HARD, **kind), run("b", HARD + 1, **kind))[1]
    assert row.difference.mean == pytest.approx(1.0)


def test_notes_say_what_the_numbers_do_not():
    told = compare(
        [run("a", HARD), run("b", HARD, samples=5), run("c", HARD, given=["label"], remark="Hm.")]
    )
    text = comparison_text(told)
    assert "Numbers of samples K differ" in text
    assert "log p(x|c), given a condition: c" in text and "(given c)" in text
    assert "c: Hm." in text
    assert not compare([run("a", HARD), run("b", HARD)]).notes


def test_csv_holds_plain_numbers_and_scores_of_codes():
    codes = {"of": {"z": {"scores": {"sap": 0.25}, "told": {"place": {"score": {"knn": 0.5, "logistic": 0.75}}}}}}  # noqa: E501  # fmt: skip
    told = compare([run("a", HARD), run("=b()", HARD + 1.0, codes=codes)])
    first, second = csv.DictReader(StringIO(comparison_csv(told)))
    assert float(second["difference"]) == pytest.approx(1.0)
    assert (second["difference_n"], second["against"], first["difference"]) == ("50", "a", "")
    assert (second["z.sap"], second["z:place"], first["z.sap"]) == ("0.25", "0.75", "")
    assert second["run"] == "'=b()"  # no formula for a spreadsheet
    assert float(first["log_likelihood"]) == HARD.mean()
    values = comparison_values(told.rows[1], told)
    assert values["difference"] == pytest.approx(1.0) and values["no_difference"] is None


def test_latex_is_escaped():
    told = compare([run("a_b", HARD), run(r"50 % & \x{$}#~^", HARD + 1.0)])
    table = comparison_latex(told)
    assert r"50 \% \& \textbackslash{}x\{\$\}\#\textasciitilde{}\textasciicircum{} & vae" in table
    assert r"a\_b & vae" in table
    assert r"$+$1.00 $\pm$ 0.00" in table
    rows = [line for line in table.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 2 and all(row.count(" & ") == 6 for row in rows)


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.names, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_names_as_text():
    name = '<script>alert(1)</script><img src=x onerror="alert(1)">'
    codes = {"of": {name: {"scores": {"sap": 0.25}, "told": {}}}}
    page = comparison_page(compare([run(name, HARD, codes=codes), run("$b$", HARD + 1.0)]))
    found = Elements(page)
    assert name in found.text and "script" not in found.names
    assert found.names.count("img") == 1  # the chart
    assert "+1.00 ± 0.00" in found.text and "0.250" in found.text
    assert "http://" not in page and "https://" not in page


def test_the_chart_has_a_panel_of_differences_where_there_are_some():
    two = comparison_chart(compare([run("a", HARD), run("b", HARD + 1.0)]))
    one = comparison_chart(compare([run("a", HARD), run("b", HARD, of="other")]))
    assert (len(two.axes), len(one.axes)) == (2, 1)
    with pytest.raises(ValueError, match="none of the 2 runs has a finite"):
        comparison_chart(compare([run(n, HARD, log_likelihood=None) for n in "ab"]))


def test_too_few_runs_and_no_such_place():
    with pytest.raises(ValueError, match="number of runs is 1; expected at least 2"):
        compare([run("a", HARD)])
    with pytest.raises(ValueError, match="against is 2; expected 0 to 1"):
        compare([run("a", HARD), run("b", HARD)], against=2)
