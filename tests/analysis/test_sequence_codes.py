"""Codes of sequences are the guide's means, whatever the padding and the batches."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from unbraid.analysis import SequenceSites, active_units, sequence_codes

from .sequence_pair import DYNAMIC, SHAPE, STATIC, codes, make_frames, padded

LENGTHS = torch.tensor([5, 2, 7, 1, 4, 6])


def truth(sequences: int = 6, frames: int = 7):
    """A pair, its sequences, and the codes that they were made from."""
    model, guide = make_frames()
    static, dynamic = codes(sequences, frames)
    return model, guide, model.mean(static[:, None], dynamic).detach(), static, dynamic


def test_codes_are_the_guides_means_and_deviations():
    model, guide, x, static, dynamic = truth()
    found = sequence_codes(model, guide, [x[:4], x[4:]])
    torch.testing.assert_close(found.static, static, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.dynamic, dynamic, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.static_scale, torch.full((6, STATIC), 0.1))
    torch.testing.assert_close(found.dynamic_scale, 0.05 + 0.1 * dynamic.abs(), atol=1e-5, rtol=0)
    assert found.mask.shape == (6, 7) and bool(found.mask.all())
    assert guide.training and guide.dropout.training


def test_permuted_frames_have_permuted_dynamic_codes():
    model, guide, x, *_ = truth()
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    before, after = (sequence_codes(model, guide, [part]) for part in (x, x[:, order]))
    torch.testing.assert_close(after.dynamic, before.dynamic[:, order], atol=1e-5, rtol=0)
    torch.testing.assert_close(after.static, before.static, atol=1e-5, rtol=0)
    assert not torch.allclose(after.dynamic, before.dynamic, atol=1e-2)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e6])
def test_padding_never_shows(value):
    """Neither in the codes of true frames nor as codes of its own."""
    model, guide, x, static, dynamic = truth()
    found = sequence_codes(model, guide, [(padded(x, LENGTHS, value), LENGTHS)])
    mask = torch.arange(7) < LENGTHS[:, None]
    assert torch.equal(found.mask, mask)
    assert torch.equal(found.lengths, LENGTHS)
    torch.testing.assert_close(found.static, static, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.dynamic[mask], dynamic[mask], atol=1e-5, rtol=0)
    assert not found.dynamic[~mask].any() and not found.dynamic_scale[~mask].any()
    assert torch.equal(found.frames, mask.nonzero())


def test_mappings_are_read_by_keys_and_their_lengths_are_known_to_the_mask():
    model, guide, x, *_ = truth()
    x = padded(x, LENGTHS)
    index = torch.arange(6)
    whole = sequence_codes(
        model, guide, [{"index": index, "length": LENGTHS, "x": x}], keys=("x", "length")
    )
    plain = sequence_codes(model, guide, [(x, LENGTHS)])
    for name in ("static", "dynamic", "mask"):
        assert torch.equal(getattr(whole, name), getattr(plain, name))
    unaware = sequence_codes(model, guide, [{"length": LENGTHS, "x": x}])
    assert torch.equal(unaware.mask, plain.mask)
    assert not torch.allclose(unaware.static, plain.static)  # this guide was told no lengths


def test_batches_may_differ_in_their_number_of_frames():
    model, guide, x, static, dynamic = truth()
    found = sequence_codes(model, guide, [x[:1, :3], x[1:4], x[4:, :1]])
    torch.testing.assert_close(found.static, static, atol=1e-5, rtol=0)
    assert found.lengths.tolist() == [3, 7, 7, 7, 1, 1]
    torch.testing.assert_close(found.dynamic[found.mask], dynamic[found.mask], atol=1e-5, rtol=0)


def test_some_of_the_sequences_can_be_taken():
    model, guide, x, *_ = truth()
    whole = sequence_codes(model, guide, [(x, LENGTHS)])
    part = whole.take([4, 0])
    assert len(part) == 2
    for name in ("static", "dynamic", "mask", "static_scale", "dynamic_scale"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[[4, 0]])


def test_sites_have_names_and_layers():
    shape = (2, 3)

    def guide(x):
        with pyro.plate("data", shape[0], dim=-2):
            pyro.sample("clip", dist.Normal(torch.full((2, 1, 4), 0.5), 1.0).to_event(1))
            with pyro.plate("frames", shape[1], dim=-1):
                for layer, k in (("upper", 2), ("lower", 5)):
                    loc = x.mean((2, 3, 4)).unsqueeze(-1).expand(2, 3, k)
                    pyro.sample(layer, dist.Normal(loc, 1.0).to_event(1))

    sites = SequenceSites("clip", "upper", layers=("lower",))
    x = torch.rand(*shape, *SHAPE)
    found = sequence_codes(guide, guide, [x], sites=sites)
    assert found.static.shape == (2, 4)
    torch.testing.assert_close(found.dynamic, x.mean((2, 3, 4))[..., None].expand(2, 3, 2))
    torch.testing.assert_close(found.layers["lower"], x.mean((2, 3, 4))[..., None].expand(2, 3, 5))


def test_active_units_do_not_look_at_padding():
    """All true frames of the second coordinate are alike; padding would make it look active."""
    model, guide, _, static, dynamic = truth()
    dynamic[..., 1] = 0.2
    static[:, 0] = -0.1
    x = padded(model.mean(static[:, None], dynamic).detach(), LENGTHS, 5.0)
    found = active_units(model, guide, [(x, LENGTHS)])
    assert found["dynamic"].tolist() == [True, False]
    assert found["static"].tolist() == [False, True, True]
    assert DYNAMIC == 2


@pytest.mark.parametrize(
    ("batches", "sites", "message"),
    [
        ([], SequenceSites(), "batches is empty; expected at least one batch"),
        ([torch.rand(4, *SHAPE)], SequenceSites(), r"x is \(4, 1, 4, 6\); expected sequences"),
        ([torch.rand(2, 0, *SHAPE)], SequenceSites(), r"x is \(2, 0, 1, 4, 6\); expected seq"),
        (
            [torch.rand(2, 3, *SHAPE)],
            SequenceSites(static="clip"),
            "the guide has no site 'clip'; expected one of static, dynamic",
        ),
        (
            [torch.rand(2, 3, *SHAPE)],
            SequenceSites(static="dynamic"),
            r"site 'dynamic' is \(2, 3, 2\); expected \(2, 1, 'K'\), a vector for each sequence",
        ),
        (
            [torch.rand(2, 3, *SHAPE)],
            SequenceSites(dynamic="static"),
            r"site 'static' is \(2, 1, 3\); expected \(2, 3, 'K'\), a vector for each frame",
        ),
    ],
)
def test_what_is_no_batch_of_such_sequences_is_refused(batches, sites, message):
    with pytest.raises(ValueError, match=message):
        sequence_codes(*make_frames(), batches, sites=sites)


def test_what_follows_even_sequences_is_their_index_and_no_length():
    model, inner, x, *_ = truth()

    class OfEven(torch.nn.Module):
        ragged = False

        def forward(self, x, index):
            return inner(x)

    x = x[:, :3]
    found = sequence_codes(model, OfEven(), [(x, torch.arange(len(x)))])
    assert found.lengths.tolist() == [3] * len(x)
