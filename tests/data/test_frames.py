"""Frames that are drawn of sequences at every step, and what is known of them."""

import pytest
import torch

from unbraid.data import Batches, DataError, Dataset, FrameStore, load, options_of

S, T, SHAPE = 11, 7, (1, 3, 5)


def sequences(lengths: torch.Tensor | None = None) -> Dataset:
    """Every pixel of a frame is 20 s + t, so that a frame tells where it comes from."""
    value = 20 * torch.arange(S)[:, None] + torch.arange(T)
    images = value.to(torch.uint8)[..., None, None, None].expand(S, T, *SHAPE).contiguous()
    factors = torch.stack([value, -value], -1).float()
    return Dataset(images, lengths=lengths, frame_factors=factors)


class Store:
    """The same frames, made when they are asked for."""

    def __init__(self, rows: torch.Tensor) -> None:
        self.rows, self.ndim, self.device = rows, 5, rows.device
        self.shape = torch.Size((len(rows), T, *SHAPE))

    def __len__(self) -> int:
        return len(self.rows)

    def frames(self, sequences: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        value = 20 * self.rows[sequences][:, None] + places
        return value.to(torch.uint8)[..., None, None, None].expand(*places.shape, *SHAPE)

    def take(self, indices: torch.Tensor) -> "Store":
        return Store(self.rows[indices])

    def to(self, device: str | torch.device) -> "Store":
        return Store(self.rows.to(device))


def origins(x: torch.Tensor) -> torch.Tensor:
    return (x[..., 0, 0, 0] * 255).round().long()


def test_frames_are_drawn_without_replacement():
    batches = Batches(sequences(), 4, frames=3, seed=1)
    seen = set()
    for step in range(60):
        batch = batches.batch(step)
        value = origins(batch["x"])
        assert (value == 20 * batch["index"][:, None] + batch["frame"]).all()
        assert all(len(set(row)) == 3 for row in value.tolist())
        expected = torch.stack([value, -value], -1).float()
        assert torch.equal(batch["frame_factors"], expected)
        seen |= set(value.flatten().tolist())
    assert seen == {20 * s + t for s in range(S) for t in range(T)}


def test_every_frame_and_every_order_is_as_likely():
    """8400 draws: each of 7 places within 5.5 standard errors, alarm below 1e-6."""
    batches = Batches(sequences(), 10, frames=2, seed=2)
    places = torch.cat([batches.batch(step)["frame"].clone() for step in range(840)])
    for column in places.T:
        share = torch.bincount(column, minlength=T) / len(places)
        assert (share - 1 / T).abs().max() < 5.5 * (1 / T * (1 - 1 / T) / len(places)) ** 0.5


def test_a_batch_depends_on_seed_and_step_alone():
    first = Batches(sequences(), 4, frames=3, seed=5)
    later = Batches(sequences(), 4, frames=3, seed=5).batch(17)
    for step in range(17):
        first.batch(step)
    again = first.batch(17)
    assert all(torch.equal(again[key], later[key]) for key in again)
    other = Batches(sequences(), 4, frames=3, seed=6).batch(17)
    assert not torch.equal(other["frame"], later["frame"])


def test_a_store_gives_the_frames_of_a_tensor():
    store = Store(torch.arange(S))
    assert isinstance(store, FrameStore)
    made = Dataset(store)
    whole = torch.arange(S)
    assert torch.equal(made.pixels(whole), sequences().pixels(whole))
    pairs = [Batches(data, 4, frames=3, seed=5).batch(3)["x"] for data in (made, sequences())]
    assert torch.equal(*pairs)
    rows = torch.tensor([4, 2])
    assert torch.equal(made.take(rows).pixels(torch.arange(2)), sequences().pixels(rows))


def test_true_frames_come_first_and_padding_is_black():
    lengths = torch.tensor([7, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3])
    batches = Batches(sequences(lengths), S, frames=4, seed=3)
    for step in range(20):
        batch = batches.batch(step)
        expected = lengths[batch["index"]].clamp(max=4)
        assert torch.equal(batch["length"], expected)
        for x, frame, index, length in zip(
            origins(batch["x"]), batch["frame"], batch["index"], expected, strict=True
        ):
            assert (frame[:length] < lengths[index]).all()
            assert torch.equal(x[:length], 20 * index + frame[:length])
            assert (x[length:] == 0).all()


def test_companions_are_other_frames_of_the_same_sequence():
    batches = Batches(sequences(), 4, frames=3, companions=4, seed=3)
    for step in range(10):
        batch = batches.batch(step)
        both = torch.cat([origins(batch["x"]), origins(batch["companions"])], 1)
        assert (both // 20 == batch["index"][:, None]).all()
        assert all(len(set(row)) == T for row in both.tolist())
        assert batch["length"].tolist() == [3] * 4
        assert batch["x"].is_contiguous()


def test_without_frames_sequences_come_whole():
    batch = Batches(sequences(), 4, shuffle=False).batch(0)
    expected = 20 * torch.arange(4)[:, None] + torch.arange(T)
    assert torch.equal(origins(batch["x"]), expected)
    assert batch["frame_factors"].shape == (4, T, 2)


@pytest.mark.parametrize("frames", [0, 8, 2.0])
def test_numbers_of_frames_out_of_range(frames):
    with pytest.raises(ValueError, match=f"frames is {frames}; expected an integer from 1 to 7"):
        Batches(sequences(), 4, frames=frames)


def test_frames_of_images_are_refused():
    images = Dataset(torch.zeros(4, *SHAPE, dtype=torch.uint8))
    with pytest.raises(ValueError, match="frames is 3, but data are images without sequence ids"):
        Batches(images, 2, frames=3)


@pytest.mark.parametrize("frames, companions", [(4, 4), (None, 2), (3, -1)])
def test_too_many_companions_are_refused(frames, companions):
    with pytest.raises(ValueError, match=f"companions is {companions} beside frames {frames}"):
        Batches(sequences(), 4, frames=frames, companions=companions)


def test_companions_must_fit_the_shortest_sequence():
    lengths = torch.tensor([7] * (S - 1) + [4])
    Batches(sequences(lengths), 4, frames=2, companions=2)
    with pytest.raises(ValueError, match="expected at most 4 frames together"):
        Batches(sequences(lengths), 4, frames=2, companions=3)


def test_factors_of_frames_are_checked():
    images = torch.zeros(2, T, *SHAPE, dtype=torch.uint8)
    with pytest.raises(DataError, match="frame_factors of data are of 6 frames; expected 7"):
        Dataset(images, frame_factors=torch.zeros(2, 6, 1))
    with pytest.raises(DataError, match=r"have shape \(2, 7\); expected \(S, T, G\)"):
        Dataset(images, frame_factors=torch.zeros(2, 7))
    with pytest.raises(DataError, match="given for images; expected sequences"):
        Dataset(images[:, 0], frame_factors=torch.zeros(2, 1, 1))
    with pytest.raises(DataError, match="number of frame_factor_names of data is 1; expected 2"):
        Dataset(images, frame_factors=torch.zeros(2, T, 2), frame_factor_names=("pose",))


def test_options_of_a_source_are_read_as_their_types():
    splits = load("moving-mnist", options={"size": "48", "length": 5, "sequences": "40"})
    assert splits.train.images.shape[1:] == (5, 1, 48, 48)
    assert options_of("moving-mnist")["size"].default == 64
    assert "size" not in options_of("mnist-small")


@pytest.mark.parametrize(
    "source, options, words",
    [
        ("moving-mnist", {"siz": 3}, "option of moving-mnist is 'siz'.*Did you mean size?"),
        ("moving-mnist", {"size": "big"}, "size is 'big'; expected an integer"),
        ("moving-mnist", {"size": 2.5}, "size is 2.5; expected an integer"),
        (
            "bodies-small",
            {"size": 3},
            "option of bodies-small is 'size'; expected one of groups, group_size",
        ),
    ],
)
def test_unknown_options_and_values(source, options, words):
    with pytest.raises(DataError, match=words):
        load(source, options=options)


def test_one_number_stands_for_a_pair(tmp_path):
    (tmp_path / "a").mkdir()
    for size in (8, "8", (8,), [8, 8], "8,8"):
        with pytest.raises(DataError, match="number of"):
            load(tmp_path, options={"sequences": True, "size": size})
