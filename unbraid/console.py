"""What the command line prints: results on standard output, everything else on standard error."""

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


def say(text: str) -> None:
    """Print a remark on standard error."""
    print(text, file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """Print what went wrong on standard error."""
    say(f"unbraid: {text}")


def print_json(value: Any) -> None:
    """Print a value as one JSON document on standard output."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text in columns as wide as their longest cell; the last one runs free."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def print_next(*commands: str) -> None:
    """Print what to do next."""
    for command in commands:
        print(f"next: {command}")


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show warnings as one line each, without their place in the code, while the block runs."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        yield


def evaluation_rows(evaluation: Any) -> list[tuple[str, str, str]]:
    """Return name, value and remark of what an evaluation came to."""
    from unbraid.analysis import advice, proposal_words

    note = "" if evaluation["is_likelihood"] else "not a likelihood"
    proposal = proposal_words(evaluation)
    of_bound = "mean of the same log-weights"
    if proposal:
        of_bound += ": of this proposal, not of the guide"
    sampling = f"{evaluation['samples']:,} samples each, of {_data(evaluation)}"
    rows = [
        (_density(evaluation), _nats(evaluation, "log_likelihood"), note or sampling),
        ("ELBO", _nats(evaluation, "elbo"), note or of_bound),
    ]
    if evaluation.get("frames"):
        together = f"of each sequence, whose {_density(evaluation)} is that of these together"
        rows.append(("frames", f"{evaluation['frames']:,}", together))
    if proposal:
        rows.append(("proposal", "", proposal))
    bits = evaluation["bits_per_dimension"]
    if bits is not None:
        rows.append(("bits", f"{bits:.4f} per dimension", ""))
    size = evaluation["effective_sample_size"]
    if size is not None:
        rows.append(("sample size", f"{size:,.1f} effective", f"of {evaluation['samples']:,}"))
    if evaluation["pareto_k_unreliable"] is not None:
        share = f"{evaluation['pareto_k_unreliable']:.1%} above 0.7"
        rows.append(
            ("Pareto k-hat", share, f"of data, whose {_density(evaluation)} is likely too low")
        )
    datum = "sequence" if evaluation.get("frames") else "image"
    rows += [("warning", "", sentence) for sentence in advice(evaluation, datum)]
    rows += _told_rows(evaluation.get("condition_from_codes") or {})
    told = evaluation.get("classification")
    if told:
        value = f"{told['error']:.2%} +- {told['standard_error']:.2%}"
        rows.append(("label error", value, f"of the likeliest class, of {_data(told)}"))
    if evaluation.get("remark"):
        rows.append(("remark", "", evaluation["remark"]))
    if "codes" in evaluation:
        rows += code_rows(evaluation["codes"])
    return rows


def code_rows(codes: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and remark of what scores and probes say of codes."""
    from unbraid.analysis import told_scores

    rows = []
    if "left_out" in codes:
        rows.append(("codes", "not scored", codes["left_out"]))
    for row in codes.get("leakage", ()):
        if row["factor"] == "mean":
            continue
        error = row["standard_error"]
        value = f"{row['score']:.3f}" + ("" if error is None else f" +- {error:.3f}")
        whole = row["about"] == "content" and row["codes"] == "static"
        measure = f"of the {'sequences' if whole else 'frames'}" if row["discrete"] else "R^2"
        what = f"{measure}; {row['chance']:.3f} without codes" if row["discrete"] else measure
        rows.append((f"{row['factor']} from {row['codes']}", value, what))
    for site, found in codes.get("of", {}).items():
        said = ""
        for name, score in found["scores"].items():
            low_high = found["intervals"].get(name)
            interval = "" if low_high is None else f"{low_high[0]:.3f} to {low_high[1]:.3f}"
            of = ", ".join(found["factors"][name])
            remark = "  ".join(filter(None, (interval, "" if of == said else of)))
            rows.append((f"{site}: {name}", f"{score:.3f}", remark))
            said = of or said
        for factor, told in found["told"].items():
            best, score = _best(told_scores(told))
            accuracy = told["standard_error"] is not None
            of = f"; {told['chance']:.3f} without codes" if accuracy else ", of its variance"
            rows.append((f"{site}: {factor} told", f"{score:.3f}", best + of))
        left = [*found["left_out"], *found["factors_left_out"]]
        if left:
            rows.append((f"{site}: left out", "", f"{', '.join(left)}; evaluation.json says why"))
    return rows


def _density(evaluation: Mapping[str, Any]) -> str:
    return "log p(x|c)" if evaluation.get("given") else "log p(x)"


def _told_rows(told: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what probes tell of each condition from codes, and what is told without them."""
    from unbraid.analysis import told_scores

    rows = []
    for name, of in told.items():
        for kind, found in of.items():
            best, score = _best(told_scores(found))
            accuracy = found["standard_error"] is not None
            form = "{:.1%} right" if accuracy else "{:.3f} of variance"
            without = f"; {found['chance']:.1%} without codes" if accuracy else ""
            what = f"{best} on {kind.removeprefix('of_')} of the codes{without}"
            rows.append((f"{name} from z", form.format(score), what))
    return rows


def _best(scores: Mapping[str, float]) -> tuple[str, float]:
    """Return the probe that tells most, and its score."""
    return max(scores.items(), key=lambda item: item[1])


def annealed_rows(annealed: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and remark of what annealing came to."""
    chains, steps = annealed["chains"], annealed["temperatures"]
    what = f"{chains:,} chains of {steps:,} steps each, of {_data(annealed)}"
    rows = [(_density(annealed), _nats(annealed, "log_likelihood"), what)]
    if annealed["monte_carlo_error"] is not None:
        error = f"+- {annealed['monte_carlo_error']:,.2f} nats"
        rows.append(("of the chains", error, "for these very data"))
    if annealed["effective_sample_size"] is not None:
        size = f"{annealed['effective_sample_size']:,.1f} effective"
        rows.append(("sample size", size, f"of {chains:,}"))
    if annealed["acceptance"] is not None:
        lowest = f"{annealed['least_acceptance']:.0%} at the least; 65% is aimed at"
        rows.append(("acceptance", f"{annealed['acceptance']:.0%} of moves", lowest))
    remarks = [*annealed["remarks"], *([annealed["remark"]] if annealed.get("remark") else [])]
    return rows + [("remark", "", remark) for remark in remarks]


def fitted_rows(fitted: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and remark of what fitted Normals came to."""
    normals = "one Normal" if fitted["starts"] == 1 else f"{fitted['starts']:,} Normals"
    of = f"{fitted['samples']:,} samples of {normals} each, of {_data(fitted)}"
    rows = [(_density(fitted), _nats(fitted, "log_likelihood"), of)]
    if fitted["elbo"] is not None:
        rows.append(("bound", f"{fitted['elbo']:,.2f} nats", "of the best Normal of each"))
    if fitted["effective_sample_size"] is not None:
        size = f"{fitted['effective_sample_size']:,.0f} effective"
        rows.append(("sample size", size, f"of {fitted['samples']:,}"))
    remarks = [*fitted["remarks"], *([fitted["remark"]] if fitted.get("remark") else [])]
    return rows + [("remark", "", remark) for remark in remarks]


def _nats(evaluation: Mapping[str, Any], name: str) -> str:
    mean, error = evaluation[name], evaluation[f"{name}_se"]
    if mean is None:
        return "not finite"
    return f"{mean:,.2f} nats" if error is None else f"{mean:,.2f} +- {error:,.2f} nats"


def _show_warning(message: Warning | str, *_place: Any, **_more: Any) -> None:
    complain(f"warning: {' '.join(str(message).split())}")


def _data(judged: Mapping[str, Any]) -> str:
    """Say of how many data numbers are."""
    return "1 datum" if judged["n"] == 1 else f"{judged['n']:,} data"
