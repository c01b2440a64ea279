"""Pictures of conditional pairs, against a pair whose decoded images are known."""

import importlib
from typing import Any

import pyro.distributions as dist
import pytest
import torch

from unbraid import guides, models
from unbraid.analysis import (
    completions,
    conditional_grid,
    sample_conditional,
    shared_codes,
    style_transfer,
)
from unbraid.nets import Completion

K, SIDE = 3, 4
SHAPE = (1, SIDE, SIDE)


def image_of(z, c):
    """Brightness 0.1 c in the upper half, sigmoid of the code's first coordinate in the lower."""
    image = torch.sigmoid(z[..., 0])[..., None, None, None].expand(*z.shape[:-1], *SHAPE).clone()
    image[..., : SIDE // 2, :] = 0.1 * c[..., None, None, None]
    return image


def prior_of(c):
    value = c.float().unsqueeze(-1).expand(*c.shape, K)
    return dist.Normal(value - 1.0, 0.5 + value).to_event(1)


def make_pair(learned: bool) -> Any:
    def decoder(z, c):
        return dist.Normal(image_of(z, c), 0.01).to_event(3)

    def encoder(x, c):
        loc = torch.logit(x[:, 0, -1, -1]).unsqueeze(-1).expand(-1, K)
        return dist.Normal(loc, 0.1).to_event(1)

    return models.CVAE(decoder, K, prior_of if learned else None), guides.CVAE(encoder)


def noise_of(images, c, learned):
    """The noise that the lower half of images `(R, Q, ...)` shows."""
    code = torch.logit(images[..., 0, -1, -1].double())
    return (code - (c - 1.0)) / (0.5 + c) if learned else code


@pytest.mark.parametrize("learned", [False, True])
def test_columns_share_codes_or_their_noise(learned):
    model, _ = make_pair(learned)
    c = torch.tensor([0, 1, 3])
    images = shared_codes(model, c, 5, seed=4)
    assert images.shape == (3, 5, *SHAPE)
    upper = 0.1 * c[:, None, None, None, None].expand(3, 5, 1, SIDE // 2, SIDE)
    torch.testing.assert_close(images[..., : SIDE // 2, :], upper)
    noise = noise_of(images, c[:, None].double(), learned)
    torch.testing.assert_close(noise, noise[:1].expand(3, 5), rtol=1e-3, atol=1e-3)
    assert noise[0].std() > 0.1
    assert not torch.equal(images, shared_codes(model, c, 5, seed=5))


@pytest.mark.parametrize("learned", [False, True])
def test_a_transfer_keeps_the_code_and_takes_the_condition(learned, monkeypatch):
    model, guide = make_pair(learned)
    own, others = torch.tensor([2, 0]), torch.tensor([0, 1, 2, 4])
    images = image_of(torch.tensor([[0.3] * K, [-0.9] * K]), own)
    shown = {}

    def catch(grid, columns, **more):
        shown["grid"], shown["columns"] = grid, columns
        return figure(grid, columns, **more)

    conditional = importlib.import_module("unbraid.analysis.conditional")

    figure = conditional.image_figure
    monkeypatch.setattr(conditional, "image_figure", catch)
    style_transfer(model, guide, images, own, others, list("abcd"))
    rows = shown["grid"].unflatten(0, (2, 5))
    torch.testing.assert_close(rows[:, 0], images)
    decoded = rows[:, 1:]
    upper = 0.1 * others[None, :, None, None, None].expand(2, 4, 1, SIDE // 2, SIDE)
    torch.testing.assert_close(decoded[..., : SIDE // 2, :], upper)
    before = noise_of(images[:, None], own[:, None].double(), learned)
    after = noise_of(decoded, others[None].double(), learned)
    torch.testing.assert_close(after, before.expand(2, 4), rtol=1e-3, atol=1e-3)


def test_completions_keep_what_is_given():
    hidden = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    hidden[SIDE // 2 :] = True

    def decoder(z, x):
        whole = dist.Normal(image_of(z, torch.full(z.shape[:1], 5)), 0.01).to_event(3)
        return Completion(whole, hidden, x)

    model: Any = models.CVAE(decoder, K)
    x = torch.rand(3, *SHAPE)
    images = shared_codes(model, x, 4)
    torch.testing.assert_close(images[..., ~hidden], x[:, None].expand(3, 4, *SHAPE)[..., ~hidden])
    lower = images[..., hidden]
    torch.testing.assert_close(lower, lower[:1].expand_as(lower))  # codes are shared by the rows
    assert len(completions(model, x, hidden, draws=4).axes) == 1


def test_samples_and_grids():
    model, _ = make_pair(True)
    c = torch.tensor([0, 1, 1, 3])
    codes, images = sample_conditional(model, c, seed=2)
    torch.testing.assert_close(images, image_of(codes, c))
    before = torch.random.get_rng_state()
    figure = conditional_grid(model, c, list("abcd"), columns=2)
    assert torch.equal(before, torch.random.get_rng_state())
    [axis] = figure.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == list("abcd")
