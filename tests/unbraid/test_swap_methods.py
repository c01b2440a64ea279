"""Swapped and mixed codes: what moves what, what weights of 0 leave, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

import unbraid as face
from unbraid.inference import NoLikelihoodError, Objective, Step, gradients, pair_parameters
from unbraid.methods import DataSpec, OptionError, load_method, read_options

DATA = DataSpec(
    (1, 8, 9),
    "grey",
    120,
    classes=3,
    factor_sizes=(2, 0, 5, 1),
    factor_names=("shape", "angle", "place", "colour"),
)
NAMELESS = DataSpec((1, 8, 9), "grey", 120)
SWAPS = {"specified_dim": 3, "unspecified_dim": 4, "hidden": (9,)}
CRITICS = {"critic_channels": (3, 5), "critic_hidden": 7}
SMALL: dict[str, Any] = {
    "swap-vae": SWAPS,
    "swap-gan": {**SWAPS, **CRITICS},
    "mixing": {"latent_dim": 6, "chunks": 3, "hidden": (9,), **CRITICS},
}
CASES = [
    ("swap-vae", {}),
    ("swap-vae", {"specified": "normal"}),
    ("swap-vae", {"shared": ("shape", "place")}),
    ("swap-gan", {}),
    ("swap-gan", {"draws": False, "rule": "hinge"}),
    ("swap-gan", {"shared": ("place", "shape"), "rule": "least-squares"}),
    ("swap-gan", {"critic": "pair", "reconstruction": 0.0, "divergence": 0.0}),
    ("mixing", {}),
    ("mixing", {"encoder": "gaussian"}),
]
cases = pytest.mark.parametrize("name, options", CASES, ids=str)


def built(name: str, data: DataSpec = DATA, **options: Any) -> Any:
    method = load_method(name)
    torch.manual_seed(1)
    return method.build(read_options(method.options, {**SMALL.get(name, {}), **options}), data)


def batch_of(size: int = 8) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(2)
    x, partner = torch.rand(2, size, *DATA.shape, generator=generator)
    place = torch.arange(size)
    factors = torch.stack([place % 2, place, place % 5, 0 * place], 1).float()
    return {"x": x, "label": place % 3, "factors": factors, "partner": {"x": partner}}


def loss_of(parts: Any, **changes: Any) -> Any:
    batch = batch_of()
    torch.manual_seed(3)
    objective = Objective(changes.get("weights", parts.weights), changes.get("hooks", parts.hooks))
    return objective.mean_loss(parts.model, parts.guide, (batch["x"],), batch)


def gradients_of(parts: Any, loss: Any) -> list[Any]:
    return gradients(loss, parts.model, parts.guide, pair_parameters(parts.model, parts.guide))


@cases
def test_every_parameter_is_moved_and_critics_are_not_the_pairs(name, options):
    parts = built(name, **options)
    loss = loss_of(parts)
    for gradient in gradients_of(parts, loss):
        assert gradient is not None and torch.isfinite(gradient).all() and (gradient != 0).any()
    pair = {id(p) for p in pair_parameters(parts.model, parts.guide)}
    for hook in parts.hooks:
        assert not pair & {id(p) for p in hook.parameters()}


@cases
def test_critics_losses_reach_the_critics_alone(name, options):
    parts = built(name, **options)
    terms = loss_of(parts).terms
    for hook in parts.hooks:
        mine = [*hook.parameters()]
        if not mine:
            continue
        with torch.no_grad():
            [inputs] = hook.critic_inputs(terms.detach(), batch_of())
        loss = hook.critic_loss_of(inputs).loss
        found = torch.autograd.grad(loss, mine, retain_graph=True)
        # Of hinge losses, the last bias' gradients cancel while no score is beyond its margin.
        assert all((g != 0).any() for g in found[:-1])
        pair = pair_parameters(parts.model, parts.guide)
        assert all(g is None for g in torch.autograd.grad(loss, pair, allow_unused=True))


@cases
def test_at_hooks_weights_of_zero_it_is_the_pair_alone(name, options):
    """Value and gradients to the bit."""
    parts = built(name, **options)
    assert parts.hooks
    for hook in parts.hooks:
        hook.weight.value = 0.0
    mine = loss_of(parts)
    found = gradients_of(parts, mine)
    plain = loss_of(parts, hooks=())
    assert torch.equal(mine.parts["loss"], plain.parts["loss"])
    for a, b in zip(found, gradients_of(parts, plain), strict=True):
        assert torch.equal(a, torch.zeros_like(a) if b is None else b)


def test_mixing_at_weights_of_zero_is_the_vae():
    """To the bit: also where options of 0 leave the hooks out."""
    parts = built("mixing", encoder="gaussian", cycle=0.0, adversary=0.0, classifier=0.0)
    plain = built("vae", latent_dim=6, hidden=(9,))
    assert parts.hooks == ()
    mine, theirs = loss_of(parts), loss_of(plain)
    assert torch.equal(mine.parts["loss"], theirs.parts["loss"])
    pairs = zip(gradients_of(parts, mine), gradients_of(plain, theirs), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_options_of_zero_leave_hooks_and_partners_out():
    parts = built("swap-gan", NAMELESS, swapped=0.0, adversary=0.0)
    assert parts.hooks == () and parts.partners is None
    assert built("swap-gan", swapped=0.0, critic="pair").partners == ("label",)
    assert built("swap-gan", swapped=0.0).partners is None


def test_the_losses_of_swap_gan_are_those_of_the_paper():
    """.5 own, 1 swapped, .6 KL, and -log D of images with z of one and s of another class."""
    parts = built("swap-gan", adversary=3.0, draws=False)
    loss, batch = loss_of(parts), batch_of()
    swapped, gan = parts.hooks
    torch.manual_seed(3)
    terms = Objective().terms(parts.model, parts.guide, (batch["x"],))
    partner = parts.guide.specified_encoder(batch["partner"]["x"]).mean
    z = terms["unspecified"].value
    made = parts.model.decoder(torch.cat([partner, z], -1))
    expected = -0.5 * terms["x"].log_p.mean() - made.log_prob(batch["x"]).mean()
    expected = expected + 0.6 * terms["unspecified"].kl.mean()
    torch.testing.assert_close(loss.parts["swapped"], -made.log_prob(batch["x"]).mean().detach())
    torch.manual_seed(3)  # the same draw of others, after the same codes and the partners'
    terms = Objective().terms(parts.model, parts.guide, (batch["x"],))
    swapped.penalty(terms, batch)
    (own, told), _ = gan.view(terms, batch, False)
    expected = expected + 3.0 * softplus(-gan.critic(own, told)).mean()
    torch.testing.assert_close(loss.parts["loss"], expected.detach())
    assert gan.schedule.smoothing == pytest.approx(0.05)


@cases
def test_a_recorded_step_is_an_eager_one(name, options, caplog):
    """Two steps of each, to the bit on the same noise; what cannot be recorded is logged."""
    ends = []
    for mode in ("eager", "record"):
        parts, batch = built(name, **options), batch_of()
        parameters = pair_parameters(parts.model, parts.guide)
        objective = Objective(parts.weights, parts.hooks)
        optimizer = torch.optim.SGD(parameters, lr=1e-4)
        step = Step(parts.model, parts.guide, objective, optimizer, mode=mode)
        told = {}
        for i in range(2):
            torch.manual_seed(5 + i)
            told = step((batch["x"],), batch)
        assert not [r for r in caplog.records if r.name == "unbraid"]
        critics = [p for hook in parts.hooks for p in hook.parameters()]
        ends.append([*parameters, *critics, *told.values()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize("name", ["swap-vae", "swap-gan"])
@pytest.mark.parametrize("classes", [0, 1])
def test_data_without_two_labels_are_refused(name, classes):
    data = DataSpec((1, 8, 9), "grey", 120, classes=classes)
    with pytest.raises(ValueError, match=f"labels of {classes} classes; expected at least 2"):
        built(name, data)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("swap-vae", {"shared": "size"}, "shared is 'size'; expected label, group, shape, place"),
        ("swap-vae", {"shared": "angle"}, "shared is 'angle'; expected"),
        ("swap-vae", {"shared": "colour"}, "shared is colour, which has one value in all data"),
        ("swap-vae", {"shared": ()}, "shared is empty; expected label"),
        ("swap-vae", {"swapped": "-1"}, "swapped is -1.0; expected"),
        ("swap-vae", {"specified_dim": "0"}, "specified_dim is 0; expected"),
        ("swap-gan", {"shared": "group"}, "with critic=label expected label alone"),
        ("swap-gan", {"shared": "label,shape"}, "Use critic=pair"),
        ("swap-gan", {"smoothing": "0.6"}, "smoothing is 0.6; expected"),
        ("swap-gan", {"adversary": "nan"}, "adversary is nan; expected"),
        ("mixing", {"chunks": "4"}, "chunks is 4; expected a divisor of 6.*2, 3, 6"),
        ("mixing", {"chunks": "1"}, "chunks is 1; expected a divisor of 6"),
        ("mixing", {"cycle": "-0.1"}, "cycle is -0.1; expected"),
    ],
)
def test_options_that_cannot_be_had_are_refused(name, options, message):
    with pytest.raises(OptionError, match=message):
        built(name, DATA, **options)


def test_groups_suffice_for_swaps_and_for_a_critic_of_pairs():
    assert built("swap-vae", NAMELESS, shared="group").partners == ("group",)
    assert built("swap-gan", NAMELESS, shared="group", critic="pair").partners == ("group",)


def test_points_have_no_likelihood_and_normals_do():
    from unbraid.inference import log_likelihood

    x = batch_of()["x"]
    for name, point, normal in (
        ("swap-vae", {"specified": "point"}, {"specified": "normal"}),
        ("mixing", {"encoder": "deterministic"}, {"encoder": "gaussian"}),
    ):
        parts = built(name, DATA, **point)
        with pytest.raises(NoLikelihoodError):
            log_likelihood(parts.model, parts.guide, [{"x": x}], samples=3)
        parts = built(name, DATA, **normal)
        found = log_likelihood(parts.model, parts.guide, [{"x": x}], samples=3)
        assert np.isfinite(found.mean)


@pytest.fixture
def labelled(place):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 8, 9), np.uint8)
    np.savez("labelled.npz", images=images, labels=np.arange(40) % 2)
    np.savez("one.npz", images=images, labels=np.zeros(40, np.int64))
    np.savez("unknown.npz", images=images, labels=np.arange(40) % 3 - 1)


WORDS = {
    "swap-vae": ["specified_dim=2", "unspecified_dim=3"],
    "swap-gan": ["specified_dim=2", "unspecified_dim=3", "critic_channels=3", "critic_hidden=5"],
    "mixing": ["latent_dim=4", "chunks=2", "critic_channels=3", "critic_hidden=5"],
}


def words_of(name, data="labelled.npz", steps=4):
    start = ["train", name, "--data", data, "--out", "run", "--steps", steps]
    return [*start, "--batch-size", "5", "--set", "hidden=8", *WORDS[name]]


@pytest.mark.parametrize("name", sorted(WORDS))
def test_a_run_is_trained_resumed_loaded_and_reported(name, unbraid, labelled, place):
    outcome = unbraid(*words_of(name))
    assert outcome.code == 0, outcome
    outcome = unbraid(*words_of(name, steps=6), "--resume")
    assert outcome.code == 0, outcome
    assert face.load("run", device="cpu").step == 6
    outcome = unbraid("report", "run")
    assert outcome.code == 0, outcome


@pytest.mark.parametrize("name", ["swap-vae", "swap-gan"])
@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ("digits.npz", 3, "labels of 0 classes; expected at least 2"),
        ("one.npz", 3, "labels of 1 classes; expected at least 2"),
        ("unknown.npz", 2, "partners share the label, which is not known of"),
    ],
)
def test_data_that_do_not_suit_are_refused_before_training(
    name, data, code, message, unbraid, labelled
):
    unbraid(*words_of(name, data)).check_refused(code, message)
