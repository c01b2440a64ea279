"""Critics of swapped codes: which codes, which classes, which pairs, and whom the loss moves."""

import pytest
import torch

from unbraid.inference import Adversary, Objective, SwappedByClass, SwappedPairs, gradients
from unbraid.inference.swap_examples import (  # pyright: ignore[reportMissingImports]
    class_of,
    draw_of_other_class,
)
from unbraid.nets import MLPCritic

from .two_codes import SHAPE, SPECIFIED, batch_of, moved, pair, terms_of


def nearest(rows: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """The place of each row in a table of rows that all differ."""
    distance = torch.cdist(rows.flatten(1), table.flatten(1))
    assert distance.min(1).values.max() < 1e-8
    return distance.argmin(1)


@pytest.mark.parametrize("particles", [1, 2])
def test_images_have_the_specified_code_of_the_class_that_the_critic_is_told(particles):
    """All pairs are decoded by hand; each own image is one of them, and the class is its giver's.

    Told the class of the datum whose other code it has, the test fails: that always differs.
    """
    model, guide = pair()
    batch = batch_of(6, classes=3)
    terms = terms_of(model, guide, batch, particles)
    (images, told), reference = SwappedByClass("specified", 3, draws=False)(terms, batch, True)
    s = terms["specified"].value.reshape(-1, 6, SPECIFIED)
    z = terms["unspecified"].value.reshape(particles, 6, -1)
    table = torch.stack(
        [
            model.decoder(torch.cat([s[0, j].expand(6, -1), z[p]], -1)).mean
            for p in range(particles)
            for j in range(6)
        ]
    ).reshape(particles, 6, 6, *SHAPE)  # particle, giver, own
    classes = batch["label"]
    for row in range(6 * particles):
        p, own = divmod(row, 6)
        [giver] = nearest(images[row : row + 1], table[p, :, own])
        assert classes[giver] != classes[own]
        assert told[row].tolist() == [float(k == classes[giver]) for k in range(3)]
    assert reference is not None
    assert torch.equal(reference[0], batch["x"])
    assert torch.equal(reference[1].argmax(1), classes) and (reference[1].sum(1) == 1).all()


def test_drawn_images_keep_the_specified_code_and_its_class():
    model, guide = pair()
    batch = batch_of(6)
    terms = terms_of(model, guide, batch)
    torch.manual_seed(9)
    swapped, told_alone = SwappedByClass("specified", 3, draws=False)(terms, batch, False).own
    torch.manual_seed(9)
    images, told = SwappedByClass("specified", 3)(terms, batch, False).own
    assert torch.equal(images[0::2], swapped)
    assert torch.equal(told[0::2], told_alone) and torch.equal(told[1::2], told_alone)
    assert not torch.allclose(images[1::2], swapped)
    # Changed once more, the unspecified codes leave the specified ones where they are.
    with torch.no_grad():
        model.decoder.net[0].weight[:, SPECIFIED:] = 0.0
    torch.manual_seed(9)
    images, _ = SwappedByClass("specified", 3)(terms_of(model, guide, batch), batch, False).own
    torch.testing.assert_close(images[0::2], images[1::2])


def test_others_are_drawn_evenly_among_those_of_other_classes():
    """Each count is binomial; 6 standard deviations, 2e-9 each, 8 of them: 2e-8 in all."""
    classes = torch.tensor([0, 0, 1, 2])
    draws = torch.stack([draw_of_other_class(classes) for _ in range(4000)])
    shares = torch.stack([(draws == j).double().mean(0) for j in range(4)], 1)
    wanted = torch.tensor(
        [[0, 0, 1 / 2, 1 / 2], [0, 0, 1 / 2, 1 / 2], [1 / 3, 1 / 3, 0, 1 / 3], [1 / 3] * 3 + [0]],
        dtype=torch.float64,
    )
    bound = 6 * (wanted * (1 - wanted) / 4000).sqrt()
    assert ((shares - wanted).abs() <= bound).all()


def test_a_batch_of_one_class_gives_its_first_code():
    assert draw_of_other_class(torch.tensor([5, 5, 5])).tolist() == [0, 0, 0]


def test_pairs_are_of_a_giver_and_its_image_against_data_and_partners():
    model, guide = pair()
    batch = batch_of(6)
    terms = terms_of(model, guide, batch)
    (own,), reference = SwappedPairs("specified")(terms, batch, True)
    assert reference is not None
    assert torch.equal(reference[0], torch.cat([batch["x"], batch["partner"]["x"]], 1))
    assert own.shape == (6, 2 * SHAPE[0], *SHAPE[1:])
    giver = nearest(own[:, :1], batch["x"])
    assert (giver != torch.arange(6)).all()
    codes = torch.cat([terms["specified"].value[giver], terms["unspecified"].value], -1)
    torch.testing.assert_close(own[:, 1:], model.decoder(codes).mean)


def test_classes_of_several_factors_number_their_values():
    factors = torch.tensor([[1.0, 0.3, 2.0], [0.0, 0.9, 4.0], [1.0, 0.1, 4.0]])
    assert class_of({"factors": factors}, ((0, 2), (2, 5))).tolist() == [7, 4, 9]
    assert class_of({"factors": factors}, ((2, 5),)).tolist() == [2, 4, 4]
    with pytest.raises(ValueError, match="the batch has no 'label'"):
        class_of({"factors": factors})


@pytest.mark.parametrize("view", [SwappedByClass("specified", 3), SwappedPairs("specified")])
def test_images_move_model_and_guide_and_references_nothing(view):
    model, guide = pair()
    batch = batch_of()
    own, reference = view(terms_of(model, guide, batch), batch, True)
    loss = own[0].square().sum()
    for module in (model, guide.specified_encoder, guide.unspecified_encoder):
        assert all(moved(loss, module))
    assert reference is not None
    assert not any(value.requires_grad for value in reference)


@pytest.mark.parametrize("side", ["model", "guide"])
@pytest.mark.parametrize("rule", ["logistic", "uniform"])
def test_the_side_that_an_adversary_leaves_alone_gets_none(side, rule):
    """Not zeros: nothing at all, as by a step whose penalty is this one."""
    model, guide = pair()
    batch = batch_of()
    critic = MLPCritic(12 + 3, (5,)).double()
    hook = Adversary("gan", SwappedByClass("specified", 3), critic, rule, moves=side)
    loss = Objective(hooks=[hook]).mean_loss(model, guide, (batch["x"],), batch)
    alone = loss._replace(total=torch.zeros((), requires_grad=True) + 0.0)
    parameters = [*model.parameters(), *guide.parameters()]
    given = [g is not None for g in gradients(alone, model, guide, parameters)]
    ours = len([*model.parameters()])
    assert given[:ours] == [side == "model"] * ours
    assert given[ours:] == [side == "guide"] * (len(given) - ours)


@pytest.mark.parametrize("view", [SwappedByClass("specified", 3), SwappedPairs("specified")])
def test_a_batch_of_one_datum_is_refused(view):
    model, guide = pair()
    batch = batch_of(1)
    with pytest.raises(ValueError, match="1"):
        view(Objective().terms(model, guide, (batch["x"],)), batch, True)
