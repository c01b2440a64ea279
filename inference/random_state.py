"""The state of every global random generator, as plain values that a safe loader accepts."""

import random
from typing import Any

import numpy as np
import torch


def global_random_state() -> dict[str, Any]:
    """State of the global generators of Python, NumPy, torch and each CUDA device in use."""
    kind, keys, position, has_normal, normal = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [kind, [int(key) for key in keys], int(position), int(has_normal), float(normal)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore_global_random_state(state: dict[str, Any]) -> None:
    """Put the global generators back to a state; CUDA devices that are not here are left out."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    for device, cuda_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(cuda_state, device)
