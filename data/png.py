"""Count the rows of a PNG file, because Pillow fills in missing ones without a word.

Source: W3C, Portable Network Graphics, third edition, sections 5.3 and 7.
"""

import struct
import zlib
from pathlib import Path

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by colour type
# First column, first row and steps of the passes of an interlaced image.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def check_png(path: Path) -> None:
    """Raise `ValueError` if the pixels in `path` are fewer than its header says."""
    chunks = _chunks(path.read_bytes())
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks["IHDR"])
    bits = _SAMPLES[colour] * depth
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + -(-columns * bits // 8))
    present = len(zlib.decompressobj().decompress(chunks["IDAT"], expected))
    if present < expected:
        raise ValueError(f"it has {present} of {expected} bytes of pixels")


def _chunks(data: bytes) -> dict[str, bytes]:
    """Return the contents of the chunks by type; those of one type are joined."""
    chunks: dict[str, list[bytes]] = {}
    place = 8
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        chunks.setdefault(name.decode("latin-1"), []).append(content)
        place += 12 + length
    if not {"IHDR", "IDAT"} <= chunks.keys():
        raise ValueError("it has no pixels")
    return {name: b"".join(contents) for name, contents in chunks.items()}
