"""`unbraid data NAME` says what a set is and what its options mean, without making it."""

import json

import pytest

from unbraid.data import SOURCES, options_of


@pytest.mark.parametrize("name", SOURCES)
def test_every_option_of_a_set_is_explained(unbraid, name):
    facts = json.loads(unbraid("data", name, "--json").out)
    assert facts["summary"] == SOURCES[name].summary
    assert [option["name"] for option in facts["options"]] == list(options_of(name))
    assert all(option["help"] and option["type"] for option in facts["options"])
    printed = unbraid("data", name).out
    assert SOURCES[name].summary in printed
    assert all(option["help"] in printed for option in facts["options"])


@pytest.mark.parametrize(
    ("name", "options", "train"),
    [
        (
            "mnist-domains",
            ["target=coloured"],
            "mnist-domains: 9,000 images, 3x28x28, colour, 10 labels, known of 4,500",
        ),
        (
            "coloured-digits",
            ["task=parity", "correlation=0.8"],
            "coloured-digits: 9,000 images, 3x28x28, colour, 2 labels, 2 factors (colour, digit)",
        ),
    ],
)
def test_sets_are_described_with_their_options(unbraid, name, options, train):
    facts = json.loads(unbraid("data", name, "--data-set", *options, "--json").out)
    assert facts["train"].startswith(train)


def test_options_that_mean_nothing_are_refused(unbraid):
    refused = unbraid("data", "coloured-digits", "--data-set", "correlation=2")
    refused.check_refused(3, "correlation is 2.0; expected a probability, from 0 to 1")
