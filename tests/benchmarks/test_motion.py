"""Where digits are, how fast and how often they turn round, against known trajectories."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unbraid.data import load


@pytest.fixture
def motion(monkeypatch) -> Any:
    """The module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.motion")


def test_centres_are_means_weighted_by_ink(motion):
    frames = torch.zeros(2, 3, 3, 10, 12)
    frames[0, 1, 0, 7, 4:6] = torch.tensor([1.0, 0.7])
    frames[0, 1, 1] = 0.05  # a glow is no ink
    frames[0, 1, 1, 2:4, 11] = 0.8
    frames[1, 2, 2, 0, 0] = 0.9  # too little to be a digit
    found = motion.centres(frames)
    assert found.shape == (2, 3, 3, 2)
    x = (4 * 0.9 + 5 * 0.6) / 1.5
    torch.testing.assert_close(found[0, 1, 0], torch.tensor([x, 7.0]))
    torch.testing.assert_close(found[0, 1, 1], torch.tensor([11.0, 2.5]))
    assert int(found.isnan().all(-1).sum()) == 2 * 3 * 3 - 2


def test_digits_in_full_view_move_as_their_squares_do(motion):
    options = {"form": "drnet", "size": 32, "digit_size": 16, "digits": 1, "length": 60}
    clips = load("moving-mnist", seed=3, options={**options, "sequences": 50}).train
    corners = clips.frame_factors
    assert corners is not None
    frames = clips.pixels(torch.arange(40)).float() / 255
    track = motion.centres(frames)[:, :, 0]
    torch.testing.assert_close(track.diff(dim=1), corners.diff(dim=1), atol=1e-4, rtol=0)
    speed = np.hypot(*np.moveaxis(np.diff(corners.numpy(), axis=1), -1, 0))
    np.testing.assert_allclose(motion.speeds(track).numpy(), speed, atol=1e-3)
    # Turns of the squares: steps change their sign, 3 pixels from either end.
    for path, turned in zip(corners.numpy(), motion.turns(track).numpy(), strict=True):
        for places, count in zip(path.T, turned, strict=True):
            steps = np.diff(places)
            steps = steps[steps != 0]
            changes = np.flatnonzero(np.diff(np.sign(steps))) + 1
            seen = [c for c in changes if min(abs(s).sum() for s in np.split(steps, [c])) > 2.5]
            assert count == len(seen)
    assert int(motion.turns(track).sum()) > 300


def test_steps_with_an_end_that_is_not_known_have_no_speed(motion):
    track = torch.tensor([[0.0, 0.0], [3.0, 4.0], [torch.nan, torch.nan], [0.0, 0.0]])
    found = motion.speeds(track)
    assert found[0] == 5 and bool(found[1:].isnan().all())


def test_jitter_and_stills_never_turn(motion):
    still = torch.full((4, 300, 2), 7.0)
    assert int(motion.turns(still).sum()) == 0
    jitter = still + 1.4 * torch.rand(still.shape, generator=torch.Generator().manual_seed(0))
    assert int(motion.turns(jitter).sum()) == 0
    assert int(motion.turns(jitter, least=0.5).sum()) > 100


def test_turns_of_a_wave_with_jitter_and_gaps(motion):
    """A triangle of 10 pixels turns at every tenth frame, whatever way it starts."""
    time = torch.arange(100.0)
    wave = (time % 20 - 10).abs()
    noise = torch.rand(100, generator=torch.Generator().manual_seed(1)) - 0.5
    track = torch.stack([wave, 10 - wave, wave + noise], -1)
    track[::7] = torch.nan
    assert motion.turns(track).tolist() == [9, 9, 9]
    assert motion.turns(track[:54]).tolist() == [5, 5, 5]
    assert motion.turns(track[:52]).tolist() == [4, 4, 4]  # that at 50 is still too young
    with pytest.raises(ValueError, match="least is 0; expected pixels, above 0"):
        motion.turns(track, least=0)


def test_distances_of_samples(motion):
    values = torch.tensor([[1.0, 2.0], [3.0, torch.nan]])
    assert motion.distance(values, values.flip(0)) == 0
    assert motion.distance(values, values + 5) == 1
    assert motion.distance(values, torch.tensor([2.5, 2.6])) == pytest.approx(2 / 3)
    assert motion.distance(values, torch.full((2,), torch.nan)) == 1
