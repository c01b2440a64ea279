"""Seeds of what single steps, data and chains draw: from numbers, and unlike each other."""

import torch


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
