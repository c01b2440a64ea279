# pyright: reportArgumentType=false, reportIndexIssue=false, reportMissingImports=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false
import os
import struct
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unbraid.data import Batches, DataError, DownloadError, load
from unbraid.data.frame_store import FrameStore
from unbraid.data.sprite_files import fetch_sheets, sheet_remotes
from unbraid.data.sprite_sheets import ATTRIBUTES, CELLS, LAYERS, read_layers, read_sheet
from unbraid.data.sprite_store import Sprites, average_blocks
from unbraid.data.sprites import split_identities

SHEET = (832, 1344)
WIDTHS = [7] * 4 + [8] * 4 + [9] * 4 + [6] * 4 + [13] * 4 + [6]  # cells in the rows of a sheet
ORDER = np.random.RandomState(423).permutation(1296).tolist()
REAL = Path(os.environ.get("UNBRAID_DATA", ""), "lpc_sprites", "layers")
needs_sheets = pytest.mark.skipif(
    not REAL.is_dir(), reason="UNBRAID_DATA names no folder with lpc_sprites/"
)
COUNTS = (4, 3, 5, 2)  # variants of made-up layers


def base_6(identity):
    return [int(digit) for digit in np.base_repr(identity, 6).zfill(4)]


def pillow_layers(cells):
    """Compose cells `(4, H, W)`, the lowest first, over black, by Pillow."""
    height, width = cells[0].shape[1:]
    image = Image.new("RGBA", (width, height), (0, 0, 0, 255))
    for cell in cells:
        over = np.ascontiguousarray(np.moveaxis(np.asarray(cell), 0, -1))
        image = Image.alpha_composite(image, Image.fromarray(over, "RGBA"))
    return torch.from_numpy(np.moveaxis(np.array(image)[..., :3], -1, 0).copy())


def made_up_layers(pixel=8, poses=7):
    """Draw layers in which every opacity occurs."""
    shapes = [(count, poses, 4, pixel, pixel) for count in COUNTS]
    layers = [torch.randint(0, 256, shape, dtype=torch.uint8) for shape in shapes]
    for layer in layers:
        ends = torch.randint(0, 3, layer[:, :, 3].shape)
        layer[:, :, 3][ends == 0] = 0
        layer[:, :, 3][ends == 1] = 255
    return layers


def made_up_store(layers, size, sequences=9):
    looks = torch.stack([torch.randint(0, count, (sequences,)) for count in COUNTS], dim=1)
    poses = torch.randint(0, layers[0].shape[1], (sequences, 5))
    return Sprites.of(layers, looks, poses, size)


def all_frames(store):
    sequences, frames = store.shape[:2]
    return store.frames(torch.arange(sequences), torch.arange(frames).expand(sequences, -1))


def whole_sheet(layers, identity):
    """Compose a whole sheet from files by Pillow, `(1344, 832, 3)`."""
    sheet = Image.new("RGBA", SHEET, "black")
    for layer, variant in zip(LAYERS, [*base_6(identity), 0], strict=True):
        with Image.open(layers[layer][variant]) as image:
            sheet = Image.alpha_composite(sheet, image.convert("RGBA"))
    return np.array(sheet)[..., :3]


def cut(sheet, row, column):
    cell = sheet[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
    return torch.from_numpy(np.moveaxis(cell, -1, 0).copy())


def draw_sheet(path, band, level, size=SHEET):
    """Draw rows `band` of every cell: `level`, the cell's row and column are the colour."""
    image = np.zeros((21, 64, 13, 64, 4), np.uint8)
    image[:, band, :, :, 0] = level
    image[:, band, :, :, 1] = np.arange(21)[:, None, None, None]
    image[:, band, :, :, 2] = np.arange(13)[:, None]
    image[:, band, :, :, 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.reshape(SHEET[1], SHEET[0], 4)).crop((0, 0, *size)).save(path)
    return path


@pytest.fixture
def drawn_sheets(tmp_path, monkeypatch):
    """Put made-up sheets in the place of the real ones: layer k is seen in rows 8k to 8k + 7.

    Returns a list of the calls for sheets, whether for all poses.
    """
    asked = []
    sheets = {
        layer: [
            draw_sheet(tmp_path / layer / f"{v}.png", slice(8 * k, 8 * k + 8), 10 * v + 5)
            for v in range(1 if layer == "shoes" else 6)
        ]
        for k, layer in enumerate(LAYERS)
    }

    def fetched(*, all_poses):
        asked.append(all_poses)
        return sheets

    monkeypatch.setattr("unbraid.data.sprites.fetch_sheets", fetched)
    return asked


@pytest.fixture
def unplugged(monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


# Composition


def test_every_opacity_is_composed_as_pillow_does():
    layers = made_up_layers()
    store = made_up_store(layers, size=8)
    found = all_frames(store)
    assert found.shape == store.shape == (9, 5, 3, 8, 8) and found.dtype == torch.uint8
    for s in range(9):
        for t in range(5):
            chosen = zip(layers, store.looks[s], strict=True)
            cells = [layer[variant, store.poses[s, t]] for layer, variant in chosen]
            assert torch.equal(found[s, t], pillow_layers(cells)), (s, t)


@pytest.mark.parametrize("factor", [1, 2, 4, 8, 64])
def test_blocks_are_averaged_and_halves_rounded_up(factor):
    images = torch.randint(0, 256, (5, 3, 64, 128), dtype=torch.uint8)
    images[0] = 255
    height, width = 64 // factor, 128 // factor
    blocks = images.double().view(5, 3, height, factor, width, factor).mean((3, 5))
    assert torch.equal(average_blocks(images, factor), (blocks + 0.5).floor().to(torch.uint8))


@pytest.mark.parametrize("size", [4, 2, 1])
def test_small_frames_are_means_of_the_composed_ones(size):
    layers = made_up_layers()
    torch.manual_seed(1)
    large = made_up_store(layers, size=8)
    torch.manual_seed(1)
    small = made_up_store(layers, size=size)
    assert small.shape == (9, 5, 3, size, size)
    assert torch.equal(all_frames(small), average_blocks(all_frames(large), 8 // size))


def test_a_store_gives_the_frames_that_are_asked_for():
    store = made_up_store(made_up_layers(), size=4, sequences=30)
    assert isinstance(store, FrameStore) and len(store) == 30 and store.ndim == 5
    every = all_frames(store)  # 150 frames: more than are composed at a time
    sequences = torch.randint(0, 30, (17,))
    places = torch.randint(0, 5, (17, 9))  # with repetitions
    found = store.frames(sequences, places)
    assert torch.equal(found, every[sequences.unsqueeze(1), places])
    assert store.frames(sequences[:0], places[:0]).shape == (0, 9, 3, 4, 4)


def test_taken_sequences_stay_what_they_were():
    store = made_up_store(made_up_layers(), size=4)
    indices = torch.tensor([7, 0, 7, 3])
    taken = store.take(indices).to("cpu")
    assert taken.shape == (4, 5, 3, 4, 4) and taken.device == store.device
    assert torch.equal(all_frames(taken), all_frames(store)[indices])
    assert taken.layers[0].paint.data_ptr() == store.layers[0].paint.data_ptr()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_composes_the_same_frames():
    store = made_up_store(made_up_layers(), size=4, sequences=30)
    moved = store.to("cuda")
    places = torch.arange(5, device="cuda").expand(30, -1)
    found = moved.frames(torch.arange(30, device="cuda"), places)
    assert found.device.type == "cuda" and torch.equal(found.cpu(), all_frames(store))


# Sheets


def test_poses_are_cut_from_a_sheet_row_by_row(tmp_path):
    cells = read_sheet(draw_sheet(tmp_path / "sheet.png", slice(16, 24), 99))
    expected = [[row, column] for row, width in enumerate(WIDTHS) for column in range(width)]
    assert cells.shape == (178, 4, 64, 64)
    assert cells[:, 1:3, 20, 40].tolist() == expected
    assert cells[:, 0, 16:24].eq(99).all() and cells[:, :, :16].eq(0).all()
    assert cells[:, 3, 16:24].eq(255).all() and cells[:, :, 24:].eq(0).all()


def test_a_sheet_with_a_palette_is_read(tmp_path):
    path = draw_sheet(tmp_path / "sheet.png", slice(8, 24), 99)
    with Image.open(path) as image:
        image.quantize(255).save(tmp_path / "palette.png")
        expected = image.quantize(255).convert("RGBA")
    cell = np.moveaxis(np.array(expected)[64:128, :64], -1, 0)
    assert np.array_equal(read_sheet(tmp_path / "palette.png")[7], cell)


def test_a_sheet_of_another_size_is_refused(tmp_path):
    path = draw_sheet(tmp_path / "sheet.png", slice(0, 8), 99, size=(832, 1280))
    message = r"sheet.png is 832 x 1280; expected 832 x 1344, 21 rows of 13 cells of 64 x 64"
    with pytest.raises(DataError, match=message):
        read_sheet(path)


def declare_height(content, height):
    """Change what the header of a PNG file says of its rows."""
    header = b"IHDR" + content[16:20] + struct.pack(">I", height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


@pytest.mark.parametrize("damage", ["cut", "rows", "text", "missing"])
def test_a_damaged_sheet_is_refused(tmp_path, damage):
    path = draw_sheet(tmp_path / "sheet.png", slice(0, 64), 99, size=(832, 1280))
    content = declare_height(path.read_bytes(), 1344)
    path.unlink()
    if damage == "cut":
        content = content[: len(content) // 2]
    if damage != "missing":
        path.write_bytes(b"not a picture" if damage == "text" else content)
    with pytest.raises(DataError, match=r"sheet .*sheet.png cannot be read .*expected a PNG file"):
        read_sheet(path)


def test_a_wrong_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
    draw_sheet(tmp_path / "lpc_sprites" / "layers" / "body" / "0.png", slice(0, 8), 9)
    with pytest.raises(DataError, match=r"checksum of .*body/0.png is sha256:.*; expected sha256"):
        load("sprites")


def test_without_files_and_network_the_files_are_named(tmp_path, monkeypatch, unplugged):
    monkeypatch.setenv("UNBRAID_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    message = (
        r"github.*/body/0.png .*put the file at .*cache/lpc_sprites/layers/body/0.png, or set"
    )
    with pytest.raises(DownloadError, match=message):
        load("sprites-actions")


@pytest.mark.parametrize("all_poses", [False, True])
def test_every_layer_has_its_files(all_poses):
    remotes = sheet_remotes(all_poses=all_poses)
    assert {layer: len(files) for layer, files in remotes.items()} == {
        **dict.fromkeys(ATTRIBUTES, 6),
        "shoes": 1,
    }
    paths = {layer: [Path(file.path).name for file in files] for layer, files in remotes.items()}
    expected = [f"{variant}.png" for variant in range(6)]
    replaced = [*expected[:5], "5_full178.png" if all_poses else "5.png"]
    assert paths["bottomwear"] == paths["topwear"] == replaced
    assert paths["body"] == paths["hair"] == expected and paths["shoes"] == ["1.png"]
    assert len({file.checksum for files in remotes.values() for file in files}) == 25


# Sets


def check_identities(dataset):
    """See in the pixels of made-up sheets who is seen, and say in which cells."""
    frames = dataset.pixels(torch.arange(len(dataset)))
    bands = torch.arange(4, 64, 8)[: len(LAYERS)]
    level, row, column = frames[..., bands, 30].long().unbind(2)
    shown = (level - 5) // 10
    expected = torch.tensor([[*base_6(group), 0] for group in dataset.groups.tolist()])
    assert torch.equal(shown, expected.unsqueeze(1).expand_as(shown))
    assert torch.equal(dataset.factors, expected[:, :4])
    cells = 13 * row + column
    assert cells.eq(cells[..., :1]).all()
    return cells[..., 0]


def test_sprites_have_every_pose_of_an_identity(drawn_sheets):
    splits = load("sprites", options={"identities": 13})
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [9, 1, 3] and drawn_sheets == [True]
    expected = torch.tensor([13 * row + k for row, n in enumerate(WIDTHS) for k in range(n)])
    for part in parts:
        assert part.images.shape == (len(part), 178, 3, 64, 64) and part.kind == "colour"
        assert torch.equal(check_identities(part), expected.expand(len(part), -1))
        assert part.factor_names == ("body", "bottomwear", "topwear", "hair")
        assert part.factor_sizes == (6, 6, 6, 6)
        assert part.frame_factor_names == ("pose", "action")
        assert part.frame_factor_sizes == (178, 21)
        pose, action = part.frame_factors.unbind(-1)
        assert torch.equal(pose, torch.arange(178).expand(len(part), -1))
        assert torch.equal(action, expected.expand(len(part), -1) // 13)
    groups = [part.groups.tolist() for part in parts]
    assert sorted(groups[0] + groups[1]) == sorted(ORDER[:10])
    assert groups[2] == sorted(ORDER[1000:1003])


def test_actions_have_the_published_frames(drawn_sheets):
    splits = load("sprites-actions", options={"identities": 13, "size": 64})
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [81, 9, 27]
    assert drawn_sheets == [False]
    part = splits.validation
    rows = {"spellcast": 0, "walk": 8, "slash": 12}  # of the blocks in the sheet
    columns = {"spellcast": [0, 1, 2, 3, 4, 5, 4, 6], "slash": [0, 1, 2, 3, 4, 5, 4, 0]}
    columns["walk"] = [next(c for c in range(1, 9) if c % 8 == frame) for frame in range(8)]
    names, expected = [], []
    for block in ("walk", "spellcast", "slash"):
        for direction in ("front", "left", "right"):
            row = rows[block] + ("up", "left", "front", "right").index(direction)
            names.append(f"{block} {direction}")
            expected.append([13 * row + column for column in columns[block]])
    assert part.label_names == tuple(names) and part.labels.tolist() == list(range(9))
    assert check_identities(part).tolist() == expected
    poses = part.frame_factors.squeeze(-1)
    assert [[13 * CELLS[p][0] + CELLS[p][1] for p in row] for row in poses.tolist()] == expected
    assert part.frame_factor_names == ("pose",) and part.frame_factor_sizes == (178,)
    for other in (splits.train, splits.test):
        counted = other.groups.unique(return_counts=True)[1]
        assert counted.eq(9).all()
        assert torch.equal(other.labels.bincount(), torch.full((9,), len(other) // 9))
        check_identities(other)


def test_the_split_is_the_published_one():
    train, validation, test = (part.tolist() for part in split_identities(0, 1296))
    assert [len(train), len(validation), len(test)] == [900, 100, 296]
    assert sorted(train + validation) == sorted(ORDER[:1000])
    assert test == sorted(ORDER[1000:])


def test_a_part_is_the_beginning_of_the_published_split():
    train, validation, test = (part.tolist() for part in split_identities(3, 324))
    assert [len(train), len(validation), len(test)] == [225, 25, 74]
    assert sorted(train + validation) == sorted(ORDER[:250])
    assert test == sorted(ORDER[1000:1074])
    fewest = split_identities(3, 4)
    assert [len(part) for part in fewest] == [2, 1, 1]


def test_a_seed_chooses_who_validates():
    chosen = [split_identities(seed, 1296)[1].tolist() for seed in (0, 1, 0)]
    assert chosen[0] == chosen[2] != chosen[1]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": 48}, r"size is 48; expected a divisor of 64"),
        ({"size": 0}, r"size is 0; expected a divisor of 64"),
        ({"size": 128}, r"size is 128; expected a divisor of 64"),
        ({"identities": 3}, r"identities is 3; expected an integer from 4 to 1296"),
        ({"identities": 1297}, r"identities is 1297; expected an integer from 4 to 1296"),
    ],
)
@pytest.mark.parametrize("name", ["sprites", "sprites-actions"])
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(DataError, match=message):
        load(name, options=options)


# The real sheets


@needs_sheets
@pytest.mark.parametrize("all_poses", [False, True])
def test_real_frames_are_pillows_to_the_bit(all_poses):
    files = fetch_sheets(all_poses=all_poses)
    identities = torch.tensor([(259 * k + 7 * j) % 1296 for k in range(6) for j in (0, 5)])
    looks = torch.tensor([[*base_6(identity), 0] for identity in identities.tolist()])
    assert all(len(looks[:, layer].unique()) == 6 for layer in range(4))
    store = Sprites.of(read_layers(files), looks, torch.arange(178).expand(12, -1), 64)
    for found, identity in zip(all_frames(store), identities.tolist(), strict=True):
        sheet = whole_sheet(files, identity)
        expected = torch.stack([cut(sheet, row, column) for row, column in CELLS])
        assert torch.equal(found, expected)


@needs_sheets
def test_real_sheets_have_translucent_pixels():
    layers = read_layers(fetch_sheets(all_poses=True))
    alpha = [layer[:, :, 3] for layer in layers]
    counts = {k: int(((a > 0) & (a < 255)).sum()) for k, a in zip(LAYERS, alpha, strict=True)}
    assert counts["body"] and counts["bottomwear"] and counts["topwear"]


@needs_sheets
def test_every_pose_of_every_real_sheet_is_seen():
    hidden = {"bottomwear": 176, "shoes": 175}  # who falls shows neither in these poses
    for layer, cells in zip(LAYERS, read_layers(fetch_sheets(all_poses=True)), strict=True):
        empty = cells[:, :, 3].flatten(2).eq(0).all(2)
        expected = torch.arange(178) == hidden.get(layer, -1)
        assert torch.equal(empty, expected.expand_as(empty)), layer
    for layer in ("bottomwear", "topwear"):
        cells = read_sheet(fetch_sheets(all_poses=False)[layer][5])
        rows = {row for row, cell in zip(CELLS, cells, strict=True) if not cell[3].any()}
        blocks = {row for row, column in rows if (row, column) != (20, 4)}
        assert blocks == {*range(4, 8), *range(16, 20)}, layer  # thrust and shoot


@needs_sheets
def test_real_sequences_are_cut_from_the_composed_sheet():
    splits = load("sprites-actions", options={"identities": 20})
    files = fetch_sheets(all_poses=False)
    part = splits.test
    for row in range(0, len(part), 4):
        sheet = whole_sheet(files, int(part.groups[row]))
        expected = [cut(sheet, *CELLS[pose]) for pose in part.frame_factors[row, :, 0].tolist()]
        assert torch.equal(part.pixels(torch.tensor([row]))[0], torch.stack(expected))


@needs_sheets
def test_real_small_frames_are_means_of_the_large_ones():
    large = load("sprites", options={"identities": 20}).test
    small = load("sprites", options={"identities": 20, "size": 32}).test
    assert small.shape == (3, 32, 32) and torch.equal(small.groups, large.groups)
    sequences, places = torch.tensor([2, 0]), torch.stack([torch.randperm(178) for _ in range(2)])
    means = large.frames(sequences, places).double().unflatten(-1, (32, 2)).mean(-1)
    means = means.unflatten(-2, (32, 2)).mean(-2)
    expected = (means + 0.5).floor().to(torch.uint8)
    assert torch.equal(small.frames(sequences, places), expected)


@needs_sheets
def test_batches_draw_frames_of_real_characters():
    data = load("sprites", options={"identities": 40, "size": 16}).train
    batch = Batches(data, 5, frames=3, companions=2).batch(7)
    assert batch["x"].shape == (5, 3, 3, 16, 16) and batch["companions"].shape == (5, 2, 3, 16, 16)
    expected = data.frames(batch["index"], batch["frame"]).float() / 255
    assert torch.equal(batch["x"], expected)
    assert torch.equal(batch["frame_factors"][..., 0], batch["frame"])
