"""Frames of the animation are the images that the closed form of the pairs gives."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from unbraid.analysis import image_grid, to_pixels, traversal_animation

from .conftest import make_pair


def frames_of(path) -> list[np.ndarray]:
    """All frames, those that the file holds once for several among them."""
    frames = []
    with Image.open(path) as file:
        for frame in ImageSequence.Iterator(file):
            frames.append((np.asarray(frame.convert("L")).astype(int), frame.info["duration"]))
    shortest = min(duration for _, duration in frames)
    return [frame for frame, duration in frames for _ in range(duration // shortest)]


@pytest.mark.parametrize("latent", ["appearance", "perspective"])
def test_every_frame_is_what_the_model_decodes(tmp_path, latent):
    pair = make_pair((1, 5, 7), ("appearance", "perspective"))
    dims = pair.model.dims[latent]
    kl = torch.arange(dims, 0.0, -1)
    kl[1] = 9.0
    images = pair.x[:3]
    path = traversal_animation(
        pair.model, pair.guide, images, latent=latent, path=tmp_path / "a.gif", kl=kl, frames=8
    )
    pair.guide.eval()
    base = pair.guide.locs(images)
    frames = frames_of(path)
    assert len(frames) == 8
    for i, frame in enumerate(frames):
        swing = 2.0 * math.sin(2 * math.pi * i / 8)
        cells = [images]
        for dim in kl.argsort(descending=True).tolist():
            code = base[latent] + swing * torch.eye(dims)[dim]
            cells.append(pair.model.mean({**base, latent: code}).clamp(0, 1))
        grid = image_grid(torch.stack(cells, 1).flatten(0, 1).detach(), dims + 1)
        expected = to_pixels(grid).astype(int)
        times = frame.shape[1] // expected.shape[1]
        assert frame.shape == tuple(times * n for n in expected.shape)
        assert frame.shape[1] >= 360
        assert abs(frame[::times, ::times] - expected).max() <= 1
        assert (frame == frame[::times, ::times].repeat(times, 0).repeat(times, 1)).all()


def test_it_loops_for_ever_at_the_asked_speed(tmp_path):
    pair = make_pair((3, 9, 6), ("appearance",))
    path = traversal_animation(
        pair.model, pair.guide, pair.x[:2], path=tmp_path / "a.gif", frames=6, seconds=1.2
    )
    with Image.open(path) as file:
        assert file.info["loop"] == 0
        assert file.info["duration"] == 200


def test_the_most_informative_coordinates_are_kept(tmp_path):
    pair = make_pair((1, 5, 7), ("appearance",))
    path = traversal_animation(
        pair.model, pair.guide, pair.x[:1], path=tmp_path / "a.gif", frames=2, columns=2
    )
    times = -(-360 // (3 * 9 - 2))
    assert frames_of(path)[0].shape == (5 * times, (3 * 9 - 2) * times)


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    pair = make_pair((1, 5, 7), ("appearance",))
    path = tmp_path / "a.gif"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            traversal_animation(pair.model, pair.guide, pair.x[:1], path=path, frames=2)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.gif", b"old")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "a.png"}, "path is a.png; expected a name that ends in .gif or .webp"),
        ({"frames": 1}, "frames is 1; expected at least 2"),
        ({"columns": 0}, "columns is 0; expected at least 1"),
        ({"seconds": 0.0}, "seconds is 0.0; expected a positive number"),
        ({"span": math.inf}, "span is inf; expected a positive number"),
        ({"latent": "pose"}, "latent is 'pose'; expected one of appearance"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, options, message):
    pair = make_pair((1, 5, 7), ("appearance",))
    options = {"path": tmp_path / "a.gif", **options}
    with pytest.raises(ValueError, match=message):
        traversal_animation(pair.model, pair.guide, pair.x[:1], **options)


def test_a_webp_holds_the_same_frames_in_all_colours(tmp_path):
    pair = make_pair((3, 9, 6), ("appearance",))
    options = {"frames": 5, "seconds": 1.0, "kl": torch.arange(4.0)}
    path = traversal_animation(
        pair.model, pair.guide, pair.x[:2], path=tmp_path / "a.webp", **options
    )
    pair.guide.eval()
    base = pair.guide.locs(pair.x[:2])["appearance"]
    with Image.open(path) as file:
        assert (file.format, file.info["loop"]) == ("WEBP", 0)
        assert len(list(ImageSequence.Iterator(file))) == 5
        for i, frame in enumerate(ImageSequence.Iterator(file)):
            swing = 2.0 * math.sin(2 * math.pi * i / 5)
            codes = [base + swing * torch.eye(4)[dim] for dim in (3, 2, 1, 0)]
            cells = [pair.x[:2], *(pair.model.mean({"appearance": c}).clamp(0, 1) for c in codes)]
            expected = to_pixels(image_grid(torch.stack(cells, 1).flatten(0, 1).detach(), 5))
            pixels = np.asarray(frame.convert("RGB")).astype(int)
            times = pixels.shape[1] // expected.shape[1]
            assert abs(pixels[::times, ::times] - expected.astype(int)).max() <= 1
            assert frame.info["duration"] == 200
