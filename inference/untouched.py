"""Run a pair for trial and leave random generators and buffers as they were."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def untouched(
    modules: Iterable[nn.Module],
    tensors: Iterable[Tensor] = (),
    generators: Iterable[torch.Generator] = (),
) -> Iterator[None]:
    """Put random generators and buffers back when the block ends.

    Args:
        modules: Modules whose buffers are put back; what is written in place is undone.
        tensors: Tensors on whose CUDA devices, beside the CPU, the global generator is put back.
        generators: Further generators.
    """
    buffers = [buffer for module in modules for buffer in module.buffers()]
    kept = [buffer.clone() for buffer in buffers]
    states = [(generator, generator.get_state()) for generator in generators]
    with torch.random.fork_rng(devices={t.device for t in tensors if t.is_cuda}):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in zip(buffers, kept, strict=True):
                    buffer.copy_(value)
            for generator, state in states:
                generator.set_state(state)
