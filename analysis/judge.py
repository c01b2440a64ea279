"""A judge: a classifier of real frames or clips, which says what is seen in decoded ones."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from unbraid.inference import write_atomically

from .clustered import clustered_accuracy
from .judge_net import JudgeNet
from .known_sequences import frame_mask
from .neighbours import Accuracy
from .score_inputs import Values, class_column

_FRAMES_PER_PASS = 1024


class Judge:
    """A trained judge and how well it does on real data.

    Args:
        net: Answers for clips; of single frames, for clips of one frame.
        clips: Whether it judges clips `(N, T, C, H, W)`, else frames `(N, C, H, W)`.
        right: Which real held-out data each head told rightly, bools `(M,)`, by name of the head.
        groups: Which of these data are not independent, integers `(M,)`.
    """

    def __init__(
        self,
        net: JudgeNet,
        clips: bool,
        right: Mapping[str, NDArray[np.bool_]],
        groups: NDArray[np.integer],
    ) -> None:
        self.net = net.eval()
        self.clips = clips
        self._right, self._groups = dict(right), groups

    @property
    def classes(self) -> dict[str, int]:
        """Number of classes of each head, by its name."""
        return dict(self.net.classes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width `(C, H, W)` of a frame."""
        return self.net.shape

    def probabilities(self, frames: Tensor, *, mask: Values | None = None) -> dict[str, Tensor]:
        """Return the probability of each class, float32 `(N, K)`, by head.

        Args:
            frames: Images `(N, C, H, W)`, or clips `(N, T, C, H, W)` where the judge is one of
                clips; uint8, or floats in [0, 1].
            mask: True where a clip has a frame, bools `(N, T)`; unless given, everywhere. What
                stands elsewhere is never looked at.

        Raises:
            ValueError: If the frames are not of the judge's shape, or out of range.
        """
        parts: dict[str, list[Tensor]] = {name: [] for name in self.classes}
        with torch.no_grad():
            for clips, valid in self._chunks(frames, mask):
                for name, values in self.net(clips, valid).items():
                    parts[name].append(values.softmax(-1))
        return {name: torch.cat(values) for name, values in parts.items()}

    def features(self, frames: Tensor, *, mask: Values | None = None) -> Tensor:
        """Return what the judge makes of each datum before it answers, float32 `(N, 128)`.

        Sets of data can be held against each other by them; see `sample_quality`.

        Args:
            frames: As in `probabilities`.
            mask: As in `probabilities`.

        Raises:
            ValueError: As in `probabilities`.
        """
        with torch.no_grad():
            return torch.cat([self.net.features(*part) for part in self._chunks(frames, mask)])

    def predict(self, frames: Tensor, *, mask: Values | None = None) -> dict[str, Tensor]:
        """Return the most probable class, int64 `(N,)`, by head; see `probabilities`."""
        told = self.probabilities(frames, mask=mask)
        return {name: values.argmax(-1) for name, values in told.items()}

    def accuracy(
        self,
        frames: Tensor,
        classes: Mapping[str, Values],
        *,
        mask: Values | None = None,
        groups: Values | None = None,
    ) -> dict[str, Accuracy]:
        """Return the share of data whose class is told rightly, by head.

        Args:
            frames: As in `probabilities`.
            classes: True classes, integers `(N,)`, by head; heads that are left out are not asked.
            mask: As in `probabilities`.
            groups: Which data are not independent, integers `(N,)`, for the standard errors.

        Raises:
            ValueError: If shapes do not fit or a head is unknown.
        """
        told = self.predict(frames, mask=mask)
        self.check_heads(classes)
        count = len(frames)
        clusters = np.arange(count) if groups is None else class_column("groups", groups, count)
        return {
            name: clustered_accuracy(
                told[name].numpy() == class_column(f"classes[{name!r}]", values, count), clusters
            )
            for name, values in classes.items()
        }

    def ceiling(self, heads: Iterable[str] | None = None) -> Accuracy:
        """Return the share of real held-out data for which all of some heads are right.

        Args:
            heads: Names of heads; unless given, all of them.

        Raises:
            ValueError: If there is no head of that name, or none is named.
        """
        names = list(self.classes if heads is None else heads)
        self.check_heads(names)
        return clustered_accuracy(np.all([self._right[name] for name in names], 0), self._groups)

    def check_heads(self, heads: Iterable[str]) -> None:
        """Raise `ValueError` unless these are heads of this judge, at least one."""
        names = list(heads)
        unknown = [name for name in names if name not in self.classes]
        if unknown or not names:
            raise ValueError(
                f"heads are {names}; expected some of {', '.join(self.classes)}. Train a judge "
                "for what you want to ask."
            )

    def save(self, path: str | Path) -> None:
        """Write the judge to a safetensors file, whole or not at all."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        tensors |= {f"right.{name}": torch.tensor(v) for name, v in self._right.items()}
        tensors["groups"] = torch.tensor(self._groups)
        facts = {"shape": list(self.shape), "classes": self.classes, "clips": self.clips}
        write_atomically(path, safetensors.torch.save(tensors, {"judge": json.dumps(facts)}))

    def _chunks(self, frames: Tensor, mask: Values | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Scaled clips and their masks, a bounded number of frames at a time."""
        clips, valid = as_clips(frames, mask, self.shape, self.clips)
        size = max(1, _FRAMES_PER_PASS // clips.shape[1])
        for start in range(0, len(clips), size):
            rows = slice(start, start + size)
            yield scaled(clips[rows], valid[rows]), valid[rows]


def load_judge(path: str | Path) -> Judge:
    """Return a judge that `Judge.save` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not the file of a judge.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["judge"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        net = JudgeNet(tuple(facts["shape"]), facts["classes"])
        net.load_state_dict(
            {n.removeprefix("net."): v for n, v in tensors.items() if n.startswith("net.")}
        )
        right = {name: tensors[f"right.{name}"].numpy() for name in net.classes}
        return Judge(net, bool(facts["clips"]), right, tensors["groups"].numpy())
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} is no judge ({error}); expected a file that Judge.save wrote. Train and save "
            "it again."
        ) from error


def as_clips(
    frames: Tensor, mask: Values | None, shape: tuple[int, ...], clips: bool
) -> tuple[Tensor, Tensor]:
    """Return clips `(N, T, C, H, W)` and which frames they have, bool `(N, T)`.

    Args:
        frames: Clips, or single frames `(N, C, H, W)`.
        mask: Bools `(N, T)` or None; single frames have none.
        shape: `(C, H, W)` of a frame.
        clips: Whether clips are expected.

    Raises:
        ValueError: If shapes do not fit.
    """
    expected = "(N, T, C, H, W)" if clips else "(N, C, H, W)"
    if frames.dim() != 4 + clips or tuple(frames.shape[-3:]) != shape or 0 in frames.shape:
        raise ValueError(
            f"frames are {tuple(frames.shape)}; expected {expected} with (C, H, W) = {shape}. "
            "A judge takes what it was trained on: single frames, or clips."
        )
    if not clips and mask is not None:
        raise ValueError(
            "mask is given with single frames; expected None. Give the frames that there are."
        )
    found = frames.detach().cpu() if clips else frames.detach().cpu()[:, None]
    return found, torch.from_numpy(frame_mask("mask", mask, (found.shape[0], found.shape[1])))


def scaled(clips: Tensor, mask: Tensor) -> Tensor:
    """Return clips as float32 in [0, 1]; levels of uint8 are divided by 255.

    Raises:
        ValueError: If a frame that the mask leaves has other values.
    """
    if clips.dtype == torch.uint8:
        return clips.float() / 255
    values = clips.float()
    seen = values[mask]
    if not bool(((seen >= 0) & (seen <= 1)).all()):
        raise ValueError(
            f"frames have values from {seen.min():g} to {seen.max():g}; expected finite floats in "
            "[0, 1] or uint8. Give mean images as the likelihood shows them."
        )
    return values
