"""The net of a judge: features of each frame, their mean over the frames, an answer per head."""

from collections.abc import Mapping
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

_CHANNELS = (32, 64, 128, 128)
_HIDDEN = 128
_SMALLEST_SIDE = 4


class JudgeNet(nn.Module):
    """Classify frames or clips, several questions at once.

    Stages of stride 2 halve a frame until its shorter side would fall below 4. What a layer makes
    of each frame is averaged over the frames of a clip, so a clip may have any number of them, and
    their order does not matter: an action is known by the poses that occur in it.

    Args:
        shape: Channels, height and width `(C, H, W)` of a frame.
        classes: Number of classes of each head, by name.
    """

    def __init__(self, shape: tuple[int, ...], classes: Mapping[str, int]) -> None:
        super().__init__()
        self.shape, self.classes = tuple(shape), dict(classes)
        sizes, widths = [self.shape[1:]], [self.shape[0]]
        layers: list[nn.Module] = []
        for channels in _CHANNELS:
            if layers and min(sizes[-1]) < 2 * _SMALLEST_SIDE:
                break
            sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
            widths.append(channels)
        for width, next_width in pairwise(widths):
            layers += [nn.Conv2d(width, next_width, 3, stride=2, padding=1), nn.ReLU()]
        features = widths[-1] * prod(sizes[-1])
        self.frame_features = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(features, _HIDDEN), nn.ReLU()
        )
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, count)
                )
                for name, count in self.classes.items()
            }
        )

    def forward(self, clips: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return the logits `(N, K)` of each head.

        Args:
            clips: Frames `(N, T, C, H, W)` in [0, 1].
            mask: True where there is a frame, bool `(N, T)`, at least once per clip.
        """
        pooled = self.features(clips, mask)
        return {name: head(pooled) for name, head in self.heads.items()}

    def features(self, clips: Tensor, mask: Tensor) -> Tensor:
        """Return what all heads see of each clip, `(N, 128)`; arguments as in `forward`."""
        features = clips.new_zeros(*mask.shape, _HIDDEN)
        features[mask] = self.frame_features(clips[mask] - 0.5)
        return features.sum(1) / mask.sum(1, keepdim=True)


def judge_loss(logits: Mapping[str, Tensor], classes: Mapping[str, Tensor]) -> Tensor:
    """Return the cross-entropy in nats per datum, summed over heads."""
    losses = [nn.functional.cross_entropy(logits[name], classes[name]) for name in logits]
    return torch.stack(losses).sum()
