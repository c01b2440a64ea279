"""The Frey faces: one face, a real video in black and white, 1965 frames of 28 x 20 pixels.

Source: Roweis, Saul and Hinton (2001), "Global coordination of local linear models"; the file:
https://cs.nyu.edu/~roweis/data.html.
"""

import struct
from pathlib import Path

import torch
from torch import Tensor

from .dataset import Dataset, Splits
from .download import Remote, fetch
from .errors import DataError

_FILE = Remote(
    "frey_face/frey_rawface.mat",
    "https://cs.nyu.edu/~roweis/data/frey_rawface.mat",
    "md5:5aeb024d42b8a6091f30e5eb18c8a48d",
)
_FRAMES, _HEIGHT, _WIDTH = 1965, 28, 20
_PIXELS = _HEIGHT * _WIDTH * _FRAMES
_PREAMBLE = 128  # bytes of a MATLAB 5 file before its first element
# That element, the array ff: its size, its class (9 is uint8), axes, name and where pixels start.
# fmt: off
_ELEMENT = struct.pack(
    "<14I",
    14, 48 + _PIXELS, 6, 8, 9, 0, 5, 8, _HEIGHT * _WIDTH, _FRAMES,
    2 << 16 | 1, int.from_bytes(b"ff", "little"), 2, _PIXELS,
)
# fmt: on
_CUT = 25  # grey levels by which a frame differs from the last on average, where there is a cut
_FEWEST = 10  # sequences that remain
_SHARE = 0.1  # of the frames that validate, and that test


def frey_faces(seed: int, *, shortest: int = 1) -> Splits:
    """Return the video's 35 sequences between cuts, padded with black to the longest, 246 frames.

    The file does not say where it was cut. Taken as cuts are the 34 places where a frame differs
    from the last by more than 25 grey levels in the mean; some are fast movements of the head.
    Nearly half of the sequences have fewer than 20 frames, and five have one.

    Args:
        seed: Chooses which sequences test and validate: each at least a tenth of the frames.
        shortest: Sequences of fewer frames are left out; 1 to 85, so that ten remain.

    Raises:
        DataError: If the file is not as it should be, or an option is out of range.
        DownloadError: If the file cannot be fetched.
    """
    frames = _read(fetch(_FILE))
    starts = [0, *find_cuts(frames), len(frames)]
    lengths = torch.tensor(starts).diff()
    most = int(lengths.sort(descending=True).values[_FEWEST - 1])
    if type(shortest) is not int or not 1 <= shortest <= most:
        raise DataError(
            f"shortest is {shortest!r}; expected an integer from 1 to {most}, so that there are "
            "sequences to train, to validate and to test"
        )
    images = torch.zeros(len(lengths), int(lengths.max()), 1, _HEIGHT, _WIDTH, dtype=torch.uint8)
    for row, sequence in enumerate(frames.split(lengths.tolist())):
        images[row, : len(sequence), 0] = sequence
    data = Dataset(images, "frey-faces", lengths=lengths)
    return _cut(data.take((lengths >= shortest).nonzero().squeeze(1)), seed)


def find_cuts(frames: Tensor) -> list[int]:
    """Return the first frame after every cut of a video, uint8 `(T, H, W)`."""
    change = frames.int().diff(dim=0).abs().flatten(1)
    return ((change.sum(1) > _CUT * change.shape[1]).nonzero().squeeze(1) + 1).tolist()


def _read(path: Path) -> Tensor:
    """Return the frames, uint8 `(T, H, W)`.

    The one array of the one file is read as MATLAB's format 5 has it: general readers of that
    format have been seen to crash on damaged files.
    """
    start = _PREAMBLE + len(_ELEMENT)
    with path.open("rb") as file:
        content = bytearray(file.read(start + _PIXELS + 1))
    element = content[_PREAMBLE:start]
    if content[:6] != b"MATLAB" or element != _ELEMENT or len(content) != start + _PIXELS:
        raise DataError(
            f"{path} of {path.stat().st_size} bytes is another or damaged; expected a MATLAB 5 "
            f"file of {start + _PIXELS} bytes that holds ff, uint8 {(_HEIGHT * _WIDTH, _FRAMES)}, "
            f"uncompressed. Fetch it from {_FILE.url}."
        )
    pixels = torch.frombuffer(content, dtype=torch.uint8, offset=start)
    return pixels.view(_FRAMES, _HEIGHT, _WIDTH)  # a column of ff is a frame


def _cut(data: Dataset, seed: int) -> Splits:
    """Test on sequences until they have a tenth of the frames, and validate on so many more."""
    lengths = data.annotations()["lengths"]
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    target, parts, start = _SHARE * int(lengths.sum()), [], 0
    for _ in range(2):
        stop = start + int((lengths[order[start:]].cumsum(0) < target).sum()) + 1
        parts.append(order[start:stop])
        start = stop
    test, validation, train = (part.sort().values for part in (*parts, order[start:]))
    taken = (data.take(part) for part in (train, validation, test))
    return Splits(*taken, in_order=True)
