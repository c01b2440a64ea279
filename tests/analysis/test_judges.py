"""Judges of coloured squares see what was drawn, and a swap that went wrong.

Nothing here is compared with chance sampled anew: the frames are seeded, their classes are known,
and a trained judge errs so rarely that shares equal those of the frames drawn rightly or wrongly.
"""

import numpy as np
import pytest
import torch

from unbraid.analysis import Judge, kept_accuracy, load_judge, swap_consistency, train_judge

from .squares import ACTIONS, HUES, IDENTITY, PLACES, SIZES, clips, draw, identities, motions

CLOSE = 0.02


def still(count, seed):
    """Frames and their classes, by head."""
    generator = torch.Generator().manual_seed(seed)
    classes = {
        **identities(count, seed),
        "place": torch.randint(PLACES, (count,), generator=generator),
    }
    return draw(classes["hue"], classes["size"], classes["place"], seed), classes


def moving(count, seed):
    """Clips, attributes `(N,)`, actions `(N,)` and places `(N, T)`."""
    identity, (action, place) = identities(count, seed), motions(count, seed + 1)
    return clips(identity, place, seed), identity, action, place


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Of single frames, for hue, size and place."""
    return train_judge(*still(600, 0), *still(200, 1), steps=200, progress=False)


@pytest.fixture(scope="module")
def clip_judge() -> Judge:
    """Of clips, for the action and the attributes."""
    parts = []
    for count, seed in ((300, 2), (100, 4)):
        frames, identity, action, _ = moving(count, seed)
        parts += [frames, {"action": action, **identity}]
    return train_judge(*parts, steps=150, progress=False)


def test_judges_know_what_they_were_trained_on(judge):
    frames, classes = still(200, 6)
    assert judge.classes == {"hue": HUES, "size": SIZES, "place": PLACES}
    told = judge.accuracy(frames, classes)
    assert list(told) == ["hue", "size", "place"]
    for name, accuracy in told.items():
        assert accuracy.accuracy > 1 - CLOSE
        assert judge.ceiling([name]).accuracy > 1 - CLOSE
    assert judge.ceiling().count == 200


def test_accuracies_and_ceilings_count_what_is_right(judge):
    frames, classes = still(200, 6)
    told = judge.predict(frames)
    for name, values in judge.probabilities(frames).items():
        assert values.shape == (200, judge.classes[name])
        torch.testing.assert_close(values.sum(1), torch.ones(200))
        assert torch.equal(values.argmax(1), told[name])
    wrong = {"hue": classes["hue"].clone(), "place": classes["place"]}
    wrong["hue"][:50] = (told["hue"][:50] + 1) % HUES
    accuracy = judge.accuracy(frames, wrong)
    expected = float((told["hue"] == wrong["hue"]).double().mean())
    assert accuracy["hue"].accuracy == pytest.approx(expected) == pytest.approx(0.75, abs=CLOSE)
    assert accuracy["hue"].standard_error == pytest.approx(
        np.sqrt(expected * (1 - expected) / 199)
    )
    # All in 4 groups, one of which is wrong: the error is that of 4 data, not of 200.
    grouped = judge.accuracy(frames, wrong, groups=np.repeat(np.arange(4), 50))["hue"]
    assert grouped.standard_error == pytest.approx(np.sqrt(0.25 * 0.75 / 3), abs=CLOSE)
    right = {name: torch.tensor([True, True, False, False]) for name in ("hue", "size")}
    right["size"] = torch.tensor([True, False, True, False])
    made = Judge(judge.net, False, {n: v.numpy() for n, v in right.items()}, np.arange(4))
    assert made.ceiling(["hue"]).accuracy == made.ceiling(["size"]).accuracy == 0.5
    assert made.ceiling(["hue", "size"]).accuracy == 0.25


def test_levels_of_eight_bits_are_scaled(judge):
    frames, _ = still(50, 6)
    levels = (frames * 255).round().to(torch.uint8)
    from_levels, from_floats = judge.probabilities(levels), judge.probabilities(levels / 255)
    assert all(torch.equal(from_levels[name], from_floats[name]) for name in judge.classes)


def test_a_swap_that_succeeds_reaches_the_ceiling(judge):
    _, identity, _, _ = moving(60, 8)
    _, _, _, place = moving(60, 12)
    swapped = clips(identity, place, 20)
    found = swap_consistency(judge, swapped, identity, {"place": place})
    assert [row.name for row in found.table()] == [
        "hue",
        "size",
        "whole identity",
        "place",
        "identity and pose",
    ]
    for row in found.table():
        assert row.share.accuracy > 1 - 2 * CLOSE
        assert row.share.count == 240
    assert found.whole_identity.ceiling == judge.ceiling(IDENTITY)
    assert found.everything.ceiling == judge.ceiling()
    assert found.whole_identity.chance == pytest.approx(1 / (HUES * SIZES))
    assert found.everything.chance == pytest.approx(1 / (HUES * SIZES * PLACES))
    assert "identity and pose: " in found.summary()


def test_every_share_stands_beside_the_ceiling_of_its_own_heads(judge):
    right = {
        "hue": [True, True, False, False],
        "size": [True, False, True, False],
        "place": [False, True, True, True],
    }
    made = Judge(judge.net, False, {n: np.array(v) for n, v in right.items()}, np.arange(4))
    frames, identity, _, place = moving(10, 8)
    found = swap_consistency(made, frames, identity, {"place": place})
    ceilings = {row.name: row.ceiling.accuracy for row in found.table()}
    assert ceilings == {
        "hue": 0.5,
        "size": 0.5,
        "whole identity": 0.25,
        "place": 0.75,
        "identity and pose": 0,
    }
    kept = kept_accuracy(made, frames[:, 0], identity)
    assert [row.ceiling.accuracy for row in kept] == [0.5, 0.5, 0.25]


def test_exchanged_identity_and_pose_are_seen(judge):
    """Frames with B's identity in A's pose have the right classes as often as A and B agree."""
    _, identity_a, _, place_a = moving(60, 8)
    _, identity_b, _, place_b = moving(60, 12)
    exchanged = clips(identity_b, place_a, 20)
    found = swap_consistency(judge, exchanged, identity_a, {"place": place_b})
    same = {name: identity_a[name] == identity_b[name] for name in IDENTITY}
    whole = same["hue"] & same["size"]
    expected = {
        **{name: values.double().mean() for name, values in same.items()},
        "whole identity": whole.double().mean(),
        "place": (place_a == place_b).double().mean(),
        "identity and pose": (whole[:, None] & (place_a == place_b)).double().mean(),
    }
    for row in found.table():
        assert row.share.accuracy == pytest.approx(float(expected[row.name]), abs=2 * CLOSE)
        assert row.share.accuracy < 0.7


def test_shares_count_the_frames_that_are_right(judge):
    """Where the identity is lost in the first of four frames, three quarters are left."""
    _, identity, _, _ = moving(60, 8)
    _, _, _, place = moving(60, 12)
    swapped = clips(identity, place, 20)
    other = {"hue": (identity["hue"] + 1) % HUES, "size": identity["size"]}
    swapped[:, 0] = clips(other, place, 21)[:, 0]
    found = swap_consistency(judge, swapped, identity, {"place": place})
    shares = {row.name: row.share.accuracy for row in found.table()}
    for name in ("hue", "whole identity", "identity and pose"):
        assert shares[name] == pytest.approx(0.75, abs=2 * CLOSE)
    for name in ("size", "place"):
        assert shares[name] > 1 - CLOSE
    # Every clip has lost one frame: clips hardly differ, so the error is far below that of 240.
    assert found.identity[0].share.standard_error < 0.3 * np.sqrt(0.25 * 0.75 / 240)


@pytest.mark.parametrize("kind", ["frames", "clips"])
def test_masked_frames_are_never_judged(judge, clip_judge, kind):
    asked = judge if kind == "frames" else clip_judge
    frames, identity, action, place = moving(40, 8)
    mask = torch.arange(4) < torch.arange(40)[:, None] % 4 + 1
    pose = {"place": place} if kind == "frames" else {"action": action}

    def told(value, of: torch.Tensor | None = mask):
        broken = frames.clone()
        broken[~mask] = value
        return swap_consistency(asked, broken, identity, pose, mask=of)

    assert told(float("nan")) == told(0.5) == told(17.0)
    assert told(0.5) != told(0.5, None)
    assert told(0.5).everything.share.count == (int(mask.sum()) if kind == "frames" else 40)
    short = clip_judge.probabilities(frames[:, :2])["action"]
    masked = clip_judge.probabilities(frames, mask=(torch.arange(4) < 2).expand(40, 4))["action"]
    torch.testing.assert_close(masked, short)


def test_a_clip_judge_sees_an_action_that_no_frame_shows(clip_judge):
    frames, identity, action, _ = moving(100, 8)
    told = clip_judge.accuracy(frames, {"action": action, **identity})
    assert told["action"].accuracy > 1 - CLOSE
    assert clip_judge.ceiling(["action"]).accuracy > 1 - 2 * CLOSE
    alone = clip_judge.accuracy(frames[:, :1], {"action": action})["action"]
    # Two of the three actions have a corner with one of the others each.
    assert alone.accuracy < 0.9
    backwards = clip_judge.probabilities(frames.flip(1))["action"]
    torch.testing.assert_close(backwards, clip_judge.probabilities(frames)["action"])


def test_what_is_kept_is_seen_and_what_is_drawn_is_not(clip_judge):
    _, identity, action, place = moving(60, 8)
    drawn = clips(identities(60, 30), place, 20)
    (kept,) = kept_accuracy(clip_judge, drawn, {"action": action})
    assert (kept.name, kept.chance) == ("action", pytest.approx(1 / ACTIONS))
    assert kept.share.accuracy > 1 - CLOSE
    assert kept.ceiling == clip_judge.ceiling(["action"])
    lost = kept_accuracy(clip_judge, drawn, identity)
    assert [row.name for row in lost] == ["hue", "size", "all"]
    assert lost[2].ceiling == clip_judge.ceiling(IDENTITY)
    agree = [(identity[name] == identities(60, 30)[name]) for name in IDENTITY]
    for row, expected in zip(lost, [*agree, agree[0] & agree[1]], strict=True):
        assert row.share.accuracy == pytest.approx(float(expected.double().mean()), abs=CLOSE)
    grouped = kept_accuracy(clip_judge, drawn, identity, groups=np.zeros(60, int))
    assert np.isnan(grouped[0].share.standard_error)
    assert "± unknown (real 0." in str(grouped[0]) or "± unknown (real 1." in str(grouped[0])


def test_judges_come_back_from_a_file(judge, tmp_path):
    judge.save(tmp_path / "judge.safetensors")
    again = load_judge(tmp_path / "judge.safetensors")
    frames, _ = still(30, 6)
    assert (again.classes, again.shape, again.clips) == (judge.classes, judge.shape, False)
    assert again.ceiling() == judge.ceiling()
    expected = judge.probabilities(frames)
    for name, values in again.probabilities(frames).items():
        assert torch.equal(values, expected[name])


def test_other_files_are_refused(tmp_path):
    for name, content in (("text", b"hello"), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="is no judge"):
            load_judge(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_judge(tmp_path / "nothing")


def test_judges_repeat_themselves_by_their_seed():
    parts = (*still(60, 0), *still(20, 1))
    outside = torch.get_rng_state()
    weights = [
        train_judge(*parts, steps=3, seed=seed, progress=False).net.state_dict()
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), outside)
    name = "frame_features.0.weight"
    assert torch.equal(weights[0][name], weights[1][name])
    # Other first weights, not only other batches: three steps move a weight by some 0.01.
    assert (weights[0][name] - weights[2][name]).abs().max() > 0.1


def test_judges_learn_from_blurred_frames_if_asked(monkeypatch):
    """With a blur that leaves nothing of a frame a judge learns nothing, and only if asked."""
    parts = (*still(600, 0), *still(200, 1))
    soft, again = (train_judge(*parts, steps=200, blur=True, progress=False) for _ in "12")
    assert all(map(torch.equal, soft.net.parameters(), again.net.parameters()))
    assert soft.ceiling(["size"]).accuracy > 1 - CLOSE  # of frames as they are
    monkeypatch.setattr(
        "unbraid.analysis.judge_training.blurred", lambda frames, _: torch.zeros_like(frames)
    )
    for blur in (True, False):
        judge = train_judge(*parts, steps=200, blur=blur, progress=False)
        assert (judge.ceiling(["size"]).accuracy > 1 - CLOSE) is not blur


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 31), (2, 64, 64)])
def test_frames_of_any_size_are_judged(shape):
    frames = torch.rand(6, *shape)
    kinds = {"kind": torch.arange(6) % 2}
    judge = train_judge(frames, kinds, frames, kinds, steps=1, progress=False)
    assert judge.probabilities(frames)["kind"].shape == (6, 2)


def test_progress_tells_the_remaining_time(capfd):
    train_judge(*still(60, 0), *still(20, 1), steps=2)
    shown = capfd.readouterr()
    assert "training a judge" in shown.err
    assert "step/s" in shown.err
    assert not shown.out


def test_bad_training_data_are_refused():
    frames, classes = still(40, 0)
    test, truth = still(20, 1)

    def refused(pattern, *args, **options):
        with pytest.raises(ValueError, match=pattern):
            train_judge(*args, progress=False, **options)

    refused("steps is 0; expected at least 1", frames, classes, test, truth, steps=0)
    refused(r"frames are \(40, 48, 16\)", frames.flatten(1, 2), classes, test, truth)
    refused(r"frames are \(20, 3, 8, 8\)", frames, classes, test[..., :8, :8], truth)
    refused("expected the same names", frames, classes, test, {"hue": truth["hue"]})
    refused("expected the same names, at least one", frames, {}, test, {})
    refused(
        r"classes\['hue'\] have shape \(39,\)",
        frames,
        {"hue": classes["hue"][1:]},
        test,
        {"hue": truth["hue"]},
    )
    same = {"hue": torch.zeros(40, dtype=torch.int64)}
    refused(r"classes\['hue'\]\[:, 0\] are all 0", frames, same, test, {"hue": truth["hue"]})
    below = {"hue": classes["hue"] - 1}
    refused("have -1; expected classes from 0", frames, below, test, below | {"hue": truth["hue"]})
    unseen = {"hue": truth["hue"] + 2}
    refused("have 3, which classes lack|have 4", frames, {"hue": classes["hue"]}, test, unseen)
    refused("values from .* to 3", frames * 3.5, classes, test, truth)
    broken = frames.clone()
    broken[:] = torch.nan
    refused("expected finite floats in", broken, classes, test, truth)


def test_bad_frames_are_refused(judge, clip_judge):
    frames, identity, action, place = moving(10, 8)

    def refused(pattern, ask, *args, **options):
        with pytest.raises(ValueError, match=pattern):
            ask(*args, **options)

    refused("single frames, or clips", judge.predict, frames)
    refused("single frames, or clips", clip_judge.predict, frames[:, 0])
    refused(r"\(C, H, W\) = \(3, 16, 16\)", judge.predict, frames[:, 0, :1])
    refused("mask is given with single frames", judge.predict, frames[:, 0], mask=place > 0)
    refused("mask is int64", clip_judge.predict, frames, mask=place)
    refused("values from -", judge.predict, frames[:, 0] - 0.5)
    refused(r"heads are \['colour'\]; expected some of hue", judge.ceiling, ["colour"])
    refused("expected some of hue", judge.ceiling, [])
    refused("expected some of hue", judge.accuracy, frames[:, 0], {"action": action})
    swap = (swap_consistency, judge)
    refused(r"swapped is \(10, 3, 16, 16\)", *swap, frames[:, 0], identity, {"place": place})
    refused("at least one each and none in both", *swap, frames, identity, {})
    refused("none in both", *swap, frames, identity, {"hue": place})
    refused("expected some of", *swap, frames, identity, {"action": action})
    refused(
        r"pose_classes\['place'\] have shape \(10,\)",
        *swap,
        frames,
        identity,
        {"place": place[:, 0]},
    )
    refused(
        r"identity_classes\['hue'\] have shape \(9,\)",
        *swap,
        frames,
        {"hue": identity["hue"][1:]},
        {"place": place},
    )
    refused("expected some of", kept_accuracy, clip_judge, frames, {})
    refused("groups have shape", kept_accuracy, clip_judge, frames, identity, groups=np.arange(3))
