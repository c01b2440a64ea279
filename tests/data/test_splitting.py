# pyright: reportMissingImports=false
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid.data import DataError, Dataset, DataWarning, Splits
from unbraid.data.oddities import warn_of_oddities
from unbraid.data.splitting import carve, split


def numbered(count, **known):
    images = torch.full((count, 1, 2, 3), 77, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 2] = torch.arange(count) // 256, torch.arange(count) % 256
    return Dataset(images, **known)


def numbers(data):
    return (data.images[:, 0, 0, 0].int() * 256 + data.images[:, 0, 1, 2]).tolist()


def parts(splits):
    return [numbers(part) for part in (splits.train, splits.validation, splits.test)]


@given(st.integers(4, 600), st.integers(0, 2**32 - 1))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_every_datum_is_in_one_part(count, seed):
    train, validation, test = parts(split(numbered(count), seed))
    assert sorted(train + validation + test) == list(range(count))
    assert len(validation) == len(test) == max(1, round(count / 10))


@given(st.lists(st.integers(0, 9), min_size=4, max_size=60), st.integers(0, 999))
@settings(derandomize=True, deadline=None, max_examples=80)
def test_groups_stay_whole(groups, seed):
    data = numbered(len(groups), groups=torch.tensor(groups))
    if len(set(groups)) < 3:
        with pytest.raises(
            DataError, match=r"number of groups in data is . *; expected at least 3"
        ):
            split(data, seed)
        return
    found = [{groups[k] for k in part} for part in parts(split(data, seed))]
    assert all(found) and set.union(*found) == set(groups)
    assert sum(map(len, found)) == len(set(groups))


@pytest.mark.parametrize("seed", range(6))
def test_every_part_has_a_group_where_one_group_is_nearly_all(seed):
    data = numbered(52, groups=torch.tensor([0] * 50 + [1, 2]))
    assert all(parts(split(data, seed)))


def test_groups_of_one_size_are_shared_out_by_tens():
    data = numbered(200, groups=torch.arange(200) // 5)
    assert [len(part) for part in parts(split(data, 3))] == [160, 20, 20]


def test_the_seed_chooses():
    one, again, other = (parts(split(numbered(50), seed)) for seed in (1, 1, 2))
    assert one == again and one[2] != other[2]


def test_carving_leaves_the_test_data_alone():
    data, test = numbered(40), numbered(7)
    splits = carve(data, test, 12, seed=3)
    assert splits.test is test
    train, validation, _ = parts(splits)
    assert len(validation) == 12 and sorted(train + validation) == list(range(40))
    assert set(validation) != set(numbers(carve(data, test, 12, seed=4).validation))


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_data_are_refused(count):
    with pytest.raises(DataError, match=f"number of images in data is {count}; expected at least"):
        split(numbered(count), 0)


def test_too_few_sequences_are_called_so():
    with pytest.raises(DataError, match="number of sequences in data is 2; expected at least 4"):
        split(Dataset(torch.zeros(2, 5, 1, 3, 4, dtype=torch.uint8)), 0)


def test_sound_data_cause_no_warning():
    warn_of_oddities(split(numbered(1300), 0))


def test_repeated_test_data_are_counted():
    data = numbered(20)
    splits = Splits(data, data, data.take(torch.tensor([4, 7, 9])))
    with pytest.warns(DataWarning) as caught:
        warn_of_oddities(splits)
    assert "3 of the 3 test data of data are also training data" in str(caught[0].message)


def test_data_without_contrast_are_counted():
    flat = Dataset(torch.full((6, 1, 2, 3), 9, dtype=torch.uint8))
    other = numbered(30).take(torch.arange(20, 25))
    with pytest.warns(DataWarning) as caught:
        warn_of_oddities(Splits(flat, other, other))
    messages = [str(warning.message) for warning in caught]
    assert messages == [
        "all training data of data are the same",
        "6 of the data of data have one colour only",
    ]
