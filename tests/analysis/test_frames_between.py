"""Between two frames: a straight line of codes, the frames of the sequence, and a cross-fade."""

import numpy as np
import pytest
import torch

from unbraid.analysis import decode_frames, frames_between, image_grid, sequence_codes, to_pixels

from .sequence_pair import codes, make_frames, padded

LENGTHS = torch.tensor([7, 4, 6])


def clips():
    model, guide = make_frames()
    static, dynamic = codes(3, 7)
    return model, guide, padded(model.mean(static[:, None], dynamic).detach(), LENGTHS, 9.0)


def pixels(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


@pytest.mark.parametrize("places, true", [((1, 5), [1, 2, 3, 4, 5]), ((5, 2), [5, 4, 3, 2])])
def test_it_shows_the_line_the_frames_and_the_fade(places, true):
    model, guide, x = clips()
    found = sequence_codes(model, guide, [(x, LENGTHS)])
    figure = frames_between(model, guide, x, LENGTHS, sequence=2, places=places, columns=5)
    start, end = (found.dynamic[2, place] for place in places)
    line = torch.stack([start + share * (end - start) for share in (0, 0.25, 0.5, 0.75, 1)])
    white = [torch.ones_like(x[0, 0])] * (5 - len(true))
    faded = [x[2, places[0]] + s * (x[2, places[1]] - x[2, places[0]]) for s in (0, 0.25, 0.5)]
    faded += [x[2, places[0]] + s * (x[2, places[1]] - x[2, places[0]]) for s in (0.75, 1)]
    shown = [*decode_frames(model, found.static[2], line), *x[2, true], *white, *faded]
    expected = to_pixels(image_grid(torch.stack(shown).clamp(0, 1), 5)).astype(int)
    # Codes are of another pass, of sums in another order.
    assert abs(pixels(figure).astype(int) - expected).max() <= 1
    assert (pixels(figure) != 255).any()


def test_the_first_and_the_last_true_frame_unless_given():
    model, guide, x = clips()
    chosen = frames_between(model, guide, x, LENGTHS, sequence=1, places=(0, 3))
    assert np.array_equal(
        pixels(frames_between(model, guide, x, LENGTHS, sequence=1)), pixels(chosen)
    )


@pytest.mark.parametrize(
    "given, message",
    [
        ({"sequence": 3}, "sequence 3 is asked for; expected 0 to 2"),
        ({"sequence": 1, "places": (0, 4)}, "frame 4 of sequence 1 is asked for; expected 0 to 3"),
        ({"places": (-1, 4)}, "frame -1 of sequence 0 is asked for; expected 0 to 6"),
        ({"columns": 1}, "columns is 1; expected at least 2"),
    ],
)
def test_mistakes(given, message):
    model, guide, x = clips()
    with pytest.raises(ValueError, match=message):
        frames_between(model, guide, x, LENGTHS, **given)
