"""The critic of pairs: what it computes, that it takes both alike, and what it can tell."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from unbraid.nets import PairCritic

N = 5


def pair(size: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(N, size), torch.randn(N, size)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x @ weight.T + bias


@pytest.mark.parametrize("hidden", [(7,), (7, 6), (8, 7, 6)])
def test_it_is_its_layers_one_by_one(hidden):
    critic = PairCritic(3, hidden, "leaky-relu")
    for p in critic.parameters():
        nn.init.normal_(p)
    values = list(critic.parameters())
    layers = list(zip(values[::2], values[1::2], strict=True))
    *embedding, compared, scored = layers
    assert len(embedding) == len(hidden)
    inputs, embeddings = pair(), []
    for x in inputs:
        y = linear(x, *embedding[0])
        for layer in embedding[1:]:
            y = linear(torch.where(y > 0, y, 0.2 * y), *layer)
        embeddings.append(y)
    p, q = embeddings
    h = linear(torch.cat([p * q, (p - q) ** 2, p + q], -1), *compared)
    expected = linear(torch.where(h > 0, h, 0.2 * h), *scored)
    assert expected.shape == (N, 1)
    torch.testing.assert_close(critic(*inputs), expected)


def test_whichever_is_the_first_the_score_is_the_same_to_the_bit():
    critic = PairCritic(3, (7, 6))
    first, second = pair()
    assert torch.equal(critic(first, second), critic(second, first))
    assert not torch.isclose(critic(first, second), critic(first, second.flip(0))).all()


def test_no_pair_is_scored_by_its_neighbours():
    critic = PairCritic(3, (7, 6))
    first, second = pair()
    alone = [critic(first[i : i + 1], second[i : i + 1]) for i in range(N)]
    torch.testing.assert_close(critic(first, second), torch.cat(alone))


def test_every_parameter_has_a_part_in_the_score():
    critic = PairCritic(3, (7, 6))
    scores = critic(*pair()).square().sum()
    for gradient in torch.autograd.grad(scores, list(critic.parameters())):
        assert float(gradient.abs().max()) > 0


def test_scores_are_float32_under_autocast_and_double_of_doubles():
    critic = PairCritic(3, (7, 6))
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(*pair()).dtype == torch.float32
    first, second = pair()
    assert critic.double()(first.double(), second.double()).dtype == torch.float64


@pytest.mark.parametrize("activation, gain", [("relu", 2**0.5), ("tanh", 1.0)])
def test_layers_start_by_glorots_rule_for_their_activation(activation, gain):
    """To 5 standard errors, `sigma / sqrt(5 n)` for uniform numbers: once in 1.7 million not so.

    No activation follows the embedding, nor the score.
    """
    critic = PairCritic(150, (200, 250), activation)
    widths = [(150, 200, gain), (200, 250, 1.0), (750, 250, gain), (250, 1, 1.0)]
    weights = [p for p in critic.parameters() if p.dim() > 1]
    for weight, (before, after, own) in zip(weights, widths, strict=True):
        expected = own * (2 / (before + after)) ** 0.5
        error = expected / (5 * weight.numel()) ** 0.5
        assert float(weight.detach().std()) == pytest.approx(expected, abs=5 * error)
    assert all(not p.any() for p in critic.parameters() if p.dim() == 1)


def codes_of(classes: Tensor, generator: torch.Generator) -> Tensor:
    """Codes `(n, 6)` that tell a class of 4 by the exclusive or of signs, and noise beside it.

    Bit `b` of the class says whether two coordinates have the same sign; one of them is a coin.
    So no coordinate by itself tells anything of a class.
    """
    coins = torch.randint(0, 2, (len(classes), 2), generator=generator)
    bits = torch.stack([classes % 2, classes // 2], -1)
    signs = torch.cat([coins, coins ^ bits], -1) * 2.0 - 1.0
    noise = torch.randn(len(classes), 6, generator=generator)
    return torch.cat([signs + 0.2 * noise[:, :4], noise[:, 4:]], -1)


def pairs_of(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of codes and whether they are of one class, which half of them are."""
    classes = torch.randint(0, 4, (size,), generator=generator)
    same = torch.arange(size) % 2
    others = (classes + torch.randint(1, 4, (size,), generator=generator)) % 4
    theirs = torch.where(same == 1, classes, others)
    return codes_of(classes, generator), codes_of(theirs, generator), same.float().unsqueeze(-1)


def test_it_soon_tells_pairs_of_one_class():
    """After 400 steps of 128 pairs, on 2000 new ones: 0.5 by chance, with a deviation of 0.011."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    critic = PairCritic(6, (32, 16))
    optimizer = torch.optim.Adam(critic.parameters(), lr=3e-3)
    for _ in range(400):
        first, second, same = pairs_of(128, generator)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(critic(first, second), same).backward()
        optimizer.step()
    first, second, same = pairs_of(2000, generator)
    right = ((critic(first, second) > 0) == (same == 1)).float().mean()
    assert float(right) > 0.9


def test_no_widths_are_refused():
    with pytest.raises(ValueError, match=r"hidden is \(\); expected one width at least"):
        PairCritic(3, ())
    with pytest.raises(ValueError, match="activation is 'swish'; expected one of"):
        PairCritic(3, (4,), activation="swish")
