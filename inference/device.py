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
