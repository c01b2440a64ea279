"""Predicted clips against true ones: qualities, what is not known, pictures and films."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from unbraid.analysis import (
    PoseRollOut,
    horizon_figure,
    image_grid,
    predict_clips,
    prediction_animation,
    prediction_figure,
    psnr,
    ssim,
    to_pixels,
)

from .phase_pair import SHAPE, clips, learned, make_pair

PAST, TRUE = 4, 11
LENGTHS = torch.tensor([11, 6, 4, 9, 11])
CEILING = 10 * np.log10(12 * 255**2)
caption = import_module("unbraid.analysis.captions").caption


def predicted(exact: bool = False, **given: Any) -> Any:
    model, guide = make_pair(None if exact else learned())
    chosen = {"past": PAST, "future": 7, "samples": 2, "seed": 5, **given}
    x = clips(5, TRUE)
    return predict_clips(model, guide, x, chosen.pop("lengths", LENGTHS), **chosen)


def test_qualities_are_those_of_the_images_frame_by_frame():
    model, guide = make_pair(learned())
    x = clips(5, TRUE)
    found = predicted()
    rolling = PoseRollOut(model, guide, x[:, :PAST], samples=2, seed=5)
    drawn = rolling.decode(rolling.advance(7))
    for name, quality in (("psnr", psnr), ("ssim", ssim)):
        values, copied = getattr(found, name), getattr(found, f"copied_{name}")
        assert values.shape == (3, 5, 7) and copied.shape == (5, 7)
        for clip in range(5):
            for step in range(7):
                if PAST + step >= LENGTHS[clip]:
                    assert values[:, clip, step].isnan().all() and copied[clip, step].isnan()
                    continue
                true = x[clip, PAST + step][None]
                for row in range(3):
                    [expected] = quality(drawn[row, clip, step][None], true)
                    torch.testing.assert_close(values[row, clip, step], expected)
                [expected] = quality(x[clip, PAST - 1][None], true)
                torch.testing.assert_close(copied[clip, step], expected)
    assert torch.equal(found.images, (drawn * 255).round().to(torch.uint8))
    seen = rolling.decode(rolling.seen)
    assert torch.equal(found.seen, (seen * 255).round().to(torch.uint8))
    assert torch.equal(found.truth, (x * 255).round().to(torch.uint8))


def test_the_truth_is_met_where_the_transition_is_exact():
    """Up to rounding, beyond which nothing is told apart: no ratio is infinite."""
    found = predicted(exact=True, lengths=None)
    torch.testing.assert_close(found.psnr[0], torch.full_like(found.psnr[0], CEILING))
    torch.testing.assert_close(found.ssim[0], torch.ones_like(found.ssim[0]))
    assert found.psnr[1:].mean() < 50 and found.copied_psnr.mean() < 30
    assert (found.images[0].int() - found.truth[:, PAST:].int()).abs().max() <= 1


def test_means_and_standard_errors_are_over_clips(monkeypatch):
    monkeypatch.setattr("unbraid.analysis.predicted_clips.FIRST", 3)
    found = predicted()
    said = found.summary()
    assert (said["past"], said["future"], said["samples"], said["first"]) == (4, 7, 2, 3)
    assert said["clips"] == 4  # one has no frame after those that are seen
    for name, values in (
        ("psnr", found.psnr[0]),
        ("sampled_ssim", found.ssim[1:].mean(0)),
        ("copied_psnr", found.copied_psnr),
    ):
        means = []
        for clip, length in enumerate(LENGTHS.tolist()):
            known = min(length - PAST, 3)
            if known:
                means.append(float(values[clip, :known].mean()))
        assert said[name]["mean"] == pytest.approx(np.mean(means), rel=1e-9)
        expected = np.std(means, ddof=1) / 2
        assert said[name]["standard_error"] == pytest.approx(expected, rel=1e-9)


def test_beyond_the_clips_nothing_is_known_and_all_is_predicted():
    found = predicted(future=40)
    assert found.images.shape == (3, 5, 40, *SHAPE)
    assert found.psnr.shape == (3, 5, 40)
    assert found.psnr[:, :, 7:].isnan().all()
    assert torch.equal(found.psnr[:, 0, :7], predicted().psnr[:, 0])
    assert found.summary()["first"] == 7
    none = predicted(past=11, lengths=None)
    assert none.summary()["clips"] == 0 and none.summary()["psnr"]["mean"] is None
    with pytest.raises(ValueError, match="clips end with the frames that are seen"):
        horizon_figure(none)
    prediction_figure(none)


def test_many_clips_are_those_of_parts(monkeypatch):
    """Passes of 2 clips; images of the first pass are kept. Noise is that of each pass."""
    whole = predicted(samples=0)
    monkeypatch.setattr("unbraid.analysis.predicted_clips.TOGETHER", 2)
    monkeypatch.setattr("unbraid.analysis.predicted_clips.FRAMES", 4)
    parts = predicted(samples=0)
    torch.testing.assert_close(parts.psnr, whole.psnr, equal_nan=True, rtol=1e-5, atol=1e-5)
    assert parts.images.shape[1] == len(parts.truth) == len(parts.seen) == 2
    assert torch.equal(parts.images, whole.images[:, :2])
    assert len(parts.lengths) == 5


def test_small_images_have_no_structural_similarity(monkeypatch):
    monkeypatch.setattr("unbraid.analysis.predicted_clips.WINDOW", 13)
    found = predicted()
    assert found.ssim is None and found.copied_ssim is None
    assert not [name for name in (*found.summary(), *found.arrays()) if "ssim" in name]
    assert len(horizon_figure(found).axes) == 1


def test_arrays():
    found = predicted()
    arrays = found.arrays()
    assert set(arrays) == {
        "past", "truth", "lengths", "seen", "images", "psnr", "ssim", "copied_psnr", "copied_ssim",
    }  # fmt: skip
    assert int(arrays["past"]) == PAST and arrays["images"].dtype == np.uint8
    assert np.array_equal(arrays["psnr"], found.psnr.numpy(), equal_nan=True)


def test_the_strip_shows_true_frames_above_predicted_ones():
    found = predicted()
    figure = prediction_figure(found, clips=2, columns=4)
    ahead, white = [0, 2, 4, 6], torch.full(SHAPE, 255, dtype=torch.uint8)
    shown = []
    for clip in range(2):
        places = [1, 2, 3, *(PAST + h for h in ahead)]
        shown += [found.truth[clip, t] if t < LENGTHS[clip] else white for t in places]
        for row in range(3):
            shown += [*found.seen[clip, 1:], *found.images[row, clip, ahead]]
    expected = to_pixels(image_grid(torch.stack(shown).float() / 255, 7))
    (image,) = figure.axes[0].images
    assert np.array_equal(np.asarray(image.get_array()), expected)
    names = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert names == ["-2", "-1", "0", "+1", "+3", "+5", "+7"]
    rows = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert rows == ["clip 0", "predicted", "sample 1", "sample 2", "clip 1", *rows[1:4]]
    [line] = figure.axes[0].lines
    assert float(np.asarray(line.get_xdata())[0]) == 3 * (SHAPE[2] + 2) - 1.5


def test_curves_are_means_over_the_clips_that_are_known():
    found = predicted()
    figure = horizon_figure(found)
    upper, lower = figure.axes
    expected = [found.psnr[0], found.psnr[1:].mean(0), found.copied_psnr]
    for line, values in zip(upper.lines, expected, strict=True):
        assert np.asarray(line.get_xdata()).tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert np.allclose(np.asarray(line.get_ydata()), values.nanmean(0).numpy())
    assert np.allclose(np.asarray(lower.lines[0].get_ydata()), found.ssim[0].nanmean(0).numpy())
    known = found.psnr[0, [0, 3, 4], 3].numpy()  # clips of more than 7 frames
    low, high = known.mean() + np.array([-2, 2]) * known.std(ddof=1) / 3**0.5
    heights = upper.collections[0].get_paths()[0].vertices
    at_4 = np.asarray(heights)[np.asarray(heights)[:, 0] == 4, 1]
    assert np.allclose([at_4.min(), at_4.max()], [low, high])
    assert all(caption(name).text for name in ("predicted", "horizon", "between"))


def test_the_legend_of_curves_covers_none_and_titles_differ():
    figure = horizon_figure(predicted())
    figure.draw_without_rendering()
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == [
        f"{kind}, mean of 4 clips with two standard errors" for kind in ("PSNR", "SSIM")
    ]
    assert not any(axis.get_legend() for axis in figure.axes)
    [legend] = figure.legends
    assert len(legend.get_texts()) == 3
    box = legend.get_window_extent()
    assert not any(box.overlaps(axis.get_window_extent()) for axis in figure.axes)
    assert 0 <= box.x0 and box.x1 <= figure.bbox.x1


def test_the_film_shows_all_frames_and_marks_those_that_are_seen(tmp_path):
    found = predicted()
    path = prediction_animation(found, tmp_path / "a.gif", clips=2)
    film: Any
    with Image.open(path) as film:
        assert film.n_frames == PAST + 7
        height, width = 4 * (SHAPE[1] + 6) - 2, 2 * (SHAPE[2] + 6) - 2
        times = film.width // width
        assert (film.width, film.height) == (times * width, times * height)
        for frame in range(film.n_frames):
            film.seek(frame)
            red, green, blue = np.asarray(film.convert("RGB"))[0, 0]
            assert (blue < 60 and red > 150) if frame < PAST else (min(red, green, blue) > 240)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"past": 0}, "past is 0; expected 1 to 4, the frames of the shortest clip"),
        ({"past": 5}, "past is 5; expected 1 to 4, the frames of the shortest clip"),
        ({"future": 0}, "future is 0; expected at least 1 frame to predict"),
        ({"samples": -1}, "samples is -1; expected at least 0"),
    ],
)
def test_mistakes(given, message):
    with pytest.raises(ValueError, match=message):
        predicted(**given)


def test_mistakes_of_pictures(tmp_path):
    found = predicted()
    with pytest.raises(ValueError, match=r"expected a name that ends in \.gif"):
        prediction_animation(found, tmp_path / "a.png")
    with pytest.raises(ValueError, match="frames_per_second is 0"):
        prediction_animation(found, tmp_path / "a.gif", frames_per_second=0)
    with pytest.raises(ValueError, match="clips is 0; expected at least 1"):
        prediction_figure(found, clips=0)
    with pytest.raises(ValueError, match="columns is 0; expected at least 1"):
        prediction_figure(found, columns=0)
