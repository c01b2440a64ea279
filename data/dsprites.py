"""dSprites: the original file where there is one, otherwise drawn once and kept in the cache."""

import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from .bits import PackedBits
from .dataset import Dataset, Splits
from .download import Remote, cache_folder, find_local
from .dsprites_render import COUNT, FACTOR_NAMES, FACTOR_SIZES, SIDE, factors_of, render
from .errors import DataError
from .npz import open_array, open_npz
from .progress import progress
from .splitting import split

_ORIGINAL = Remote(
    "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
    "https://github.com/google-deepmind/dsprites-dataset/raw/master/"
    "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
    "md5:7da33b31b13a06f4b04a70402ce90c2e",
)
_CHUNK = 1024  # images that are drawn together: one shape, size and angle
_SIDES = (64, 32)
_SMALL = 20_000
_SMALL_SEED = 0


def dsprites(seed: int, *, size: int = SIDE) -> Splits:
    """Return all 737 280 images, packed: 360 MiB. The first call without the file draws them.

    Orientations 0 and 39 are one angle, as in the original: images that differ in nothing else are
    the same, so that about 4 % of the test images are training images too.

    Args:
        seed: Seed of the splits.
        size: Pixels along each side: 64 as published, or 32, drawn by the same rule (90 MiB).
    """
    _check(size)
    cached = cache_folder() / "dsprites" / ("bits-v1.npy" if size == SIDE else f"bits-{size}.npy")
    if not cached.is_file():
        _write_bits(cached, size)
    bits = np.load(cached, mmap_mode="c", allow_pickle=False)
    return split(_dataset(torch.from_numpy(bits), np.arange(COUNT), "dsprites", size), seed)


def dsprites_small(seed: int, *, size: int = SIDE) -> Splits:
    """Return 20 000 of the images, the same for every `seed`, drawn on the spot.

    As orientations 0 and 39 are one angle, a few are the same: with seed 0, 8 of the 2000 test
    images are training images too (26 of the 32 x 32 ones, of which more are alike).

    Args:
        seed: Seed of the splits.
        size: Pixels along each side: 64 as published, or 32, drawn by the same rule.
    """
    _check(size)
    indices = np.sort(np.random.default_rng(_SMALL_SEED).choice(COUNT, _SMALL, replace=False))
    chunks = np.array_split(indices, -(-_SMALL // _CHUNK))
    bits = np.concatenate([_pack(render(factors_of(chunk), size)) for chunk in chunks])
    return split(_dataset(torch.from_numpy(bits), indices, "dsprites-small", size), seed)


def _check(size: int) -> None:
    if size not in _SIDES:
        raise DataError(f"size is {size}; expected one of {', '.join(map(str, _SIDES))}")


def _dataset(bits: torch.Tensor, indices: np.ndarray, name: str, size: int) -> Dataset:
    return Dataset(
        PackedBits(bits, (1, size, size)),
        name,
        factors=torch.from_numpy(factors_of(indices)),
        factor_names=FACTOR_NAMES,
        factor_sizes=FACTOR_SIZES,
    )


def _pack(images: np.ndarray) -> np.ndarray:
    return np.packbits(images.reshape(len(images), -1), axis=1)


def _write_bits(target: Path, side: int) -> None:
    """Write all packed images to `target`, which is there only when it is whole."""
    original = find_local(_ORIGINAL) if side == SIDE else None
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    try:
        bits = np.lib.format.open_memmap(name, "w+", np.uint8, (COUNT, side * side // 8))
        if original is None:
            _draw(bits, side)
        else:
            _copy(original, bits)
        bits.flush()
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def _draw(bits: np.ndarray, side: int) -> None:
    starts = range(0, COUNT, _CHUNK)
    for start in progress(starts, desc="drawing dsprites"):
        bits[start : start + _CHUNK] = _pack(
            render(factors_of(np.arange(start, start + _CHUNK)), side)
        )


def _copy(original: Path, bits: np.ndarray) -> None:
    """Pack the images of the original file, 3 GB when unpacked, piece by piece."""
    with open_npz(original) as archive, open_array(archive, "imgs") as (file, _, _, _):
        for start in range(0, COUNT, _CHUNK):
            piece = np.frombuffer(file.read(_CHUNK * SIDE * SIDE), np.uint8)
            bits[start : start + _CHUNK] = _pack(piece.reshape(_CHUNK, SIDE, SIDE))
