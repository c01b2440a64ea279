# pyright: reportMissingImports=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportOptionalSubscript=false
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid.data import Batches, DataError, Dataset, PackedBits, as_sequences

IDS = ["b", "a", "b", "c", "b", "a"]
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 3, 5, 7), np.uint8))


def numbered(count, **known):
    images = torch.arange(count, dtype=torch.uint8).reshape(count, 1, 1, 1).expand(-1, 1, 2, 3)
    return Dataset(images.clone(), **known)


def test_images_of_one_id_are_one_sequence_in_their_order():
    data = as_sequences(Dataset(IMAGES, name="mine"), IDS)
    assert data.images.shape == (3, 3, 3, 5, 7) and data.name == "mine"
    assert torch.equal(data.images[0], IMAGES[[0, 2, 4]])
    assert torch.equal(data.images[1, :2], IMAGES[[1, 5]]) and not data.images[1, 2:].any()
    assert torch.equal(data.images[2, :1], IMAGES[[3]]) and not data.images[2, 1:].any()
    assert data.lengths.tolist() == [3, 2, 1]


@given(st.lists(st.integers(-3, 12), min_size=1, max_size=60))
@settings(derandomize=True, deadline=None, max_examples=80)
def test_every_image_is_one_frame(ids):
    data = as_sequences(numbered(len(ids)), torch.tensor(ids))
    lengths = data.lengths if data.lengths is not None else [data.images.shape[1]] * len(data)
    found = [
        frames[:length, 0, 0, 0].tolist()
        for frames, length in zip(data.images, lengths, strict=True)
    ]
    expected: dict[int, list[int]] = {}
    for k, name in enumerate(ids):
        expected.setdefault(name, []).append(k)
    assert found == list(expected.values())


@pytest.mark.parametrize(
    "ids",
    [[5, 5, 9, 9], np.array([5, 5, 9, 9], np.uint8), torch.tensor([5, 5, 9, 9]), list("xxyy")],
)
def test_sequences_of_one_length_need_no_lengths(ids):
    data = as_sequences(numbered(4), ids)
    assert data.lengths is None and data.images[:, :, 0, 0, 0].tolist() == [[0, 1], [2, 3]]


def test_still_factors_are_of_sequences_and_others_of_frames():
    factors = torch.tensor([[k, shape, 5] for k, shape in enumerate([2, 1, 2, 0, 2, 1])])
    known = {"factor_names": ("angle", "shape", "scale"), "factor_sizes": (9, 3, 6)}
    data = as_sequences(numbered(6, factors=factors, **known), IDS)
    assert data.factor_names == ("shape", "scale") and data.factor_sizes == (3, 6)
    assert data.factors.tolist() == [[2, 5], [1, 5], [0, 5]]
    assert data.frame_factor_names == ("angle",) and data.frame_factor_sizes == (9,)
    assert data.frame_factors[..., 0].tolist() == [[0, 2, 4], [1, 5, 0], [3, 0, 0]]


def test_continuous_factors_stay_so():
    values = torch.linspace(0, 1, 6)[:, None]
    data = as_sequences(numbered(6, factors=values), IDS)
    assert data.factors is None and data.factor_names == ()
    assert data.frame_factors.dtype == torch.float32 and data.frame_factor_sizes == (0,)
    assert torch.equal(data.frame_factors[0], values[[0, 2, 4]])


def test_labels_and_groups_are_of_sequences():
    labels, groups = torch.tensor([1, 0, 1, 1, 1, 0]), torch.tensor([4, 4, 4, 7, 4, 4])
    names = ("sit", "walk")
    data = as_sequences(numbered(6, labels=labels, label_names=names, groups=groups), IDS)
    assert data.labels.tolist() == [1, 0, 1] and data.label_names == names
    assert data.groups.tolist() == [4, 4, 7]


def test_bits_are_unpacked():
    pixels = (IMAGES[:, :1] > 127).to(torch.uint8) * 255
    data = as_sequences(Dataset(PackedBits.pack(pixels)), IDS)
    assert torch.equal(data.images[0], pixels[[0, 2, 4]]) and data.kind == "binary"


def test_batches_know_how_many_frames_are_true():
    batches = Batches(as_sequences(numbered(6), IDS), 3, shuffle=False)
    assert batches.batch(0)["length"].tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("data", "ids", "message"),
    [
        (numbered(6), IDS[:5], r"number of ids for data is 5; expected 6, one for each"),
        (numbered(6), np.ones(6), r"ids for data are float64 of shape \(6,\); expected a vector"),
        (numbered(6), [IDS], r"ids for data are <U1 of shape \(1, 6\); expected a vector"),
        (
            numbered(6, labels=torch.tensor([0, 0, 0, 0, 1, 0])),
            IDS,
            "labels of data in the sequence b are 0 and 1; expected one for all of its frames",
        ),
        (
            numbered(6, groups=torch.tensor([0, 0, 0, 0, 0, 8])),
            IDS,
            "groups of data in the sequence a are 0 and 8; expected one",
        ),
        (Dataset(IMAGES[None]), [0], "data are sequences; expected images to group"),
    ],
)
def test_what_cannot_be_grouped_is_named(data, ids, message):
    with pytest.raises(DataError, match=message):
        as_sequences(data, ids)


def test_padding_that_takes_too_much_is_refused(monkeypatch):
    monkeypatch.setenv("UNBRAID_MAX_GIB", "0.0000001")
    # 26 images of 6 bytes, but one sequence of 6 frames and 20 of one.
    with pytest.raises(DataError, match="padded to 6 frames, declares is 756 bytes; expected at"):
        as_sequences(numbered(26), [0] * 6 + list(range(1, 21)))
