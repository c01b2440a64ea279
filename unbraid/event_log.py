"""Training curves for TensorBoard, where it is installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@contextmanager
def tensorboard_writer(folder: Path) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Give what adds a logged row to `folder/tensorboard`, or None without TensorBoard.

    Args:
        folder: The run's folder.
    """
    if find_spec("tensorboard") is None:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "tensorboard")) as writer:

        def add(row: dict[str, Any]) -> None:
            for name, value in row.items():
                if name != "step" and value is not None:
                    writer.add_scalar(name, value, row["step"])
            writer.flush()

        yield add
