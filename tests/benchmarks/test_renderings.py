"""The nearest of all renderings tells what a picture shows, also where it is half another one."""

# pyright: reportMissingImports=false
import importlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from unbraid.data import Dataset
from unbraid.data.sprite_store import Sprites

POSES, SIZE = 28, 8  # more than 25 rows are where distances by products are inexact
NAMES = ("shirt", "trousers")


@pytest.fixture
def told(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    module = importlib.import_module("benchmarks.renderings")

    def shares(data, frames, attributes, poses):
        rows = module.told_by_renderings(data, frames, attributes, poses)
        assert [row["chance"] for row in rows] == [1 / 3, 1 / 3, 1 / POSES, 1 / 2]
        assert all(row["ceiling"] == 1 for row in rows)
        return {row["name"]: row["share"] for row in rows}

    return shares


def layer(rows, variants):
    """Opaque in its rows and nowhere else; poses differ in one level of one channel."""
    cells = torch.zeros(variants, POSES, 4, SIZE, SIZE, dtype=torch.uint8)
    cells[:, :, 3, rows] = 255
    cells[:, :, 0, rows] = 100 * torch.arange(variants, dtype=torch.uint8)[:, None, None, None]
    cells[:, :, 1, rows] = torch.arange(POSES, dtype=torch.uint8)[None, :, None, None]
    return cells


@pytest.fixture
def data():
    """All nine characters in all poses, half of which are of either action."""
    looks = torch.cartesian_prod(torch.arange(3), torch.arange(3), torch.arange(1))
    layers = [layer(slice(0, 3), 3), layer(slice(3, 6), 3), layer(slice(6, 8), 1)]
    store = Sprites.of(layers, looks, torch.arange(POSES).expand(9, -1), SIZE)
    known = torch.stack([torch.arange(POSES), torch.arange(POSES) // (POSES // 2)], 1)
    return Dataset(
        store,  # pyright: ignore[reportArgumentType]
        "made up",
        factors=looks[:, :2],
        factor_names=NAMES,
        factor_sizes=(3, 3),
        frame_factors=known.expand(9, -1, -1),
        frame_factor_names=("pose", "action"),
        frame_factor_sizes=(POSES, 2),
    )


def drawn(data, looks, poses):
    looks = torch.cat([looks, torch.zeros(len(looks), 1, dtype=torch.int64)], 1)
    store = replace(data.images, looks=looks, poses=torch.arange(POSES).expand(len(looks), -1))
    return store.frames(torch.arange(len(looks)), poses).float() / 255


POSED = torch.randint(0, POSES, (9, 30), generator=torch.Generator().manual_seed(0))


def test_real_frames_are_told_without_error(told, data):
    shares = told(data, drawn(data, data.factors, POSED), data.factors, POSED)
    assert shares == {"shirt": 1, "trousers": 1, "pose": 1, "action": 1}


@pytest.mark.parametrize(("share", "right"), [(0.4, 1), (0.6, 0)])
def test_half_of_another_one_is_the_border(share, right, told, data):
    other = data.factors.clone()
    other[:, 0] = torch.where(other[:, 0] == 0, 1, other[:, 0] - 1)  # a neighbouring colour
    mixed = (1 - share) * drawn(data, data.factors, POSED) + share * drawn(data, other, POSED)
    shares = told(data, mixed, data.factors, POSED)
    assert (shares["shirt"], shares["trousers"]) == (right, 1)


def test_poses_and_actions_are_told_apart(told, data):
    frames = drawn(data, data.factors, POSED ^ 1)  # the other pose of the same action
    shares = told(data, frames, data.factors, POSED)
    assert (shares["pose"], shares["action"]) == (0, 1)
    frames = drawn(data, data.factors, (POSED + POSES // 2) % POSES)
    shares = told(data, frames, data.factors, POSED)
    assert (shares["pose"], shares["action"]) == (0, 0)


def test_equal_renderings_are_both_right(told, data):
    """The shirt is seen in no pose: any is right."""
    layers = [layer(slice(0, 0), 3), layer(slice(3, 6), 3), layer(slice(6, 8), 1)]
    data = replace(data, images=Sprites.of(layers, data.images.looks, data.images.poses, SIZE))
    assert told(data, drawn(data, data.factors, POSED), data.factors, POSED)["shirt"] == 1


def test_swaps_show_the_one_in_the_poses_of_the_other(data, monkeypatch):
    """With codes that are looks and poses, and a decoder that draws them, without error."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    scores = importlib.import_module("benchmarks.sequence_scores")
    monkeypatch.setattr(scores, "decode_frames", lambda _, looks, poses: drawn(data, looks, poses))
    known = SimpleNamespace(static=data.factors, dynamic=POSED)
    content = dict(zip(NAMES, data.factors.T, strict=True))
    asked = SimpleNamespace(known=known, content=content, pose={"pose": POSED})
    run = SimpleNamespace(model=None, split=lambda _: data)
    found = scores._rendered(run, "test", asked, 0)
    assert {name: [row["share"] for row in rows] for name, rows in found.items()} == {
        "swap": [1, 1, 1, 1],
        "reconstruction": [1, 1, 1, 1],
    }
