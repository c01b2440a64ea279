"""Shortcut and reference ambiguity on pairs made by hand, right ones and broken ones."""

import numpy as np
import pytest
import torch

from unbraid.analysis import reference_consistency, swap_change


def images(varying: torch.Tensor, common: torch.Tensor) -> torch.Tensor:
    """The upper half shows the varying code, the lower one the common code."""
    halves = [code.view(-1, 1, 1, 1).expand(-1, 1, 2, 3) for code in (varying, common)]
    return torch.cat(halves, 2)


@pytest.fixture
def codes() -> torch.Tensor:
    return torch.rand(4, 50, generator=torch.Generator().manual_seed(1))


def test_codes_of_different_pixels_share_the_change(codes):
    v, c, w, d = codes
    found = swap_change(images(v, c), images(w, d), images(v, d))
    between = (v - w).square().sum() + (c - d).square().sum()
    assert found.common == pytest.approx(float((c - d).square().sum() / between), rel=1e-5)
    assert found.common + found.varying == pytest.approx(1.0)


def test_the_shortcut_has_no_change_by_the_common_code(codes):
    """A decoder that looks at the varying code alone, and one that looks at the other alone."""
    v, c, w, d = codes
    found = swap_change(images(v, v), images(w, w), images(v, v))
    assert (found.common, found.varying) == (0.0, 1.0)
    found = swap_change(images(c, c), images(d, d), images(d, d))
    assert (found.common, found.varying) == (1.0, 0.0)


def test_own_and_other_cannot_be_exchanged_unnoticed(codes):
    v, c, w, d = codes
    found = swap_change(images(v, c), images(w, d), images(v, d))
    turned = swap_change(images(w, d), images(v, c), images(v, d))
    assert (found.common, found.varying) == pytest.approx((turned.varying, turned.common))
    assert found.common != pytest.approx(found.varying, abs=1e-3)


def test_images_that_do_not_fit_are_refused(codes):
    v, c, w, d = codes
    with pytest.raises(ValueError, match="own and other images are equal"):
        swap_change(images(v, c), images(v, c), images(v, d))
    with pytest.raises(ValueError, match=r"have shapes .*; expected one"):
        swap_change(images(v, c), images(w, d)[:7], images(v, d))


OBJECTS, POSES, COPIES = 4, 12, 3


def turntable(ways: list[int], offset: float = 0.0, noise: float = 0.0):
    """Angles of objects as two codes, by the direction in which each object is taken to turn."""
    random = np.random.default_rng(3)
    common, pose, _ = (a.ravel() for a in np.indices((OBJECTS, POSES, COPIES)))
    angle = 2 * np.pi * pose / POSES * np.array(ways)[common]
    varying = np.stack([np.cos(angle), np.sin(angle)], 1) + offset * common[:, None]
    shuffled = random.permutation(len(common))
    varying = varying + noise * random.standard_normal(varying.shape)
    return varying[shuffled], common[shuffled], pose[shuffled]


def test_one_reference_for_all_objects_is_one_whatever_their_offset_and_scale():
    varying, common, pose = turntable([1] * OBJECTS, offset=5.0)
    found = reference_consistency(varying, common, pose)
    assert found.mean == pytest.approx(1.0)
    assert found.classes == (0, 1, 2, 3)
    found = reference_consistency(varying * (1 + common[:, None]), common, pose)
    assert found.mean == pytest.approx(1.0)


def test_an_object_that_turns_backwards_shows_in_its_pairs():
    """Angles as cosine and sine: backwards the sines cancel the cosines, so the cosine is 0."""
    found = reference_consistency(*turntable([-1, 1, 1, 1]))
    wanted = np.ones((4, 4))
    wanted[0, 1:] = wanted[1:, 0] = 0.0
    assert np.allclose(found.pairs, wanted, atol=1e-12)
    assert found.mean == pytest.approx(0.5)


def test_a_code_on_a_line_that_is_reversed_is_minus_one():
    _, common, pose = turntable([1] * OBJECTS)
    varying = (pose * np.array([1, -1, 1, -1])[common])[:, None]
    found = reference_consistency(varying, common, pose)
    assert found.pairs[0][1] == pytest.approx(-1.0)
    assert found.pairs[0][2] == pytest.approx(1.0)
    assert found.mean == pytest.approx((2 * 1.0 + 4 * -1.0) / 6)


def test_references_of_their_own_are_far_from_one_and_a_code_that_stands_still_is_zero():
    varying, common, pose = turntable([1, 2, 3, 4])
    assert reference_consistency(varying, common, pose).mean == pytest.approx(0.0, abs=1e-9)
    assert reference_consistency(0 * varying, common, pose).mean == 0.0


def test_noise_is_averaged_over_copies():
    """Signal 1 per pose, noise 0.09 / 3 in each of two codes: the cosine is near 1 / 1.06."""
    found = reference_consistency(*turntable([1] * OBJECTS, noise=0.3))
    assert found.mean == pytest.approx(1 / 1.06, abs=0.1)


def test_data_without_all_poses_are_refused():
    varying, common, pose = turntable([1] * OBJECTS)
    kept = ~((common == 2) & (pose == 5))
    with pytest.raises(ValueError, match="common 2 has no datum in pose 5"):
        reference_consistency(varying[kept], common[kept], pose[kept])
    with pytest.raises(ValueError, match="common has 1 values and pose 12; expected at least 2"):
        reference_consistency(varying[common == 2], common[common == 2], pose[common == 2])
