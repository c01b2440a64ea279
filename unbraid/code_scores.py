"""What the codes of a run tell of the labels and factors of its data, by scores and probes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unbraid.analysis import (
    KnownSequences,
    disentanglement_scores,
    leakage,
    posterior_moments,
    sequence_codes,
    told_condition,
)
from unbraid.data import UNKNOWN, Batches, Dataset

from .held_out import arguments_of, judged
from .run import Run

LEARNED, JUDGED, SEQUENCES, FRAMES = 10_000, 5000, 1000, 8  # at most so many data
CHUNK = 8


class _Known(NamedTuple):
    """A label or factor of all data: its name, number of classes (0: continuous), `(N,)` each."""

    name: str
    classes: int
    learned: Tensor
    judged: Tensor


def score_codes(run: Run, *, split: str = "test", seed: int = 0) -> dict[str, Any]:
    """Score the codes of a run by all that is known of its data.

    Probes and whatever else is trained learn from training data and are judged on `split`.

    Args:
        run: A run.
        split: `"test"`, `"validation"` or `"train"`.
        seed: Of draws and probes.

    Returns:
        As `evaluation.json` has it under `codes`: the number `n` of data, and of images `of`, by
        latent site: `scores`, `intervals`, `factors`, `left_out` and `factors_left_out` of
        `disentanglement_scores`, and `told`, what probes tell of each factor, as
        `ToldCondition.summary`. Of sequences: `leakage`, its rows. Where there is nothing to
        score, `left_out` says why.
    """
    train, test = run.data.train, run.split(split)
    if run.parts.turning is not None:
        return {"left_out": "Codes that actions turn are of clips; see docs/action-rotation.md."}
    if run.parts.past is not None:
        return {"left_out": "Codes are those of the run that predictions build on; score it."}
    if train.labels is None and train.factors is None and train.frame_factors is None:
        return {"left_out": "The data have no labels and no factors."}
    if train.is_sequence:
        return {**_score_sequences(run, train, test, split, seed), "split": split}
    rows = [_labelled(*part) for part in ((train, LEARNED), (test, JUDGED))]
    if min(map(len, rows)) < 2:
        return {"left_out": "Fewer than two data have a label that is known."}
    learned, asked = (part.take(of) for part, of in zip((train, test), rows, strict=True))
    asked = judged(run, asked, split)
    known = _known(learned, asked)
    if not known:
        return {"left_out": "The data have no labels and no factors."}
    # Held-out images are turned, shifted or binarised once and for all; training ones are not.
    args = arguments_of(run, learned, run.data.transforms, seed), arguments_of(run, asked)
    moments = [posterior_moments(run.model, run.guide, of, seed) for of in args]
    if not moments[0]:
        return {"left_out": "The pair has no continuous code."}
    of = {
        site: _score_site(site_moments, moments[1][site], known, seed)
        for site, site_moments in moments[0].items()
    }
    return {"n": len(asked), "split": split, "seed": seed, "of": of}


def _labelled(dataset: Dataset, most: int) -> Tensor:
    """Return indices spread over the data, without those whose label is not known."""
    rows = torch.arange(len(dataset), device=dataset.device)
    if dataset.labels is not None:
        rows = rows[dataset.labels != UNKNOWN]
    chosen = torch.linspace(0, max(0, len(rows) - 1), min(most, len(rows))).long()
    return rows[chosen.to(rows.device)]


def _known(learned: Dataset, judged: Dataset) -> list[_Known]:
    """What is known of the data; the label only where no factor says the same."""
    parts = [part.annotations() for part in (learned, judged)]
    known = []
    if all("factors" in part for part in parts):
        columns = (part["factors"].cpu().T for part in parts)
        described = zip(learned.factor_names, learned.factor_sizes, *columns, strict=True)
        known = [_Known(*each) for each in described]
    if all("labels" in part for part in parts):
        label = _Known("label", len(learned.label_names), *(p["labels"].cpu() for p in parts))
        if not any(k.classes and bool((k.learned == label.learned).all()) for k in known):
            known.insert(0, label)
    return known


def _score_site(
    learned: tuple[Tensor, Tensor], judged: tuple[Tensor, Tensor], known: list[_Known], seed: int
) -> dict[str, Any]:
    (codes, scales), (test_codes, _) = learned, judged
    discrete = [each.classes > 0 for each in known]
    columns = (torch.stack([k.learned.double() for k in known], 1),
               torch.stack([k.judged.double() for k in known], 1))  # fmt: skip
    found: dict[str, Any] = {
        **disentanglement_scores(
            codes,
            columns[0],
            test_codes,
            columns[1],
            train_scales=scales if bool((scales > 0).all()) else None,
            names=[each.name for each in known],
            discrete=discrete,
            ordered=[not each for each in discrete],
            seed=seed,
        )
    }
    told = {}
    for each in known:
        if each.name in found["factors_left_out"]:
            continue
        told[each.name] = told_condition(
            codes, each.learned, test_codes, each.judged, discrete=each.classes > 0, seed=seed
        ).summary()
    return {**found, "told": told}


def _score_sequences(
    run: Run, train: Dataset, test: Dataset, split: str, seed: int
) -> dict[str, Any]:
    parts = [_some_sequences(part, seed + i) for i, part in enumerate((train, test))]
    if min(map(len, parts)) < 2 and "label" in _names(train):
        return {"left_out": "Fewer than two data have a label that is known."}
    try:
        changes = run.data.transforms
        known = [_known_sequences(run, parts[0], seed, changes)]
        known += [_known_sequences(run, judged(run, parts[1], split), seed + 1)]
        told = leakage(
            *known,
            sequence_names=_names(train),
            sequence_sizes=_sizes(train),
            frame_names=train.frame_factor_names,
            frame_sizes=train.frame_factor_sizes,
            seed=seed,
        )
    except ValueError as error:
        return {"left_out": str(error)}
    return {"n": len(parts[1]), "seed": seed, "leakage": told.table()}


def _some_sequences(dataset: Dataset, seed: int) -> Dataset:
    """Some at random, without those whose label is not known where it is what they are told by."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    rows = order.to(dataset.device)
    if dataset.factors is None and dataset.labels is not None:
        rows = rows[dataset.labels[rows] != UNKNOWN]
    return dataset.take(rows[:SEQUENCES])


def _names(dataset: Dataset) -> tuple[str, ...]:
    if dataset.factors is not None:
        return dataset.factor_names
    return () if dataset.labels is None else ("label",)


def _sizes(dataset: Dataset) -> tuple[int, ...]:
    if dataset.factors is not None:
        return dataset.factor_sizes
    return () if dataset.labels is None else (len(dataset.label_names),)


def _known_sequences(
    run: Run, dataset: Dataset, seed: int, transforms: Sequence[Any] = ()
) -> KnownSequences:
    """Codes of a few frames of each sequence, with what is known of them."""
    frames = min(FRAMES, dataset.images.shape[1])
    settings: dict[str, Any] = {"shuffle": False, "frames": frames, "device": run.device}
    batches = Batches(dataset, CHUNK, seed=seed, transforms=transforms, **settings)
    known: list[dict[str, Tensor]] = []

    def passing() -> Iterator[dict[str, Any]]:
        for batch in batches:
            kept = ("factors", "label", "frame_factors", "group")
            known.append({key: batch[key].cpu().clone() for key in kept if key in batch})
            yield batch

    codes = sequence_codes(run.model, run.guide, passing(), run.parts.inspected, seed=seed)
    whole = {key: torch.cat([part[key] for part in known]) for key in known[0]}
    content = whole.get("factors")
    if content is None and "label" in whole:
        content = whole["label"].unsqueeze(1)
    return KnownSequences(
        codes.static,
        codes.dynamic,
        sequence_factors=content,
        frame_factors=whole.get("frame_factors"),
        mask=codes.mask,
        groups=whole.get("group"),
    )
