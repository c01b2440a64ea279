"""The report's tables of scores and probes of codes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .evaluation import told_scores
from .wording import number, percent

NAMES = {
    "factor_vae": "FactorVAE score",
    "beta_vae": "beta-VAE score",
    "mig_means": "Mutual information gap, of means",
    "mig_posteriors": "Mutual information gap, of posteriors",
    "sap": "SAP",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "modularity": "Modularity",
    "explicitness": "Explicitness",
    "irs": "Interventional robustness",
    "mcc": "Mean correlation coefficient",
    "mcc_spearman": "Mean correlation coefficient, of ranks",
    "total_correlation": "Total correlation of a Gaussian, nats",
    "wasserstein_share": "Wasserstein share of a Gaussian",
}


WITHOUT = "Without codes"


class CodeTable(NamedTuple):
    """A table of the report.

    Attributes:
        title: What it is of.
        columns: Headings.
        rows: Cells, as many as headings.
        note: A sentence beneath, or nothing.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


def code_tables(codes: Mapping[str, Any]) -> list[CodeTable]:
    """Return the tables of what `evaluation.json` has under `codes`."""
    tables = [_leakage(codes["leakage"])] if codes.get("leakage") else []
    for site, found in codes.get("of", {}).items():
        tables += [_scores(site, found), _told(site, found["told"])]
    return [table for table in tables if table.rows]


def _named(name: str) -> str:
    return NAMES.get(name, name)


def _scores(site: str, found: Mapping[str, Any]) -> CodeTable:
    looked_at = {", ".join(names) for names in found["factors"].values() if names}
    rows = []
    for name, score in found["scores"].items():
        ends = found["intervals"].get(name)
        interval = "" if ends is None else f"{number(ends[0], 3)} to {number(ends[1], 3)}"
        rows.append((_named(name), number(score, 3), interval, ", ".join(found["factors"][name])))
    columns, notes = ("Score", "Value", "95 % over the data", "Factors"), []
    if len(looked_at) == 1:
        columns, rows = columns[:3], [row[:3] for row in rows]
        notes.append(f"Of {looked_at.pop()}.")
    reasons: dict[str, list[str]] = {}
    for name, reason in found["left_out"].items():
        reasons.setdefault(reason, []).append(_named(name))
    for name, reason in found["factors_left_out"].items():
        reasons.setdefault(reason, []).append(name)
    notes += [f"Left out: {', '.join(names)}. {reason}" for reason, names in reasons.items()]
    return CodeTable(f"Scores of {site}", columns, rows, " ".join(notes))


def _told(site: str, told: Mapping[str, Any]) -> CodeTable:
    rows = []
    for factor, of in told.items():
        accuracy = of["standard_error"] is not None
        for probe, score in told_scores(of).items():
            value = number(score, 3)
            if accuracy:
                value = f"{percent(score)} ± {percent(of['standard_error'][probe])}"
            chance = percent(of["chance"]) if accuracy else number(of["chance"], 0)
            rows.append((factor, probe, value, chance))
    note = (
        "Of classes the share that is told rightly, of numbers the share of the variance. Without "
        "codes: the share of the test data that are of the commonest class of the training data; "
        "of numbers 0."
    )
    return CodeTable(
        f"What probes tell from {site}", ("Factor", "Probe", "Score", WITHOUT), rows, note
    )


def _in_thousandths(value: float) -> str:
    return number(value, 3)


def _leakage(table: Sequence[Mapping[str, Any]]) -> CodeTable:
    rows = []
    for row in table:
        if row["factor"] == "mean":
            continue
        as_words = percent if row["discrete"] else _in_thousandths
        error = row["standard_error"]
        value = as_words(row["score"])
        value += ", of one sequence or group" if error is None else f" ± {as_words(error)}"
        of = "sequence" if row["about"] == "content" else "frame"
        rows.append((row["factor"], of, row["codes"], value, as_words(row["chance"])))
    note = (
        "What is of sequences belongs in the static code, what is of frames in the dynamic one; "
        "of classes the share that is told rightly, of numbers R². Without codes: the share of "
        "the test data that are of their largest class; of numbers 0."
    )
    columns = ("Factor", "Of each", "Told from", "Score", WITHOUT)
    return CodeTable("What a probe tells from static and dynamic codes", columns, rows, note)
