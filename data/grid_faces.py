"""Ten people who each speak a sentence, of the GRID corpus.

Source: Cooke, Barker, Cunningham and Shao (2006), "An audio-visual corpus for speech perception
and automatic speech recognition"; the corpus: https://doi.org/10.5281/zenodo.3625687.
"""

from itertools import pairwise

import torch

from .dataset import Dataset, Splits
from .prepared import Prepared, read_prepared
from .shrinking import shrink
from .stretches import cut, held_out

_PEOPLE, _FRAMES, _SIDE, _COLOURS = 10, 75, 64, 3
_SIZES = (64, 32, 16)
_FILE = Prepared(
    "grid_faces/grid10_64x64_rgb.npz",
    {
        "videos": ("uint8", (_PEOPLE, _FRAMES, _SIDE, _SIDE, _COLOURS)),
        "names": ("text", (_PEOPLE,)),
    },
    "It is made of one video of each of ten speakers of the GRID corpus "
    "(https://doi.org/10.5281/zenodo.3625687), cut to the face; names are those of the videos.",
)


def grid_faces(seed: int, *, size: int = 64, length: int = 15) -> Splits:
    """Return stretches of ten people's videos, in colour; labels are the people.

    Every video is cut into stretches from its start. The last fifth of them, at least one, tests,
    and the fifth before validates, for every person: identity is asked of moments that training
    has not seen, and a held-out stretch between others would be much like its neighbours. All
    parts are the same for every `seed`.

    Args:
        seed: Not used.
        size: Side of a frame in pixels: 64, or 32 or 16 by averages over areas.
        length: Number of frames in a stretch, 1 to 25; frames left over at the end are left out.

    Raises:
        DataError: If the file is not there or not as it should be, or an option is out of range.
    """
    arrays = read_prepared(_FILE)
    frames = torch.from_numpy(arrays["videos"]).flatten(0, 1).permute(0, 3, 1, 2).contiguous()
    videos = shrink(frames, size, _SIZES).unflatten(0, (_PEOPLE, _FRAMES))
    stretches = cut(videos, length)
    held = held_out(stretches.shape[1])
    names = tuple(str(name) for name in arrays["names"])
    ends = (None, -2 * held, -held, None)
    parts = (_part(stretches[:, a:b], names) for a, b in pairwise(ends))
    return Splits(*parts, in_order=True)


def _part(stretches: torch.Tensor, names: tuple[str, ...]) -> Dataset:
    people = torch.arange(_PEOPLE).repeat_interleave(stretches.shape[1])
    images = stretches.flatten(0, 1).contiguous()
    return Dataset(images, "grid-faces", labels=people, label_names=names)
