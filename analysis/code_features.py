"""Features of images without labels: the codes of an autoencoder that is trained on them."""

import sys

import torch
from torch import Tensor, nn
from tqdm import tqdm

from unbraid.nets import ConvDecoder, ConvEncoder, make_likelihood

_BATCH, _IMAGES_PER_PASS = 64, 1024


class CodeFeatures:
    """Codes of a trained encoder, each standardised over the images that it was trained on.

    Args:
        encoder: Maps images `(N, C, H, W)` to a distribution whose mean is the code.
        images: The images that it was trained on.
    """

    def __init__(self, encoder: ConvEncoder, images: Tensor) -> None:
        self.encoder = encoder.eval()
        self._centre, self._scale = torch.tensor(0.0), torch.tensor(1.0)
        codes = self.features(images)
        self._centre = codes.mean(0)
        self._scale = codes.std(0, correction=0).clamp(min=1e-6)

    def features(self, images: Tensor) -> Tensor:
        """Return the standardised codes `(N, K)` of images, on the host.

        Args:
            images: `(N, C, H, W)`, uint8 or floats in [0, 1].

        Raises:
            ValueError: If they are not of the trained shape, or out of range.
        """
        _check(images, self.encoder.shape)
        device = next(self.encoder.parameters()).device
        with torch.no_grad():
            parts = [
                self.encoder(_scaled(part.to(device))).mean.cpu()
                for part in images.split(_IMAGES_PER_PASS)
            ]
        return (torch.cat(parts) - self._centre) / self._scale


def train_code_features(
    images: Tensor,
    *,
    dims: int = 32,
    steps: int = 1000,
    learning_rate: float = 1e-3,
    seed: int = 0,
    progress: bool = True,
) -> CodeFeatures:
    """Train a convolutional autoencoder, whose codes are features of images without labels.

    It minimises the cross-entropy of the pixels by Adam, whose step falls to 0 along a cosine.
    Codes know what takes many pixels, and little of what people look at: where there are labels,
    the features of a judge (`train_judge`) say more. The default takes a minute or two on a CPU.

    Args:
        images: Real images `(N, C, H, W)`, sides of at least 8; uint8 or floats in [0, 1].
        dims: Number `K` of features, at least 1.
        steps: Number of steps, each on 64 images; at least 1.
        learning_rate: Of the first step.
        seed: Of first weights and batches.
        progress: Whether to show a progress bar with the remaining time.

    Raises:
        ValueError: If there are no images, they are too small or out of range, or a number is.
    """
    for name, value in (("steps", steps), ("dims", dims)):
        if value < 1:
            raise ValueError(f"{name} is {value}; expected at least 1. Leave it out.")
    _check(images, tuple(images.shape[1:]))
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        encoder = ConvEncoder(shape, dims)
        decoder = ConvDecoder(dims, shape, make_likelihood("bernoulli", channels))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    bar = tqdm(
        range(steps), disable=not progress, unit="step", desc="training features", file=sys.stderr
    )
    with torch.enable_grad():
        for _ in bar:
            rows = torch.randint(len(images), (min(_BATCH, len(images)),), generator=generator)
            x = _scaled(images[rows.to(images.device)].cpu())
            logits = decoder.raw(encoder(x).mean)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return CodeFeatures(encoder, images)


def _scaled(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def _check(images: Tensor, shape: tuple[int, ...]) -> None:
    if images.dim() != 4 or 0 in images.shape or tuple(images.shape[1:]) != shape:
        expected = f"(N, {', '.join(map(str, shape))})" if len(shape) == 3 else "(N, C, H, W)"
        raise ValueError(
            f"images is {tuple(images.shape)}; expected {expected} with at least one image. "
            "Give images as those of the training."
        )
    low, high = float(images.min()), float(images.max())
    if images.dtype != torch.uint8 and not (low >= 0 and high <= 1):
        raise ValueError(
            f"images has values from {low:g} to {high:g}; expected finite floats in [0, 1] or "
            "uint8. Give mean images, as the likelihood shows them."
        )
