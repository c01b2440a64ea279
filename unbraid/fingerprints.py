"""Fingerprints of data, by which a run notices that they are no longer those of its training."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from unbraid.data import Dataset

from .config import ConfigError

FINGERPRINTED_IMAGES, FINGERPRINTED_SEQUENCES, FINGERPRINTED_FRAMES = 1000, 100, 10
_DIGITS = 16
# What pairs cannot have been trained by where it was not there: it may be added to judge them.
_MAY_BE_ADDED = ("labels", "factors", "frame_factors")


def fingerprint_pixels(parts: Sequence[Dataset]) -> str:
    """Return a hash of the number of data and some pixels of each part."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_sample_bytes(part))
    return digest.hexdigest()[:_DIGITS]


def fingerprint_annotations(parts: Sequence[Dataset]) -> dict[str, str]:
    """Return a hash of all that is known of the data, by name of the field of `Dataset`."""
    names = dict.fromkeys(name for part in parts for name in part.annotations())
    return {name: _fingerprint_field(name, parts) for name in names}


def check_annotations(
    found: Mapping[str, str], recorded: Mapping[str, str] | None, data: str, instead: str
) -> None:
    """Refuse data of which other things are known than when a run was trained.

    Args:
        found: What `fingerprint_annotations` gives of the data.
        recorded: The same of the training; None of runs of earlier versions, which pass.
        data: Name or path of the data.
        instead: What to do about it.

    Raises:
        ConfigError: If something that was known differs or is gone, or groups or lengths are new.
    """
    if recorded is None:
        return
    for name in dict.fromkeys((*recorded, *found)):
        added = name not in recorded and name in _MAY_BE_ADDED
        if added or found.get(name) == recorded.get(name):
            continue
        shown = "factors of frames" if name == "frame_factors" else name
        how = "are others than" if name in found else "are gone, unlike"
        if name not in recorded:
            how = "are new, unlike"
        raise ConfigError(
            f"{shown} of data {data} {how} when the run was trained, though the pixels are the "
            f"same. {instead}"
        )


def check_data(
    fingerprint: str, annotations: Mapping[str, str], config: Mapping[str, Any]
) -> None:
    """Refuse data that are not those that a run was trained on.

    Args:
        fingerprint: Of the pixels that were found.
        annotations: Of what is known of them.
        config: What `config.json` says.

    Raises:
        ConfigError: If they differ.
    """
    instead = "Bring back the data of that time"
    if fingerprint != config["fingerprint"]:
        raise ConfigError(
            f"data {config['data']} have fingerprint {fingerprint}; the run was trained on "
            f"{config['fingerprint']}. {instead}"
        )
    recorded = config.get("annotation_fingerprints")
    check_annotations(annotations, recorded, config["data"], instead)


def _fingerprint_field(name: str, parts: Sequence[Dataset]) -> str:
    digest, singular = hashlib.sha256(), name.removesuffix("s")
    for part in parts:
        names = [getattr(part, f"{singular}_{what}", ()) for what in ("names", "sizes")]
        values = part.annotations().get(name)
        array = np.empty(0) if values is None else np.ascontiguousarray(values.cpu().numpy())
        digest.update(repr((names, array.shape, array.dtype.str)).encode())
        digest.update(array.data)
    return digest.hexdigest()[:_DIGITS]


def _sample_bytes(part: Dataset) -> bytes:
    """Size and up to 1000 evenly spaced images of a part, enough to tell other data apart."""
    shown = FINGERPRINTED_SEQUENCES if part.is_sequence else FINGERPRINTED_IMAGES
    rows = torch.linspace(0, len(part) - 1, min(shown, len(part))).long()
    size = len(part).to_bytes(8, "little")
    if not part.is_sequence:
        return size + part.pixels(rows).cpu().numpy().tobytes()
    total = part.images.shape[1]
    places = torch.linspace(0, total - 1, min(FINGERPRINTED_FRAMES, total)).long()
    frames = part.frames(rows.to(part.device), places.to(part.device).expand(len(rows), -1))
    return size + total.to_bytes(8, "little") + frames.cpu().numpy().tobytes()
