"""Views turned by actions: one by one, in chunks, in errors, figures and animations."""

from typing import Any

import pytest
import torch
from PIL import Image

from tests.turntables import turntable
from unbraid import guides, models
from unbraid.analysis import rotation_errors, turn_animation, turn_figure, turned
from unbraid.nets import FrameEncoder, MLPDecoder, PlaneTurn, make_likelihood, mlp_trunk

SHAPE = (1, 8, 9)
Pair = tuple[Any, Any]


@pytest.fixture
def pair() -> Pair:
    """An untrained pair whose codes are Normals, so that means and samples differ."""
    torch.manual_seed(1)
    trunk = mlp_trunk(SHAPE, (7,))
    decoder = MLPDecoder(7, SHAPE, make_likelihood("bernoulli", 1), (6,))
    model = models.ActionRotation(decoder, PlaneTurn(4, 5), 3, 4)
    return model, guides.ActionRotation(FrameEncoder(trunk, 3, (5,)), FrameEncoder(trunk, 4, (5,)))


def test_views_come_from_the_means_of_codes(pair: Pair):
    model, guide = pair
    views = torch.rand(3, *SHAPE)
    actions = torch.tensor([[0.0, 1], [-1, -1], [1, 1]])
    found = turned(model, guide, views, actions)
    content = guide.content_encoder(views).mean
    pose = guide.pose_encoder(views).mean.unsqueeze(1)
    poses = model.turn(pose, actions)
    codes = torch.cat([content.unsqueeze(1).expand(-1, 2, -1), poses], -1)
    torch.testing.assert_close(found, model.decoder(codes).mean.detach())
    assert found.min() < found.max()


def test_chunks_change_nothing(pair: Pair, monkeypatch):
    views, actions = torch.rand(5, *SHAPE), torch.ones(5, 3)
    whole = turned(*pair, views, actions)
    monkeypatch.setattr("unbraid.analysis.turning.FRAMES", 6)
    torch.testing.assert_close(turned(*pair, views, actions), whole)


def test_errors_of_rotations_are_those_of_views_one_by_one(pair: Pair):
    data = turntable(objects=2, frames=5, falling=(1,))
    turns = data.pixels(torch.arange(2)).float() / 255
    directions = torch.tensor([1.0, -1.0])
    found = rotation_errors(*pair, turns, (2, 1), directions=directions)
    assert found.steps == (2, 1)
    for column, count in enumerate(found.steps):
        errors, copies = torch.zeros(2), torch.zeros(2)
        for row in range(2):
            for place in range(5):
                for way in (1, -1):
                    actions = torch.full((1, count), way * float(directions[row]))
                    seen = turns[row, place : place + 1]
                    view = turned(*pair, seen, actions)[0, -1]
                    truth = turns[row, (place + way * count) % 5]
                    errors[row] += (view - truth).square().mean() / 10
                    copies[row] += (seen[0] - truth).square().mean() / 10
        torch.testing.assert_close(found.by_object[column], errors)
        torch.testing.assert_close(found.copied_by_object[column], copies)
        assert found.turned[column] == pytest.approx(float(errors.mean()))
        assert found.copied[column] == pytest.approx(float(copies.mean()))


def test_figures_and_animations_hold_the_truth_where_it_is_known(pair: Pair, tmp_path):
    views, actions, truth = torch.rand(2, *SHAPE), torch.ones(2, 3), torch.rand(2, 3, *SHAPE)
    bare = turn_figure(*pair, views, actions)
    full = turn_figure(*pair, views, actions, truth=truth, names=["a", "b", "c"])
    rows = [figure.axes[0].images[0].get_array().shape for figure in (bare, full)]  # pyright: ignore
    assert rows[0] == (2 * 8 + 2, 4 * 9 + 3 * 2) and rows[1] == (4 * 8 + 3 * 2, 4 * 9 + 3 * 2)
    names = [label.get_text() for label in full.axes[0].get_xticklabels()]
    assert names == ["view", "a", "b", "c"]
    heights = []
    for known in (None, truth):
        path = turn_animation(*pair, views, actions, path=tmp_path / "turns.gif", truth=known)
        with Image.open(path) as film:
            assert film.n_frames == 3  # pyright: ignore
            heights.append(film.size[1] / film.size[0])
    assert heights[1] > 1.9 * heights[0]


def test_what_does_not_fit_is_refused(pair: Pair, tmp_path):
    views = torch.rand(2, *SHAPE)
    for actions in (torch.ones(3, 2), torch.ones(2), torch.ones(2, 0)):
        with pytest.raises(ValueError, match=r"expected \(2, N\), a row for each view"):
            turned(*pair, views, actions)
    with pytest.raises(ValueError, match=r"ends in \.gif"):
        turn_animation(*pair, views, torch.ones(2, 1), path=tmp_path / "turns.png")
