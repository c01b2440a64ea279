# pyright: reportArgumentType=false, reportOptionalSubscript=false, reportIndexIssue=false
import pytest
import torch

from tests.turntables import turntable
from unbraid.data import Batches, DataError, Dataset, Turning, Turntable

TURNS, STEPS = (1, 3, 5), (4, 2)


def clips(**changes):
    return Batches(turntable(**changes), 3, seed=2, turning=Turning(TURNS, STEPS))


def copied(batch):
    return {key: value.clone() for key, value in batch.items()}


@pytest.mark.parametrize("falling", [(), (1, 2)])
def test_clips_follow_the_turn_and_actions_say_which_way(falling):
    data = turntable(falling=falling)
    batches = Batches(data, 3, seed=2, turning=Turning(TURNS, STEPS))
    ways, starts = set(), set()
    for step in range(60):
        batch = batches.batch(step)
        frames = data.frames(batch["index"], batch["frame"])
        assert torch.equal((batch["x"] * 255).round().to(torch.uint8), frames)
        angle = batch["frame_factors"][..., 1].double()
        rows = batch["index"][:, None]
        assert torch.equal(batch["frame_factors"], data.frame_factors[rows, batch["frame"]])
        change = (angle.diff(dim=1) + 180) % 360 - 180
        torch.testing.assert_close(
            change, 30.0 * batch["actions"][:, 1:].double(), atol=1e-3, rtol=0
        )
        assert (batch["actions"][:, 0] == 0).all()
        assert all(len(row.unique()) == 1 for row in batch["actions"][:, 1:])
        ways |= set(batch["actions"][:, 1].tolist())
        starts |= set(batch["frame"][:, 0].tolist())
    # All 12 starts are missed by one of 180 draws in 2e-6 of all seeds.
    assert ways == {1.0, -1.0} and starts == set(range(12))


def test_stages_change_the_number_of_rotations():
    batches = clips()
    lengths = [batches.batch(step)["x"].shape[1] - 1 for step in range(9)]
    assert lengths == [1, 1, 1, 1, 3, 3, 5, 5, 5]
    assert Turning(TURNS, STEPS).held_out() == Turning((5,))
    assert Turning(TURNS, STEPS).held_out(2) == Turning((2,))


def test_a_batch_depends_on_the_seed_and_the_step_alone():
    forward, backward = clips(), clips()
    first = {step: copied(forward.batch(step)) for step in range(8)}
    for step in (7, 0, 5, 3):
        other = backward.batch(step)
        assert first[step].keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in first[step].items())


@pytest.mark.parametrize(
    ("turns", "steps", "message"),
    [
        ((), (), r"turns are \(\)"),
        ((1, 0), (3,), "turns are"),
        ((1, 2), (), "steps are"),
        ((1, 2), (0,), "steps are"),
    ],
)
def test_stages_out_of_range_are_refused(turns, steps, message):
    with pytest.raises(ValueError, match=message):
        Turning(turns, steps)


def test_what_is_no_turntable_is_refused():
    good = turntable()
    images = Dataset(good.images[:, 0])
    with pytest.raises(DataError, match="images without sequence ids"):
        Batches(images, 2, turning=Turning((1,)))
    with pytest.raises(DataError, match="factors of frames of data are none; expected angle"):
        Turntable(Dataset(good.images), Turning((1,)))
    with pytest.raises(DataError, match="are light, azimuth; expected angle"):
        Turntable(turntable(name="azimuth"), Turning((1,)))
    Turntable(turntable(name="azimuth"), Turning((1,), factor="azimuth"))
    part = Dataset(
        good.images[:, :5],
        frame_factors=good.annotations()["frame_factors"][:, :5],
        frame_factor_names=("light", "angle"),
    )
    with pytest.raises(DataError, match=r"from frame 0 to the next of turn 0 .*expected 72 all"):
        Turntable(part, Turning((1,)))
    ragged = Dataset(
        good.images,
        lengths=torch.tensor([12, 11, 12, 12]),
        frame_factors=good.frame_factors,
        frame_factor_names=("light", "angle"),
    )
    with pytest.raises(DataError, match="different lengths"):
        Turntable(ragged, Turning((1,)))
    with pytest.raises(ValueError, match="a clip shows 12 rotations; expected 1 to 11"):
        Turntable(good, Turning((1, 12), (3,)))
    with pytest.raises(ValueError, match="frames is 2 beside turning"):
        Batches(good, 2, frames=2, turning=Turning((1,)))
