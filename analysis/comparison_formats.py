"""A comparison of runs as text, CSV and LaTeX."""

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any

from .comparison import Compared, Comparison
from .evaluation import unreliable_share
from .wording import UNKNOWN, density, number, percent, with_error

HEADINGS = ("run", "method", "log p(x), nats", "ELBO, nats", "difference", "K", "n", "k-hat > 0.7")
FIELDS = (
    "run", "method", "data", "likelihood", "is_likelihood", "split", "n", "samples",
    "log_likelihood", "log_likelihood_se", "elbo", "elbo_se", "bits_per_dimension",
    "pareto_k_unreliable", "against", "difference", "difference_se", "difference_n",
    "no_difference", "seed", "step", "widen", "prior_share",
)  # fmt: skip
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def comparison_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the cells of each run, as `HEADINGS` names them."""
    return [_cells(row, comparison) for row in comparison.rows]


def _cells(row: Compared, comparison: Comparison) -> tuple[str, ...]:
    of = row.run.evaluation
    value = with_error(of.get("log_likelihood"), of.get("log_likelihood_se"))
    if density(of) != "log p(x)":
        value += " (given c)"
    if not of.get("is_likelihood", True):
        value += " (not a likelihood)"
    return (
        row.run.name,
        row.run.method,
        value,
        with_error(of.get("elbo"), of.get("elbo_se")),
        difference_words(row, comparison),
        number(of.get("samples")),
        number(of.get("n")),
        percent(unreliable_share(of)),
    )


def difference_words(row: Compared, comparison: Comparison) -> str:
    """Return a row's difference with its paired error, or why there is none."""
    if row.difference is None:
        return row.reason or "0, by definition"
    told = row.difference
    text = f"{told.mean:+.2f} ± {told.standard_error:.2f}"
    counts = {each.run.evaluation.get("n") for each in comparison.rows}
    return text if counts == {told.count} else f"{text} of {told.count:,}"


def comparison_text(comparison: Comparison) -> str:
    """Return a table in plain text, with notes beneath."""
    rows = [HEADINGS, *comparison_rows(comparison)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *([""] if comparison.notes else []), *comparison.notes, ""])


def comparison_csv(comparison: Comparison) -> str:
    """Return a table of plain numbers; the scores of codes have a column each, as `z.sap`.

    A cell that a spreadsheet would take for a formula starts with an apostrophe.
    """
    scores = score_names(comparison)
    out = StringIO()
    writer = csv.DictWriter(out, [*FIELDS, *scores], lineterminator="\n")
    writer.writeheader()
    for row in comparison.rows:
        values = {**comparison_values(row, comparison), **code_scores(row)}
        writer.writerow({name: _safe(values.get(name)) for name in (*FIELDS, *scores)})
    return out.getvalue()


def comparison_values(row: Compared, comparison: Comparison) -> dict[str, Any]:
    """Return a row's plain values by the names of `FIELDS`; None where there is none."""
    told, evaluation = row.difference, dict(row.run.evaluation)
    return {
        **{name: evaluation.get(name) for name in FIELDS},
        "run": row.run.name,
        "method": row.run.method,
        "data": row.run.data,
        "against": comparison.against,
        "difference": None if told is None else told.mean,
        "difference_se": None if told is None else told.standard_error,
        "difference_n": None if told is None else told.count,
        "no_difference": row.reason or None,
    }


def code_scores(row: Compared) -> dict[str, float]:
    """Return a run's scores of codes, by `site.score`, and what probes tell, by `site:factor`."""
    found: dict[str, float] = {}
    for site, of in (row.run.evaluation.get("codes") or {}).get("of", {}).items():
        found |= {f"{site}.{name}": score for name, score in of["scores"].items()}
        found |= {
            f"{site}:{factor}": max(told["score"].values()) for factor, told in of["told"].items()
        }
    return found


def score_names(comparison: Comparison) -> list[str]:
    """Return the names of all scores of codes that a run has, in order."""
    return list(dict.fromkeys(name for row in comparison.rows for name in code_scores(row)))


def comparison_latex(comparison: Comparison) -> str:
    """Return a `tabular` for `booktabs`; all that is not ours is escaped."""
    lines = [r"\begin{tabular}{llrrrrr}", r"\toprule"]
    lines.append(
        r"run & method & $\log p(x)$ & ELBO & difference & $K$ & $n$ \\ \midrule",
    )
    for row in comparison.rows:
        cells = [_escaped(cell) for cell in _cells(row, comparison)[:7]]
        cells = [*cells[:2], *(cell.replace("±", r"$\pm$") for cell in cells[2:])]
        cells = [*cells[:2], *(_minus(cell) for cell in cells[2:])]
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    datum = comparison.datum
    notes = [
        f"Nats per {datum}; $\\pm$ one standard error over {datum}s; differences from "
        f"{_escaped(comparison.against)}, paired over the same {datum}s.",
        *map(_escaped, comparison.notes),
    ]
    return "\n".join([*lines, *(f"% {note}" for note in notes), ""])


def _minus(cell: str) -> str:
    return f"${cell[0]}$" + cell[1:] if cell[:1] in ("-", "+") and cell != UNKNOWN else cell


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def _safe(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def table_columns(comparison: Comparison) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Return headings and cells of the table of all scores of codes; none where there are none."""
    names = score_names(comparison)
    if not names:
        return (), []
    rows = []
    for row in comparison.rows:
        found = code_scores(row)
        cells = [number(found[name], 3) if name in found else "" for name in names]
        rows.append((row.run.name, *cells))
    return ("run", *names), rows
