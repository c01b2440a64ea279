"""Measures of fairness: counted by hand; probes of codes that are known to tell, and not to."""

import numpy as np
import pytest
import torch

from unbraid import guides, models
from unbraid.analysis import attribute_probe, fairness, predicted_classes
from unbraid.nets import MLPEncoder, PointEncoder


def columns(*groups):
    """Rows of (attribute, label, predictions) as arrays."""
    told = np.array([p for _, _, predictions in groups for p in predictions])
    truth = np.array([y for _, y, predictions in groups for _ in predictions])
    group = np.array([a for a, _, predictions in groups for _ in predictions])
    return told, truth, group


def test_the_measures_are_those_counted_by_hand():
    """Of attribute 0 five of ten are told 1, of attribute 1 six of eight.

    Of label 0 the shares told 1 are 1/4 and 2/3, of label 1 they are 4/6 and 4/5.
    """
    told, truth, group = columns(
        (0, 0, [0, 0, 0, 1]),
        (0, 1, [1, 1, 1, 1, 0, 0]),
        (1, 0, [1, 1, 0]),
        (1, 1, [1, 1, 1, 1, 0]),
    )
    found = fairness(told, truth, group)
    assert found.accuracy == pytest.approx(12 / 18)
    assert found.parity_gap == pytest.approx(6 / 8 - 5 / 10)
    assert found.odds_gap == pytest.approx(2 / 3 - 1 / 4)
    assert found.mean_odds_gap == pytest.approx((2 / 3 - 1 / 4 + 4 / 5 - 4 / 6) / 2)
    assert found.opportunity_gap == pytest.approx(4 / 5 - 4 / 6)
    assert found.count == 18
    other = fairness(told, truth, group, favoured=0)
    assert other.opportunity_gap == pytest.approx(2 / 3 - 1 / 4)
    unknown = fairness(
        torch.from_numpy(np.r_[told, 1, 0]), np.r_[truth, -1, 0], np.r_[group, 0, -1]
    )
    assert unknown == found


def test_several_classes_and_groups():
    """The largest difference of a class's share: of class 2, 0, 1/2 and 1."""
    told, truth, group = columns(
        (0, 0, [0, 1]), (0, 1, [0, 1]), (3, 0, [2, 0]), (3, 1, [2, 1]), (5, 0, [2, 2]), (5, 1, [2])
    )
    found = fairness(told, truth, group)
    assert found.parity_gap == pytest.approx(1.0)
    assert found.odds_gap == pytest.approx(1.0)
    assert found.accuracy == pytest.approx(4 / 11)
    assert found.opportunity_gap == pytest.approx(0.5)


def test_a_perfect_prediction_of_unlike_groups_has_parity_gap_alone():
    truth = np.array([0] * 9 + [1] + [0] + [1] * 9)
    group = np.repeat([0, 1], 10)
    found = fairness(truth, truth, group)
    assert (found.accuracy, found.odds_gap, found.opportunity_gap) == (1.0, 0.0, 0.0)
    assert found.parity_gap == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("group", "truth", "message"),
    [
        ([0, 0, 0, 0], [0, 0, 1, 1], "attribute has 1 values.*Give data of several groups"),
        ([0, 1, 0, 0], [0, 0, 1, 1], "no datum has label 1 and attribute 1"),
        (
            [0, 1, 0, 1],
            [0, 0, 2, 2],
            "favoured is 1; expected one of the labels 0, 2. Name the one",
        ),
        ([0, 1, 0], [0, 0, 1, 1], r"attribute have shape \(3,\); expected \(4,\)"),
        ([0.0, 1, 0, 1], [0, 0, 1, 1], "attribute are float64"),
    ],
)
def test_what_cannot_be_compared_is_refused(group, truth, message):
    with pytest.raises(ValueError, match=message):
        fairness(np.zeros(4, int), np.array(truth), np.array(group))


def codes_of(attribute, labels, random, *, leak):
    """Codes that tell the label, and the attribute where `leak`."""
    noise = random.normal(size=(len(labels), 3))
    return noise + np.stack([4 * labels, 4 * leak * attribute, 0 * labels], 1)


@pytest.mark.parametrize("leak", [0, 1])
def test_what_a_code_tells_beyond_the_label(leak):
    """The attribute goes along with the label nine times out of ten.

    Given the label an innocent code tells nothing: within 6 standard errors of chance.
    """
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 6000)
    attribute = np.where(random.random(6000) < 0.9, labels, 1 - labels)
    codes = codes_of(attribute, labels, random, leak=leak)
    parts = (codes[:3000], attribute[:3000], codes[3000:], attribute[3000:])
    alone = attribute_probe(*parts, probe="logistic")
    given = attribute_probe(
        *parts, train_labels=labels[:3000], test_labels=labels[3000:], probe="logistic"
    )
    assert (alone.chance, given.chance) == (0.5, 0.5)
    if leak:
        assert given.accuracy > 0.95
    else:
        assert abs(given.accuracy - 0.5) < 6 * given.standard_error
        # Its label tells the attribute 0.9 of the time, and the code the label 0.977.
        assert alone.accuracy == pytest.approx(0.9 * 0.977 + 0.1 * 0.023, abs=0.04)


def test_probes_need_data_of_every_group():
    codes, labels = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    few = np.where(np.arange(40) < 5, 1, 0)
    with pytest.raises(ValueError, match="5 training data have label 0 and attribute 1"):
        attribute_probe(codes, few, codes, few)
    with pytest.raises(ValueError, match=r"of one part alone.*Give train_labels and test_labels"):
        attribute_probe(codes, labels, codes, labels, train_labels=labels)
    with pytest.raises(ValueError, match=r"train_attribute has 1 values.*Give data of several gr"):
        attribute_probe(codes, 0 * labels, codes, labels)
    with pytest.raises(ValueError, match="no test datum has label 0 and attribute 1"):
        attribute_probe(codes, labels, codes[:1], labels[:1])


@pytest.mark.parametrize("normal", [False, True])
def test_classes_are_predicted_at_the_mean_of_the_code(normal):
    encoder = (MLPEncoder if normal else PointEncoder)((1, 8, 8), 3, (5,))
    head = torch.nn.Linear(3, 4)
    model, guide = models.Classifier(head, 3, prior=normal), guides.Classifier(encoder)
    x = torch.rand(11, 1, 8, 8)
    mean = encoder(x).mean
    found = predicted_classes(model, guide, [(x[:6], torch.zeros(6).long()), (x[6:], None)])
    assert torch.equal(found, head(mean).argmax(-1))
    with pytest.raises(ValueError, match="site is 'z'; expected one whose"):
        predicted_classes(model, guide, [(x,)], site="z")


@pytest.mark.parametrize("what", ["attribute", "label"])
def test_test_data_that_nothing_was_learned_of_are_refused(what):
    """They were left out, so that 1 could be reached with most of them told wrongly."""
    codes, half = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    strange = np.where(np.arange(40) < 9, 5, half)
    parts = {"attribute": (half, half), "label": (half // 2, half // 2)} | {what: (half, strange)}
    with pytest.raises(ValueError, match=f"test data have {what} 5, which no training datum has"):
        attribute_probe(
            *(codes, parts["attribute"][0], codes, parts["attribute"][1]),
            train_labels=parts["label"][0],
            test_labels=parts["label"][1],
        )


def test_test_data_without_a_label_of_the_training_data_are_refused():
    codes, half = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    label = np.arange(40) // 2 % 2
    with pytest.raises(ValueError, match="no test datum has label 1 and attribute 0"):
        attribute_probe(
            *(codes, half, codes[label == 0], half[label == 0]),
            train_labels=label,
            test_labels=label[label == 0],
        )
