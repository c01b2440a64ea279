"""Frames as the bytes of a film that loops: a GIF, or a WebP, which holds all colours."""

from io import BytesIO
from pathlib import Path

from PIL import Image, features
from torch import Tensor

from .images import to_pixels

SMALLEST_WIDTH = 360
SUFFIXES = (".gif", ".webp")
_SHORTEST = 20  # milliseconds; browsers slow down what is faster


def film_path(path: str | Path) -> Path:
    """Return a path whose suffix says the format of a film.

    Raises:
        ValueError: If its name ends neither in `.gif` nor in `.webp`, or Pillow writes no WebP.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"path is {path}; expected a name that ends in .gif or .webp. Rename it.")
    if path.suffix.lower() == ".webp" and not features.check("webp"):
        raise ValueError(
            f"path is {path}, and this Pillow writes no WebP; expected a name that ends in .gif. "
            "Install the wheel of Pillow, or rename it."
        )
    return path


def film_bytes(frames: Tensor, seconds: float, path: Path) -> bytes:
    """Return frames as the bytes of a film that loops for ever.

    Small frames are enlarged by a whole number, so that they can be seen. WebP loses nothing; a
    GIF has at most 256 colours a frame, and counts hundredths of a second.

    Args:
        frames: Images `(F, C, H, W)` in [0, 1].
        seconds: Duration of all frames together.
        path: A path as `film_path` returns it.
    """
    height, width = frames.shape[-2:]
    times = -(-SMALLEST_WIDTH // width)
    size = (width * times, height * times)
    first, *others = (
        Image.fromarray(to_pixels(frame)).resize(size, Image.Resampling.NEAREST)
        for frame in frames
    )
    buffer = BytesIO()
    each = seconds / len(frames)
    if path.suffix.lower() == ".webp":
        settings = {"format": "WEBP", "lossless": True, "duration": round(1000 * each)}
    else:
        settings = {"format": "GIF", "duration": round(100 * each) * 10}
    settings["duration"] = max(_SHORTEST, settings["duration"])
    first.save(buffer, save_all=True, append_images=others, loop=0, **settings)
    return buffer.getvalue()
