"""The device that a run uses."""

from itertools import chain

import torch

from .sites import Program, modules_of


def resolve_device(name: str) -> torch.device:
    """Return the device of that name, or the best one for `"auto"`.

    Args:
        name: `"auto"` (CUDA where there is one, else the CPU), `"cpu"`, `"cuda"`, `"cuda:1"` or
            `"mps"`.

    Raises:
        ValueError: If the name is none of these.
        OSError: If the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise ValueError(f"device is {name!r}; expected auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if found <= int(index or 0):
            raise OSError(f"device is {name!r}; found {found} CUDA devices. Choose cpu or auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OSError("device is 'mps'; this machine has none. Choose cpu or auto")
    return torch.device(name)


CPU = torch.device("cpu")


def device_of(*programs: Program, default: torch.device = CPU) -> torch.device:
    """Where the parameters and buffers of programs are; `default` where they have none."""
    tensors = (chain(m.parameters(), m.buffers()) for m in modules_of(*programs))
    return next((tensor.device for tensor in chain.from_iterable(tensors)), default)


def seed_noise(seed: int, step: int, device: torch.device) -> None:
    """Seed the generators of a step, so that its noise depends on `(seed, step)` alone.

    Args:
        seed: 0 to 2**32 - 1.
        step: The step's number, at least 0.
        device: Where the step runs.
    """
    mixed = mix(seed, step)
    torch.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(mixed)


def mix(*numbers: int) -> int:
    """Hash numbers to 32 bits (the finaliser of splitmix64): seeds unlike each other."""
    state = 0
    for number in numbers:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & (1 << 64) - 1
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        state = (state ^ state >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        state ^= state >> 31
    return state >> 32
