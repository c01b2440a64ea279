"""Devices by name, and the seeds of steps."""

import pytest
import torch

from unbraid.inference import resolve_device
from unbraid.inference.noise_seeds import mix, seed_noise  # pyright: ignore[reportMissingImports]


def test_names(monkeypatch):
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(OSError, match="device is 'cuda'; found 0 CUDA devices"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(OSError, match="device is 'cuda:2'; found 2 CUDA devices"):
        resolve_device("cuda:2")
    for name in ("gpu", "cuda:x", "", "CPU"):
        with pytest.raises(ValueError, match=f"device is {name!r}; expected auto, cpu, cuda"):
            resolve_device(name)


def test_seeds_do_not_meet():
    """65 536 pairs of 32 bits: half a collision is expected, ten are as good as impossible."""
    seeds = {mix(seed, step) for seed in range(256) for step in range(256)}
    assert len(seeds) > 256 * 256 - 10
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert mix(1, 2) != mix(2, 1)


def test_every_bit_of_a_seed_depends_on_every_number():
    """Over 400 steps each bit is set in half of the seeds, within 5.5 standard errors."""
    for numbers in ([(0, i) for i in range(400)], [(i, 0) for i in range(400)]):
        seeds = torch.tensor([[mix(*n) >> bit & 1 for bit in range(32)] for n in numbers])
        assert ((seeds.double().mean(0) - 0.5).abs() < 5.5 * 0.5 / 20).all()


def test_noise_is_that_of_the_mixed_seed():
    seed_noise(3, 4, torch.device("cpu"))
    drawn = torch.randn(5)
    torch.manual_seed(mix(3, 4))
    assert torch.equal(torch.randn(5), drawn)
