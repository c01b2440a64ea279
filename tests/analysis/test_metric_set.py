"""The table of scores against each score by itself, and what it leaves out."""

import json
from typing import Any

import numpy as np
import pytest

from unbraid.analysis import (
    beta_vae_score,
    dci,
    disentanglement_scores,
    explicitness,
    factor_vae_score,
    gaussian_dependence,
    irs,
    mcc,
    mig_of_means,
    mig_of_posteriors,
    modularity,
    sap,
)

FEW: dict[str, Any] = {"resamples": 0, "forest_codes": 40}


def drawn(count, seed):
    return np.random.default_rng(seed).integers([3, 2, 4], size=(count, 3))


def noisy(factors, seed, noise=0.3):
    mixing = np.array([[1, 0.3, 0, 0], [0, 1, 0.2, 0], [0, 0, 1, 0.5]])
    codes = factors @ mixing
    return codes + noise * np.random.default_rng(seed).normal(size=codes.shape)


def data():
    factors, truth = drawn(150, 1), drawn(60, 2)
    return noisy(factors, 3), factors, noisy(truth, 4), truth


def test_each_score_is_that_of_its_own_function():
    codes, factors, test, truth = data()
    scales = np.full(codes.shape, 0.2)
    result = disentanglement_scores(
        *data(), train_scales=scales, resamples=0, forest_codes=70, seed=3
    )
    order = np.random.default_rng(3).permutation(150)[:70]
    forests = dci(
        codes[order], factors[order] * 1.0, test, truth * 1.0, discrete=[True] * 3, seed=3
    )
    dependence = gaussian_dependence(codes)
    assert result["scores"] == pytest.approx(
        {
            "factor_vae": factor_vae_score(codes, factors, seed=3).score,
            "beta_vae": beta_vae_score(codes, factors, seed=3).score,
            "mig_means": mig_of_means(codes, factors).score,
            "mig_posteriors": mig_of_posteriors(codes, scales, factors, seed=3).score,
            "sap": sap(codes, factors, test, truth).score,
            "dci_disentanglement": forests.disentanglement,
            "dci_completeness": forests.completeness,
            "dci_informativeness": forests.informativeness,
            "modularity": modularity(codes, factors).score,
            "explicitness": explicitness(codes, factors, test, truth).score,
            "irs": irs(codes, factors).score,
            "mcc": mcc(codes, factors).score,
            "mcc_spearman": mcc(codes, factors, correlation="spearman").score,
            "total_correlation": dependence.total_correlation,
            "wasserstein_share": dependence.wasserstein_share,
        }
    )
    assert result["left_out"] == result["factors_left_out"] == result["intervals"] == {}
    assert result["factors"]["sap"] == ["factor 0", "factor 1", "factor 2"]
    assert result["factors"]["total_correlation"] == []
    assert json.loads(json.dumps(result)) == result


def test_factors_go_to_the_scores_that_can_take_them():
    codes, factors, test, truth = data()
    grown, more = (
        np.c_[f, np.ones(len(f)), c[:, 0]] for f, c in ((factors, codes), (truth, test))
    )
    more[:, 1] = 1  # the second factor does not vary in the test data
    result = disentanglement_scores(
        codes,
        grown,
        test,
        more,
        names=["shape", "size", "place", "colour", "x"],
        discrete=[True, True, True, True, False],
        ordered=[False, True, True, True, True],
        only=["mig_means", "mig_posteriors", "mcc", "sap"],
        resamples=0,
    )
    assert result["factors_left_out"] == {
        "colour": "It has one value in the training data.",
        "size": "It has one value in the test data.",
    }
    assert result["factors"]["mig_means"] == ["shape", "place"]
    assert result["factors"]["mcc"] == ["place", "x"]
    assert result["factors"]["sap"] == ["shape", "place", "x"]
    assert result["scores"]["mig_means"] == pytest.approx(
        mig_of_means(codes, factors[:, [0, 2]]).score
    )
    assert result["scores"]["mcc"] == pytest.approx(mcc(codes, grown[:, [2, 4]]).score)
    assert result["left_out"] == {
        "mig_posteriors": "It needs the standard deviations of q. Give train_scales."
    }


def test_classes_may_be_any_numbers():
    """Names of classes, in their order, say nothing; a correlation takes them as they are."""
    codes, factors, test, truth = data()
    names = np.array([0.5, 0.6, 1.0, 1.25])
    asked = {**FEW, "discrete": [True] * 3, "ordered": [False] * 3}
    numbered = disentanglement_scores(codes, factors, test, truth, **asked)
    named = disentanglement_scores(codes, names[factors], test, names[truth], **asked)
    assert named == numbered and len(named["scores"]) > 8
    asked = {"resamples": 0, "discrete": [True] * 3, "only": ["mcc"]}
    found = disentanglement_scores(codes, names[factors], test, names[truth], **asked)
    assert found["scores"]["mcc"] == pytest.approx(mcc(codes, names[factors]).score)


def test_what_is_missing_is_said():
    codes, factors, test, truth = data()
    numbers = disentanglement_scores(codes, factors + 0.5, test, truth + 0.5, **FEW)
    assert set(numbers["left_out"]) == {
        "factor_vae",
        "beta_vae",
        "mig_means",
        "mig_posteriors",
        "modularity",
        "explicitness",
        "irs",
    }
    assert numbers["left_out"]["modularity"] == (
        "It needs 2 discrete factors that vary, and there are 0."
    )
    assert {"sap", "mcc", "dci_completeness", "total_correlation"} <= set(numbers["scores"])
    single = disentanglement_scores(codes[:, :1], factors, test[:, :1], truth, **FEW)
    assert "expected at least 2" in single["left_out"]["mig_means"]
    assert "expected at least 2" in single["left_out"]["dci_disentanglement"]
    assert {"factor_vae", "explicitness", "irs", "mcc"} <= set(single["scores"])
    alone = disentanglement_scores(
        codes, factors[:, 0], test, truth[:, 0], only=["factor_vae", "mig_means"], resamples=0
    )
    assert set(alone["scores"]) == {"mig_means"}
    assert alone["left_out"]["factor_vae"].startswith("It needs 2 discrete factors")
    assert alone["scores"]["mig_means"] == pytest.approx(mig_of_means(codes, factors[:, 0]).score)


def test_intervals_hold_the_score_and_are_as_wide_as_new_data_differ():
    """Of 40 data sets drawn anew, against one that is resampled."""

    def made(seed):
        return noisy(drawn(300, seed), seed + 1000)

    score: dict[str, Any] = {"resamples": 60, "only": ["mig_means", "modularity", "mcc"]}
    result = disentanglement_scores(made(1), drawn(300, 1), made(2), drawn(300, 2), **score)
    assert set(result["intervals"]) == {"mig_means", "modularity", "mcc", "mcc_spearman"}
    fresh = {
        "mig_means": [mig_of_means(made(s), drawn(300, s)).score for s in range(10, 50)],
        "mcc": [mcc(made(s), drawn(300, s)).score for s in range(10, 50)],
    }
    for name, (low, high) in result["intervals"].items():
        assert low < result["scores"][name] < high
        if name in fresh:
            assert 0.4 < (high - low) / (3.92 * np.std(fresh[name])) < 2.5
    again = disentanglement_scores(made(1), drawn(300, 1), made(2), drawn(300, 2), **score)
    assert again == result


def test_bad_input_is_refused():
    codes, factors, test, truth = data()

    def refused(pattern, codes=codes, factors=factors, **options):
        with pytest.raises(ValueError, match=pattern):
            disentanglement_scores(codes, factors, test, truth, **options)

    broken = codes.copy()
    broken[3, 1] = np.nan
    refused(r"train_codes\[3, 1\] is nan; expected finite", codes=broken)
    refused(r"train_factors have shape \(9, 3\)", factors=factors[:9])
    refused("test_codes have 4 values per datum; expected 2", codes=codes[:, :2])
    refused("only has 'mig'; expected some of factor_vae, beta_vae", only=["mig"])
    refused("names has 2 entries; expected 3", names=["a", "b"])
    refused("ordered has 1 entries; expected 3", ordered=[True])
    refused("discrete has 1 entries; expected 3", discrete=[True])


def test_an_infinite_dependence_is_left_out_and_no_other_score_with_it():
    """Codes of one more number than they have room for; what is written has finite numbers."""
    codes, factors, test, truth = data()
    codes, test = (np.column_stack([c, c[:, 0] - c[:, 1]]) for c in (codes, test))
    result = disentanglement_scores(codes, factors, test, truth, resamples=0)
    assert "linearly dependent" in result["left_out"]["total_correlation"]
    assert "total_correlation" not in result["scores"]
    assert np.isfinite(list(result["scores"].values())).all()
    assert {"wasserstein_share", "sap"} <= result["scores"].keys()
