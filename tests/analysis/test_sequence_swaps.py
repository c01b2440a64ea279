"""A row is what is static in one sequence, a column is how another moves: never the reverse."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageSequence
from torch import Tensor

from unbraid.analysis import (
    SequenceSites,
    image_grid,
    swap_animation,
    swap_figure,
    swap_frames,
    to_pixels,
)

from .sequence_pair import SHAPE, codes, make_frames, padded

LENGTHS = torch.tensor([4, 7, 2])


def truth():
    """A pair; three sequences that give what is static, and four of another length that drive."""
    model, guide = make_frames()
    static, dynamic = codes(3, 5)
    others, moves = codes(4, 7, seed=1)
    given = model.mean(static[:, None], dynamic).detach()
    driving = model.mean(others[:, None], moves).detach()
    expected = model.mean(static[:, None, None], moves).detach()  # (R, Q, U, C, H, W)
    return model, guide, given, driving, expected


def assert_shows(figure: Figure, images: Tensor, columns: int) -> None:
    (image,) = figure.axes[0].images
    found = torch.as_tensor(image.get_array()).int()
    expected = torch.as_tensor(to_pixels(image_grid(images.clamp(0, 1), columns))).int()
    assert found.shape == expected.shape
    assert int((found - expected).abs().max()) <= 1


def test_the_codes_of_identity_and_dynamics_are_in_their_places():
    model, guide, given, driving, expected = truth()
    found = swap_frames(model, guide, given, driving)
    assert found.shape == (3, 4, 7, *SHAPE)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    # What these sequences have in common is far from what is swapped, so that a transposition
    # cannot pass.
    wrong = swap_frames(model, guide, driving[:, :5], given).transpose(0, 1)
    assert float((wrong - expected[:, :, :5]).abs().amax((2, 3, 4, 5)).min()) > 0.05


def test_a_sequence_given_to_itself_stays():
    model, guide, given, *_ = truth()
    found = swap_frames(model, guide, given, given)
    own = found[torch.arange(3), torch.arange(3)]
    torch.testing.assert_close(own, given, atol=1e-4, rtol=0)


def test_padding_is_black_and_changes_nothing():
    model, guide, given, driving, expected = truth()
    driving, lengths = driving[:3], LENGTHS
    found = swap_frames(
        model, guide, (padded(given, LENGTHS.clamp(max=5), 9.0), LENGTHS.clamp(max=5)),
        (padded(driving, lengths, 9.0), lengths),
    )  # fmt: skip
    mask = torch.arange(7) < lengths[:, None]
    assert not found[:, ~mask].any()
    torch.testing.assert_close(found[:, mask], expected[:, :3][:, mask], atol=1e-4, rtol=0)


def test_the_figure_has_identities_in_rows_and_driving_frames_in_columns():
    model, guide, given, driving, expected = truth()
    figure = swap_figure(model, guide, given, driving[2:3], columns=4)
    places = [0, 2, 4, 6]
    cells = [torch.ones(1, *SHAPE), driving[2, places]]
    for i in range(3):
        cells += [given[i, :1], expected[i, 2, places]]
    assert_shows(figure, torch.cat(cells), columns=5)
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["", "0", "2", "4", "6"]
    assert axis.get_xlabel() == "dynamic of these frames of the sequence on top"
    assert axis.get_ylabel() == "static of the one at left"
    down, across = axis.lines
    assert np.array_equal(down.get_xdata(), [6.5, 6.5])  # in the gap right of 6 columns of pixels
    assert np.array_equal(across.get_ydata(), [4.5, 4.5])


def test_of_a_ragged_sequence_only_true_frames_drive():
    model, guide, given, driving, expected = truth()
    lengths = torch.tensor([3])
    figure = swap_figure(model, guide, given[:1], (padded(driving[:1], lengths, 9.0), lengths))
    cells = [torch.ones(1, *SHAPE), driving[0, :3], given[0, :1], expected[0, 0, :3]]
    assert_shows(figure, torch.cat(cells), columns=4)


def frames_of(path) -> list[np.ndarray]:
    """All frames, those that the file holds once for several among them."""
    with Image.open(path) as file:
        frames = [
            (np.asarray(frame.convert("L")).astype(int), frame.info["duration"])
            for frame in ImageSequence.Iterator(file)
        ]
    shortest = min(duration for _, duration in frames)
    return [frame for frame, duration in frames for _ in range(duration // shortest)]


def test_the_animation_shows_every_frame_and_shorter_sequences_start_again(tmp_path):
    model, guide, given, driving, expected = truth()
    driving = padded(driving[:3], LENGTHS, 9.0)
    path = swap_animation(
        model, guide, given[:2], (driving, LENGTHS), path=tmp_path / "a.gif", frames_per_second=5
    )
    with Image.open(path) as file:
        assert file.info["loop"] == 0
        assert file.info["duration"] == 200
    frames = frames_of(path)
    assert len(frames) == 7
    for i, frame in enumerate(frames):
        places = [i % int(length) for length in LENGTHS]
        cells = [torch.ones(SHAPE), *(driving[q, t] for q, t in enumerate(places))]
        for r in range(2):
            cells += [given[r, 0], *(expected[r, q, t] for q, t in enumerate(places))]
        shown = to_pixels(image_grid(torch.stack(cells).clamp(0, 1), 4)).astype(int)
        times = frame.shape[1] // shown.shape[1]
        assert frame.shape == tuple(times * n for n in shown.shape)
        assert abs(frame[::times, ::times] - shown).max() <= 1


def test_what_cannot_be_swapped_is_refused(tmp_path):
    model, guide, given, driving, _ = truth()
    with pytest.raises(ValueError, match="dynamics_of holds 4 sequences; expected one"):
        swap_figure(model, guide, given, driving)
    with pytest.raises(ValueError, match=r"frames of statics_of are \(1, 4, 6\) and of dyn"):
        swap_figure(model, guide, given, driving[:1, ..., 1:])
    with pytest.raises(ValueError, match=r"x is \(5, 1, 4, 6\); expected sequences"):
        swap_figure(model, guide, given[0], driving[:1])
    with pytest.raises(ValueError, match="columns is 0; expected at least 1"):
        swap_figure(model, guide, given, driving[:1], columns=0)
    with pytest.raises(ValueError, match="the guide has no site 'z'"):
        swap_frames(model, guide, given, driving, sites=SequenceSites(dynamic="z"))
    with pytest.raises(ValueError, match=r"path is a\.png; expected a name that ends in \.gif"):
        swap_animation(model, guide, given, driving, path="a.png")
    with pytest.raises(ValueError, match="frames_per_second is inf; expected a positive number"):
        swap_animation(
            model, guide, given, driving, path=tmp_path / "a.gif", frames_per_second=np.inf
        )
