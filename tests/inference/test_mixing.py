"""Mixed codes: whose chunks are where, what comes back, and whom the classifier moves."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from unbraid import guides, models
from unbraid.inference import MixedImages, MixingCycle, Objective, Step, WhichChunk
from unbraid.inference.mixing_examples import mix  # pyright: ignore[reportMissingImports]
from unbraid.nets import MLPDecoder, PointEncoder, make_likelihood

from .two_codes import moved

SHAPE, WIDTH, CHUNKS = (1, 3, 4), 6, 3


def chain(size: int = 7) -> Any:
    torch.manual_seed(4)
    decoder = MLPDecoder(WIDTH, SHAPE, make_likelihood("normal", 1), (7,))
    model, guide = models.VAE(decoder, WIDTH), guides.VAE(PointEncoder(SHAPE, WIDTH, (5,)))
    return model.double(), guide.double(), torch.rand(size, *SHAPE, dtype=torch.float64)


def by_hand(model: Any, guide: Any, x: torch.Tensor, mask: torch.Tensor) -> Any:
    """Mixed code, mixed image and the code that comes back, chunk by chunk."""
    own = guide.encoder(x).mean
    mixed, back = own.clone(), own.clone()
    for n in range(len(x)):
        for k in range(CHUNKS):
            if not mask[n, k]:
                mixed[n, 2 * k : 2 * k + 2] = own[n - 1, 2 * k : 2 * k + 2]
    image = model.decoder(mixed).mean
    found = guide.encoder(image).mean
    for n in range(len(x)):
        for k in range(CHUNKS):
            if mask[n, k]:
                back[n, 2 * k : 2 * k + 2] = found[n, 2 * k : 2 * k + 2]
    return mixed, image, back


def test_chunks_are_own_where_the_mask_is_one_and_the_one_befores_elsewhere():
    model, guide, x = chain()
    mixed = mix(Objective().terms(model, guide, (x,)), "z", CHUNKS)
    assert mixed.mask.shape == (7, CHUNKS) and ((mixed.mask == 0) | (mixed.mask == 1)).all()
    _, image, _ = by_hand(model, guide, x, mixed.mask.bool())
    torch.testing.assert_close(mixed.images, image)
    _, other, _ = by_hand(model, guide, x, ~mixed.mask.bool())
    assert not torch.allclose(mixed.images, other)
    assert torch.equal(mixed.first, x) and torch.equal(mixed.second[1:], x[:-1])


def test_the_mask_is_a_fair_coin_for_each_chunk_alone():
    """Binomial at 6 standard deviations: mean of each chunk, and agreement of each two; 1e-8."""
    model, guide, x = chain(4000)
    mask = mix(Objective().terms(model, guide, (x,)), "z", CHUNKS).mask
    assert ((mask.mean(0) - 0.5).abs() < 6 * 0.5 / 4000**0.5).all()
    for k in range(CHUNKS):
        agree = (mask[:, k] == mask[:, (k + 1) % CHUNKS]).double().mean()
        assert abs(float(agree) - 0.5) < 6 * 0.5 / 4000**0.5


def test_the_cycle_is_the_cost_of_the_code_that_comes_back():
    model, guide, x = chain()
    terms = Objective().terms(model, guide, (x,))
    torch.manual_seed(6)
    found = MixingCycle("z", CHUNKS, 2.5).penalty(terms, {})
    torch.manual_seed(6)
    mask = mix(terms, "z", CHUNKS).mask.bool()
    _, _, back = by_hand(model, guide, x, mask)
    torch.testing.assert_close(found, -2.5 * model.decoder(back).log_prob(x).mean())


def test_a_pair_that_gets_its_codes_back_pays_for_the_reconstruction_alone():
    """Images that are their codes: nothing is lost, whatever is mixed."""

    class Same(nn.Module):
        def forward(self, value):
            import pyro.distributions as dist

            if value.dim() == 4:
                return dist.Delta(value.flatten(1), event_dim=1)
            return dist.Normal(value.reshape(-1, 1, 2, 3), 0.1).to_event(3)

    model, guide = models.VAE(Same(), 6), guides.VAE(Same())
    x = torch.rand(5, 1, 2, 3)
    terms = Objective().terms(model, guide, (x,))
    found = MixingCycle("z", 3).penalty(terms, {})
    torch.testing.assert_close(found, -terms["x"].log_p.mean())


def classifier() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, CHUNKS, dtype=torch.float64))


def test_the_classifier_sees_the_three_images_and_is_told_the_mask():
    model, guide, x = chain()
    terms = Objective().terms(model, guide, (x,)).detach()
    hook = WhichChunk("z", CHUNKS, classifier(), 3.0)
    torch.manual_seed(6)
    [(images, mask)] = hook.critic_inputs(terms, {})
    _, image, _ = by_hand(model, guide, x, mask.bool())
    torch.testing.assert_close(images, torch.cat([x, x.roll(1, 0), image], 1))
    told = hook.critic_loss_of((images, mask))
    logits = hook.classifier(images)
    torch.testing.assert_close(told.loss, binary_cross_entropy_with_logits(logits, mask))
    assert float(told.figures["accuracy"]) == float(((logits > 0) == mask.bool()).double().mean())
    torch.manual_seed(6)
    torch.testing.assert_close(hook.penalty(terms, {}), 3.0 * told.loss)


def test_classifier_and_pair_go_the_same_way():
    """A helper, no adversary: a step of either lowers the cross-entropy of the same mixtures."""
    model, guide, x = chain()
    hook = WhichChunk("z", CHUNKS, classifier())

    def loss() -> torch.Tensor:
        torch.manual_seed(6)
        return hook.penalty(Objective().terms(model, guide, (x,)), {})

    for parameters in ([*model.parameters(), *guide.parameters()], hook.critic_parameters()):
        before = loss()
        found = torch.autograd.grad(before, parameters)
        assert all((g != 0).any() for g in found)
        with torch.no_grad():
            for p, g in zip(parameters, found, strict=True):
                p -= 1e-3 * g
        assert loss() < before


@pytest.mark.parametrize("hook", [MixingCycle("z", CHUNKS), WhichChunk("z", CHUNKS, classifier())])
def test_penalties_move_both_sides(hook):
    model, guide, x = chain()
    penalty = hook.penalty(Objective().terms(model, guide, (x,)), {})
    assert all(moved(penalty, model)) and all(moved(penalty, guide))


def test_the_view_shows_mixed_images_against_the_data():
    model, guide, x = chain()
    terms = Objective().terms(model, guide, (x,))
    torch.manual_seed(6)
    own, reference = MixedImages("z", CHUNKS)(terms, {}, True)
    torch.manual_seed(6)
    assert torch.equal(own[0], mix(terms, "z", CHUNKS).images)
    assert reference is not None and torch.equal(reference[0], x)
    assert all(moved(own[0].square().sum(), model)) and all(moved(own[0].square().sum(), guide))


@pytest.mark.parametrize("chunks", [0, 1, 4, 7, 2.0])
def test_chunks_that_do_not_divide_the_code_are_refused(chunks):
    model, guide, x = chain()
    terms = Objective().terms(model, guide, (x,))
    with pytest.raises(ValueError, match=f"chunks is {chunks}; expected a divisor of 6.*2, 3, 6"):
        mix(terms, "z", chunks)


def test_several_particles_and_single_data_are_refused():
    model, guide, x = chain()
    with pytest.raises(ValueError, match=r"expected \(B, K\), one particle"):
        mix(Objective(particles=2).terms(model, guide, (x,)), "z", CHUNKS)
    with pytest.raises(ValueError, match="1"):
        mix(Objective().terms(model, guide, (x[:1],)), "z", CHUNKS)


def test_a_classifier_of_another_size_is_refused():
    model, guide, x = chain()
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(36, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"gives shape \(7, 2\); expected \(7, 3\)"):
        WhichChunk("z", CHUNKS, wrong).penalty(Objective().terms(model, guide, (x,)), {})


@pytest.mark.parametrize("mode", ["eager", "record"])
def test_the_classifier_is_moved_by_its_own_optimiser_alone(mode):
    """At a weight of 0 it learns all the same, and the pair is as without it."""
    ends = []
    for hooks in ([], [WhichChunk("z", CHUNKS, classifier(), 0.0)]):
        model, guide, x = chain()
        parameters = [*model.parameters(), *guide.parameters()]
        step = Step(
            model, guide, Objective(hooks=hooks), torch.optim.SGD(parameters, lr=1e-3), mode=mode
        )
        before = [p.detach().clone() for hook in hooks for p in hook.parameters()]
        torch.manual_seed(2)
        step((x,))
        after = [p for hook in hooks for p in hook.parameters()]
        assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        ends.append(parameters)
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
