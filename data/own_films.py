"""The user's own folders and files: which of them are films, and which are images."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image
from torch import Tensor

from .dataset import Dataset
from .errors import DataError
from .films import Film, natural, read_films
from .folder import IMAGES, check_headers, find_files, read_image, read_images, suffix
from .gif import moves, open_gif
from .sequence_options import SequenceOptions
from .video import VIDEOS, open_video
from .wording import counted


def is_film(path: Path) -> bool:
    """Say whether a file is a GIF file or a video, by its name."""
    return suffix(path.name) in (*VIDEOS, "gif")


def read_own_film(path: Path, options: SequenceOptions) -> Dataset:
    """Read one GIF file or video; only cut into stretches is it more than one sequence.

    Raises:
        DataError: If it cannot be used as it is.
    """
    if suffix(path.name) == "gif" and open_gif(path).count == 1:
        raise DataError(
            f"number of frames of {path} is 1; expected a GIF file that moves. Give the path of a "
            "folder of several, which are images if none of them moves."
        )
    return _read_files([path], path, options)


def read_own_folder(folder: Path, options: SequenceOptions) -> Dataset:
    """Read a folder of films, of folders of frames, or of images.

    The rule is about what the files are, never about how their folders are called or nested:

    * Videos, and GIF files among which some move, are one sequence each.
    * Images are frames only if the option `sequences` says so, because `cats/1.png, cats/2.png`
      may as well be two images with the label `cats`. Then the images of each folder are one
      sequence, in the order of the numbers in their names.
    * All others are images on their own.

    Whatever they are, they lie in subfolders whose names are labels, or in none.

    Raises:
        DataError: If they cannot be used as they are.
    """
    found = find_files(folder, (*IMAGES, *VIDEOS))
    films = [path for path in found if is_film(path)]
    stills = len(found) - len(films)
    videos = [path for path in films if suffix(path.name) != "gif"]
    if videos or (films and not stills and any(map(moves, films))):
        if stills:
            raise DataError(
                f"number of images beside {counted(len(films), 'films')} (videos and GIF files) "
                f"in {folder} is {stills}; expected either images or films. Move one kind to "
                "another folder."
            )
        return _read_files(sorted(films, key=natural), folder, options)
    if not options.sequences:
        options.refuse_for(f"{folder}, a folder of images")
        return read_images(sorted(found), folder)
    return _read_frame_folders(found, folder, options)


def _read_files(paths: list[Path], root: Path, options: SequenceOptions) -> Dataset:
    films = [open_gif(path) if suffix(path.name) == "gif" else open_video(path) for path in paths]
    data = read_films(films, root, "L" if options.grey else "RGB", options)
    # A file says that it has colours even if it shows none.
    images = data.images
    if isinstance(images, Tensor) and all(bool((x == x[:, :1]).all()) for x in images):
        return replace(data, images=images[:, :, :1].contiguous())
    return data


def _read_frame_folders(paths: list[Path], root: Path, options: SequenceOptions) -> Dataset:
    if not paths:
        raise DataError(
            f"number of images in {root} is 0; expected folders of frames, which are of "
            f"{', '.join(IMAGES)}"
        )
    paths = sorted(paths, key=natural)
    _, mode = check_headers(paths, options.size is not None, options.grey)
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    _check_nesting(folders, root)
    films = [_film(folder, frames, mode) for folder, frames in folders.items()]
    return read_films(films, root, mode, options)


def _check_nesting(folders: dict[Path, list[Path]], root: Path) -> None:
    for folder in folders:
        above = next((parent for parent in folder.parents if parent in folders), None)
        if above is not None:
            raise DataError(
                f"number of frames beside the folder {folder} in {above} is "
                f"{len(folders[above])}; expected 0, as {above} cannot be both a sequence and "
                "a label. Move them to a folder of their own."
            )


def _film(folder: Path, frames: list[Path], mode: str) -> Film:
    with Image.open(frames[0]) as image:
        size = (image.height, image.width)
    return Film(folder, len(frames), size, partial(_frames, frames, mode))


def _frames(paths: list[Path], mode: str) -> Iterator[Image.Image]:
    return (read_image(path, mode) for path in paths)
