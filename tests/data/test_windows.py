"""Successive frames of sequences: in order, from everywhere, by seed and step alone."""

import pytest
import torch

from unbraid.data import Batches

from .test_frames import SHAPE, S, Store, T, origins, sequences

LENGTHS = torch.tensor([7, 4, 5, 7, 6, 4, 5, 7, 7, 4, 6])


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["even", "ragged"])
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_windows_are_in_order_and_cover_every_sequence(lengths, frames):
    """Each window is of successive true frames; all of them come. A given one of at most 7 windows
    of a sequence stays away from 300 draws with probability below 1e-20."""
    batches = Batches(sequences(lengths), S, frames=frames, ordered=True, seed=1)
    seen = set()
    for step in range(300):
        batch = batches.batch(step)
        assert batch["x"].shape == (S, frames, *SHAPE)
        first = batch["frame"][:, :1]
        assert torch.equal(batch["frame"], first + torch.arange(frames))
        value = origins(batch["x"])
        assert torch.equal(value, 20 * batch["index"][:, None] + batch["frame"])
        assert torch.equal(batch["frame_factors"][..., 0], value.float())
        if lengths is not None:
            assert torch.equal(batch["length"], torch.full((S,), frames))
        seen |= set(zip(batch["index"].tolist(), first[:, 0].tolist(), strict=True))
    true = [T] * S if lengths is None else lengths.tolist()
    assert seen == {(s, t) for s in range(S) for t in range(true[s] - frames + 1)}


def test_every_start_is_as_likely():
    """11 000 draws of 5 starts: each share within 5.5 standard errors, alarm below 1e-6."""
    batches = Batches(sequences(), S, frames=3, ordered=True, seed=2)
    starts = torch.cat([batches.batch(step)["frame"][:, 0].clone() for step in range(1000)])
    share = torch.bincount(starts, minlength=5) / len(starts)
    assert len(share) == 5
    assert (share - 0.2).abs().max() < 5.5 * (0.2 * 0.8 / len(starts)) ** 0.5


def test_a_batch_depends_on_seed_and_step_alone():
    batches = Batches(sequences(), 4, frames=3, ordered=True, seed=5)
    later = Batches(sequences(), 4, frames=3, ordered=True, seed=5).batch(17)
    for step in range(17):
        batches.batch(step)
    again = batches.batch(17)
    assert all(torch.equal(again[key], later[key]) for key in again)
    other = Batches(sequences(), 4, frames=3, ordered=True, seed=6).batch(17)
    assert not torch.equal(other["frame"], later["frame"])


def test_a_store_gives_the_same_windows():
    made = sequences()
    object.__setattr__(made, "images", Store(torch.arange(S)))
    pairs = [
        Batches(data, 4, frames=3, ordered=True, seed=5).batch(3) for data in (made, sequences())
    ]
    assert torch.equal(pairs[0]["x"], pairs[1]["x"])
    assert torch.equal(pairs[0]["frame"], pairs[1]["frame"])


def test_a_walk_in_order_draws_windows_too():
    batches = Batches(sequences(), 4, frames=3, ordered=True, seed=5, shuffle=False)
    index = torch.cat([batch["index"].clone() for batch in batches])
    assert index.tolist() == list(range(S))


@pytest.mark.parametrize(
    "frames, companions, lengths, message",
    [
        (5, 0, LENGTHS, "frames is 5, in the order of time; expected at most 4, as many as the"),
        (8, 0, None, "frames is 8; expected an integer from 1 to 7"),
        (None, 0, None, "frames is None and companions is 0 beside ordered; expected a number"),
        (3, 1, None, "frames is 3 and companions is 1 beside ordered; .*Leave companions out"),
    ],
)
def test_windows_that_are_not_there(frames, companions, lengths, message):
    with pytest.raises(ValueError, match=message):
        Batches(sequences(lengths), 4, frames=frames, companions=companions, ordered=True)
