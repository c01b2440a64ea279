"""Distances of codes equal those written out, and know right from wrong."""

from math import isnan, sqrt

import numpy as np
import pytest
import torch

from unbraid.analysis import swap_recovery

CLIPS, FRAMES, SWAPS = 12, 5, 30


def originals(seed=0, clips=CLIPS):
    draw = np.random.default_rng(seed)
    scales = np.array([3.0, 1.0, 0.1])
    return draw.normal(size=(clips, 3)) * scales, draw.normal(size=(clips, FRAMES, 2)) * 4


def partners(seed=1, clips=CLIPS, swaps=SWAPS):
    """Two different clips per swap."""
    draw = np.random.default_rng(seed)
    first = draw.integers(clips, size=swaps)
    return first, (first + draw.integers(1, clips, size=swaps)) % clips


def test_codes_that_come_back_are_at_no_distance():
    static, dynamic = originals()
    a, b = partners()
    found = swap_recovery(static, dynamic, static[a], dynamic[b], a, b)
    for part in (found.static, found.dynamic):
        assert (part.distance, part.standard_error, part.nearer) == (0, 0, 1)
        assert part.other > 0.5


def test_an_exchange_is_found():
    static, dynamic = originals()
    a, b = partners()
    right = swap_recovery(static, dynamic, static[a], dynamic[b], a, b)
    wrong = swap_recovery(static, dynamic, static[b], dynamic[a], a, b)
    for good, bad in ((right.static, wrong.static), (right.dynamic, wrong.dynamic)):
        assert (bad.nearer, bad.other) == (0, 0)
        assert bad.distance == pytest.approx(good.other)
        assert bad.distance > 0.5


def test_distances_equal_those_by_hand():
    static, dynamic = originals()
    a, b = partners()
    draw = np.random.default_rng(2)
    new = static[a] + 0.3 * draw.normal(size=(SWAPS, 3))
    moved = dynamic[b] + draw.normal(size=(SWAPS, FRAMES, 2))
    found = swap_recovery(static, dynamic, new, moved, a, b)
    far = ((new - static[a]) ** 2).sum(1)
    unit = sqrt(((static - static.mean(0)) ** 2).sum(1).mean())
    assert found.static.distance == pytest.approx(sqrt(far.mean()) / unit)
    other = ((new - static[b]) ** 2).sum(1)
    assert found.static.other == pytest.approx(sqrt(other.mean()) / unit)
    assert found.static.nearer == (far < other).mean()
    error = far.std(ddof=1) / sqrt(SWAPS) / (2 * sqrt(far.mean()) * unit)
    assert found.static.standard_error == pytest.approx(error)
    far = ((moved - dynamic[b]) ** 2).sum(-1)
    flat = dynamic.reshape(-1, 2)
    unit = sqrt(((flat - flat.mean(0)) ** 2).sum(1).mean())
    assert found.dynamic.distance == pytest.approx(sqrt(far.mean()) / unit)
    error = far.mean(1).std(ddof=1) / sqrt(SWAPS) / (2 * sqrt(far.mean()) * unit)
    assert found.dynamic.standard_error == pytest.approx(error)


def test_codes_of_something_else_are_at_the_root_of_two():
    """Two independent draws differ by twice the variance.

    The mean of 4000 squared distances has a relative standard error below 0.04, so 5 of them
    bound the root by 0.1 of itself; false alarms below 1e-6.
    """
    static, dynamic = originals(clips=4000)
    others, moved = originals(seed=5, clips=4000)
    a = np.arange(4000)
    found = swap_recovery(static, dynamic, others, moved, a, (a + 1) % 4000)
    for part in (found.static, found.dynamic):
        assert part.distance == pytest.approx(sqrt(2), rel=0.1)
        assert part.other == pytest.approx(sqrt(2), rel=0.1)
        assert abs(part.nearer - 0.5) < 5 * 0.5 / sqrt(4000)
    mean = np.broadcast_to(static.mean(0), static.shape)
    collapsed = swap_recovery(static, dynamic, mean, moved, a, (a + 1) % 4000)
    assert collapsed.static.distance == pytest.approx(1)


def test_identities_set_the_unit():
    static, dynamic = originals()
    a, b = partners()
    who = np.arange(CLIPS) % 4
    new = static[a] + 1.0
    means = np.stack([static[who == i].mean(0) for i in range(4)])
    unit = sqrt(((means - means.mean(0)) ** 2).sum(1).mean())
    found = swap_recovery(static, dynamic, new, dynamic[b], a, b, identities=who)
    assert found.static.distance == pytest.approx(sqrt(3) / unit)


def test_missing_frames_are_never_used():
    static, dynamic = originals()
    a, b = partners()
    mask = np.arange(FRAMES) < 1 + np.arange(CLIPS)[:, None] % FRAMES
    moved = dynamic[b] + np.random.default_rng(2).normal(size=(SWAPS, FRAMES, 2))

    def told(value):
        broken, new = dynamic.copy(), moved.copy()
        broken[~mask], new[~mask[b]] = value, value
        return swap_recovery(static, broken, static[a], new, a, b, mask=mask)

    assert told(np.nan) == told(1e6)
    far = ((moved - dynamic[b]) ** 2).sum(-1)[mask[b]]
    unit = sqrt(dynamic[mask].var(0).sum())
    assert told(np.nan).dynamic.distance == pytest.approx(sqrt(far.mean()) / unit)
    shared = mask[a] & mask[b]
    other = ((moved - dynamic[a]) ** 2).sum(-1)[shared]
    assert told(np.nan).dynamic.other == pytest.approx(sqrt(other.mean()) / unit)


def test_clips_without_a_common_frame_are_ties():
    static, dynamic = originals(clips=2)
    mask = np.array([[True, True, False, False, False], [False, False, True, True, True]])
    found = swap_recovery(
        static, dynamic, static[[0]], dynamic[[1]], np.array([0]), np.array([1]), mask=mask
    )
    assert found.dynamic.nearer == 0.5
    assert isnan(found.dynamic.other)
    assert found.dynamic.distance == 0


def test_tensors_are_welcome():
    static, dynamic = originals()
    a, b = partners()
    arrays = (static, dynamic, static[a] + 1, dynamic[b] + 1, a, b)
    expected = swap_recovery(*arrays)
    assert swap_recovery(*map(torch.from_numpy, arrays)) == expected


def test_bad_input_is_refused():
    static, dynamic = originals()
    a, b = partners()
    good = {
        "static": static,
        "dynamic": dynamic,
        "swapped_static": static[a],
        "swapped_dynamic": dynamic[b],
        "static_from": a,
        "dynamic_from": b,
    }

    def refused(pattern, **changed):
        with pytest.raises(ValueError, match=pattern):
            swap_recovery(**{**good, **changed})

    refused("expected .S, T, Z. and .M, T, Z.", swapped_dynamic=dynamic[b][:, 1:])
    refused("static has 11 codes; expected 12", static=static[1:])
    refused("test_static codes have 2 values", swapped_static=static[a][:, 1:])
    refused(
        "static_from has values from 0 to 12; expected 0 to 11",
        static_from=a * 0 + b * 0 + np.arange(SWAPS) % 13,
    )
    refused("dynamic_from are float64; expected integers", dynamic_from=b * 1.0)
    refused(r"static_from have shape \(29,\)", static_from=a[1:])
    broken = dynamic[b].copy()
    broken[3, 1, 0] = np.nan
    refused("swapped_dynamic.* is nan", swapped_dynamic=broken)
    refused("static codes are all the same", static=np.ones_like(static))
    refused("dynamic codes are all the same", dynamic=np.ones_like(dynamic))
    refused("mask is float64", mask=np.ones((CLIPS, FRAMES)))


def test_of_a_single_swap_no_error_is_known():
    static, dynamic = originals()
    a, b = np.array([0]), np.array([1])
    for new in (static[a], static[a] + 0.5):
        found = swap_recovery(static, dynamic, new, dynamic[b], a, b)
        assert np.isnan([found.static.standard_error, found.dynamic.standard_error]).all()
