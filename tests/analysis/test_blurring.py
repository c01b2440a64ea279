"""Softened frames: against SciPy's filter, and by the numbers that the docstring names."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from unbraid.analysis import blurred

KERNEL = np.outer([1, 2, 1], [1, 2, 1]) / 16


def test_frames_are_mixed_with_filtered_ones(monkeypatch):
    """Without noise a frame lies between itself and its filtered self, of SciPy, once or twice."""
    monkeypatch.setattr("unbraid.analysis.blurring._NOISE", 0.0)
    frames = torch.rand(64, 2, 7, 9, generator=torch.Generator().manual_seed(1))
    found = blurred(frames, torch.Generator().manual_seed(0))
    shares, rounds, sharp = [], [], 0
    for frame, soft in zip(frames.numpy(), found.numpy(), strict=True):
        if np.array_equal(frame, soft):
            sharp += 1
            continue
        once = np.stack([convolve(part, KERNEL, mode="nearest") for part in frame])
        twice = np.stack([convolve(part, KERNEL, mode="nearest") for part in once])
        fits = []
        for softest in (once, twice):
            way = softest - frame
            share = float(((soft - frame) * way).sum() / (way * way).sum())
            fits.append((float(np.abs(frame + share * way - soft).max()), share))
        assert min(fits)[0] < 1e-5
        rounds.append(fits.index(min(fits)))
        shares.append(min(fits)[1])
    assert 0 <= min(shares) and max(shares) <= 1
    # Each of these would be missed by chance with less than one in a thousand.
    assert 3 <= sharp <= 25  # a fifth of 64
    assert abs(np.mean(rounds) - 0.5) < 3.3 * 0.5 / len(rounds) ** 0.5
    assert abs(np.mean(shares) - 0.5) < 3.3 * 12**-0.5 / len(shares) ** 0.5


def test_noise_is_normal_up_to_a_tenth():
    grey = torch.full((500, 1, 20, 20), 0.5)
    spread = blurred(grey, torch.Generator().manual_seed(0)).std((1, 2, 3))
    noisy = spread[spread > 0]
    assert 0.11 > noisy.max() > 0.09  # 0.1 by 400 pixels is 0.1 ± 0.0035
    assert abs(float(noisy.mean()) - 0.05) < 3.3 * 0.1 * 12**-0.5 / len(noisy) ** 0.5 + 0.001
    assert 50 < int((spread == 0).sum()) < 160  # a fifth of 500


@pytest.mark.parametrize("shape", [(3, 8, 8), (5, 3, 8, 8), (2, 5, 1, 4, 6)])
def test_frames_of_any_leading_shape_stay_in_range(shape):
    frames = torch.rand(shape).round()
    found = blurred(frames, torch.Generator().manual_seed(3))
    assert found.shape == frames.shape
    assert float(found.min()) >= 0 and float(found.max()) <= 1
    assert torch.equal(found, blurred(frames, torch.Generator().manual_seed(3)))
