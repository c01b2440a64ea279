"""Roll-outs: true where the transition is, one stretch or many, and with no pixel fed back."""

import pytest
import torch

from unbraid.analysis import PoseRollOut, check_predictor, predict

from .phase_pair import ANGLE, POSE, SHAPE, clips, learned, make_pair
from .sequence_pair import make_frames

PAST = 4


def test_an_exact_transition_reproduces_the_truth():
    model, guide = make_pair()
    x = clips(5, PAST + 60)
    assert 0 < x.min() and x.max() < 1
    parts = list(predict(model, guide, x[:, :PAST], 60, samples=2))
    found = torch.cat(parts, 2)
    assert found.shape == (3, 5, 60, *SHAPE)
    torch.testing.assert_close(found[0], x[:, PAST:], rtol=0, atol=1e-4)
    assert (found[1:] - x[:, PAST:]).abs().amax((1, 2, 3, 4, 5)).min() > 0.01


@pytest.mark.parametrize("samples", [0, 3])
@pytest.mark.parametrize("exact", [True, False])
def test_one_stretch_of_500_is_500_of_one_to_the_bit(samples, exact):
    model, guide = make_pair(None if exact else learned())
    seen = clips(2, PAST)
    whole, single = (PoseRollOut(model, guide, seen, samples=samples, seed=3) for _ in range(2))
    poses = whole.advance(500)
    assert poses.shape == (1 + samples, 2, 500, POSE)
    assert torch.equal(poses, torch.cat([single.advance(1) for _ in range(500)], 2))
    assert torch.equal(whole.advance(3), single.advance(3))


def test_poses_follow_the_transition_step_by_step():
    """The mean goes from mean to mean; the samples by their noise, drawn step by step."""
    transition = learned()
    model, guide = make_pair(transition)
    seen = clips(3, PAST)
    rolling = PoseRollOut(model, guide, seen, samples=2, seed=9)
    poses = rolling.advance(5)
    generator = torch.Generator().manual_seed(9)
    noise = torch.stack([torch.randn(2, 3, POSE, generator=generator) for _ in range(5)], 2)
    scale = transition.scale
    for row in range(3):
        z = torch.cat([rolling.seen, poses[row]], 1)
        means = transition.means(z, rolling.content)[:, PAST:]
        expected = means if row == 0 else means + scale * noise[row - 1]
        torch.testing.assert_close(poses[row], expected.detach(), rtol=1e-4, atol=1e-5)


def test_samples_have_the_spread_of_the_transition():
    """20 000 steps: each of 2 deviations within 6 standard errors, alarm below 1e-8."""
    model, guide = make_pair()
    with torch.no_grad():
        model.transition.spread.copy_(torch.tensor([-0.1, 0.05]))
    rolling = PoseRollOut(model, guide, clips(20, PAST), samples=1000)
    poses = rolling.advance(1)
    deviation = (poses[1:] - poses[:1]).flatten(0, 2).double().std(0, correction=0)
    truth = model.transition.scale.double()
    assert ((deviation / truth - 1).abs() < 6 / (2 * 20_000) ** 0.5).all()


def test_no_pixel_is_fed_back():
    """The encoders are asked once, of the frames that are seen; other futures change nothing."""
    model, guide = make_pair()
    x = clips(3, PAST)
    drawn = predict(model, guide, x, 400, samples=1)
    first = next(drawn)
    asked = len(guide.codes.shown)
    assert asked == 2
    assert torch.equal(guide.codes.shown[0], x[:, -1:])
    assert torch.equal(guide.codes.shown[1].squeeze(1), x)
    guide.codes.read = None  # whoever asks now fails
    rest = list(drawn)
    assert len(rest) > 1 and first.shape[2] + sum(part.shape[2] for part in rest) == 400
    assert len(guide.codes.shown) == asked


def test_content_is_that_of_the_last_seen_frame():
    model, guide = make_pair()
    x, other = clips(3, PAST, seed=1), clips(3, PAST, seed=2)
    mixed = torch.cat([other[:, : PAST - 1], x[:, PAST - 1 :]], 1)
    contents = [PoseRollOut(model, guide, seen).content for seen in (x, mixed, other)]
    assert torch.equal(contents[0], contents[1])
    assert (contents[0] - contents[2]).abs().max() > 0.1


@pytest.mark.parametrize("frames", [1, 7, 500])
def test_frames_come_a_few_at_a_time_however_many_there_are(frames):
    """64 clips in one pass: no part, and no call of the decoder, is larger for longer ones."""
    model, guide = make_pair()
    parts = [part.shape for part in predict(model, guide, clips(64, PAST), frames, samples=1)]
    assert sum(shape[2] for shape in parts) == frames
    assert all(shape[:2] == (2, 64) and shape[2] <= 8 for shape in parts)
    assert model.decoder.largest <= 1024


def test_seeds_and_random_state():
    model, guide = make_pair()
    seen = clips(2, PAST)
    before = torch.random.get_rng_state()
    first, again, other = (
        PoseRollOut(model, guide, seen, samples=2, seed=seed).advance(6) for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first, again)
    assert torch.equal(first[0], other[0])
    assert (first[1:] - other[1:]).abs().min() > 0


def test_it_goes_on_from_what_is_seen_and_no_earlier():
    """Of a turn, the last pose alone says where it goes on; of cells, all that are seen do."""
    x = clips(2, 9)
    for exact in (True, False):
        model, guide = make_pair(None if exact else learned())
        long, short = (PoseRollOut(model, guide, seen).advance(1) for seen in (x, x[:, 5:]))
        assert torch.allclose(long, short, atol=1e-5) == exact
        if exact:
            angle = torch.tensor(ANGLE)
            last = PoseRollOut(model, guide, x).seen[:, -1]
            turned = last @ torch.tensor([[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]])
            torch.testing.assert_close(long[0, :, 0], turned)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"frames": 0}, "frames is 0; expected at least 1, .* seen. Choose how far"),
        ({"samples": -1}, "samples is -1; expected at least 0. Choose 0"),
        ({"seen": torch.zeros(2, *SHAPE)}, r"seen has shape \(2, 3, 12, 13\); expected clips"),
        ({"seen": torch.zeros(2, 0, *SHAPE)}, "expected clips .* of at least one frame"),
    ],
)
def test_mistakes(change, message):
    model, guide = make_pair()
    given = {"seen": clips(2, PAST), "frames": 3, "samples": 0, **change}
    with pytest.raises(ValueError, match=message):
        predict(model, guide, given["seen"], given["frames"], samples=given["samples"])
    with pytest.raises(ValueError, match=r"steps is 0; expected at least 1. Do not call"):
        PoseRollOut(model, guide, clips(2, PAST)).advance(0)


def test_other_pairs_are_refused():
    model, guide = make_pair()
    other_model, other_guide = make_frames()
    check_predictor(model, guide)
    with pytest.raises(ValueError, match="LinearFrames has no transition; expected a pair that"):
        check_predictor(other_model, guide)
    with pytest.raises(ValueError, match="LinearFramesGuide has no codes"):
        check_predictor(model, other_guide)
