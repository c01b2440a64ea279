"""Bodies in four poses, from thin to thick: drawn once and kept in the cache.

The set of Skafte Detlefsen and Hauberg (2019), "Explicit Disentanglement of Appearance and
Perspective in Generative Models", https://arxiv.org/abs/1906.11881, after its description: 10 000
rendered bodies, whose class is the pose and whose shape varies continuously. Theirs are of another
body model, so numbers compare in kind only.
"""

import hashlib
import os
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch

from .body_model import body_model, thickness_direction
from .body_poses import POSE_NAMES, pose_rotations
from .body_render import HEIGHT, WIDTH, render
from .dataset import Dataset, Splits
from .download import cache_folder
from .errors import DataError, DataWarning
from .npz import read_arrays
from .progress import progress

THICKEST = 4.0  # in standard deviations of the population; the thinnest is as far below its mean

_COUNT, _SMALL = 10_000, 1000
_POSES = len(POSE_NAMES)
_TEST, _VALIDATION = 0.2, 0.1  # shares of the whole
_SEED = 0
_CHUNK = 16  # bodies that are drawn together
_PROBED = 8  # bodies that tell one way of drawing from another


def bodies(seed: int) -> Splits:
    """Return 7000, 1000 and 2000 bodies; which 1000 validate depends on `seed`.

    The first call draws them. Labels are the four poses, equally many in every part; factors are
    the pose and the thickness, in standard deviations of the population.
    """
    return _load(_COUNT, "bodies", seed)


def bodies_small(seed: int) -> Splits:
    """Return 700, 100 and 200 bodies, which are the first 1000 of the large set."""
    return _load(_SMALL, "bodies-small", seed)


def draw(poses: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """Draw bodies, each the same whatever its neighbours are.

    Args:
        poses: Indices `(n,)` into `POSE_NAMES`.
        thickness: In standard deviations of the population `(n,)`; 0 is its mean.

    Returns:
        uint8 `(n, 64, 32)`.
    """
    body, direction, rotations = _prepared()
    return render(body.skin(thickness[:, None] * direction, rotations[poses]), body.faces)


def factors_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pose and thickness `(count,)` of the first `count` bodies; poses take turns."""
    thickness = np.random.default_rng(_SEED).uniform(-THICKEST, THICKEST, count)
    return np.arange(count) % _POSES, thickness.astype(np.float32)


@cache
def _prepared() -> tuple:
    body = body_model()
    return body, thickness_direction(body), pose_rotations(body)


def _load(count: int, name: str, seed: int) -> Splits:
    poses, thickness = factors_of(count)
    images = torch.from_numpy(_images(count, name)).unsqueeze(1)
    data = Dataset(
        images,
        name,
        labels=torch.from_numpy(poses),
        label_names=POSE_NAMES,
        factors=torch.from_numpy(np.stack([poses, thickness], 1).astype(np.float32)),
        factor_names=("pose", "thickness"),
        factor_sizes=(_POSES, 0),
    )
    return _cut(data, seed)


def _cut(data: Dataset, seed: int) -> Splits:
    """Test on the last bodies and validate on some of the others, all poses equally often."""
    rounds = torch.arange(len(data)).view(-1, _POSES)  # of one body in each pose
    tested, validated = (round(share * len(rounds)) for share in (_TEST, _VALIDATION))
    rest, test = rounds[:-tested], rounds[-tested:]
    order = torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))
    chosen = (order[validated:].sort().values, order[:validated].sort().values)
    train, validation = (data.take(rest[rows].flatten()) for rows in chosen)
    return Splits(train, validation, data.take(test.flatten()), in_order=True)


def _images(count: int, name: str) -> np.ndarray:
    """Return the images from the cache; those that are not there, or damaged, are drawn."""
    cached = cache_folder() / "bodies" / f"images-{count}-{_fingerprint()}.npz"
    if cached.is_file():
        try:
            return _read(cached, count)
        except DataError as error:
            warnings.warn(f"{error} It is drawn again.", DataWarning)
    images = _draw_all(count, name)
    _write(cached, images)
    return images


def _fingerprint() -> str:
    """Return what tells images drawn otherwise, by another version or machine, from these."""
    probe = draw(*factors_of(_PROBED))
    return hashlib.blake2b(probe.tobytes(), digest_size=8).hexdigest()


def _read(path: Path, count: int) -> np.ndarray:
    images = read_arrays(path, ("images",))[0].get("images")
    if images is None or images.shape != (count, HEIGHT, WIDTH) or images.dtype != np.uint8:
        found = None if images is None else (images.dtype.name, images.shape)
        raise DataError(f"images in {path} are {found}; expected uint8 {(count, HEIGHT, WIDTH)}.")
    return images


def _draw_all(count: int, name: str) -> np.ndarray:
    poses, thickness = factors_of(count)
    images = np.empty((count, HEIGHT, WIDTH), np.uint8)
    with progress(total=count, desc=f"drawing {name}", unit="image") as bar:
        for start in range(0, count, _CHUNK):
            rows = slice(start, start + _CHUNK)
            images[rows] = draw(poses[rows], thickness[rows])
            bar.update(len(images[rows]))
    return images


def _write(target: Path, images: np.ndarray) -> None:
    """Write `images` to `target`, which is there only when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, images=images)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
