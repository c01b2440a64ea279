r"""A recurrent transition of vectors: where a sequence of them goes on, step by step.

\[ p(z_{1:N} \mid c) = N(z_1; a, \mathrm{diag}\, b^2) \prod_{t > 1} N(z_t; m(z_{<t}, c),
\mathrm{diag}\, s^2) \]

with a start \( a, b \), a net \( m \) of LSTM cells that are shown \( z_{t-1} \) and \( c \) at
every step, and one scale \( s \) per coordinate for all steps.

Source: the second stage of Denton & Birodkar (2017), section 3.1,
https://arxiv.org/abs/1705.10915: two layers of 256 units, told poses and the content of the last
frame that is seen, and the squared error of the next pose.
"""

from math import isfinite, log
from typing import NamedTuple

import pyro.distributions as dist
import torch
from torch import Size, Tensor, nn
from torch.distributions import constraints
from torch.types import _size

from .activations import at_least_float32

OUTPUTS = ("linear", "tanh")
# Log deviations are this times a parameter, since Adam moves every parameter by about its rate
# and none of the others has to go as far: from 1 to a hundredth is thousands of steps otherwise.
GAIN = 10.0
_NO_SHAPE = Size()


class Memory(NamedTuple):
    """What the cells keep between two steps.

    Args:
        hidden: Outputs of each layer, `(layers, R, H)`.
        cell: Cells of each layer, `(layers, R, H)`.
    """

    hidden: Tensor
    cell: Tensor


class LSTMTransition(nn.Module):
    """Layers of LSTM cells that tell the next vector from those before, and the spread around it.

    Args:
        dim: Number `Z` of coordinates of a vector.
        content_dim: How many of the first coordinates of the content the cells are shown; 0 for
            none.
        hidden: Units of a layer.
        layers: Number of layers.
        output: `"linear"`, or `"tanh"`, as published, for vectors in [-1, 1].
        scale: Standard deviation of a step in every coordinate; learned, one per coordinate, where
            None.

    Raises:
        ValueError: If there is no such output, no layer, or the scale is not above 0.
    """

    spread: Tensor

    def __init__(
        self,
        dim: int,
        content_dim: int = 0,
        hidden: int = 256,
        layers: int = 2,
        output: str = "linear",
        scale: float | None = None,
    ) -> None:
        super().__init__()
        if output not in OUTPUTS:
            raise ValueError(f"output is {output!r}; expected one of {', '.join(OUTPUTS)}")
        if layers < 1:
            raise ValueError(f"layers is {layers}; expected at least 1. The default is 2")
        if scale is not None and not (isfinite(scale) and scale > 0):
            raise ValueError(
                f"scale is {scale}; expected a finite number above 0. Leave it out to learn it"
            )
        self.dim, self.content_dim, self.hidden, self.output = dim, content_dim, hidden, output
        widths = [dim + content_dim, *[hidden] * (layers - 1)]
        self.cells = nn.ModuleList(nn.LSTMCell(width, hidden) for width in widths)
        self.head = nn.Linear(hidden, dim)
        self.start_loc = nn.Parameter(torch.zeros(dim))
        self.start_spread = nn.Parameter(torch.zeros(dim))
        if scale is None:
            self.spread = nn.Parameter(torch.zeros(dim))
        else:
            self.register_buffer("spread", torch.full((dim,), log(scale) / GAIN), persistent=False)

    @property
    def scale(self) -> Tensor:
        """Standard deviations of a step, `(Z,)`."""
        return (GAIN * self.spread).exp()

    @property
    def start_scale(self) -> Tensor:
        """Standard deviations of the first vector, `(Z,)`."""
        return (GAIN * self.start_spread).exp()

    def begin(self, rows: int) -> Memory:
        """Return the memory of `R` sequences before their first vector: zeros."""
        zeros = self.head.weight.new_zeros(len(self.cells), rows, self.hidden)
        return Memory(zeros, zeros)

    def step(self, z: Tensor, content: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Tell the mean of the next vector from this one and what the memory holds.

        Args:
            z: Vectors `(R, Z)`.
            content: Contents `(R, F)`, of which the first coordinates count.
            memory: That of the steps before.

        Returns:
            Means `(R, Z)` of the next vectors, and the memory with this step.
        """
        shown = torch.cat([z, content[:, : self.content_dim]], -1)
        kept: list[tuple[Tensor, Tensor]] = []
        for layer, cell in enumerate(self.cells):
            shown, own = cell(shown, (memory.hidden[layer], memory.cell[layer]))
            kept.append((shown, own))
        loc = self.head(shown)
        hidden, cells = (torch.stack(parts) for parts in zip(*kept, strict=True))
        return loc.tanh() if self.output == "tanh" else loc, Memory(hidden, cells)

    def means(self, z: Tensor, content: Tensor) -> Tensor:
        """Return the mean of each vector given the true ones before it, `(..., N, Z)`.

        Args:
            z: Vectors `(..., N, Z)`.
            content: Contents `(..., F)`, whose leading dims broadcast.
        """
        rows, flat = _rows(content, z.shape[:-2]), z.reshape(-1, *z.shape[-2:])
        memory = self.begin(len(flat))
        found = [self.start_loc.expand(len(flat), -1)]
        for place in range(z.shape[-2] - 1):
            loc, memory = self.step(flat[:, place], rows, memory)
            found.append(at_least_float32(loc))
        return torch.stack(found, 1).reshape(z.shape)

    def scales(self, count: int) -> Tensor:
        """Return the standard deviation of each of `N` vectors given those before, `(N, Z)`."""
        return torch.cat([self.start_scale.unsqueeze(0), self.scale.expand(count - 1, -1)])

    def forward(self, content: Tensor, count: int) -> "TransitionSequence":
        """Return the distribution of `N` vectors, event `(N, Z)`, for contents `(..., F)`."""
        return TransitionSequence(self, content, count)


class TransitionSequence(dist.TorchDistribution):
    """Sequences of vectors, each a Normal around what those before it lead to.

    Args:
        transition: Where they go on.
        content: Contents `(..., F)`, whose leading dims are the batch.
        count: Number `N` of vectors of a sequence.
    """

    has_rsample = True

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """What the arguments must be: nothing."""
        return {}

    @property
    def support(self) -> constraints.Constraint:
        """Real numbers."""
        return constraints.independent(constraints.real, 2)

    def __init__(self, transition: LSTMTransition, content: Tensor, count: int) -> None:
        self.transition, self.content, self.count = transition, content, count
        super().__init__(content.shape[:-1], Size((count, transition.dim)), validate_args=False)

    def expand(
        self, batch_shape: _size, _instance: dist.Distribution | None = None
    ) -> "TransitionSequence":
        """Return the same distribution for a larger batch."""
        content = self.content.expand(*batch_shape, self.content.shape[-1])
        return TransitionSequence(self.transition, content, self.count)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of sequences `(..., N, Z)`, batch shape, nats."""
        lead = torch.broadcast_shapes(value.shape[:-2], self.batch_shape)
        value = value.expand(*lead, *value.shape[-2:])
        loc = self.transition.means(value, self.content)
        steps = dist.Normal(loc, self.transition.scales(self.count), validate_args=False)
        return steps.log_prob(value).sum((-2, -1))

    def rsample(self, sample_shape: _size = _NO_SHAPE) -> Tensor:
        """Draw sequences `(*sample_shape, ..., N, Z)`, each vector after the one before."""
        shape = torch.Size(sample_shape) + self.batch_shape
        rows = _rows(self.content, shape)
        scales, memory = self.transition.scales(self.count), self.transition.begin(len(rows))
        loc, drawn = self.transition.start_loc.expand(len(rows), -1), []
        for place in range(self.count):
            drawn.append(loc + scales[place] * torch.randn_like(loc))
            if place + 1 < self.count:
                loc, memory = self.transition.step(drawn[-1], rows, memory)
                loc = at_least_float32(loc)
        return torch.stack(drawn, 1).reshape(*shape, *self.event_shape)


def _rows(content: Tensor, lead: Size) -> Tensor:
    """Contents of all leading dims in one, `(R, F)`; `F` may be 0."""
    width = content.shape[-1]
    return content.expand(*lead, width).reshape(lead.numel(), width)
