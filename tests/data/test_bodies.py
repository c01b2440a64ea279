# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportMissingImports=false
# pyright: reportIndexIssue=false, reportOptionalMemberAccess=false, reportOptionalSubscript=false
import sys

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from unbraid.data import SOURCES, DataWarning, load
from unbraid.data import bodies as module
from unbraid.data.bodies import THICKEST, draw, factors_of
from unbraid.data.body_model import body_model, thickness_direction
from unbraid.data.body_poses import POSE_NAMES, pose_rotations
from unbraid.data.body_render import HEIGHT, WIDTH


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Sets of 40 and 80 bodies, in a cache of their own."""
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "_COUNT", 80)
    monkeypatch.setattr(module, "_SMALL", 40)
    return tmp_path / "bodies"


def parts(splits):
    return splits.train, splits.validation, splits.test


def test_the_sets_hold_what_is_said_of_them(few):
    splits = load("bodies")
    assert [len(part) for part in parts(splits)] == [56, 8, 16]
    for part in parts(splits):
        assert part.shape == SOURCES["bodies"].shape == (1, HEIGHT, WIDTH)
        assert part.name == "bodies" and part.kind == "grey" and part.label_names == POSE_NAMES
        assert part.labels.bincount().tolist() == [len(part) // 4] * 4
        assert part.factor_names == ("pose", "thickness") and part.factor_sizes == (4, 0)
        assert part.factors.dtype == torch.float32
        assert torch.equal(part.factors[:, 0].long(), part.labels)
        drawn = draw(part.labels.numpy(), part.factors[:, 1].numpy())
        assert np.array_equal(part.images[:, 0].numpy(), drawn)
    thickness = torch.cat([part.factors[:, 1] for part in parts(splits)])
    assert len(thickness.unique()) == 80 and thickness.abs().max() <= THICKEST


def test_the_full_counts_are_those_of_the_paper():
    assert (module._COUNT, module._SMALL) == (10_000, 1000)
    thickness = factors_of(10_000)[1]
    assert abs(thickness.mean()) < 0.12  # five standard errors of a uniform distribution
    assert thickness.min() < -3.98 and thickness.max() > 3.98


def test_a_body_is_the_same_however_many_there_are(few):
    small, large = load("bodies-small"), load("bodies")
    assert small.train.name == "bodies-small"
    known = {key(*row): row[0] for part in parts(large) for row in rows(part)}
    assert all(
        torch.equal(known[key(*row)], row[0]) for part in parts(small) for row in rows(part)
    )
    poses, thickness = factors_of(7)
    alone = [draw(poses[k : k + 1], thickness[k : k + 1])[0] for k in range(7)]
    assert np.array_equal(draw(poses, thickness), np.stack(alone))


def rows(part):
    return list(zip(part.images, part.factors, strict=True))


def key(image, factors):
    return tuple(factors.tolist())


def test_the_seed_chooses_the_validation_data_only(few):
    one, again, other = (load("bodies", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.validation.images, again.validation.images)
    assert not torch.equal(one.validation.factors, other.validation.factors)
    assert torch.equal(one.test.images, other.test.images)


def test_every_body_stays_inside_the_frame():
    """At a fixed pose vertices are affine in the thickness, so that the extremes bound them."""
    body, direction = body_model(), thickness_direction(body_model())
    turns = pose_rotations(body)
    low, middle, high = (
        body.skin(np.broadcast_to(t * direction, (4, len(direction))), turns)
        for t in (-THICKEST, 1.0, THICKEST)
    )
    share = (1 + THICKEST) / (2 * THICKEST)
    assert np.allclose(middle, low + share * (high - low), atol=1e-12)
    poses = np.tile(np.arange(4), 2)
    images = draw(poses, np.repeat([-THICKEST, THICKEST], 4))
    framed = images.copy()
    framed[:, 1:-1, 1:-1] = 0
    assert not framed.any()
    assert (images.max((1, 2)) > 200).all()


def test_thicker_bodies_cover_more():
    thickness = np.linspace(-THICKEST, THICKEST, 12)
    for pose in range(4):
        images = draw(np.full(12, pose), thickness)
        assert spearmanr((images > 64).sum((1, 2)), thickness).statistic > 0.97
        assert (np.diff(images.sum((1, 2), dtype=int)) > 0).all()


def test_poses_differ_more_than_shapes():
    """The nearest body by pixels, of those of other thickness, has the same pose."""
    poses, thickness = np.arange(40) % 4, np.repeat(np.linspace(-THICKEST, THICKEST, 10), 4)
    flat = draw(poses, thickness).reshape(40, -1).astype(float)
    distance = ((flat[:, None] - flat[None]) ** 2).sum(-1)
    np.fill_diagonal(distance, np.inf)
    assert np.array_equal(poses[distance.argmin(1)], poses)


@pytest.mark.parametrize("watched", [True, False])
def test_progress_shows_on_a_terminal_alone(watched, few, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    load("bodies")
    assert ("drawing bodies" in capsys.readouterr().err) == watched


def test_images_are_drawn_once_and_kept(few, monkeypatch):
    splits = load("bodies")
    (file,) = few.iterdir()
    assert file.suffix == ".npz" and "-80-" in file.name
    monkeypatch.setattr(module, "_draw_all", None)
    again = load("bodies")
    assert torch.equal(again.train.images, splits.train.images)


def test_images_of_another_way_of_drawing_are_not_taken(few, monkeypatch):
    dark = load("bodies").train.images
    monkeypatch.setattr("unbraid.data.body_render._AMBIENT", 0.5)
    assert load("bodies").train.images.float().mean() > dark.float().mean() + 5
    assert len(list(few.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut off", "a bit flipped", "another shape", "nothing"])
def test_a_damaged_file_is_drawn_again(few, damage):
    splits = load("bodies")
    (file,) = few.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "cut off":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "a bit flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "another shape":
        np.savez_compressed(file, images=np.zeros((80, 5, 7), np.uint8))
    else:
        np.savez_compressed(file, pictures=np.zeros(3))
    with pytest.warns(DataWarning, match="It is drawn again"):
        again = load("bodies")
    assert torch.equal(again.train.images, splits.train.images)
    assert torch.equal(load("bodies").train.images, splits.train.images)


def test_breaking_off_leaves_nothing_behind(few, monkeypatch):
    def interrupt(file, images):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module.np, "savez_compressed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load("bodies")
    assert list(few.iterdir()) == []
