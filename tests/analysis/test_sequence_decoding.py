"""Codes are decoded by the model itself, in any combination, and never many at a time."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from unbraid.analysis import (
    SequenceSites,
    decode_frames,
    prior_of_dynamic,
    sample_frames,
    sample_static,
)
from unbraid.models import VAE

from .sequence_pair import DYNAMIC, SHAPE, STATIC, codes, make_frames


def test_frames_are_decoded_from_both_codes_side_by_side():
    model, _ = make_frames()
    static, dynamic = codes(4, 5)
    found = decode_frames(model, static, dynamic)
    flat = torch.cat([static[:, None].expand(4, 5, STATIC), dynamic], -1) @ model.basis
    expected = (0.5 + flat).reshape(4, 5, *SHAPE)
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=0)
    assert not found.requires_grad


def test_values_outside_the_range_of_images_are_cut():
    model, _ = make_frames()
    static, dynamic = (20 * code for code in codes(4, 5))
    found = decode_frames(model, static, dynamic)
    expected = model.mean(static[:, None], dynamic).detach()
    assert float(expected.min()) < -1
    torch.testing.assert_close(found, expected.clamp(0, 1))


def test_leading_axes_broadcast():
    model, _ = make_frames()
    static, _ = codes(3, 1)
    _, dynamic = codes(2, 5, seed=1)
    found = decode_frames(model, static.unsqueeze(1), dynamic)
    assert found.shape == (3, 2, 5, *SHAPE)
    for r in range(3):
        for q in range(2):
            expected = model.mean(static[r], dynamic[q]).detach()
            torch.testing.assert_close(found[r, q], expected, atol=1e-6, rtol=0)
    one = decode_frames(model, static[0], dynamic[1])
    torch.testing.assert_close(one, found[0, 1], atol=1e-6, rtol=0)


def test_memory_is_bounded_and_chunks_change_nothing(monkeypatch):
    model, _ = make_frames()
    static, dynamic = codes(6, 7)
    whole = decode_frames(model, static, dynamic)
    monkeypatch.setattr("unbraid.analysis.passes.FRAMES", 5)
    model.largest = 0
    torch.testing.assert_close(decode_frames(model, static, dynamic), whole, atol=1e-6, rtol=0)
    assert model.largest == 5
    prior_of_dynamic(model, static)
    sample_frames(model, static, 3)
    sample_static(model, 12)
    assert model.largest == 5


def test_the_prior_is_the_one_that_the_model_has_learned():
    model, _ = make_frames()
    static, _ = codes(4, 1)
    prior = prior_of_dynamic(model, static)
    torch.testing.assert_close(prior.loc, (static @ model.prior).detach())
    torch.testing.assert_close(prior.scale, model.deviation.detach().expand(4, DYNAMIC))
    single = prior_of_dynamic(model, static[2])
    torch.testing.assert_close(single.loc, prior.loc[2])
    assert single.scale.shape == (DYNAMIC,)


def test_sampled_frames_come_from_that_prior():
    """Means and variances of 4000 draws each; a z-value beyond 6 has chance 1e-8 in 12 tests."""
    model, _ = make_frames()
    static, _ = codes(3, 1)
    images, found = sample_frames(model, static, 4000)
    dynamic = found["dynamic"]
    prior = prior_of_dynamic(model, static)
    z = (dynamic - prior.loc[:, None]) / prior.scale[:, None]
    assert float((z.mean(1) * 4000**0.5).abs().max()) < 6
    assert float(((z.square().mean(1) - 1) * (4000 / 2) ** 0.5).abs().max()) < 6
    expected = model.mean(static[:, None], dynamic).detach().clamp(0, 1)
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)
    again = sample_frames(model, static, 4000).codes["dynamic"]
    assert torch.equal(again, dynamic)
    assert not torch.equal(sample_frames(model, static, 4000, seed=1).codes["dynamic"], dynamic)


def test_static_codes_are_drawn_from_the_prior():
    """2000 draws of 3 coordinates; a z-value beyond 6 has chance 1e-8."""
    model, _ = make_frames()
    static = sample_static(model, 2000)
    assert static.shape == (2000, STATIC)
    assert float((static.mean(0) * 2000**0.5).abs().max()) < 6
    assert float(((static.square().mean(0) - 1) * 1000**0.5).abs().max()) < 6


def layered(x=None, *, size=None, frames=None):
    """Two layers of frames, the lower one's prior shifted by the upper one and the clip's code."""
    with pyro.plate("data", size, dim=-2):
        clip = pyro.sample("clip", dist.Normal(torch.zeros(1), 1.0).to_event(1))
        with pyro.plate("frames", frames, dim=-1):
            upper = pyro.sample("upper", dist.Normal(clip, 1.0).to_event(1))
            lower = pyro.sample("lower", dist.Normal(clip + 0.1 * upper, 1.0).to_event(1))
            mean = (0.5 + 0.1 * clip + 0.2 * upper - 0.3 * lower)[..., None, None]
            mean = mean.expand(*mean.shape[:2], *SHAPE)
            pyro.sample("image", dist.Normal(mean, 0.1).to_event(3), obs=x)


def test_layers_are_given_or_follow_from_the_others():
    sites = SequenceSites("clip", "upper", "image", ("lower",))
    clip, upper, lower = (
        torch.tensor([[0.3]]),
        torch.tensor([[[0.5], [-0.2]]]),
        torch.zeros(1, 2, 1),
    )
    lower[0, 0] = 0.7
    given = decode_frames(layered, clip, upper, {"lower": lower}, sites=sites)
    expected = 0.5 + 0.03 + 0.2 * upper - 0.3 * lower
    torch.testing.assert_close(given[..., 0, 0], expected)
    followed = decode_frames(layered, clip, upper, sites=sites)
    expected = 0.5 + 0.03 + 0.2 * upper - 0.3 * (0.3 + 0.1 * upper)
    torch.testing.assert_close(followed[..., 0, 0], expected)
    sampled = sample_frames(layered, clip, 3, sites=sites)
    assert set(sampled.codes) == {"upper", "lower"}
    again = decode_frames(
        layered, clip, sampled.codes["upper"], {"lower": sampled.codes["lower"]}, sites=sites
    )
    torch.testing.assert_close(sampled.images, again)


@pytest.mark.parametrize(
    ("static", "dynamic", "message"),
    [
        ((4, 5), (4, 6, 2), r"codes of 'static' are vectors of 5; expected \(3,\)"),
        ((4, 3), (4, 6, 7), r"codes of 'dynamic' are vectors of 7; expected \(2,\)"),
        ((4, 3), (5, 6, 2), r"static is \(4, 3\) and the codes of frames are \(5, 6, 2\); exp"),
        ((4, 3), (2,), r"static is \(4, 3\) and the codes of frames are \(2,\); expected"),
        ((4, 0), (4, 6, 2), r"codes of 'static' are vectors of 0"),
        ((0, 3), (0, 6, 2), r"codes of 'static' are empty; expected at least one"),
    ],
)
def test_codes_that_do_not_fit_are_refused(static, dynamic, message):
    model, _ = make_frames()
    with pytest.raises(ValueError, match=message):
        decode_frames(model, torch.zeros(static), torch.zeros(dynamic))


def test_models_without_such_sites_or_without_frames_are_refused():
    model, _ = make_frames()
    static, dynamic = codes(2, 3)
    for sites in (SequenceSites("clip"), SequenceSites(dynamic="z"), SequenceSites(observed="y")):
        name = next(n for n in ("clip", "z", "y") if n in sites)
        with pytest.raises(
            ValueError, match=f"the model has no site '{name}'; expected one of st"
        ):
            decode_frames(model, static, dynamic, sites=sites)
    images = VAE(lambda z: dist.Normal(z, 1.0), 2)
    with pytest.raises(ValueError, match="model VAE takes no frames; expected a model of seq"):
        decode_frames(images, static, dynamic)
    with pytest.raises(ValueError, match="frames is 0; expected at least 1"):
        sample_frames(model, static, 0)
    with pytest.raises(ValueError, match="count is 0; expected at least 1"):
        sample_static(model, 0)
