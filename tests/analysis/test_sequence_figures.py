"""Every cell and every line of the pictures of sequences is what the closed form gives."""

from importlib import import_module
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from torch import Tensor

from unbraid.analysis import (
    SequenceSites,
    clip_reconstructions,
    dynamic_manifold,
    image_grid,
    kl_per_dimension,
    new_frames,
    new_identities,
    prior_figure,
    sample_frames,
    sample_static,
    sequence_codes,
    to_pixels,
    trajectory_figure,
    traversals,
)

from .sequence_pair import SHAPE, codes, make_frames, padded

aggregate_draws = import_module("unbraid.analysis.prior_figure").aggregate_draws
LENGTHS = torch.tensor([6, 9, 2, 7])
EDGE = NormalDist().inv_cdf(0.98)


def truth(dims: int = 2):
    """A pair; four ragged sequences whose padding is bright; the codes they were made from."""
    model, guide = make_frames(dynamic=dims)
    static, dynamic = codes(4, 9, dynamic=dims)
    x = model.mean(static[:, None], dynamic).detach()
    return model, guide, padded(x, LENGTHS, 9.0), static, dynamic


def assert_shows(axis: Axes, images: Tensor, columns: int, gap: int = 2) -> None:
    """Compare up to one of 256 levels: batches of another size round differently."""
    (image,) = axis.images
    found = np.asarray(image.get_array()).astype(int)
    expected = to_pixels(image_grid(images.detach().clamp(0, 1), columns, gap)).astype(int)
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= 1


def names(labels: Any) -> list[str]:
    return [text.get_text() for text in labels]


def visible(figure: Figure) -> list[Axes]:
    return [axis for axis in figure.axes if axis.get_visible()]


def test_the_plane_of_one_sequence_is_spaced_by_its_own_prior():
    model, guide, x, static, _ = truth()
    figure = dynamic_manifold(model, guide, x, LENGTHS, sequences=[1], side=3)
    loc, scale = (static[1] @ model.prior).detach(), model.deviation.detach()
    cells = [
        model.mean(static[1], loc + scale * torch.tensor([across, up]))
        for up in (EDGE, 0.0, -EDGE)
        for across in (-EDGE, 0.0, EDGE)
    ]
    (axis,) = figure.axes
    assert_shows(axis, torch.stack(cells), columns=3, gap=1)
    ends = [f"{float(loc[0] + s * scale[0]):z.1f}" for s in (-EDGE, 0, EDGE)]
    assert names(axis.get_xticklabels()) == ends
    ends = [f"{float(loc[1] + s * scale[1]):z.1f}" for s in (EDGE, 0, -EDGE)]
    assert names(axis.get_yticklabels()) == ends


def test_planes_of_several_sequences_share_the_grid_of_their_priors_together():
    model, guide, x, static, _ = truth()
    figure = dynamic_manifold(model, guide, x, LENGTHS, sequences=[3, 0, 2], side=2)
    loc = static[[3, 0, 2]] @ model.prior
    scale = (model.deviation**2 + loc.var(0, correction=0)).sqrt()
    axes = visible(figure)
    assert [axis.get_title("left") for axis in axes] == ["sequence 3", "sequence 0", "sequence 2"]
    for axis, sequence in zip(axes, (3, 0, 2), strict=True):
        cells = [
            model.mean(static[sequence], loc.mean(0) + scale * torch.tensor([across, up]))
            for up in (EDGE, -EDGE)
            for across in (-EDGE, EDGE)
        ]
        assert_shows(axis, torch.stack(cells), columns=2, gap=1)


def test_of_more_dimensions_the_plane_has_the_two_of_largest_divergence():
    model, guide, x, static, _ = truth(4)
    kl = torch.tensor([1.0, 4.0, 0.5, 3.0])
    figure = dynamic_manifold(model, guide, x, LENGTHS, sequences=[2], side=2, kl=kl)
    loc, scale = static[2] @ model.prior, model.deviation
    cells = []
    for up in (EDGE, -EDGE):
        for across in (-EDGE, EDGE):
            shift = torch.tensor([0.0, across, 0.0, up])
            cells.append(model.mean(static[2], loc + scale * shift))
    assert_shows(figure.axes[0], torch.stack(cells), columns=2, gap=1)
    assert figure.get_supxlabel().startswith("dynamic[1]")
    assert figure.get_supylabel() == "dynamic[3]"
    first, second = kl_per_dimension(model, guide, [(x, LENGTHS)])["dynamic"].argsort(
        descending=True
    )[:2]
    measured = dynamic_manifold(model, guide, x, LENGTHS, sequences=[2], side=2)
    assert measured.get_supxlabel().startswith(f"dynamic[{first}]")
    assert measured.get_supylabel() == f"dynamic[{second}]"


def test_the_trajectory_is_the_code_of_the_true_frames_in_time():
    model, guide, x, static, dynamic = truth()
    figure = trajectory_figure(model, guide, x, LENGTHS, sequence=1, frames=4)
    charts, strip = figure.axes[:2], figure.axes[2]
    prior = (static[1] @ model.prior).detach()
    for dim, axis in enumerate(charts):
        lines = {line.get_label(): line for line in axis.lines}
        line = lines["q(z|x, f) ± 1 s.d."]
        assert np.allclose(np.asarray(line.get_ydata()), dynamic[1, :, dim], atol=1e-5)
        assert np.asarray(line.get_xdata()).tolist() == list(range(9))
        level = np.asarray(lines["p(z|f) ± 1 s.d."].get_ydata())
        assert np.allclose(level, float(prior[dim]), atol=1e-5)
        band = np.asarray(axis.collections[0].get_paths()[0].vertices)
        scale = 0.05 + 0.1 * dynamic[1, :, dim].abs()
        assert np.isclose(band[:, 1].max(), float((dynamic[1, :, dim] + scale).max()), atol=1e-5)
        assert np.isclose(band[:, 1].min(), float((dynamic[1, :, dim] - scale).min()), atol=1e-5)
        span = axis.patches[0].get_extents().transformed(axis.transData.inverted())
        deviation = float(model.deviation.detach()[dim])
        assert np.allclose(
            [span.y0, span.y1], [float(prior[dim]) + s * deviation for s in (-1, 1)]
        )
        assert axis.get_ylabel() == f"dynamic[{dim}]"
    shown = [np.asarray(image.get_array()) for image in strip.images]
    assert len(shown) == 4
    for found, place in zip(shown, (0, 3, 5, 8), strict=True):
        expected = to_pixels(x[1, place].clamp(0, 1))
        assert np.array_equal(found, expected)


def test_frames_stand_below_their_times_and_padding_has_none():
    model, guide, x, *_ = truth()
    figure = trajectory_figure(model, guide, x, LENGTHS, sequence=3, frames=7, dims=1)
    chart, strip = figure.axes
    (line,) = (a for a in chart.lines if a.get_label() == "q(z|x, f) ± 1 s.d.")
    assert len(np.asarray(line.get_xdata())) == 7
    figure.canvas.draw()
    for time, image in enumerate(strip.images):
        left, right, *_ = image.get_extent()
        below = strip.transData.transform(((left + right) / 2, 0))[0]
        above = chart.transData.transform((time, 0))[0]
        assert abs(below - above) < 0.5  # pixels


def test_seconds_and_places_can_be_asked_for():
    model, guide, x, *_ = truth()
    figure = trajectory_figure(
        model, guide, x, LENGTHS, sequence=1, places=[2, 7], frames_per_second=4, dims=1
    )
    chart, strip = figure.axes
    assert chart.get_xlabel() == "time (s)"
    (line,) = (a for a in chart.lines if a.get_label() == "q(z|x, f) ± 1 s.d.")
    assert np.allclose(np.asarray(line.get_xdata()), np.arange(9) / 4)
    found = np.asarray(strip.images[1].get_array())
    assert np.array_equal(found, to_pixels(x[1, 7].clamp(0, 1)))


def test_a_single_frame_has_a_trajectory():
    model, guide, x, *_ = truth()
    figure = trajectory_figure(model, guide, x[:1, :1])
    figure.canvas.draw()
    assert len(figure.axes[2].images) == 1


def test_reconstructions_of_sequences_leave_padding_white():
    model, guide, x, static, dynamic = truth()
    figure = clip_reconstructions(model, guide, x, LENGTHS, sequences=[1, 2], columns=3)
    decoded = model.mean(static[:, None], dynamic).detach()
    white = torch.ones(1, *SHAPE)
    cells = [x[1, [0, 4, 8]], decoded[1, [0, 4, 8]], x[2, :2], white, decoded[2, :2], white]
    assert_shows(figure.axes[0], torch.cat(cells), columns=3)
    assert names(figure.axes[0].get_yticklabels()) == [
        "sequence 1", "decoded", "sequence 2", "decoded",
    ]  # fmt: skip


def test_new_frames_stand_beside_true_ones():
    model, guide, x, *_ = truth()
    figure = new_frames(model, guide, x, LENGTHS, sequences=[0, 2], real=3, sampled=2, seed=7)
    found = sequence_codes(model, guide, [(x, LENGTHS)])
    sampled = sample_frames(model, found.static[[0, 2]], 2, seed=7).images
    white = torch.ones(1, *SHAPE)
    cells = [x[0, [0, 2, 5]], sampled[0], x[2, :2], white, sampled[1]]
    assert_shows(figure.axes[0], torch.cat(cells), columns=5)
    assert names(figure.axes[0].get_xticklabels()) == ["", "true", "", "sampled", ""]
    (line,) = figure.axes[0].lines
    assert np.asarray(line.get_xdata()).tolist() == [3 * 8 - 1.5] * 2
    again = new_frames(model, guide, x, LENGTHS, sequences=[0, 2], real=3, sampled=2, seed=8)
    assert not np.array_equal(
        np.asarray(again.axes[0].images[0].get_array()),
        np.asarray(figure.axes[0].images[0].get_array()),
    )


def test_new_identities_share_the_dynamics_of_each_column():
    model, _ = make_frames()
    figure = new_identities(model, identities=3, dynamics=4, seed=2)
    static = sample_static(model, 7, seed=2)
    dynamic = sample_frames(model, static[3:], 1, seed=2).codes["dynamic"][:, 0]
    cells = model.mean(static[:3, None], dynamic).flatten(0, 1)
    assert_shows(figure.axes[0], cells, columns=4)


def test_the_prior_is_drawn_as_ellipses_around_its_mean():
    model, guide, x, static, _ = truth()
    figure = prior_figure(model, guide, x, LENGTHS, sequences=[1, 3, 2])
    axes = visible(figure)
    assert len(axes) == 3
    for axis, sequence in zip(axes, (1, 3, 2), strict=True):
        loc = (static[sequence] @ model.prior).detach().numpy()
        ellipses = [patch for patch in axis.patches if isinstance(patch, Ellipse)]
        for deviations, ellipse in zip((1, 2), ellipses, strict=True):
            assert np.allclose(ellipse.get_center(), loc, atol=1e-5)
            sizes = 2 * deviations * model.deviation.detach().numpy()
            assert np.allclose([ellipse.width, ellipse.height], sizes, atol=1e-6)
            assert ellipse.angle == 0
        assert axis.get_title("left") == f"sequence {sequence}"
    figure.canvas.draw()


def test_draws_of_the_aggregate_are_of_true_frames_as_many_of_each():
    """Deviations of 5000 draws or so; a z-value beyond 6 has chance 1e-8 in 8 tests."""
    model, guide, x, *_ = truth()
    found = sequence_codes(model, guide, [(x, LENGTHS)])
    for i, points in enumerate(aggregate_draws(found, draws=5000)):
        length = int(LENGTHS[i])
        assert len(points) % length == 0 and len(points) >= 5000
        by_frame = points.unflatten(0, (-1, length))
        z = (by_frame - found.dynamic[i, :length]) / found.dynamic_scale[i, :length]
        count = z[:, :, 0].numel()
        assert float((z.mean((0, 1)) * count**0.5).abs().max()) < 6
        assert float(((z.square().mean((0, 1)) - 1) * (count / 2) ** 0.5).abs().max()) < 6


@pytest.mark.parametrize(("latent", "dims"), [("static", 3), ("dynamic", 2)])
def test_traversals_show_the_first_frame_of_a_sequence(latent, dims):
    model, guide, x, static, dynamic = truth()
    kl = torch.arange(dims, 0.0, -1)
    model.largest = 0
    figure = traversals(model, guide, x, LENGTHS, latent=latent, kl=kl, steps=3)
    base = {"static": static[0], "dynamic": dynamic[0, 0]}
    scale = torch.ones(3) if latent == "static" else model.deviation
    cells = []
    for dim in range(dims):
        for shift in (-3, 0, 3):
            moved = {**base, latent: base[latent] + shift * scale * torch.eye(dims)[dim]}
            cells.append(model.mean(**moved))
    assert_shows(figure.axes[0], torch.stack(cells), columns=3)
    assert model.largest == 9  # the frames of the sequence, or those decoded: no product of them


@pytest.mark.parametrize(
    ("draw", "options", "message"),
    [
        (dynamic_manifold, {"side": 1}, "side is 1; expected at least 2"),
        (dynamic_manifold, {"sequences": []}, "number of sequences is 0; expected at least 1"),
        (dynamic_manifold, {"sequences": [4]}, "sequence 4 is asked for; expected 0 to 3"),
        (prior_figure, {"sequences": [-1]}, "sequence -1 is asked for; expected 0 to 3"),
        (new_frames, {"real": 0}, "real is 0; expected at least 1"),
        (new_frames, {"sampled": 0}, "sampled is 0; expected at least 1"),
        (clip_reconstructions, {"columns": 0}, "columns is 0; expected at least 1"),
        (trajectory_figure, {"sequence": 4}, "sequence 4 is asked for; expected 0 to 3"),
        (trajectory_figure, {"dims": 0}, "dims is 0; expected at least 1"),
        (trajectory_figure, {"frames": 0}, "frames is 0; expected at least 1"),
        (trajectory_figure, {"frames_per_second": 0.0}, "frames_per_second is 0.0; expected a p"),
        (trajectory_figure, {"sequence": 2, "places": [0, 2]}, r"places is \[0, 2\]; expected ri"),
        (trajectory_figure, {"places": [3, 1]}, r"places is \[3, 1\]; expected rising numbers"),
        (trajectory_figure, {"places": []}, r"places is \[\]; expected rising numbers"),
        (clip_reconstructions, {"sites": SequenceSites("clip")}, "the guide has no site 'clip'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, options, message):
    model, guide, x, *_ = truth()
    with pytest.raises(ValueError, match=message):
        draw(model, guide, x, LENGTHS, **options)


@pytest.mark.parametrize(
    "draw", [dynamic_manifold, prior_figure, new_frames, clip_reconstructions, trajectory_figure]
)
def test_a_set_of_images_is_refused(draw):
    model, guide, *_ = truth()
    with pytest.raises(ValueError, match=r"x is \(6, 1, 4, 6\); expected sequences \(S, T, C"):
        draw(model, guide, torch.rand(6, *SHAPE))


@pytest.mark.parametrize("draw", [dynamic_manifold, prior_figure])
def test_one_dimension_has_no_plane(draw):
    model, guide, x, *_ = truth(1)
    with pytest.raises(ValueError, match="site 'dynamic' has 1 dimension; expected at least 2"):
        draw(model, guide, x, LENGTHS)


def test_new_identities_refuse_too_few():
    model, _ = make_frames()
    with pytest.raises(ValueError, match="identities is 0; expected at least 1"):
        new_identities(model, identities=0)
    with pytest.raises(ValueError, match="dynamics is 0; expected at least 1"):
        new_identities(model, dynamics=0)
