"""A pair that warps, whose codes, aligned images and decoded images are known exactly."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from unbraid.transforms import Transform, Translation

SHAPE = (2, 9, 12)
HALF = 12 / 2  # pixels in half of the longer side


def pattern() -> Tensor:
    """A block without symmetry, far enough from the edges to be moved by two pixels."""
    image = torch.zeros(SHAPE)
    image[:, 3:6, 4:8] = torch.tensor([[0.5, 0.1, 0.2, 0.9], [0.8, 0.3, 0.0, 0.4], [1, 0.6, 0, 0]])
    image[1] *= 0.5
    return image


class BlockModel(nn.Module):
    """The pattern, as bright as the appearance says, moved by the perspective in pixels."""

    pattern: Tensor

    def __init__(self, transform: Transform | None = None):
        super().__init__()
        self.transform = transform or Translation(padding="zeros")
        self.register_buffer("pattern", pattern())

    def canonical(self, appearance: Tensor) -> Tensor:
        return appearance[..., :1, None, None] * self.pattern

    def gamma(self, perspective: Tensor) -> Tensor:
        return perspective / HALF

    def image(self, appearance: Tensor, perspective: Tensor) -> Tensor:
        return self.transform(self.canonical(appearance), self.gamma(perspective))

    def forward(self, x: Tensor | None = None, *, size: int | None = None) -> Tensor:
        with pyro.plate("data", size if x is None else len(x)):
            perspective = pyro.sample(
                "perspective", dist.Normal(torch.zeros(2), torch.tensor([1.0, 0.5])).to_event(1)
            )
            appearance = pyro.sample("appearance", dist.Normal(torch.ones(1), 0.1).to_event(1))
            image = self.image(appearance, perspective)
            return pyro.sample("x", dist.Normal(image, 0.1).to_event(3), obs=x)


class BlockGuide(nn.Module):
    """Reads the move off the centre of mass, and the brightness off the image moved back."""

    def __init__(self, model: BlockModel):
        super().__init__()
        self.model = model
        self.at_rest = centre_of_mass(pattern()[None])

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            moved = centre_of_mass(x) - self.at_rest
            perspective = pyro.sample("perspective", dist.Normal(moved, 0.3).to_event(1))
            still = self.model.transform.inverse(x, self.model.gamma(perspective))
            bright = still.sum((-3, -2, -1)) / pattern().sum()
            pyro.sample("appearance", dist.Normal(bright.unsqueeze(-1), 0.2).to_event(1))


Block = tuple[BlockModel, BlockGuide]


def make_block(transform: Transform | None = None) -> Block:
    """A model with its guide."""
    model = BlockModel(transform)
    return model, BlockGuide(model)


def centre_of_mass(images: Tensor) -> Tensor:
    """Column and row `(N, 2)`."""
    mass = images.sum((-3, -2, -1))
    columns = (images.sum((-3, -2)) * torch.arange(12.0)).sum(-1) / mass
    rows = (images.sum((-3, -1)) * torch.arange(9.0)).sum(-1) / mass
    return torch.stack([columns, rows], -1)


def codes(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Brightness `(count, 1)` in [0.3, 0.9], and moves of whole pixels `(count, 2)`."""
    generator = torch.Generator().manual_seed(seed)
    bright = 0.3 + 0.6 * torch.rand(count, 1, generator=generator)
    return bright, torch.randint(-2, 3, (count, 2), generator=generator).float()


def moved_by_hand(image: Tensor, move: Tensor) -> Tensor:
    """An image with its pixels rolled: no warp is involved."""
    return image.roll((int(move[1]), int(move[0])), dims=(-2, -1))


def images_of(bright: Tensor, moves: Tensor) -> Tensor:
    return torch.stack(
        [moved_by_hand(b * pattern(), m) for b, m in zip(bright, moves, strict=True)]
    )
