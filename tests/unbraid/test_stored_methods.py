"""A configuration that went through JSON builds the method that it was written of."""

import json
from dataclasses import asdict

import pytest
from torch import nn

from unbraid.methods import (
    DataSpec,
    OptionError,
    build_stored,
    load_method,
    read_options,
)

IMAGES = DataSpec(
    (1, 8, 9), "grey", 30, classes=3, factor_sizes=(2, 0), factor_names=("kind", "place")
)
CLIPS = DataSpec((3, 8, 9), "colour", 5, sequence_length=4, ragged=True)


@pytest.mark.parametrize(
    ("name", "data", "given"),
    [
        ("vae", IMAGES, {"hidden": "5,7", "latent_dim": "3", "nets": "mlp"}),
        (
            "cvae",
            IMAGES,
            {"condition": "kind,place", "hidden": "6", "latent_dim": "2", "nets": "mlp"},
        ),
        ("static-dynamic", CLIPS, {"hidden": "6", "static_dim": "2", "nets": "mlp"}),
    ],
)
def test_it_is_the_method_that_was_stored(name, data, given):
    method = load_method(name)
    options = read_options(method.options, given)
    stored = json.loads(
        json.dumps({"method": name, "options": asdict(options), "spec": asdict(data)})
    )
    parts, found = build_stored(stored)
    assert found == data
    built = method.build(options, data)
    assert (parts.keys, parts.frames) == (built.keys, built.frames)
    assert _shapes(parts.model, parts.guide) == _shapes(built.model, built.guide)


def _shapes(*modules: nn.Module) -> list[dict[str, tuple[int, ...]]]:
    return [{k: tuple(v.shape) for k, v in m.state_dict().items()} for m in modules]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"method": "none"}, OptionError),
        ({"options": {"latent": 3}}, OptionError),
        ({"options": None}, TypeError),
        ({"spec": None}, AttributeError),
        ({"spec": {"colours": 3}}, TypeError),
    ],
)
def test_what_is_damaged_is_not_built(changes, error):
    stored = {"method": "vae", "options": {}, "spec": asdict(IMAGES)}
    with pytest.raises(error):
        build_stored({**stored, **changes})
    for name in stored:
        with pytest.raises(KeyError, match=name):
            build_stored({k: v for k, v in stored.items() if k != name})
