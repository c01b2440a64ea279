"""What codes of sequences tell, and what becomes of swaps, for `sequence_table`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbraid import Run
from unbraid.analysis import (
    Judge,
    KnownSequences,
    decode_frames,
    kept_accuracy,
    leakage,
    sample_frames,
    sample_static,
    sequence_codes,
    swap_consistency,
    swap_recovery,
    train_judge,
)
from unbraid.data import Batches, Dataset

from .renderings import told_by_renderings
from .sequence_settings import Setting

MOST = 8000  # sequences that are judged
CHUNK = 8
LEAKAGE = {
    "leakage": "known",
    "leakage of draws": "drawn",
    "leakage by neighbours": "known",
    "leakage of draws by neighbours": "drawn",
}
"""By name of a table, which codes probes are asked of."""


@dataclass(frozen=True)
class Shown:
    """Sequences with their codes and with what is known of them.

    Attributes:
        x: Frames `(S, T, C, H, W)` in [0, 1]; None where nobody looks at them.
        known: The codes' means, and the factors.
        drawn: Draws of the codes about their means, and the factors.
        content: Classes of sequences by name, `(S,)`.
        pose: Factors of frames by name, `(S, T)`.
    """

    x: Tensor | None
    known: KnownSequences
    drawn: KnownSequences
    content: dict[str, Tensor]
    pose: dict[str, Tensor]


def show(run: Run, split: str, frames: int, seed: int, keep: bool, most: int = MOST) -> Shown:
    """Encode some frames of each of `most` sequences, drawn by `seed`; keep them on request."""
    data: Dataset = run.split(split)
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    data = data.take(chosen[:most])
    batches = Batches(data, CHUNK, shuffle=False, frames=frames, seed=seed)
    kept: list[dict[str, Tensor]] = []

    def passing() -> Iterator[dict[str, Tensor]]:
        for batch in batches:
            kept.append({k: v.clone() for k, v in batch.items() if keep or k != "x"})
            yield batch

    codes = sequence_codes(run.model, run.guide, passing(), run.parts.inspected)
    whole = {key: torch.cat([batch[key] for batch in kept]) for key in kept[0]}
    content = {}
    if data.factors is not None:
        content = dict(zip(data.factor_names, whole["factors"].T, strict=True))
    elif data.labels is not None:
        content = {"label": whole["label"]}
    pose = {}
    if data.frame_factors is not None:
        pose = dict(
            zip(data.frame_factor_names, whole["frame_factors"].movedim(-1, 0), strict=True)
        )
    known = KnownSequences(
        codes.static,
        codes.dynamic,
        sequence_factors=torch.stack(list(content.values()), 1) if content else None,
        frame_factors=torch.stack(list(pose.values()), -1) if pose else None,
        mask=codes.mask,
    )
    generator = torch.Generator().manual_seed(seed)
    static, dynamic = (
        mean + scale * torch.randn(mean.shape, generator=generator)
        for mean, scale in (
            (codes.static, codes.static_scale),
            (codes.dynamic, codes.dynamic_scale),
        )
    )
    drawn = replace(known, static=static, dynamic=dynamic)
    return Shown(whole.get("x"), known, drawn, content, pose)


def scores(run: Run, setting: Setting, split: str = "test", seed: int = 0) -> dict[str, Any]:
    """Return leakage, what swaps keep by the codes, and by judges where the setting has them."""
    keep = setting.judged is not None
    learnt = show(run, "train", setting.probe_frames, seed + 1, keep, most=setting.probe_sequences)
    asked = show(run, split, setting.probe_frames, seed, keep)
    found: dict[str, Any] = {"recovery": _recovery(run, asked, seed)}
    for name, of in LEAKAGE.items():
        by_neighbours = name.endswith("neighbours")
        if by_neighbours and not (setting.few_sequences or setting.rendered):
            continue
        known = getattr(learnt, of)
        found[name] = leakage(
            _frames_apart(known) if setting.few_sequences else known,
            getattr(asked, of),
            probe="knn" if by_neighbours else "mlp",
            sequence_names=list(asked.content),
            frame_names=list(asked.pose),
            max_rows=setting.probe_rows,
            seed=seed,
        ).table()
    if setting.rendered:
        found["nearest rendering"] = _rendered(run, split, asked, seed)
    if setting.judged is not None:
        for name, blur in (("judge", False), ("tolerant judge", True)):
            judge = _train_judge(learnt, asked, setting, blur, seed)
            found[name] = _judged(run, judge, setting.judged, asked, seed)
    return found


def _frames_apart(known: KnownSequences) -> KnownSequences:
    """Make a sequence of every frame, so that a probe learns from each of a few sequences."""
    frames = known.dynamic.shape[1]

    def each(values: Any) -> Any:
        return None if values is None else torch.as_tensor(values).repeat_interleave(frames, 0)

    of_frames = known.frame_factors
    return KnownSequences(
        each(known.static),
        torch.as_tensor(known.dynamic).flatten(0, 1).unsqueeze(1),
        sequence_factors=each(known.sequence_factors),
        frame_factors=None
        if of_frames is None
        else torch.as_tensor(of_frames).flatten(0, 1).unsqueeze(1),
    )


def partners(count: int, seed: int) -> Tensor:
    """For every sequence another one, each once."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return partner


def _encode(run: Run, frames: Tensor) -> tuple[Tensor, Tensor]:
    codes = sequence_codes(run.model, run.guide, [(part,) for part in frames.split(CHUNK)])
    return codes.static, codes.dynamic


def _codes(shown: Shown) -> tuple[Tensor, Tensor]:
    return torch.as_tensor(shown.known.static), torch.as_tensor(shown.known.dynamic)


def _recovery(run: Run, shown: Shown, seed: int) -> dict[str, Any]:
    """Encode swapped and reconstructed sequences again."""
    static, dynamic = _codes(shown)
    own, other = torch.arange(len(static)), partners(len(static), seed)
    found = {}
    for name, driver in (("swap", other), ("reconstruction", own)):
        decoded = decode_frames(run.model, static, dynamic[driver])
        again = _encode(run, decoded)
        result = swap_recovery(static, dynamic, *again, own, driver)
        found[name] = {part: vars(getattr(result, part)) for part in ("static", "dynamic")}
    return found


def _rendered(run: Run, split: str, asked: Shown, seed: int) -> dict[str, Any]:
    """Ask which renderings swaps and reconstructions are nearest to."""
    static, dynamic = _codes(asked)
    attributes, poses = torch.stack([*asked.content.values()], 1), asked.pose["pose"]
    data, other = run.split(split), partners(len(static), seed)
    found = {}
    for name, driver in (("swap", other), ("reconstruction", torch.arange(len(static)))):
        decoded = decode_frames(run.model, static, dynamic[driver])
        found[name] = told_by_renderings(data, decoded, attributes, poses[driver])
    return found


def _judged(
    run: Run, judge: Judge, heads: tuple[tuple[str, ...], ...], asked: Shown, seed: int
) -> dict[str, Any]:
    """Ask a judge of real frames about swaps, reconstructions and new codes."""
    of_sequences, of_frames = heads
    content = {name: asked.content[name] for name in of_sequences}
    pose = {name: asked.pose[name] for name in of_frames}
    static, dynamic = _codes(asked)
    count, frames = dynamic.shape[:2]
    other = partners(count, seed)
    found: dict[str, Any] = {}
    for name, driver in (("swap", other), ("reconstruction", torch.arange(count))):
        decoded = decode_frames(run.model, static, dynamic[driver])
        driven = {head: classes[driver] for head, classes in pose.items()}
        found[name] = _table(swap_consistency(judge, decoded, content, driven).table())
    new = decode_frames(run.model, sample_static(run.model, count, seed=seed), dynamic)
    clips = torch.arange(count).repeat_interleave(frames)
    flat = {name: classes.flatten() for name, classes in pose.items()}
    found["new static"] = _table(kept_accuracy(judge, new.flatten(0, 1), flat, groups=clips))
    drawn = sample_frames(run.model, static, frames, seed=seed).images
    repeated = {name: classes.repeat_interleave(frames) for name, classes in content.items()}
    found["new dynamic"] = _table(
        kept_accuracy(judge, drawn.flatten(0, 1), repeated, groups=clips)
    )
    return found


def _train_judge(learnt: Shown, asked: Shown, setting: Setting, blur: bool, seed: int) -> Judge:
    if learnt.x is None or asked.x is None:
        raise ValueError("the frames were not kept; expected them for the judge")
    frames = asked.x.shape[1]

    def classes(shown: Shown) -> dict[str, Tensor]:
        of_sequences, of_frames = setting.judged or ((), ())
        rows = {n: shown.content[n].repeat_interleave(frames) for n in of_sequences}
        return rows | {n: shown.pose[n].flatten() for n in of_frames}

    groups = np.arange(len(asked.x)).repeat(frames)
    return train_judge(
        learnt.x.flatten(0, 1),
        classes(learnt),
        asked.x.flatten(0, 1),
        classes(asked),
        test_groups=groups,
        steps=setting.judge_steps,
        blur=blur,
        seed=seed,
        progress=sys.stderr.isatty(),
    )


def _table(rows: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "share": row.share.accuracy,
            "standard_error": row.share.standard_error,
            "ceiling": row.ceiling.accuracy,
            "chance": row.chance,
        }
        for row in rows
    ]
