"""The group VAE and the inverse graphics network from the command line, and what they refuse."""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import unbraid as library
from unbraid.inference import ClampedReconstruction, LeftOut, Objective, gradients, pair_parameters
from unbraid.methods import DataSpec, OptionError, load_method, read_options

SIZES = {"colour": 1, "shape": 3, "size": 4, "place": 5}
GRID = np.array(list(product(*map(range, SIZES.values()))))
GRID = np.concatenate([GRID] * 4)
IMAGES = np.random.default_rng(0).integers(0, 256, (len(GRID), 8, 9), np.uint8)
GROUPS = ["hidden=8", "static_dim=3", "dynamic_dim=2", "code_hidden=7", "frames=2"]
SETS = ["hidden=8", "together=4", "intrinsic=shape", "intrinsic_dim=2"]


@pytest.fixture
def things(place):
    known: Any = {"labels": GRID[:, 1], "factors": GRID, "factor_names": np.array(list(SIZES))}
    np.savez("things.npz", images=IMAGES, **known)
    np.savez("ids.npz", images=IMAGES, sequence_ids=np.arange(len(GRID)) % 37)
    return place


def trained(method, data, options, *more, steps=4):
    start = ["train", method, "--data", data, "--out", "run", "--steps", steps]
    return [*start, "--batch-size", "8", "--set", *options, *more]


def by_label(size=4):
    return ["--data-set", "groups=label", f"group_size={size}"]


@pytest.mark.parametrize("accumulate", ["product", "product-of-items", "mean"])
def test_groups_are_trained_judged_and_reported(accumulate, things, unbraid):
    options = [*GROUPS, f"accumulate={accumulate}"]
    assert unbraid(*trained("group-vae", "things.npz", options, *by_label())).code == 0
    outcome = unbraid("evaluate", "run", "--samples", "6", "--inner-samples", "4", "--json")
    assert outcome.code == 0, outcome
    judged = json.loads(outcome.out)
    assert judged["frames"] == 2 and judged["elbo"] <= judged["log_likelihood"]
    assert unbraid("report", "run").code == 0
    for picture in ("swaps", "dynamics", "identities", "neighbours"):
        assert (things / "run" / "figures" / f"{picture}.png").is_file(), picture
    run = library.load("run", "cpu")
    assert run.data.train.images.shape[1] == 4
    assert run.data.train.frame_factor_names == ("size", "place")


def test_groups_of_several_sizes_come_as_sequences(things, unbraid):
    """Of 240 images with 37 ids, groups have 6 or 7."""
    assert unbraid(*trained("group-vae", "ids.npz", GROUPS)).code == 0
    run = library.load("run", "cpu")
    assert run.parts.keys == ("x", "length") and run.data.train.lengths is not None
    assert unbraid("evaluate", "run", "--samples", "3", "--frames", "7").code == 0


def test_pairs_that_share_all_but_one_factor(things, unbraid):
    more = ["--data-set", "groups=shape,size", "--data-set", "group_size=2"]
    assert unbraid(*trained("group-vae", "things.npz", GROUPS, *more)).code == 0
    config = json.loads((things / "run" / "config.json").read_text())
    assert config["data_options"] == {"groups": ["shape", "size"], "group_size": 2}
    assert "--data-set groups=shape,size" in config["command"]


@pytest.mark.parametrize("method", ["group-vae", "dc-ign"])
def test_a_run_resumes_to_the_bit(method, things, unbraid):
    path = things / "run" / "checkpoints" / "ckpt-000006" / "weights.safetensors"
    options, more = (GROUPS, by_label()) if method == "group-vae" else (SETS, [])
    found = []
    for parts in ([6], [3, 6]):
        for steps in parts:
            given = ["--schedule", "constant", "--force" if steps == parts[0] else "--resume"]
            words = trained(method, "things.npz", options, *more, *given, steps=steps)
            assert unbraid(*words).code == 0
        found.append(load_file(path))
    assert all(found[0][name].equal(found[1][name]) for name in found[0])


def test_sets_are_trained_judged_and_reported(things, unbraid):
    assert unbraid(*trained("dc-ign", "things.npz", SETS)).code == 0
    outcome = unbraid("evaluate", "run", "--samples", "6", "--json")
    assert outcome.code == 0, outcome
    judged = json.loads(outcome.out)
    assert judged["elbo"] <= judged["log_likelihood"]
    assert "no bound of log p(x)" in judged["remark"]
    assert unbraid("report", "run").code == 0
    rows = (things / "run" / "metrics.jsonl").read_text().splitlines()
    assert {"clamped", "z"} <= json.loads(rows[-1]).keys()


@pytest.mark.parametrize(
    ("method", "data", "options", "more", "words"),
    [
        (
            "group-vae",
            "things.npz",
            GROUPS,
            [],
            "data are images without sequence ids; expected s",
        ),
        (
            "group-vae",
            "digits.npz",
            GROUPS,
            by_label(),
            "groups share 'label', which digits do not have; expected one or several of: nothing",
        ),
        (
            "group-vae",
            "things.npz",
            GROUPS,
            ["--data-set", "groups=angle"],
            "groups share 'angle', which things do not have; expected .*: label, colour, shape",
        ),
        (
            "group-vae",
            "things.npz",
            GROUPS,
            by_label(1),
            "group_size is 1; expected an integer of",
        ),
        (
            "group-vae",
            "things.npz",
            GROUPS,
            by_label(50),
            r"groups of 50 images of things \(.*\) th",
        ),
        (
            "group-vae",
            "things.npz",
            [*GROUPS[:-1], "frames=5"],
            by_label(),
            "frames is 5; expected 2 to 4, the frames of the longest sequence",
        ),
        (
            "group-vae",
            "things.npz",
            [*GROUPS, "accumulate=sum"],
            by_label(),
            "accumulate is 'sum'",
        ),
        (
            "group-vae",
            "ids.npz",
            GROUPS,
            by_label(),
            r"groups share label, but ids \(train\) are sequences, each a group already; expected",
        ),
        ("dc-ign", "digits.npz", SETS, [], "the data have no factors that vary; expected factors"),
        ("dc-ign", "ids.npz", SETS, [], "data are sequences of 7 frames; expected images"),
        (
            "dc-ign",
            "things.npz",
            ["active=angle"],
            [],
            "active is 'angle'; expected one or several of shape, size, place: discrete factors",
        ),
        (
            "dc-ign",
            "things.npz",
            ["intrinsic=colour"],
            [],
            "intrinsic is 'colour'; expected one or",
        ),
        (
            "dc-ign",
            "things.npz",
            ["active=shape", "intrinsic=size"],
            [],
            "active is shape and intrinsic size; expected place in one of them too",
        ),
        (
            "dc-ign",
            "things.npz",
            ["active=shape,size,place", "intrinsic=size"],
            [],
            "expected no factor twice",
        ),
        ("dc-ign", "things.npz", ["together=3"], [], "batch_size is 8; expected a multiple of 3"),
        (
            "dc-ign",
            "things.npz",
            ["together=1"],
            [],
            "together is 1; expected an integer of at lea",
        ),
    ],
    ids=lambda case: str(case)[:40],
)
def test_what_cannot_be_trained_is_refused_first(
    method, data, options, more, words, things, unbraid
):
    outcome = unbraid(*trained(method, data, options, *more))
    outcome.check_refused(outcome.code, words)
    assert outcome.code in (2, 3, 4) and not (things / "run").exists()


def test_data_without_company_are_refused_first(things, unbraid):
    """Every image has a place of its own, so that nothing varies alone."""
    known: Any = {"factors": np.stack([np.arange(30), np.arange(30)], 1)}
    np.savez("lonely.npz", images=IMAGES[:30], **known)
    outcome = unbraid(*trained("dc-ign", "lonely.npz", ["together=4"]))
    outcome.check_refused(outcome.code, "no two lonely differ in factor 0 alone; expected data in")
    assert not (things / "run").exists()


DATA = DataSpec((1, 8, 9), "grey", 60, factor_sizes=tuple(SIZES.values()), factor_names=(*SIZES,))


def built(**options: Any) -> Any:
    method = load_method("dc-ign")
    torch.manual_seed(1)
    small = {"hidden": (9,), "together": 4, "intrinsic": ("shape",), "likelihood": "normal"}
    return method.build(read_options(method.options, {**small, **options}), DATA)


def sets() -> dict[str, Any]:
    torch.manual_seed(2)
    active = torch.tensor([0, 2, 1]).repeat_interleave(4)
    return {"x": torch.rand(12, *DATA.shape), "active": active}


def test_factors_have_coordinates_by_their_names():
    parts = built(active_dim=2, intrinsic_dim=3, intrinsic_share=10.0)
    assert parts.active.kinds == (("size",), ("place",), ("shape",))
    assert parts.active.shares == (1.0, 1.0, 10.0) and parts.active.together == 4
    (hook,) = parts.hooks
    assert isinstance(hook, ClampedReconstruction)
    assert hook.kind.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert parts.model(size=3).shape == (3, *DATA.shape)
    named = built(active=("place", "shape"), intrinsic=("size",))
    assert named.active.kinds == (("place",), ("shape",), ("size",))
    everything = built(intrinsic=())
    assert everything.active.kinds == (("shape",), ("size",), ("place",))


def test_its_loss_is_divergence_and_clamped_reconstruction():
    parts, batch = built(divergence=0.5), sets()
    loss = Objective(parts.weights, parts.hooks).mean_loss(
        parts.model, parts.guide, (batch["x"],), batch
    )
    expected = 0.5 * loss.parts["z"] + loss.parts["clamped"]
    torch.testing.assert_close(loss.total.detach(), expected)
    assert isinstance(parts.weights["x"], LeftOut)
    assert isinstance(built(divergence=0.0).weights["z"], LeftOut)


@pytest.mark.parametrize("options", [{}, {"filtered": False}, {"nets": "conv", "channels": (3,)}])
def test_every_parameter_is_moved(options):
    parts, batch = built(**options), sets()
    loss = Objective(parts.weights, parts.hooks).mean_loss(
        parts.model, parts.guide, (batch["x"],), batch
    )
    for gradient in gradients(
        loss, parts.model, parts.guide, pair_parameters(parts.model, parts.guide)
    ):
        assert gradient is not None and torch.isfinite(gradient).all() and (gradient != 0).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"active_dim": 0}, "active_dim is 0"),
        ({"intrinsic_dim": 0}, "intrinsic_dim is 0"),
        ({"intrinsic_share": 0.0}, "intrinsic_share is 0.0; expected a finite number above 0"),
        ({"invariance": -0.1}, "invariance is -0.1"),
        ({"divergence": -1.0}, "divergence is -1.0"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(OptionError, match=words):
        built(**options)
