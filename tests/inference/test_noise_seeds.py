"""The seeds of steps, and of whatever else is drawn apart."""

import torch

from unbraid.inference.noise_seeds import mix, seed_noise  # pyright: ignore[reportMissingImports]


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
