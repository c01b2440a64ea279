# pyright: reportIndexIssue=false, reportOptionalSubscript=false
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid.data import Batches, Binarise, Dataset, PackedBits, RandomAffine

SHAPE = (3, 5, 7)


def numbered(count, **known):
    """Images that differ, so that a batch shows which data it has."""
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(256, (count, *SHAPE), generator=generator, dtype=torch.uint8)
    return Dataset(images, **known)


def copied(batch):
    return {key: value.clone() for key, value in batch.items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_pixels_are_exact_255ths():
    data = Dataset(torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8))
    batch = Batches(data, 4, shuffle=False).batch(0)
    assert batch["x"].dtype == torch.float32
    expected = torch.arange(256, dtype=torch.float64).div(255).float().view(4, 1, 8, 8)
    assert torch.equal(batch["x"], expected)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(derandomize=True, deadline=None, max_examples=50)
def test_an_epoch_visits_each_datum_at_most_once(count, size, seed):
    size = min(size, count)
    batches = Batches(numbered(count), size, seed=seed)
    visited = torch.cat([batch["index"].clone() for batch in batches])
    assert batches.steps_per_epoch == count // size
    assert len(visited.unique()) == len(visited) == count // size * size


def test_a_batch_holds_what_the_index_says():
    labels, factors = torch.arange(23) % 4, torch.arange(46).view(23, 2)
    groups = torch.arange(23) // 3
    data = numbered(23, labels=labels, factors=factors, groups=groups)
    batches = Batches(data, 6, seed=5)
    for step in (0, 7, 2):
        batch = batches.batch(step)
        index = batch["index"]
        assert torch.equal(batch["x"], data.images[index] / torch.tensor(255.0))
        assert torch.equal(batch["label"], labels[index])
        assert torch.equal(batch["factors"], factors[index])
        assert torch.equal(batch["group"], groups[index])


def test_sequences_come_with_their_lengths():
    images = torch.randint(256, (9, 4, 1, 5, 7), dtype=torch.uint8)
    data = Dataset(images, lengths=torch.tensor([4, 1, 2, 3, 4, 4, 2, 1, 3]))
    batch = Batches(data, 2, seed=1).batch(3)
    assert batch["x"].shape == (2, 4, 1, 5, 7)
    assert torch.equal(batch["length"], data.lengths[batch["index"]])


@pytest.mark.parametrize("transforms", [(), (RandomAffine(), Binarise("dynamic"))])
def test_a_new_object_gives_the_same_batch_at_any_step(transforms):
    data = numbered(23)
    ahead = Batches(data, 6, seed=3, transforms=transforms)
    history = [copied(ahead.batch(step)) for step in range(11)]
    for step in (10, 4, 7, 0):
        assert same(Batches(data, 6, seed=3, transforms=transforms).batch(step), history[step])
        assert same(ahead.batch(step), history[step])


def test_epochs_and_seeds_differ():
    data = numbered(23)
    orders = [
        Batches(data, 23, seed=seed).batch(epoch)["index"] for seed in (0, 1) for epoch in (0, 1)
    ]
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_noise_differs_between_steps_and_seeds():
    data = Dataset(torch.full((8, 1, 16, 16), 128, dtype=torch.uint8))
    noise = (Binarise("dynamic"),)
    drawn = [
        Batches(data, 8, seed=seed, transforms=noise).batch(step)["x"]
        for seed in (0, 1)
        for step in (0, 1)
    ]
    # Two fair draws of 2048 pixels agree by chance with probability 2**-2048.
    assert len({tuple(x.flatten().tolist()) for x in drawn}) == 4


def test_a_walk_in_order_ends_with_the_rest():
    batches = Batches(numbered(23), 6, shuffle=False)
    indices = [batch["index"].tolist() for batch in batches]
    assert len(batches) == len(indices) == 4
    assert [index for part in indices for index in part] == list(range(23))
    assert len(indices[-1]) == 5
    assert batches.batch(3)["x"].shape == (5, *SHAPE)
    assert batches.batch(4)["index"].tolist() == indices[0]


def test_buffers_are_used_again():
    batches = Batches(numbered(23), 6)
    assert batches.batch(0)["x"].data_ptr() == batches.batch(1)["x"].data_ptr()


def test_packed_bits_give_the_same_batches():
    images = (torch.rand(13, 1, 5, 7) < 0.5).to(torch.uint8) * 255
    plain, packed = (
        Batches(Dataset(kind), 4, seed=2) for kind in (images, PackedBits.pack(images))
    )
    assert all(same(plain.batch(step), packed.batch(step)) for step in range(5))


def test_streams_are_at_the_same_step():
    unlabelled = Batches(numbered(31), 5, seed=9)
    both = Batches(numbered(23), 6, streams={"unlabelled": unlabelled})
    expected = copied(Batches(numbered(31), 5, seed=9).batch(8))
    assert same(both.batch(8)["unlabelled"], expected)


def test_dynamic_data_are_drawn_after_the_other_transforms():
    data = Dataset(torch.randint(256, (8, 1, 9, 11), dtype=torch.uint8), dynamic=True)
    x = Batches(data, 8, transforms=(RandomAffine(),)).batch(0)["x"]
    assert set(x.unique().tolist()) == {0.0, 1.0}


def test_a_batch_larger_than_the_data_is_reduced_and_said():
    with pytest.warns(UserWarning, match="batch_size is reduced from 50 to 23, all of data"):
        batches = Batches(numbered(23), 50)
    assert batches.batch_size == 23 and batches.steps_per_epoch == 1


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_batch_sizes_that_mean_nothing_are_refused(size):
    with pytest.raises(ValueError, match=f"batch_size is {size}; expected an integer of at least"):
        Batches(numbered(23), size)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}; expected"):
        Batches(numbered(23), 6, seed=seed)


def test_negative_steps_are_refused():
    with pytest.raises(ValueError, match="step is -1; expected at least 0"):
        Batches(numbered(23), 6).batch(-1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_sees_the_same_batches():
    data = numbered(23, labels=torch.arange(23))
    here, there = Batches(data, 6, seed=3), Batches(data, 6, seed=3, device="cuda")
    for step in range(5):
        moved = {key: value.cpu() for key, value in there.batch(step).items()}
        assert same(here.batch(step), moved)


def test_a_stream_that_would_draw_the_same_is_refused():
    data = numbered(23)
    with pytest.raises(ValueError, match=r"stream 'second' has the data and the seed \(3\)"):
        Batches(data, 6, seed=3, streams={"second": Batches(data, 6, seed=3)})
    second = Batches(data, 6, seed=3, streams={"second": Batches(data, 6, seed=4)}).batch(0)
    assert not torch.equal(second["x"], second["second"]["x"])


@pytest.mark.parametrize("composed", [PackedBits.pack, lambda images: images])
def test_a_stream_that_would_draw_the_same_is_seen_however_images_are_kept(composed):
    images = 255 * torch.randint(2, (9, 1, 3, 4), dtype=torch.uint8)
    data = Dataset(composed(images), name="bits")
    with pytest.raises(ValueError, match="both would draw the same"):
        Batches(data, 3, seed=3, streams={"second": Batches(data, 3, seed=3)})
