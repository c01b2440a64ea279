"""Heat maps of codes against factors hold what numpy, scipy and scikit-learn compute."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import mutual_info_score

from unbraid.analysis import code_factor_figure, code_factors

COUNT = 400


def known(seed=0):
    """Codes `(N, 3)`, and factors: a class, a number, and a class of no code."""
    random = np.random.default_rng(seed)
    kind, place, other = (
        random.integers(0, 3, COUNT),
        random.random(COUNT),
        random.integers(5, 7, COUNT),
    )
    noise = random.standard_normal((COUNT, 3))
    codes = np.stack([kind + 0.1 * noise[:, 0], -place + 0.1 * noise[:, 1], noise[:, 2]], 1)
    return codes, np.stack([kind, place, other], 1)


def rank_correlation(code, factor) -> float:
    return float(spearmanr(code, factor)[0])  # pyright: ignore[reportArgumentType]


def annotations(figure) -> np.ndarray:
    axis = figure.axes[0]
    found = {tuple(map(round, t.get_position())): float(t.get_text()) for t in axis.texts}
    columns, rows = (max(place[i] for place in found) + 1 for i in (0, 1))
    return np.array([[found[column, row] for column in range(columns)] for row in range(rows)])


def test_classes_share_information_and_numbers_correlate():
    codes, factors = known()
    found = code_factors(codes, factors, discrete=[True, False, True], bins=7)
    for k, code in enumerate(codes.T):
        edges = np.linspace(code.min(), code.max(), 8)[1:-1]
        binned = np.digitize(code, edges)
        for f in (0, 2):
            shares = np.unique(factors[:, f], return_counts=True)[1] / COUNT
            entropy = -(shares * np.log(shares)).sum()
            expected = mutual_info_score(binned, factors[:, f]) / entropy
            assert found.values[k, f] == pytest.approx(expected)
        assert found.values[k, 1] == pytest.approx(abs(rank_correlation(code, factors[:, 1])))
    assert found.discrete.tolist() == [True, False, True]
    assert found.values[0, 0] > 0.9 > 0.1 > found.values[2, 2]
    assert found.values[1, 1] > 0.8


def test_integers_are_classes_unless_told_otherwise():
    codes, factors = known()
    assert code_factors(codes, factors[:, [0]].astype(int)).discrete.all()
    assert not code_factors(codes, factors[:, [0]]).discrete.any()


def test_data_of_an_unknown_class_are_left_out_of_that_factor_alone():
    codes, factors = known()
    hidden = np.random.default_rng(2).random((COUNT, 2)) < [0.3, 0.6]
    partly = factors.copy()
    partly[:, [0, 2]] = np.where(hidden, -1, factors[:, [0, 2]])
    partly[:5, 1] = -1  # of a number it is a value as others are
    discrete = [True, False, True]
    found = code_factors(codes, partly, discrete=discrete, bins=7).values
    for f, rows in ((0, ~hidden[:, 0]), (2, ~hidden[:, 1])):
        expected = code_factors(codes[rows], factors[rows], discrete=discrete, bins=7).values
        np.testing.assert_allclose(found[:, f], expected[:, f])
    expected = [abs(rank_correlation(code, partly[:, 1])) for code in codes.T]
    np.testing.assert_allclose(found[:, 1], expected)


def test_the_figure_shows_the_values_in_its_order():
    codes, factors = known()
    figure = code_factor_figure(
        torch.tensor(codes), factors, factor_names=["kind", "x place", "other"],
        discrete=[True, False, True], site="static", order=[2, 0],
    )  # fmt: skip
    expected = code_factors(codes, factors, discrete=[True, False, True]).values[[2, 0]]
    axis = figure.axes[0]
    np.testing.assert_allclose(np.asarray(axis.images[0].get_array()), expected)
    np.testing.assert_allclose(annotations(figure), expected, atol=0.005)
    assert [t.get_text() for t in axis.get_yticklabels()] == ["static[2]", "static[0]"]
    columns = [t.get_text() for t in axis.get_xticklabels()]
    assert columns == ["kind\nI / H", "x\nplace\n|rank corr.|", "other\nI / H"]
    assert axis.images[0].get_clim() == (0, 1)


def test_of_many_codes_those_that_tell_most_are_shown():
    codes, factors = known()
    many = np.concatenate([np.random.default_rng(1).random((COUNT, 30)), codes], 1)
    figure = code_factor_figure(many, factors, discrete=[True, False, True])
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert len(names) == 16
    assert {"z[30]", "z[31]"} <= set(names)
    assert names == sorted(names, key=lambda name: int(name[2:-1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor_names": ["a"]}, "factor_names has 1 entries; expected 3"),
        ({"order": [3]}, r"order is \[3\]; expected some of the codes 0 to 2"),
        ({"bins": 1}, "bins is 1; expected at least 2"),
        ({"discrete": [True]}, "discrete has 1 entries; expected 3"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        code_factor_figure(*known(), **options)


def test_a_factor_of_one_value_is_named():
    codes, factors = known()
    factors[:, 2] = 5
    with pytest.raises(ValueError, match=r"factors\[:, 2\] are all 5"):
        code_factor_figure(codes, factors)
    factors[:9, 2] = -1
    with pytest.raises(ValueError, match=r"factors\[:, 2\] are all 5"):
        code_factors(codes, factors, discrete=[True, False, True])
    factors[:, 2] = -1
    with pytest.raises(ValueError, match=r"factors\[:, 2\] are all -1"):
        code_factors(codes, factors, discrete=[True, False, True])


@pytest.mark.parametrize("count", [20, 100, 1000])
def test_few_data_do_not_look_as_if_codes_told_something(count):
    """Codes that know nothing of ten classes: 20 bins show 0.80 of 20 data, 0.34 of 100."""
    random = np.random.default_rng(0)
    codes, classes = random.normal(size=(count, 8)), random.integers(0, 10, count)
    found = code_factors(codes, classes).values
    # Its mean over codes is the bias, about 9 / 2N nats of 2.3 with two bins.
    assert found.mean() < 0.15
    if count == 20:
        assert code_factors(codes, classes, bins=20).values.mean() > 0.5
