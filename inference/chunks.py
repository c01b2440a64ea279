"""Evaluate log-weights a chunk of samples at a time, in less memory when it runs out."""

import warnings
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .compiled_weights import CompiledWeights
from .eligibility import Layout
from .guide_draws import Draw
from .log_weights import log_weights
from .sites import Program

_OUT_OF_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")


class ChunkEvaluator:
    """The model's side of the importance weights.

    Args:
        model: The generative program.
        layout: How the pair is laid out.
        inner: Samples of the nested sites per sample of the others.
        rows: Evaluations of the model's nets at a time.
        compile: Whether the density of a whole chunk is compiled.
        prior_share: Share of the prior among the samples, whose density is then a mixture's.
    """

    def __init__(
        self,
        model: Program,
        layout: Layout,
        inner: int,
        rows: int,
        compile: bool,
        prior_share: float = 0.0,
    ) -> None:
        self._model, self._layout, self._inner, self._rows = model, layout, inner, rows
        self._prior_share = prior_share
        self._wants_compiled = compile
        self._compiled: dict[tuple[torch.Size, ...], CompiledWeights] = {}

    def samples_at_a_time(self, size: int) -> int:
        """Number of samples of each of `size` data in a chunk, at least 1."""
        return max(1, self._rows // self._width(size))

    def _width(self, size: int) -> int:
        return size * self._inner * self._layout.rows

    def log_weights(
        self, args: tuple[Tensor, ...], draws: Sequence[Draw], count: int
    ) -> Iterator[Tensor]:
        """Log-weights of the first `count` samples in chunks, each float64 `(k, B)`.

        A chunk that finds too little memory is halved and done again, down to one sample.
        """
        size, done = len(args[0]), 0
        while done < count:
            length = min(self.samples_at_a_time(size), count - done)
            start, dim = done * self._inner, self._layout.particle_dim
            chunk = [draw.narrow(dim, start, length * self._inner) for draw in draws]
            weights = self._try(args, chunk, halve=length > 1)
            if weights is None:
                self._rows = length // 2 * self._width(size)
                warnings.warn(
                    f"out of memory: decoding {self._rows} images at a time from here on"
                )
                continue
            yield weights.expand(length, size)
            done += length

    def _try(self, args: tuple[Tensor, ...], draws: list[Draw], halve: bool) -> Tensor | None:
        """The chunk's log-weights; None where memory ran out and `halve` lets that pass."""
        try:
            return self._evaluate(args, draws)
        except (RuntimeError, MemoryError) as error:
            if not (halve and _is_out_of_memory(error)):
                raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _evaluate(self, args: tuple[Tensor, ...], draws: list[Draw]) -> Tensor:
        shapes = tuple(draw.value.shape for draw in draws)
        if self._wants_compiled and not self._compiled:
            self._compile(args, draws, shapes)
        if shapes in self._compiled:
            return self._compiled[shapes](args, draws)
        return log_weights(
            self._model, args, draws, self._layout, self._inner, prior_share=self._prior_share
        )

    def _compile(
        self, args: tuple[Tensor, ...], draws: list[Draw], shapes: tuple[torch.Size, ...]
    ) -> None:
        try:
            compiled = CompiledWeights(
                self._model, args, draws, self._layout, self._inner, self._prior_share
            )
            compiled(args, draws)
        except Exception as error:
            if _is_out_of_memory(error):
                raise
            warnings.warn(f"the model's density is not compiled: {error}")
            self._wants_compiled = False
        else:
            self._compiled[shapes] = compiled


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
