"""Neighbours are counted by hand, on distances written out."""

import numpy as np
import pytest
import torch

from unbraid.analysis import knn_accuracy


def clouds(count, seed, dims=3, classes=4, spread=1.0):
    """Codes around a centre per class, the centres 1 apart."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=count)
    return np.eye(classes, dims)[labels] + spread * draw.normal(size=(count, dims)), labels


def vote(train, classes, test, neighbours):
    """Majority of the nearest by distances written out; the lowest class in a tie."""
    far = ((test[:, None] - train[None]) ** 2).sum(-1)
    nearest = classes[far.argsort(1)[:, :neighbours]]
    return np.array([np.bincount(row).argmax() for row in nearest])


@pytest.mark.parametrize("neighbours", [1, 2, 5, 8])
def test_votes_equal_those_by_hand(neighbours):
    train, classes = clouds(150, 0)
    test, truth = clouds(90, 1)
    score = knn_accuracy(train, classes, test, truth, neighbours=neighbours)
    expected = (vote(train, classes, test, neighbours) == truth).mean()
    assert score.accuracy == expected
    assert 0.3 < expected < 0.7  # neither blind nor perfect, so the count can be wrong
    assert score.count == 90
    assert score.standard_error == pytest.approx(np.sqrt(expected * (1 - expected) / 90))


def test_five_vote_unless_told_otherwise():
    train, classes = clouds(150, 0)
    test, truth = clouds(90, 1)
    default = knn_accuracy(train, classes, test, truth)
    assert default == knn_accuracy(train, classes, test, truth, neighbours=5)
    assert default != knn_accuracy(train, classes, test, truth, neighbours=1)


def test_the_lowest_class_wins_a_tie():
    codes = np.array([[0.0], [1.0]])
    for classes, winner in (([3, 1], 1), ([1, 3], 1), ([0, 2], 0)):
        for truth in range(4):
            score = knn_accuracy(
                codes, np.array(classes), np.array([[0.2]]), np.array([truth]), neighbours=2
            )
            assert score.accuracy == (truth == winner)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_images_are_compared_pixel_by_pixel(dtype):
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (60, 2, 5, 7), generator=generator).to(dtype)
    labels = torch.randint(0, 3, (60,), generator=generator)
    score = knn_accuracy(images[:40], labels[:40], images[40:], labels[40:], neighbours=3)
    flat = images.double().flatten(1).numpy()
    told = vote(flat[:40], labels[:40].numpy(), flat[40:], 3)
    assert score.accuracy == (told == labels[40:].numpy()).mean()
    assert knn_accuracy(images, labels, images, labels, neighbours=1).accuracy == 1


def test_half_precision_and_gradients_are_welcome():
    codes = torch.tensor([[0.0], [4.0]], dtype=torch.bfloat16, requires_grad=True)
    assert knn_accuracy(codes, torch.arange(2), codes, torch.arange(2), neighbours=1).accuracy == 1


def test_data_of_unknown_class_are_left_out():
    train, classes = clouds(150, 0)
    test, truth = clouds(90, 1)
    seen, judged = np.arange(150) % 3 > 0, np.arange(90) % 5 > 0
    expected = knn_accuracy(train[seen], classes[seen], test[judged], truth[judged])
    assert expected.count == 72
    classes, truth = np.where(seen, classes, -1), np.where(judged, truth, -1)
    assert knn_accuracy(train, classes, test, truth) == expected
    for known in ((classes, np.full(90, -1)), (np.full(150, -1), truth)):
        with pytest.raises(
            ValueError, match=r"_labels are all -1, not known; expected .*Give data of"
        ):
            knn_accuracy(train, known[0], test, known[1])


def test_a_class_never_seen_is_wrong():
    codes = np.array([[0.0], [1.0], [2.0]])
    score = knn_accuracy(codes, np.arange(3), codes, np.array([0, 1, 7]), neighbours=1)
    assert score.accuracy == pytest.approx(2 / 3)


def test_bad_input_is_refused():
    codes, labels = np.zeros((6, 2)), np.zeros(6, int)
    broken = codes.copy()
    broken[4, 1] = np.nan

    def refused(pattern, *args, **options):
        with pytest.raises(ValueError, match=pattern):
            knn_accuracy(*args, **options)

    refused(r"train_codes have shape \(6,\)", codes[:, 0], labels, codes, labels)
    refused(r"test_codes have shape \(0, 2\)", codes, labels, codes[:0], labels[:0])
    refused(r"test_codes\[4, 1\] is nan; expected finite", codes, labels, broken, labels)
    refused("test_codes have 1 values per datum; expected 2", codes, labels, codes[:, :1], labels)
    refused(r"train_labels have shape \(5,\); expected \(6,\)", codes, labels[:5], codes, labels)
    refused("test_labels are float64; expected integers", codes, labels, codes, labels * 1.0)
    refused("neighbours is 0; expected 1 to 6", codes, labels, codes, labels, neighbours=0)
    refused("neighbours is 7; expected 1 to 6", codes, labels, codes, labels, neighbours=7)
    refused("complex128; expected real", codes * 1j, labels, codes, labels)
