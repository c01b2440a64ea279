"""Six actions of 25 people: the videos of KTH, from the original archives.

Source: Schuldt, Laptev and Caputo (2004), "Recognizing human actions: a local SVM approach",
https://doi.org/10.1109/ICPR.2004.1334462; the videos: https://www.csc.kth.se/cvap/actions/.
"""

import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .dataset import Dataset, Splits
from .errors import DataError, DataWarning
from .limits import check_bytes
from .progress import progress
from .video import open_video
from .wording import counted

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
RANGES = "00sequences.txt"
_SIZES = (128, 64, 32, 16)
_PEOPLE, _SCENES = 25, 4
_HELD_OUT = {
    # Persons that validate, and that test.
    "denton": ((), (21, 22, 23, 24, 25)),
    "schuldt": ((19, 20, 21, 23, 24, 25, 1, 4), (22, 2, 3, 5, 6, 7, 8, 9, 10)),
}
_VALIDATION_OF_DENTON = 2  # persons of those that do not test
_WHERE = (
    "The archives boxing.zip to walking.zip, or folders of their files, and 00sequences.txt come "
    "from https://www.csc.kth.se/cvap/actions/"
)
_NAME = re.compile(r"person(\d\d)_([a-z]+)_d(\d)")


@dataclass(frozen=True)
class _Clip:
    """A range of frames of a video in which a person is in view."""

    person: int
    action: str
    scene: int
    first: int
    last: int

    @property
    def video(self) -> str:
        return f"person{self.person:02d}_{self.action}_d{self.scene}"


def kth(
    seed: int,
    *,
    size: int = 64,
    length: int = 30,
    actions: str = "",
    people: Literal["denton", "schuldt"] = "denton",
) -> Splits:
    """Return stretches of the videos, in grey; labels are the actions.

    Only frames count in which the person is in view, which 00sequences.txt lists. Every such range
    is cut into stretches from its start; frames left over at its end are left out, and so are
    ranges that are shorter. Frames are cut to the square in the middle, 120 pixels
    wide, and averaged down; to 128 pixels they are interpolated.

    `factors` are the person, 0 to 24, and the scene, 0 to 3: outdoors, the same with changes of
    scale, in other clothes, and indoors. No person is in two parts.

    Args:
        seed: Chooses the persons that validate, of `denton`.
        size: Side of a frame in pixels: 128, 64, 32 or 16.
        length: Number of frames in a stretch, at least 2.
        actions: Which, joined by `+`, such as walking+running; all six unless given.
        people: `denton`: persons 21 to 25 test, as of DrNet, and two others validate. `schuldt`:
            8 train, 8 validate and 9 test, as published with the videos.

    Raises:
        DataError: If files are not there or not as they should be, or an option is out of range.
    """
    if size not in _SIZES:
        raise DataError(f"size is {size!r}; expected one of {', '.join(map(str, _SIZES))}")
    if type(length) is not int or length < 2:
        raise DataError(f"length is {length!r}; expected an integer of at least 2")
    chosen = _chosen(actions)
    folder = _folder()
    clips = [c for c in _read_ranges(folder / RANGES) if c.action in chosen]
    stretches = sum(_count(clip, length) for clip in clips)
    check_bytes(stretches * length * size**2, f"kth at size {size}")
    images, kept = _read(folder, chosen, clips, size, length)
    person = torch.tensor([clip.person for clip in kept])
    validation, test = _HELD_OUT[people]
    if not validation:
        left = np.setdiff1d(person.numpy(), test)
        validation = np.random.default_rng(seed).permutation(left)[:_VALIDATION_OF_DENTON].tolist()
    part = torch.zeros(len(kept), dtype=torch.long)
    part[torch.isin(person, torch.tensor(validation))] = 1
    part[torch.isin(person, torch.tensor(test))] = 2
    sizes = part.bincount(minlength=3).tolist()
    if min(sizes) == 0:
        raise DataError(
            f"numbers of stretches to train, to validate and to test are {sizes}; expected at "
            f"least 1 each. Take a smaller length, or all archives. {_WHERE}"
        )
    parts = (_part(images, kept, chosen, part == place) for place in range(3))
    return Splits(*parts, in_order=True)


def _chosen(actions: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(actions.split("+"))) if actions else ACTIONS
    unknown = [name for name in names if name not in ACTIONS]
    if unknown:
        raise DataError(
            f"actions is {actions!r}, of which {unknown[0]!r} is none; expected some of "
            f"{', '.join(ACTIONS)}, joined by +"
        )
    return names


def _folder() -> Path:
    root = os.environ.get("UNBRAID_DATA")
    folder = Path(root or "", "kth")
    if not root or not (folder / RANGES).is_file():
        raise DataError(
            f"kth/{RANGES} is not in the folder that UNBRAID_DATA names, {root!r}; expected it "
            f"beside the videos. {_WHERE}"
        )
    return folder


def _read_ranges(path: Path) -> list[_Clip]:
    """Read lines such as `person01_boxing_d1 frames 1-95, 96-185`; frames are counted from 1."""
    clips = []
    for line in path.read_text(errors="replace").splitlines():
        found = re.match(rf"\s*{_NAME.pattern}\s+frames\s+(.+)", line)
        if found is None:
            continue
        person, action, scene, ranges = found.groups()
        for text in ranges.split(","):
            ends = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", text)
            if ends is None or not 1 <= int(ends[1]) <= int(ends[2]):
                raise DataError(
                    f"a range of {found[0].split()[0]} in {path} is {text.strip()!r}; expected "
                    "two frames such as 1-95, the first not after the last. Fetch the file again"
                )
            clips.append(_Clip(int(person), action, int(scene), int(ends[1]), int(ends[2])))
    if not clips:
        raise DataError(
            f"number of ranges in {path} is 0; expected lines such as "
            f"'person01_boxing_d1 frames 1-95, 96-185'. {_WHERE}"
        )
    return clips


def _count(clip: _Clip, length: int) -> int:
    return (clip.last - clip.first + 1) // length


def _read(
    folder: Path, actions: tuple[str, ...], clips: list[_Clip], size: int, length: int
) -> tuple[Tensor, list[_Clip]]:
    """Return stretches `(S, length, 1, size, size)`, and which clip each is of."""
    by_video: dict[str, list[_Clip]] = {}
    for clip in clips:
        by_video.setdefault(clip.video, []).append(clip)
    images, kept = [], []
    bar = progress(total=len(by_video), desc="reading kth", unit="video")
    with bar:
        for action in actions:
            for name, path in _videos(folder, action):
                bar.update()
                ranges = by_video.get(name, [])
                if not any(_count(clip, length) for clip in ranges):
                    continue
                frames = _whole_frames(name, path, size)
                for clip in ranges:
                    if clip.last > len(frames):
                        warnings.warn(
                            f"{name} has {counted(len(frames), 'frames')}, and a range from "
                            f"{clip.first} to {clip.last}; what is there is used",
                            DataWarning,
                        )
                    shown = frames[clip.first - 1 : clip.last]
                    count = len(shown) // length
                    if count:
                        images.append(shown[: count * length].unflatten(0, (count, length)))
                        kept += [clip] * count
    if not images:
        raise DataError(
            f"number of stretches of {length} frames in {folder} is 0; expected at least 3. "
            f"Take a smaller length, or see that the archives are there. {_WHERE}"
        )
    return torch.cat(images), kept


def _whole_frames(name: str, path: Path, size: int) -> Tensor:
    """Frames of a video `(N, 1, size, size)` up to where it is damaged, as one of KTH's own is."""
    film, frames = open_video(path), []
    try:
        for image in film.frames():
            frames.append(_frame(image, size))
    except DataError:
        warnings.warn(
            f"{name} is cut off or damaged after {counted(len(frames), 'frames')}; what is there "
            "is used",
            DataWarning,
        )
    return torch.stack(frames)


def _videos(folder: Path, action: str) -> Iterator[tuple[str, Path]]:
    """Give name and file of every video of an action, of its archive or its folder."""
    archive = folder / f"{action}.zip"
    if archive.is_file():
        try:
            with zipfile.ZipFile(archive) as members:
                for member in sorted(members.namelist()):
                    found = _NAME.match(Path(member).name)
                    if found and member.endswith(".avi"):
                        with _extracted(members, member) as path:
                            yield found[0], path
        except zipfile.BadZipFile as error:
            raise DataError(
                f"{archive} is not a whole archive ({error}); expected the original. Fetch it "
                f"again. {_WHERE}"
            ) from error
        return
    files = sorted((folder / action).glob("*.avi"))
    if not files:
        raise DataError(
            f"neither {archive.name} nor a folder {action} with .avi files is in {folder}; "
            f"expected one of them. Leave the action out by actions=, or fetch it. {_WHERE}"
        )
    for path in files:
        found = _NAME.match(path.name)
        if found:
            yield found[0], path


@contextmanager
def _extracted(members: zipfile.ZipFile, member: str) -> Iterator[Path]:
    """A member as a file of its own, under a name that the archive does not choose."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "video.avi")
        path.write_bytes(members.read(member))
        yield path


def _frame(image: Image.Image, size: int) -> Tensor:
    """The square in the middle, in grey, at a side of `size`: uint8 `(1, size, size)`."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.convert("L").crop((left, top, left + side, top + side))
    how = Image.Resampling.BOX if size <= side else Image.Resampling.BILINEAR
    return torch.from_numpy(np.array(square.resize((size, size), how)))[None]


def _part(images: Tensor, clips: list[_Clip], actions: tuple[str, ...], chosen: Tensor) -> Dataset:
    kept = [clip for clip, keep in zip(clips, chosen.tolist(), strict=True) if keep]
    return Dataset(
        images[chosen],
        "kth",
        labels=torch.tensor([actions.index(clip.action) for clip in kept]),
        label_names=actions,
        factors=torch.tensor([[clip.person - 1, clip.scene - 1] for clip in kept]),
        factor_names=("person", "scene"),
        factor_sizes=(_PEOPLE, _SCENES),
    )
