"""The model card: what a trained pair is, how likely it makes data, and what it is not for.

A file of Markdown with a head that model hubs read; the report has the pictures.

Source: Mitchell et al. (2019), https://arxiv.org/abs/1810.03993, for what a card should say; the
Hugging Face hub's documentation for the head.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unbraid.inference import write_atomically

from . import wording
from .advice import advice, proposal_words
from .evaluation import Evaluation, known, unreliable_share
from .markdown import front_matter, visible
from .pages import template

Facts = Sequence[tuple[str, Any]]
"""Names, which are ours, and values, which may be anything."""


def write_model_card(
    folder: Path | str,
    *,
    title: str,
    name: str,
    dataset: str,
    evaluation: Evaluation | None,
    model: Facts = (),
    data: Facts = (),
    training: Facts = (),
    versions: Facts = (),
    tags: Sequence[str] = (),
    limits: Sequence[str] = (),
    command: str | None = None,
    bibtex: str | None = None,
    datum: str = "image",
    remark: str | None = None,
) -> Path:
    """Write `model_card.md`; the licence is left to its owner.

    Whatever names and values are, they stay text: in the head they are quoted, beneath it their
    markup is escaped.

    Args:
        folder: The folder of the run; made where there is none.
        title: Title of the card.
        name: What the model is called in the head.
        dataset: What its data are called there.
        evaluation: The likelihood's numbers, or None where there are none yet.
        model: What the pair is.
        data: What it was trained on.
        training: How.
        versions: Of what.
        tags: Further tags.
        limits: What else speaks against trusting it, sentences.
        command: The command that trains it again.
        bibtex: How to cite the method.
        datum: What one datum is called: image, or sequence.
        remark: What has to be said beside the likelihood, a sentence.

    Returns:
        Path of `model_card.md`.
    """
    numbers = evaluation or Evaluation()
    metrics = _metrics(numbers, datum)
    head: dict[str, Any] = {
        "library_name": "unbraid",
        "tags": ["unbraid", "pyro", "disentanglement", "variational-inference", *tags],
    }
    if metrics:
        result = {
            "task": {"type": "other", "name": "density estimation"},
            "dataset": {"type": dataset, "name": dataset, "split": str(numbers.get("split", ""))},
            "metrics": metrics,
        }
        head["model-index"] = [{"name": name, "results": [result]}]
    page = template("model_card.md").render(
        head=front_matter(head),
        title=title,
        summary=wording.summary(evaluation, datum),
        remark=remark,
        model=model,
        data=data,
        training=training,
        evaluated=bool(numbers.keys() - {"codes"}),
        is_likelihood=numbers.get("is_likelihood", True),
        rows=wording.likelihood_rows(numbers, datum),
        bounds=wording.bound_rows(numbers),
        pareto=wording.pareto_words(unreliable_share(numbers), datum),
        limits=[*advice(numbers, datum), *limits, *_always(datum)],
        datum=datum,
        versions=versions,
        command=command,
        bibtex=bibtex,
    )
    path = Path(folder) / "model_card.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, visible(page).encode())
    return path


def _always(datum: str) -> list[str]:
    return [
        "It is one training, from one seed: others differ, often by more than standard errors "
        f"over {datum}s.",
        "An importance-sampled log p(x) is too low in expectation, by less with more samples.",
    ]


def _metrics(evaluation: Evaluation, datum: str) -> list[dict[str, Any]]:
    """What the head says of the evaluation; numbers that are not known are left out."""
    get = evaluation.get
    note = "" if get("is_likelihood", True) else ", not a likelihood"
    proposal = proposal_words(evaluation)
    how = f"n = {get('n')}, K = {get('samples')} samples, seed {get('seed')}{note}"
    if proposal:
        how += f", {proposal}"
    of = f"{wording.density(evaluation)}, nats per {datum}"
    told = [
        ("log-likelihood", f"{of} ({how})", get("log_likelihood")),
        ("elbo", f"{wording.elbo_words(evaluation)} per {datum} ({how})", get("elbo")),
        ("bits-per-dimension", f"bits per dimension ({how})", get("bits_per_dimension")),
    ]
    annealed = get("annealed") or {}
    told.append(
        (
            "annealed-log-likelihood",
            f"{wording.density(annealed)} by annealing, nats per {datum} "
            f"(n = {annealed.get('n')}, {annealed.get('chains')} chains of "
            f"{annealed.get('temperatures')} steps, seed {annealed.get('seed')})",
            annealed.get("log_likelihood"),
        )
    )
    fitted = get("fitted") or {}
    told.append(
        (
            "fitted-log-likelihood",
            f"{wording.density(fitted)} by fitted Normals, nats per {datum} "
            f"(n = {fitted.get('n')}, K = {fitted.get('samples')} samples, "
            f"starts = {fitted.get('starts')}, seed {fitted.get('seed')})",
            fitted.get("log_likelihood"),
        )
    )
    judged = get("classification") or {}
    told.append(
        ("error", f"error of the likeliest class (n = {judged.get('n')})", judged.get("error"))
    )
    return [
        {"type": kind, "name": words, "value": value}
        for kind, words, value in told
        if known(value)
    ]
