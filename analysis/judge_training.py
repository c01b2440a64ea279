"""Train a judge on real frames or clips."""

import sys
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .blurring import blurred
from .judge import Judge, as_clips, scaled
from .judge_net import JudgeNet, judge_loss
from .score_inputs import Values, check_varies, class_column

_FRAMES_PER_STEP, _FEWEST_CLIPS = 64, 16
_WEIGHT_DECAY = 1e-4


def train_judge(
    frames: Tensor,
    classes: Mapping[str, Values],
    test_frames: Tensor,
    test_classes: Mapping[str, Values],
    *,
    mask: Values | None = None,
    test_mask: Values | None = None,
    test_groups: Values | None = None,
    steps: int = 1500,
    learning_rate: float = 3e-3,
    blur: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Judge:
    """Train a classifier of real data, all questions at once, and measure it on held-out ones.

    A judge of clips averages what it sees over their frames; see `JudgeNet`. The loss is the
    cross-entropy, summed over heads; AdamW's step falls to 0 along a cosine. The default takes a
    minute or two on a CPU for frames of 32 x 32, and four times that for 64 x 64. A judge whose
    ceiling is low judges nothing: train it for more steps, or on more data.

    Source: Li & Mandt (2018), https://arxiv.org/abs/1803.02991, for classifiers of real data
    as judges.

    Args:
        frames: Real images `(N, C, H, W)`, or clips `(N, T, C, H, W)`; uint8 or floats in [0, 1].
        classes: A class per datum, integers `(N,)` from 0, by name of the head; such as six
            classes for each attribute of identity, and the pose or action.
        test_frames: Held-out real data of other sequences, on which the ceiling is measured.
        test_classes: Their classes, by the same names.
        mask: True where a clip has a frame, bools `(N, T)`; unless given, everywhere.
        test_mask: The same of the held-out clips.
        test_groups: Which of the held-out data are not independent, such as frames of one
            sequence, integers, for standard errors of the ceiling.
        steps: Number of steps, each on 64 frames, or on 16 clips where these are more.
        learning_rate: Of the first step.
        blur: Whether most frames that it learns from are blurred a little and have some noise
            (`blurred`). A judge of sharp frames alone can take a soft picture of one thing for
            another thing; this one says what is shown. Its ceiling is of frames as they are.
        seed: Of first weights, batches and blur.
        progress: Whether to show a progress bar with the remaining time.

    Raises:
        ValueError: If shapes or names do not fit, a class does not vary, held-out data have a
            class that training data lack, or `steps` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected at least 1. The default is 1500.")
    if frames.dim() not in (4, 5):
        raise ValueError(
            f"frames are {tuple(frames.shape)}; expected (N, C, H, W) or (N, T, C, H, W). Give "
            "images, or clips of several."
        )
    shape, of_clips = tuple(frames.shape[-3:]), frames.dim() == 5
    clips, valid = as_clips(frames, mask, shape, of_clips)
    truth = _checked_classes(classes, test_classes, len(frames), len(test_frames))
    as_clips(test_frames, test_mask, shape, of_clips)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = JudgeNet(shape, {name: int(values.max()) + 1 for name, values in truth.items()})
    _fit(net, clips, valid, truth, steps, learning_rate, blur, seed, progress)
    count = len(test_frames)
    groups = np.arange(count)
    if test_groups is not None:
        groups = class_column("test_groups", test_groups, count)
    told = Judge(net, of_clips, {}, groups).predict(test_frames, mask=test_mask)
    right = {
        name: values.numpy() == class_column(name, test_classes[name], count)
        for name, values in told.items()
    }
    return Judge(net, of_clips, right, groups)


def _fit(
    net: JudgeNet,
    clips: Tensor,
    valid: Tensor,
    truth: Mapping[str, Tensor],
    steps: int,
    learning_rate: float,
    blur: bool,
    seed: int,
    progress: bool,
) -> None:
    size = min(len(clips), max(_FEWEST_CLIPS, _FRAMES_PER_STEP // clips.shape[1]))
    optimizer = torch.optim.AdamW(net.parameters(), learning_rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    net.train()
    bar = tqdm(
        total=steps, disable=not progress, unit="step", desc="training a judge", file=sys.stderr
    )
    with bar, torch.enable_grad():
        for _ in range(steps):
            rows = torch.randint(len(clips), (size,), generator=generator)
            shown = scaled(clips[rows], valid[rows])
            logits = net(blurred(shown, generator) if blur else shown, valid[rows])
            loss = judge_loss(logits, {name: values[rows] for name, values in truth.items()})
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            bar.update()


def _checked_classes(
    classes: Mapping[str, Values], test_classes: Mapping[str, Values], count: int, test_count: int
) -> dict[str, Tensor]:
    """Return the classes of the training data as int64, by head."""
    if not classes or list(classes) != list(test_classes):
        raise ValueError(
            f"classes are {list(classes)}, test_classes {list(test_classes)}; expected the same "
            "names, at least one. Give the classes of both parts."
        )
    truth = {}
    for name, values in classes.items():
        known = class_column(f"classes[{name!r}]", values, count)
        true = class_column(f"test_classes[{name!r}]", test_classes[name], test_count)
        check_varies(f"classes[{name!r}]", known[:, None])
        if known.min() < 0:
            raise ValueError(
                f"classes[{name!r}] have {known.min()}; expected classes from 0. Number them anew."
            )
        unseen = np.setdiff1d(true, known)
        if len(unseen):
            raise ValueError(
                f"test_classes[{name!r}] have {unseen[0]}, which classes lack; expected classes "
                "that a judge can learn. Split so that every class is in both parts."
            )
        truth[name] = torch.from_numpy(known)
    return truth
