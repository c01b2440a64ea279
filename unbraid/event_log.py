"""Training curves for TensorBoard, where it is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def tensorboard_writer(folder: Path) -> Callable[[dict[str, Any]], None] | None:
    """Return what adds a logged row to `folder/tensorboard`, or None without TensorBoard.

    Args:
        folder: The run's folder.
    """
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def add(row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name != "step" and value is not None:
                writer.add_scalar(name, value, row["step"])
        writer.flush()

    return add
