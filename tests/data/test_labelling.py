# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false
import pytest
import torch

from unbraid.data import Batches, DataError, Dataset, keep_labels, labelled, load

IMAGES = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(-1, 1, 3, 2)
LABELS = torch.tensor([2, 0, 1, 2, 0] * 8)  # 16 of 0, 8 of 1, 16 of 2
DATA = Dataset(IMAGES, labels=LABELS, label_names=("a", "b", "c"))


def known(data):
    return (data.labels != -1).nonzero().squeeze(1)


@pytest.mark.parametrize("per_class", [1, 5, 8])
def test_so_many_labels_of_each_class_are_kept(per_class):
    kept = keep_labels(DATA, per_class, seed=3)
    assert LABELS[known(kept)].bincount().tolist() == [per_class] * 3
    assert torch.equal(kept.labels[known(kept)], LABELS[known(kept)])
    assert torch.equal(kept.images, DATA.images) and kept.label_names == ("a", "b", "c")
    assert torch.equal(DATA.labels, LABELS), "the original lost its labels"


def test_the_seed_alone_chooses_and_more_labels_include_fewer():
    few, more = (set(known(keep_labels(DATA, n, seed=3)).tolist()) for n in (3, 6))
    assert few < more
    assert few == set(known(keep_labels(DATA, 3, seed=3)).tolist())
    assert few != set(known(keep_labels(DATA, 3, seed=4)).tolist())


def test_every_label_is_kept_as_often():
    """Chi-square of 16 and 8 rows over 4000 seeds, each kept with p: false alarms of 1e-6."""
    seeds, counts = 4000, torch.zeros(40, dtype=torch.float64)
    for seed in range(seeds):
        counts[known(keep_labels(DATA, 2, seed))] += 1
    for label, size in ((0, 16), (1, 8), (2, 16)):
        share = 2 / size
        found = counts[label == LABELS]
        # Drawn without replacement: the counts' covariance is that of a uniform multinomial,
        # but for a factor.
        scale = seeds * share * (1 - share) * size / (size - 1)
        statistic = ((found - seeds * share) ** 2).sum() / scale
        freedom = torch.tensor((size - 1) / 2, dtype=torch.float64)
        assert torch.special.gammaincc(freedom, statistic / 2) > 1e-6 / 3


def test_labels_come_up_in_batches_by_chance():
    """A mean over 2000 seeds of how many of 8 in a batch are labelled; 6 deviations: 2e-9."""
    seeds, found = 2000, 0
    for seed in range(seeds):
        kept = keep_labels(DATA, 3, seed)
        found += int((Batches(kept, 8, seed=seed).batch(0)["label"] >= 0).sum())
    share = 9 / 40
    variance = 8 * share * (1 - share) * 32 / 39  # hypergeometric
    assert abs(found / seeds - 8 * share) < 6 * (variance / seeds) ** 0.5


def test_what_was_unknown_before_stays_so():
    labels = LABELS.clone()
    labels[:25] = -1
    kept = keep_labels(Dataset(IMAGES, labels=labels), 3, seed=1)
    assert (kept.labels[:25] == -1).all() and len(known(kept)) == 9


def test_labelled_data_are_taken():
    kept = keep_labels(DATA, 4)
    taken = labelled(kept)
    assert torch.equal(taken.images, IMAGES[known(kept)]) and len(taken) == 12
    assert torch.equal(taken.labels, LABELS[known(kept)])
    assert len(labelled(DATA)) == 40


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: keep_labels(DATA, 9),
            "number of data with the label 'b' is 8; expected at least",
        ),
        (lambda: keep_labels(DATA, 0), "labels per class are 0; expected an integer of at least"),
        (lambda: keep_labels(DATA, 2.0), "labels per class are 2.0; expected an integer"),
        (lambda: keep_labels(Dataset(IMAGES)), "data have no labels; expected data with labels"),
        (lambda: labelled(Dataset(IMAGES)), "data have no labels; expected data with labels"),
        (
            lambda: labelled(Dataset(IMAGES, labels=torch.full((40,), -1))),
            "number of data with a known label is 0",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_seeds_out_of_range_are_refused():
    with pytest.raises(ValueError, match="seed is -1; expected"):
        keep_labels(DATA, 2, seed=-1)


def test_digits_keep_labels_of_the_training_part_only():
    full = load("mnist-small", seed=2)
    few = load("mnist-small", seed=2, options={"labels_per_class": "7"})
    assert torch.equal(few.train.labels, keep_labels(full.train, 7, seed=2).labels)
    assert few.train.labels.add(1).bincount().tolist() == [8930] + [7] * 10
    assert torch.equal(few.train.images, full.train.images)
    for part in ("validation", "test"):
        assert torch.equal(getattr(few, part).labels, getattr(full, part).labels)
    with pytest.raises(DataError, match="labels_per_class is 'few'; expected an integer"):
        load("mnist-small", options={"labels_per_class": "few"})
