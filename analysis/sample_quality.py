"""How near generated images are to real ones, as sets, in features of a net."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .feature_distance import BLOCKS, KernelDistance, frechet_distance, kernel_distance


@dataclass(frozen=True)
class SampleQuality:
    """Distances of generated images from real ones; better when lower.

    Attributes:
        frechet: Squared Fréchet distance; None where there are not more images than features.
        kernel: Kernel distance with its standard error, without bias.
        generated: Number of generated images.
        real: Number of real images.
    """

    frechet: float | None
    kernel: KernelDistance
    generated: int
    real: int


def sample_quality(
    generated: Tensor,
    real: Tensor,
    features: Callable[[Tensor], Tensor],
    *,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> SampleQuality:
    """Return how far generated images are from real ones in features of a net.

    Numbers of two nets cannot be compared, nor those of other numbers of images. What is best
    possible is the number of further real images in place of the generated ones: state it beside.
    Neither distance sees a memorised training set.

    Args:
        generated: Images `(N, C, H, W)`, such as samples.
        real: Images `(M, C, H, W)` that the net was not trained on, such as test images.
        features: Returns features `(N, D)` of images, such as `judge.features` of a judge that
            `train_judge` trained, or those of `train_code_features`.
        blocks: Number of blocks of `kernel_distance`.
        seed: Of the shuffling.

    Raises:
        ValueError: As `kernel_distance`.
    """
    own, other = features(generated), features(real)
    enough = min(len(own), len(other)) > own.shape[1]
    return SampleQuality(
        frechet_distance(own, other) if enough else None,
        kernel_distance(own, other, blocks=blocks, seed=seed),
        len(generated),
        len(real),
    )
