"""Files that a user names for what a command found: a picture, a film or arrays."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from unbraid.analysis import film_path
from unbraid.inference import write_atomically
from unbraid.methods import OptionError

FILMS = (".gif", ".webp")


def check_out(path: str | Path, kinds: Mapping[str, str]) -> Path:
    """Return the path of a file to write, whose name ends as one of the kinds, in any case.

    Args:
        path: The path.
        kinds: What files of which ending are for, such as `{".png": "the picture"}`.

    Raises:
        OptionError: If its name ends in none of these, or Pillow writes no such film.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in kinds:
        *others, last = (f"{ending} for {what}" for ending, what in kinds.items())
        expected = f"{', '.join(others)} or {last}"
        raise OptionError(f"out is {str(path)!r}; expected a file {expected}")
    if suffix in FILMS:
        try:
            film_path(path)
        except ValueError as error:
            raise OptionError(str(error)) from error
    return path


def save_out(
    path: Path,
    figure: Callable[[], Figure],
    arrays: Callable[[], Mapping[str, Any]],
    film: Callable[[Path], object] | None = None,
) -> Path:
    """Write the film, arrays (`.npz`) or a figure, as the name of the file says.

    Args:
        path: The path, as `check_out` returns it; its folder is made where it is missing.
        figure: Draws the picture.
        arrays: Gives the arrays by name.
        film: Writes the film, where there may be one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    if suffix in FILMS and film is not None:
        film(path)
        return path
    buffer = BytesIO()
    if suffix == ".npz":
        np.savez_compressed(buffer, **arrays())
    else:
        # Without the version of Matplotlib.
        figure().savefig(buffer, format="png", metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
    return path
