# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportMissingImports=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from unbraid.data import DataError, PackedBits, load
from unbraid.data import dsprites as module
from unbraid.data.dsprites_render import COUNT, FACTOR_SIZES, factors_of, render

SQUARE, ELLIPSE, HEART = range(3)


def sweep(shape, places):
    """The factors (colour, shape, scale, angle, x, y) through which the original film runs."""
    up, along = range(6), range(32)
    path = [(s, 0, 0, 0) for s in (*up, *reversed(up), *up)] + [(5, a, 0, 0) for a in range(40)]
    if places:
        path += [(5, 0, 0, y) for y in along] + [(5, 0, x, 31) for x in along]
        path += [(5, 0, 31, y) for y in reversed(along)] + [(5, 0, x, 0) for x in reversed(along)]
    path += [(s, 0, 0, 0) for s in reversed(up)]
    return [(0, shape, *rest) for rest in path]


def test_frames_of_the_original_are_drawn_alike():
    folder = os.environ.get("UNBRAID_DATA")
    if not folder or not (file := Path(folder, "dsprites", "dsprites.gif")).is_file():
        pytest.skip("UNBRAID_DATA names no folder with dsprites/dsprites.gif")
    with Image.open(file) as film:
        frames = [np.asarray(frame.convert("L")) > 127 for frame in ImageSequence.Iterator(film)]
    factors = sweep(HEART, places=True) + sweep(ELLIPSE, False) + sweep(SQUARE, False)
    wrong = (render(np.array(factors)) != np.stack(frames)).sum((1, 2))
    assert (wrong == 0).sum() == 312 and wrong.sum() == 16


def naive(factors):
    """The square and the ellipse, pixel by pixel over the whole image."""
    _, shape, scale, angle, x, y = factors
    side, turn = 64 * np.linspace(0.5, 1, 6)[scale], np.linspace(0, 2 * np.pi, 40)[angle]
    centres = np.arange(64) + 0.5 - 16
    dx, dy = np.meshgrid(centres - 32 * x / 31, centres - 32 * y / 31)
    u, v = (
        (np.cos(turn) * dx - np.sin(turn) * dy) / side,
        (np.sin(turn) * dx + np.cos(turn) * dy) / side,
    )
    if shape == SQUARE:
        return (abs(u) <= 0.14997) & (abs(v) <= 0.14997)
    return (u / 0.1995) ** 2 + (v / 0.1127) ** 2 <= 1


def test_nothing_is_cut_at_the_window():
    corners = [
        (0, shape, scale, angle, x, y)
        for shape in (SQUARE, ELLIPSE)
        for scale in (0, 5)
        for angle in (0, 5, 17)
        for x, y in ((0, 0), (31, 12), (7, 31))
    ]
    for factors, image in zip(corners, render(np.array(corners)), strict=True):
        assert np.array_equal(image, naive(factors))


def test_the_last_factor_varies_fastest():
    assert np.prod(FACTOR_SIZES) == COUNT
    assert factors_of(np.array([0, 1, 32, 1024])).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 1, 0, 0],
    ]
    assert factors_of(np.array([COUNT - 1])).tolist() == [[0, 2, 5, 39, 31, 31]]


def test_the_small_set_shows_what_its_factors_say():
    splits = load("dsprites-small", seed=1)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [
        16000,
        2000,
        2000,
    ]
    assert splits.train.kind == "binary" and splits.train.factor_sizes == FACTOR_SIZES
    rows = torch.arange(50)
    drawn = torch.from_numpy(render(splits.test.factors[:50].numpy()))
    assert torch.equal(splits.test.pixels(rows)[:, 0] == 255, drawn)
    every = torch.cat([part.factors for part in (splits.train, splits.validation, splits.test)])
    assert len(every.unique(dim=0)) == 20_000


@pytest.fixture
def few(monkeypatch, tmp_path):
    """The full set, as if it ended after its first four thousand images."""
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNBRAID_DATA", raising=False)
    monkeypatch.setattr(module, "COUNT", 4096)
    return tmp_path


def test_the_full_set_is_drawn_once_and_kept(few, monkeypatch):
    splits = load("dsprites")
    assert isinstance(splits.train.images, PackedBits) and len(splits.test) == 410
    drawn = torch.from_numpy(render(splits.test.factors.numpy()))
    assert torch.equal(splits.test.pixels(torch.arange(410))[:, 0] == 255, drawn)
    monkeypatch.setattr(module, "render", None)
    again = load("dsprites")
    assert torch.equal(again.train.images.bits, splits.train.images.bits)
    assert [file.name for file in (few / "cache" / "dsprites").iterdir()] == ["bits-v1.npy"]


def test_breaking_off_leaves_nothing_behind(few, monkeypatch):
    def interrupt(factors, side):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "render", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load("dsprites")
    assert list((few / "cache" / "dsprites").iterdir()) == []


def test_the_original_file_comes_first(few, monkeypatch):
    images = np.random.default_rng(0).integers(0, 2, (4096, 64, 64), np.uint8)
    monkeypatch.setenv("UNBRAID_DATA", str(few))
    path = few / module._ORIGINAL.path
    path.parent.mkdir()
    np.savez_compressed(path, imgs=images)
    monkeypatch.setattr(module, "find_local", lambda remote: path)
    splits = load("dsprites")
    rows = np.ravel_multi_index(tuple(splits.train.factors.numpy().T), FACTOR_SIZES)
    pixels = splits.train.pixels(torch.arange(len(rows)))
    assert np.array_equal(pixels[:, 0].numpy(), images[rows] * 255)


def test_the_first_and_the_last_orientation_are_one():
    factors = factors_of(np.random.default_rng(3).choice(COUNT, 300, replace=False))
    first, last = factors.copy(), factors.copy()
    first[:, 3], last[:, 3] = 0, 39
    assert np.array_equal(render(first), render(last))


@pytest.mark.parametrize(("size", "count"), [(64, 8), (32, 26)])
def test_as_many_test_images_are_trained_on_as_is_said(size, count):
    splits = load("dsprites-small", options={"size": size})
    trained = set(map(bytes, splits.train.images.bits.numpy()))
    assert sum(bytes(row) in trained for row in splits.test.images.bits.numpy()) == count


def test_half_the_side_draws_the_same_shapes():
    """A pixel of the small image is on where its centre, a corner of four pixels, is inside."""
    indices = np.random.default_rng(5).choice(COUNT, 300, replace=False)
    large, small = render(factors_of(indices)), render(factors_of(indices), 32)
    around = large.reshape(300, 32, 2, 32, 2).sum((2, 4))
    assert small[around == 4].all() and not small[around == 0].any()
    assert 0.02 < (small != (around >= 2)).sum() / small.sum() < 0.2  # edges alone differ


@pytest.mark.parametrize("name", ["dsprites-small", "dsprites"])
def test_sizes_are_named(name, request):
    if name == "dsprites":
        request.getfixturevalue("few")
    splits = load(name, options={"size": "32"})
    assert splits.train.shape == (1, 32, 32)
    with pytest.raises(DataError, match="size is 48; expected one of 64, 32"):
        load(name, options={"size": 48})
