"""Runs of methods that turn objects: data that are turntables, views turned on demand."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from unbraid.analysis import turn_animation, turn_figure, turned
from unbraid.data import Turning, Turntable
from unbraid.methods import OptionError

from .config import TrainConfig
from .preparation import RunData
from .run import Run

ACTIONS = {"left": -1.0, "none": 0.0, "right": 1.0}
"""Actions by name, in steps: right goes to larger angles."""

OBJECTS, COLUMNS = 6, 9

Action = str | float


def check_turntables(turning: Turning, run_data: RunData, config: TrainConfig) -> None:
    """Make sure that all parts of the data are turntables, and that every stage is reached.

    Raises:
        DataError: If data know no angles or are no whole turns.
        OptionError: If clips are longer than a turn, or the training ends before the last stage.
    """
    for part in (run_data.train, run_data.validation, run_data.test):
        try:
            Turntable(part, turning)
        except ValueError as error:
            if type(error) is ValueError:  # of the length of clips, which is an option's
                raise OptionError(str(error)) from error
            raise
    before = sum(turning.steps)
    steps = config.total_steps(max(1, len(run_data.train) // config.batch_size))
    if steps <= before:
        raise OptionError(
            f"the training has {steps} steps, and the stages before the last {before}; expected "
            "more steps than these, as the last stage turns objects the furthest. Train longer, "
            "or set stage_steps or curriculum"
        )


def turn(
    run: Run, images: Tensor, actions: Sequence[Action] | Sequence[Sequence[Action]]
) -> Tensor:
    """Show what actions turn objects into, each seen in a single view.

    Args:
        run: A run of a method that turns objects, such as `action-rotation`.
        images: Views `(R, C, H, W)` in [0, 1].
        actions: Any number of them, applied one after the other: `"left"`, `"none"`, `"right"`,
            or numbers of steps, 1 for `right`; other numbers where the run has `turn=planes`. One
            sequence for all views, or one for each, all of one length.

    Returns:
        `(R, N, C, H, W)` in [0, 1]: a view after each of the `N` actions.

    Raises:
        OptionError: If an action is unknown, there is none, or the run turns nothing.
    """
    if run.parts.turning is None:
        raise OptionError(
            f"{run.config['method']} turns nothing; expected a run of action-rotation. Train one: "
            "unbraid train action-rotation"
        )
    rows = [actions] if not _is_nested(actions) else list(actions)
    numbers = [[_number(action, run) for action in row] for row in rows]  # pyright: ignore
    lengths = {len(row) for row in numbers}
    if len(lengths) != 1 or not lengths.pop() or len(numbers) not in (1, len(images)):
        raise OptionError(
            f"actions are {[len(row) for row in numbers]} in number for {len(images)} views; "
            "expected at least one, as many for each view. Give one sequence for all views, or "
            "one for each, where none lets a view rest"
        )
    given = torch.tensor(numbers, device=run.device).expand(len(images), -1)
    return turned(run.model, run.guide, images.to(run.device), given)


def turn_figures(run: Run, seed: int = 0) -> dict[str, Figure]:
    """Draw test objects as actions turn them, and write `figures/turns.gif`, a whole turn of each.

    Args:
        run: A run of a method that turns objects.
        seed: Seed of what has to be sampled.
    """
    turning = run.parts.turning
    if turning is None:
        return {}
    turns, directions = shown_turns(run, "test", OBJECTS)
    frames = turns.shape[1]
    common: dict[str, Any] = {"seed": seed}
    actions = directions.unsqueeze(1).expand(-1, frames - 1)
    truth = turns[:, 1:]
    shown = min(COLUMNS, frames - 1)
    names = [f"{360 * place / frames:+g}\N{DEGREE SIGN}" for place in range(1, shown + 1)]
    path = run.folder / "figures" / "turns.gif"
    path.parent.mkdir(exist_ok=True)
    turn_animation(run.model, run.guide, turns[:, 0], actions, path=path, truth=truth, **common)
    figure = turn_figure(
        run.model,
        run.guide,
        turns[:, 0],
        actions[:, :shown],
        truth=truth[:, :shown],
        names=names,
        **common,
    )
    return {"turns": figure}


def shown_turns(run: Run, split: str, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Return whole turns of a split, up to so many, evenly spread.

    Returns:
        Frames `(S, T, C, H, W)` in [0, 1], and their directions, float32 `(S,)`: 1 where angles
        grow from frame to frame, -1 where they fall.

    Raises:
        OptionError: If the run turns nothing.
    """
    if run.parts.turning is None:
        raise OptionError(
            f"{run.config['method']} turns nothing; expected a run of action-rotation. Train one: "
            "unbraid train action-rotation"
        )
    dataset = run.split(split)
    rows = torch.arange(len(dataset))
    if count is not None and count < len(rows):
        rows = torch.linspace(0, len(dataset) - 1, count).round().long()
    signs = Turntable(dataset, run.parts.turning).signs[rows]
    turns = dataset.pixels(rows.to(dataset.device)).to(run.device).float() / 255
    return turns, signs.to(run.device).float()


def _is_nested(actions: Sequence[Action] | Sequence[Sequence[Action]]) -> bool:
    return any(isinstance(row, list | tuple) for row in actions)


def _number(action: Action, run: Run) -> float:
    if isinstance(action, str):
        if action in ACTIONS:
            return ACTIONS[action]
        expected = f"{', '.join(ACTIONS)}. Name one, or give a number of steps"
    else:
        whole = getattr(run.model.turn, "whole", False)
        if not whole or float(action) in ACTIONS.values():
            return float(action)
        expected = (
            "-1, 0 or 1 with turn=tensor, which knows whole steps. Repeat these, or train with "
            "turn=planes"
        )
    raise OptionError(f"action is {action!r}; expected {expected}")
