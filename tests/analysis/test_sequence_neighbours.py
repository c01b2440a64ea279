"""Neighbours are those that a search through all of them finds."""

import numpy as np
import pytest
import torch

from unbraid.analysis import (
    SequenceCodes,
    image_grid,
    nearest_frames,
    nearest_neighbours,
    nearest_sequences,
    sequence_codes,
    to_pixels,
)

from .sequence_pair import SHAPE, codes, make_frames, padded

LENGTHS = torch.tensor([4, 1, 5, 3, 5, 2, 4])


def make_codes(ragged: bool = True) -> SequenceCodes:
    static, dynamic = codes(7, 5)
    lengths = LENGTHS if ragged else torch.full((7,), 5)
    mask = torch.arange(5) < lengths[:, None]
    dynamic = dynamic * mask.unsqueeze(-1)
    return SequenceCodes(static, dynamic, mask, static.abs(), dynamic.abs())


def test_nearest_sequences_are_found_by_search():
    found = make_codes()
    queries = [5, 0, 3]
    expected = []
    for query in queries:
        others = [i for i in range(7) if i != query]
        distance = {i: float((found.static[i] - found.static[query]).norm()) for i in others}
        expected.append(sorted(others, key=distance.__getitem__)[:3])
    assert nearest_sequences(found, queries, 3).tolist() == expected


@pytest.mark.parametrize("ragged", [True, False])
def test_nearest_frames_are_found_by_search_one_of_each_other_sequence(ragged):
    found = make_codes(ragged)
    queries = [(5, 1), (0, 0), (2, 2)]
    expected = []
    for sequence, place in queries:
        best = []
        for other in range(7):
            if other == sequence:
                continue
            own = found.dynamic[sequence, place]
            frames = [
                (float((found.dynamic[other, t] - own).norm()), other, t)
                for t in range(int(found.lengths[other]))
            ]
            best.append(min(frames))
        expected.append([[i, t] for _, i, t in sorted(best)[:4]])
    assert nearest_frames(found, queries, 4).tolist() == expected


@pytest.mark.parametrize("ragged", [True, False])
def test_frames_nearest_in_both_codes_are_found_by_search(ragged):
    """Each kind of codes in units of the root mean squared distance from its mean."""
    found = make_codes(ragged)
    true = [(s, t) for s in range(7) for t in range(int(found.lengths[s]))]
    vectors = {}
    for kind in ("static", "dynamic"):
        code = {
            (s, t): getattr(found, kind)[(s, t) if kind == "dynamic" else s].double()
            for s, t in true
        }
        mean = sum(code.values()) / len(true)
        spread = (sum(float((v - mean).square().sum()) for v in code.values()) / len(true)) ** 0.5
        for at in true:
            vectors.setdefault(at, []).append(code[at] / spread)
    queries = [(5, 1), (0, 0), (2, 2)]
    expected = []
    for query in queries:
        distance = {
            at: float(torch.cat(v).sub(torch.cat(vectors[query])).norm())
            for at, v in vectors.items()
        }
        best = [
            min((distance[s, t], s, t) for s, t in true if s == other)
            for other in range(7)
            if other != query[0]
        ]
        expected.append([[s, t] for _, s, t in sorted(best)[:4]])
    assert nearest_frames(found, queries, 4, joint=True).tolist() == expected
    assert nearest_frames(found, queries, 4).tolist() != expected


def test_padding_is_no_neighbour_even_where_it_would_be_nearest():
    """Padding is 0, and so is the query."""
    found = make_codes()
    found.dynamic[2, 2] = 0
    near = nearest_frames(found, [(2, 2)], 6)[0]
    assert bool((near[:, 1] < LENGTHS[near[:, 0]]).all())
    assert sorted(near[:, 0].tolist()) == [0, 1, 3, 4, 5, 6]


def test_near_codes_far_from_the_origin_are_told_apart():
    static = 1e3 + torch.tensor([[0.0], [3e-3], [1e-3], [-2e-3]])
    found = SequenceCodes(
        static, static[:, None], torch.ones(4, 1, dtype=torch.bool), static, static[:, None]
    )
    assert nearest_sequences(found, [0], 3).tolist() == [[2, 3, 1]]
    assert nearest_frames(found, [(0, 0)], 3)[0, :, 0].tolist() == [2, 3, 1]


def test_there_are_no_more_neighbours_than_others():
    found = make_codes()
    assert nearest_sequences(found, [1], 20).shape == (1, 6)
    assert nearest_frames(found, [(1, 0)], 20).shape == (1, 6, 2)


def test_the_figure_shows_query_sequences_and_frames():
    model, guide = make_frames()
    static, dynamic = codes(7, 5)
    x = padded(model.mean(static[:, None], dynamic).detach(), LENGTHS, 9.0)
    found = sequence_codes(model, guide, [(x, LENGTHS)])
    queries = [(2, 4), (6, 0)]
    figure = nearest_neighbours(model, guide, x, LENGTHS, queries=queries, neighbours=3)
    cells = []
    alike = nearest_frames(found, queries, 3).tolist()
    both = nearest_frames(found, queries, 3, joint=True).tolist()
    for row, (sequence, place) in enumerate(queries):
        cells.append(x[sequence, place])
        for other in nearest_sequences(found, [sequence], 3)[0].tolist():
            cells.append(x[other, (int(LENGTHS[other]) - 1) // 2])
        cells += [x[i, t] for i, t in (*alike[row], *both[row])]
    (image,) = figure.axes[0].images
    expected = to_pixels(image_grid(torch.stack(cells).clamp(0, 1), 10))
    assert np.array_equal(np.asarray(image.get_array()), expected)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["2:4", "6:0"]
    names = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    kinds = ["nearest in static", "nearest in dynamic", "in both"]
    assert names == ["", "", kinds[0], "", "", kinds[1], "", "", kinds[2], ""]
    lines = [float(np.asarray(line.get_xdata())[0]) for line in figure.axes[0].lines]
    # Right of the query, and of each kind of neighbours but the last.
    assert lines == [6.5, 4 * 8 - 1.5, 7 * 8 - 1.5]


def test_queries_are_spread_over_all_sequences_unless_given():
    model, guide = make_frames()
    static, dynamic = codes(12, 3)
    x = model.mean(static[:, None], dynamic).detach()
    figure = nearest_neighbours(model, guide, x)
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == ["0:1", "3:1", "6:1", "8:1", "11:1"]
    pixels = np.asarray(figure.axes[0].images[0].get_array())
    assert len(pixels) == 5 * (SHAPE[1] + 2) - 2


@pytest.mark.parametrize(
    ("queries", "neighbours", "message"),
    [
        ([(7, 0)], 3, "sequence 7 is asked for; expected 0 to 6"),
        ([(-1, 0)], 3, "sequence -1 is asked for; expected 0 to 6"),
        ([(5, 2)], 3, "frame 2 of sequence 5 is asked for; expected 0 to 1. Padding"),
        ([(5, 1)], 0, "neighbours is 0; expected at least 1"),
        ([], 3, "number of queries is 0; expected at least 1"),
    ],
)
def test_queries_that_are_not_there_are_refused(queries, neighbours, message):
    with pytest.raises(ValueError, match=message):
        nearest_frames(make_codes(), queries, neighbours)


def test_a_single_sequence_has_no_neighbours():
    single = make_codes().take([2])
    with pytest.raises(ValueError, match="codes are of one sequence only; expected at least 2"):
        nearest_sequences(single, [0])
    with pytest.raises(ValueError, match="codes are of one sequence only; expected at least 2"):
        nearest_frames(single, [(0, 0)])
    model, guide = make_frames()
    with pytest.raises(ValueError, match="codes are of one sequence only; expected at least 2"):
        nearest_neighbours(model, guide, torch.rand(1, 3, *SHAPE))
