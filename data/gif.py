"""Moving GIF files: count what is whole, then give the frames as a viewer would.

Pillow ends quietly where a file is cut off between frames, and lets a frame widen the canvas.

Source: CompuServe, Graphics Interchange Format, version 89a, sections 17 to 27.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from PIL import Image

from .errors import DataError
from .films import Film
from .folder import DAMAGE, open_image
from .limits import MAX_PIXELS
from .wording import counted

_EXTENSION, _IMAGE, _TRAILER = b"\x21", b"\x2c", b"\x3b"


@dataclass(frozen=True)
class Layout:
    """What the blocks of a GIF file say.

    Args:
        size: `(height, width)` of the canvas.
        extent: The same of the smallest rectangle that holds the canvas and all frames.
        frames: Number of whole frames.
        whole: The file goes on to its end mark.
    """

    size: tuple[int, int]
    extent: tuple[int, int]
    frames: int
    whole: bool


def read_layout(path: Path) -> Layout:
    """Walk through the blocks of a GIF file without unpacking a pixel.

    Raises:
        ValueError: If it is not a GIF file.
    """
    with path.open("rb") as file:
        head = file.read(13)
        if len(head) < 13 or head[:6] not in (b"GIF87a", b"GIF89a"):
            raise ValueError("it does not begin as a GIF file does")
        width, height, flags = struct.unpack_from("<HHB", head, 6)
        bottom, right, frames = height, width, 0
        whole = False
        try:
            _skip_palette(file, flags)
            while (mark := _take(file, 1)) != _TRAILER:
                if mark == _EXTENSION:
                    _take(file, 1)
                    _skip_blocks(file)
                elif mark == _IMAGE:
                    left, top, across, down, flags = struct.unpack("<HHHHB", _take(file, 9))
                    _skip_palette(file, flags)
                    _take(file, 1)
                    _skip_blocks(file)
                    bottom, right = max(bottom, top + down), max(right, left + across)
                    frames += 1
            whole = True
        except EOFError:
            pass
    return Layout((height, width), (bottom, right), frames, whole)


def moves(path: Path) -> bool:
    """Say whether a file is a GIF file of more than one frame."""
    try:
        return read_layout(path).frames > 1
    except ValueError:
        return False


def open_gif(path: Path) -> Film:
    """Return a GIF file as a film; what is transparent in it becomes black.

    Raises:
        DataError: If the file is no GIF file, cut off, or too large.
    """
    try:
        layout = read_layout(path)
    except ValueError as error:
        raise DataError(f"{path} is not a GIF file ({error}); expected one. Remove it.") from error
    if not layout.whole:
        raise DataError(
            f"{path} is cut off after {counted(layout.frames, 'whole frames')}; expected a whole "
            "GIF file. Fetch or save it again, or remove it."
        )
    if not layout.frames:
        raise DataError(f"number of frames of {path} is 0; expected at least 2. Remove it.")
    height, width = layout.extent
    if height * width > MAX_PIXELS:
        raise DataError(
            f"size of {path} is {width}x{height}; expected at most {MAX_PIXELS} pixels. "
            "Scale it down."
        )
    return Film(path, layout.frames, layout.size, partial(_frames, path, layout.frames))


def _take(file: IO[bytes], count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _skip_palette(file: IO[bytes], flags: int) -> None:
    if flags & 0x80:
        _take(file, 3 * 2 ** ((flags & 7) + 1))


def _skip_blocks(file: IO[bytes]) -> None:
    while size := _take(file, 1)[0]:
        _take(file, size)


def _frames(path: Path, count: int) -> Iterator[Image.Image]:
    with open_image(path) as image:
        for place in range(count):
            try:
                image.seek(place)
                frame = _shown(image)
            except DAMAGE as error:
                raise DataError(
                    f"frame {place} of {path} is damaged ({error}); expected {count} whole "
                    "frames. Save it again, or remove it."
                ) from error
            yield frame


def _shown(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
