"""What the terminal says of an evaluation: probes by name, and of how much a number is."""

from unbraid.console import code_rows, evaluation_rows

REAL = {"score": {"logistic": 0.9, "knn": 0.5}, "chance": 0.0, "standard_error": None, "n": 50}
CLASSES = {
    "score": {"logistic": 0.9, "knn": 0.5},
    "chance": 0.25,
    "standard_error": {"logistic": 0.01, "knn": 0.02},
    "n": 50,
}
EVALUATION = {
    "is_likelihood": True,
    "log_likelihood": -90.0,
    "log_likelihood_se": 0.5,
    "elbo": -95.0,
    "elbo_se": 0.5,
    "samples": 1000,
    "n": 50,
    "by_samples": {"1": -95.0, "1000": -90.0},
    "bits_per_dimension": None,
    "effective_sample_size": None,
    "pareto_k_unreliable": None,
}


def test_the_linear_probe_of_real_values_is_called_ridge_also_where_it_was_not():
    """Earlier versions wrote logistic of both."""
    for told, name in ((REAL, "ridge"), (CLASSES, "logistic")):
        found = {"scores": {}, "told": {"angle": told}, "left_out": {}, "factors_left_out": {}}
        [(_, _, remark)] = code_rows({"of": {"z": found}})
        assert remark.startswith(name)
        rows = evaluation_rows(
            {**EVALUATION, "condition_from_codes": {"angle": {"of_means": told}}}
        )
        [remark] = [remark for title, _, remark in rows if title == "angle from z"]
        assert remark.startswith(f"{name} on means of the codes")


def test_of_sequences_it_is_said_of_how_many_frames_a_likelihood_is():
    for likelihood in (True, False):
        rows = evaluation_rows({**EVALUATION, "is_likelihood": likelihood, "frames": 8})
        said = ("frames", "8", "of each sequence, whose log p(x) is that of these together")
        assert said in rows
    assert "frames" not in [name for name, _, _ in evaluation_rows(EVALUATION)]


def test_what_is_told_without_codes_is_not_called_chance():
    """It is the share of the commonest class, and not one over the number of classes."""
    found = {"scores": {}, "told": {"shape": CLASSES}, "left_out": {}, "factors_left_out": {}}
    row = {"factor": "who", "about": "content", "score": 0.5, "standard_error": 0.1}
    leaked = [
        {**row, "codes": of, "chance": 0.125, "discrete": True} for of in ("static", "dynamic")
    ]
    said = code_rows({"of": {"z": found}, "leakage": leaked})
    assert [remark for _, _, remark in said] == [
        "of the sequences; 0.125 without codes",
        "of the frames; 0.125 without codes",
        "logistic; 0.250 without codes",
    ]
    rows = evaluation_rows(
        {**EVALUATION, "condition_from_codes": {"shape": {"of_means": CLASSES}}}
    )
    assert "logistic on means of the codes; 25.0% without codes" in [row[2] for row in rows]


def test_an_error_that_is_not_known_is_left_out():
    row = {"factor": "who", "about": "pose", "codes": "static", "score": 0.5}
    row |= {"standard_error": None}
    [(_, value, _)] = code_rows({"leakage": [{**row, "chance": 0.125, "discrete": True}]})
    assert value == "0.500"


def test_a_single_datum_is_told_as_one():
    for n, said in ((1, "of 1 datum"), (2000, "of 2,000 data")):
        told = {"error": 0.0, "standard_error": 0.0, "n": n}
        rows = evaluation_rows({**EVALUATION, "n": n, "classification": told})
        remarks = {name: remark for name, _, remark in rows}
        assert remarks["log p(x)"].endswith(said) and remarks["label error"].endswith(said)
