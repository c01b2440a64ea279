"""What a judge of true frames takes DrNet's swaps for: the content's digit, or the pose's.

A probe that learns from decoded frames may find what no eye does; this one has seen true digits.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unbraid import Run
from unbraid.analysis import Judge, KnownSequences, decode_frames, load_judge, train_judge

from .prediction_films import DIGIT, colours, single_digits
from .sequence_scores import partners

JUDGE_STEPS, JUDGE_RATE = 6000, 2e-3


def digit_judge(run: Run, steps: int, kept: Path | None = None, *, progress: bool) -> Judge:
    """Train a judge of single digits on a frame of each training clip.

    Args:
        run: A run on moving digits, one colour each.
        steps: Steps of the judge's training.
        kept: Its file, from which it is loaded once it is there; not kept unless given.
        progress: Whether to show progress.
    """
    if kept is not None and kept.exists():
        return load_judge(kept)
    judge = train_judge(
        *single_digits(run.data.train, 1),
        *single_digits(run.data.validation, 1),
        steps=steps,
        learning_rate=JUDGE_RATE,
        progress=progress,
    )
    if kept is not None:
        judge.save(kept)
    return judge


def judged_swaps(run: Run, codes: KnownSequences, judge: Judge, seed: int) -> dict[str, Any]:
    """Ask a judge of frames that are decoded from codes of single frames.

    Args:
        run: A run of a pair that decodes them.
        codes: Of `S` clips, a frame each, with the digits of the clips.
        judge: As of `digit_judge`.
        seed: Says which clip's pose each content is decoded with.

    Returns:
        By name, a share and its standard error over clips: `own`, frames with their own pose whose
        digit is told; of frames with the pose of another clip, where the two have other digits,
        `content` and `pose`, those that are taken for the one and for the other; and `true`, real
        validation frames whose digit is told.
    """
    static, dynamic = torch.as_tensor(codes.static), torch.as_tensor(codes.dynamic)
    digits = torch.as_tensor(codes.sequence_factors)
    other = partners(len(static), seed)
    differ = digits != digits[other]
    swaps = decode_frames(run.model, static, dynamic[other])
    ceiling = judge.ceiling([DIGIT])
    return {
        "own": _told(judge, decode_frames(run.model, static, dynamic), digits),
        "content": _told(judge, swaps, digits, differ),
        "pose": _told(judge, swaps, digits[other], differ),
        "true": {"share": ceiling.accuracy, "standard_error": ceiling.standard_error},
    }


def _told(
    judge: Judge, frames: Tensor, digits: Tensor, asked: Tensor | None = None
) -> dict[str, float]:
    """How often the digits `(S, D)` of decoded frames `(S, 1, C, H, W)` are told, of some."""
    rows = torch.ones_like(digits, dtype=torch.bool) if asked is None else asked
    clips = torch.arange(len(digits))[:, None].expand_as(digits)
    shown = colours(frames[:, 0].clamp(0, 1), digits.shape[1])[rows.flatten()]
    told = judge.accuracy(shown, {DIGIT: digits[rows]}, groups=clips[rows])[DIGIT]
    return {"share": told.accuracy, "standard_error": told.standard_error}


def swap_rows(swaps: dict[str, dict[str, Any]]) -> list[str]:
    """Return a table of what was told, by kind of the codes, as lines of markdown."""
    lines = [
        "| decoded from | own digit | swaps: the content's | swaps: the pose's | validation |",
        "|---|---|---|---|---|",
    ]
    for of, found in swaps.items():
        cells = (
            f"{found[name]['share']:.3f} ± {found[name]['standard_error']:.3f}"
            for name in ("own", "content", "pose", "true")
        )
        lines.append(f"| {of} | {' | '.join(cells)} |")
    return lines
