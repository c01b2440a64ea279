import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid.data import Batches, Dataset, PackedBits


@given(
    st.integers(1, 40), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99)
)
@settings(derandomize=True, deadline=None, max_examples=50)
def test_unpacking_undoes_packing(count, channels, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    images = 255 * torch.randint(2, (count, channels, height, width), generator=generator)
    images = images.to(torch.uint8)
    packed = PackedBits.pack(images)
    assert packed.shape == images.shape
    assert torch.equal(packed.unpack(torch.arange(count)), images)


def test_bits_lie_as_numpy_packs_them():
    images = torch.rand(6, 1, 3, 5) < 0.5
    expected = np.packbits(images.numpy().reshape(6, 15), axis=1)
    assert np.array_equal(PackedBits.pack(images.to(torch.uint8)).bits.numpy(), expected)


def test_memory_is_an_eighth():
    assert PackedBits.pack(torch.ones(9, 1, 8, 16, dtype=torch.uint8)).bits.numel() == 9 * 16


def test_frames_of_packed_sequences():
    films = 255 * torch.randint(2, (5, 6, 1, 3, 5), dtype=torch.uint8)
    data, packed = Dataset(films, name="films"), Dataset(PackedBits.pack(films), name="films")
    which, places = torch.tensor([4, 0, 4]), torch.tensor([[5, 0], [1, 1], [2, 3]])
    assert torch.equal(packed.frames(which, places), data.frames(which, places))
    batches = (Batches(films, 2, frames=3, seed=1) for films in (data, packed))
    one, other = (b.batch(1)["x"] for b in batches)
    assert torch.equal(one, other)
