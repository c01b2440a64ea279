# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportMissingImports=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid.data import Batches, DataError, load, typed_options
from unbraid.data.bouncing import STEP, bounce, glide, integers, uniforms
from unbraid.data.frame_store import FrameStore
from unbraid.data.moving_digits import FORMS, MovingDigits, moving_mnist

SMALL = {"sequences": 30, "length": 7}
ALL_FORMS = sorted(FORMS)


def slow_glide(x, y, angle, room, length):
    """One square, step by step, as Srivastava et al. say."""
    across, down, corners = STEP * math.cos(angle), STEP * math.sin(angle), []
    for _ in range(length):
        x, y = x + across, y + down
        if x <= 0 or x >= 1:
            x, across = min(max(x, 0.0), 1.0), -across
        if y <= 0 or y >= 1:
            y, down = min(max(y, 0.0), 1.0), -down
        corners.append([int(room * x), int(room * y)])
    return corners


def slow_bounce(x, y, across, down, room, length, redraws=None):
    """One square, step by step, as in the code of DrNet's and SVG's authors."""

    def pick(number, *values):
        return values[int(number * len(values))]

    corners, every = [], (-4, -3, -2, -1, 0, 1, 2, 3, 4)
    for frame in range(length):
        if y < 0 or y >= room:
            below = y >= room
            y, down = (room - 1 if below else 0), -down
            if redraws is not None:
                down = pick(redraws[frame][1][0], 1, 2, 3, 4) * (-1 if below else 1)
                across = pick(redraws[frame][1][1], *every)
        if x < 0 or x >= room:
            right = x >= room
            x, across = (room - 1 if right else 0), -across
            if redraws is not None:
                across = pick(redraws[frame][0][0], 1, 2, 3, 4) * (-1 if right else 1)
                down = pick(redraws[frame][0][1], *every)
        corners.append([x, y])
        x, y = x + across, y + down
    return corners


def slow_frame(store, sequence, place):
    """One frame, pixel by pixel, as lists [channel][row][column]."""
    side, size = store.bank.shape[-1], store.size
    layers = []
    for digit, (x, y) in zip(
        store.chosen[sequence].tolist(), store.corners[sequence, place].tolist(), strict=True
    ):
        layer, image = np.zeros((size, size), int), store.bank[digit].tolist()
        for row in range(side):
            for column in range(side):
                layer[y + row, x + column] = image[row][column]
        layers.append(layer)
    if store.overlap == "max":
        return np.maximum.reduce(layers)[None]
    if store.overlap == "sum":
        return np.minimum(sum(layers), 255)[None]
    front = int(store.front[sequence])
    frame = np.zeros((3, size, size), int)
    for channel, layer in enumerate(layers):
        frame[channel] = layer if channel == front else layer * (layers[front] == 0)
    return frame


def test_gliding_follows_the_formula():
    random = np.random.default_rng(1)
    start, angle = random.random((40, 3, 2)), 2 * np.pi * random.random((40, 3))
    corners = glide(start, angle, 36, 25)
    for s, d in np.ndindex(40, 3):
        assert corners[s, d].tolist() == slow_glide(*start[s, d], angle[s, d], 36, 25)
    assert corners.min() == 0 and corners.max() == 36, "nothing met a wall"


def test_gliding_takes_a_step_before_the_first_frame():
    # From 0.515 by steps of 0.1; after 0.915 comes the wall at 1, and then the way back.
    corners = glide(np.array([[0.515, 0.255]]), np.zeros(1), 100, 7)
    assert corners[0, :, 0].tolist() == [61, 71, 81, 91, 100, 90, 80]
    assert corners[0, :, 1].tolist() == [25] * 7


@pytest.mark.parametrize("redrawing", [False, True])
def test_bouncing_follows_the_code_of_the_authors(redrawing):
    random = np.random.default_rng(2)
    start, velocity = random.integers(0, 9, (60, 2, 2)), random.integers(-4, 5, (60, 2, 2))
    redraws = random.random((60, 2, 25, 2, 2)) if redrawing else None
    corners = bounce(start, velocity, 9, 25, redraws)
    for s, d in np.ndindex(60, 2):
        drawn = None if redraws is None else redraws[s, d]
        slow = slow_bounce(*start[s, d].tolist(), *velocity[s, d].tolist(), 9, 25, drawn)
        assert corners[s, d].tolist() == slow
    assert corners.min() == 0 and corners.max() == 8, "nothing met a wall"


def test_bouncing_shows_the_start_and_turns_one_pixel_before_the_far_wall():
    corners = bounce(np.array([[28, 2]]), np.array([[3, -1]]), 32, 6)
    assert corners[0, :, 0].tolist() == [28, 31, 31, 28, 25, 22]
    assert corners[0, :, 1].tolist() == [2, 1, 0, 0, 1, 2]


def test_integers_reach_both_ends_equally():
    ends = integers(np.array([0.0, 0.124999, 0.125, 0.999999]), -4, 3)
    assert ends.tolist() == [-4, -4, -3, 3]


@pytest.mark.parametrize("form", ALL_FORMS)
def test_frames_are_drawn_as_pixel_by_pixel(form):
    store = moving_mnist(5, form=form, digits=3, **SMALL).train.images
    assert isinstance(store, FrameStore)
    sequences, places = torch.tensor([3, 0, 11]), torch.tensor([[6, 0], [1, 1], [2, 5]])
    drawn = store.frames(sequences, places)
    assert drawn.dtype == torch.uint8 and drawn.shape == (3, 2, *store.shape[2:])
    for b, n in np.ndindex(3, 2):
        slow = slow_frame(store, int(sequences[b]), int(places[b, n]))
        assert np.array_equal(drawn[b, n].numpy(), slow)


@pytest.mark.parametrize("form", ALL_FORMS)
def test_a_frame_does_not_depend_on_what_else_is_drawn(form):
    store = moving_mnist(1, form=form, **SMALL).train.images
    every = torch.arange(len(store))
    whole = store.frames(every, torch.arange(7).expand(len(store), -1))
    some, places = torch.tensor([9, 4, 9]), torch.tensor([[6, 3, 3], [0, 1, 5], [2, 6, 4]])
    assert torch.equal(store.frames(some, places), whole[some.unsqueeze(1), places])
    taken = store.take(torch.tensor([4, 9])).to("cpu")
    assert len(taken) == 2 and taken.shape == (2, *store.shape[1:])
    assert torch.equal(taken.frames(torch.tensor([1]), places[:1]), whole[9:10, places[0]])


@pytest.mark.parametrize("form", ALL_FORMS)
def test_a_sequence_depends_on_the_seed_and_its_number_alone(form):
    one = moving_mnist(1, form=form, **SMALL)
    more = moving_mnist(1, form=form, sequences=50, length=12)
    for part in ("train", "validation", "test"):
        short, long = getattr(one, part), getattr(more, part)
        rows = torch.arange(len(short))
        assert torch.equal(short.factors, long.factors[rows])
        assert torch.equal(short.pixels(rows), long.pixels(rows)[:, :7])
    other = moving_mnist(2, form=form, **SMALL)
    assert not torch.equal(one.train.frame_factors, other.train.frame_factors)
    first = slice(0, len(one.test))
    assert not torch.equal(one.train.frame_factors[first], one.test.frame_factors)


def by_hand(overlap, front=0):
    """One frame of 5 x 5 with two digits of 2 x 2: at (0, 1) of 200, at (1, 2) of 100 and 0."""
    bank = torch.tensor([[[200, 200], [200, 200]], [[100, 100], [0, 100]]], dtype=torch.uint8)
    corners = torch.tensor([[[[0, 1], [1, 2]]]], dtype=torch.int32)
    store = MovingDigits(bank, torch.tensor([[0, 1]]), corners, 5, overlap, torch.tensor([front]))
    return store.frames(torch.tensor([0]), torch.tensor([[0]]))[0, 0]


def test_the_brighter_is_seen():
    assert by_hand("max")[0, 1:4, :3].tolist() == [[200, 200, 0], [200, 200, 100], [0, 0, 100]]


def test_sums_end_at_white():
    assert by_hand("sum")[0, 1:4, :3].tolist() == [[200, 200, 0], [200, 255, 100], [0, 0, 100]]


@pytest.mark.parametrize("front", [0, 1])
def test_colours_beneath_the_one_in_front_are_black(front):
    red, green, blue = by_hand("front", front)
    assert red[1:3, :2].tolist() == [[200, 200], [200, 200 if front == 0 else 0]]
    assert green[2:4, 1:3].tolist() == [[100 if front == 1 else 0, 100], [0, 100]]
    assert not blue.any()


@pytest.mark.parametrize("form", ALL_FORMS)
def test_ink_is_where_the_frame_factors_say(form):
    data = moving_mnist(3, form=form, digits=1, **SMALL).train
    frames = data.pixels(torch.arange(len(data))).double().sum(2)
    weight = frames.sum((2, 3))
    pixels = torch.arange(64.0, dtype=torch.float64)
    x, y = ((frames.sum(axis) * pixels).sum(2) / weight for axis in (2, 3))
    centre = torch.stack([x, y], 2)
    offset = centre - data.frame_factors
    assert data.frame_factor_names == ("x of digit 0", "y of digit 0")
    assert torch.allclose(offset, offset[:, :1].expand_as(offset), atol=1e-4)
    assert (offset > 5).all() and (offset < 27).all()
    assert data.frame_factors.var(1).sum() > 0


def test_a_single_digit_is_a_label():
    data = moving_mnist(0, digits=1, **SMALL).train
    assert torch.equal(data.labels, data.factors[:, 0]) and data.label_names[7] == "7"
    assert moving_mnist(0, **SMALL).train.labels is None


def test_factors_are_the_classes_in_the_order_of_drawing():
    digits, moving = load("mnist-small", seed=4), moving_mnist(4, digits=3, **SMALL)
    for part in ("train", "validation", "test"):
        source, data = getattr(digits, part), getattr(moving, part)
        assert data.factor_names == ("digit 0", "digit 1", "digit 2")
        assert data.factor_sizes == (10,) * 3 and data.factors.shape == (len(data), 3)
        classes = {
            image.numpy().tobytes(): int(label)
            for image, label in zip(source.images, source.labels, strict=True)
        }
        shown = data.images.bank[data.images.chosen]
        found = [[classes[image.numpy().tobytes()] for image in images] for images in shown]
        assert data.factors.tolist() == found


def test_parts_share_no_digit():
    moving = moving_mnist(4, sequences=3000, length=1, size=28, digits=1)
    seen = [
        {frame.numpy().tobytes() for frame in part.pixels(torch.arange(len(part))).flatten(0, 2)}
        for part in (moving.train, moving.validation, moving.test)
    ]
    assert [len(part) for part in (moving.train, moving.validation, moving.test)] == [
        2400,
        300,
        300,
    ]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


@pytest.mark.parametrize(("form", "fastest"), [("drnet", 3), ("svg", 4), ("svg-stochastic", 4)])
def test_starts_and_velocities_are_drawn_as_published(form, fastest):
    """Each count is a binomial's; 16 000 draws, 6 standard deviations, 49 counts: 1e-7."""
    data = moving_mnist(0, form=form, length=2).train
    start, step = data.frame_factors[:, 0], data.frame_factors.diff(dim=1)[:, 0]
    places = start.long().flatten().bincount(minlength=32)
    expected = start.numel() / 32
    assert len(places) == 32 and ((places - expected).abs() < 6 * expected**0.5).all()
    inside = step[(start > 4) & (start < 28)].long() + 4
    speeds, expected = inside.bincount(), inside.numel() / (fastest + 5)
    assert len(speeds) == fastest + 5 and ((speeds - expected).abs() < 6 * expected**0.5).all()


@pytest.mark.parametrize(
    ("form", "side", "channels", "overlap"),
    [
        ("srivastava", 28, 1, "max"),
        ("drnet", 32, 3, "front"),
        ("svg", 32, 1, "sum"),
        ("svg-stochastic", 32, 1, "sum"),
    ],
)
def test_forms_look_as_published(form, side, channels, overlap):
    store = moving_mnist(0, form=form, **SMALL).train.images
    assert store.bank.shape[1:] == (side, side) and store.overlap == overlap
    assert store.shape == (24, 7, channels, 64, 64)


def test_digits_in_front_take_turns():
    """A share of 8000 fair coins; 6 standard deviations: 2e-9."""
    front = moving_mnist(0, form="drnet", length=1).train.images.front.double()
    assert abs(front.mean() - 0.5) < 6 * 0.5 / 8000**0.5


def test_srivastava_moves_a_tenth_of_the_room_in_all_directions():
    data = moving_mnist(0, size=100, length=2, digits=1, sequences=2000).train
    step = data.frame_factors.diff(dim=1)[:, 0]
    inside = ((data.frame_factors > 1) & (data.frame_factors < 71)).flatten(1).all(1)
    length = step[inside].norm(dim=1)
    assert (length > 7.2 - 1.5).all() and (length < 7.2 + 1.5).all()  # corners are rounded down
    right, down = (step[inside] > 0).long().T
    assert (right + 2 * down).bincount(minlength=4).min() > 0.15 * inside.sum()


def test_a_redrawn_path_stays_within_its_room():
    data = moving_mnist(0, form="svg-stochastic", size=40, length=50, sequences=100).train
    assert data.frame_factors.min() == 0 and data.frame_factors.max() == 7


def test_every_bounce_draws_a_velocity_of_its_own():
    data = moving_mnist(0, form="svg-stochastic", length=400, sequences=50, digits=1).train
    places = data.frame_factors
    inside = ((places > 0) & (places < 31)).all(2)[:, 1:]
    steps = zip(places.diff(dim=1), inside, strict=True)
    distinct = sorted(len(step[free].unique(dim=0)) for step, free in steps)
    assert distinct[20] > 12, "walls give the same few velocities again and again"


def test_digits_may_be_resized():
    data = moving_mnist(0, size=32, digit_size=14, digits=1, **SMALL).train
    assert data.shape == (1, 32, 32) and data.images.bank.shape[1:] == (14, 14)
    assert data.frame_factors.max() <= 18
    full = moving_mnist(0, size=64, digits=1, **SMALL).train.images.bank.double()
    assert torch.allclose(data.images.bank.double().mean(), full.mean(), rtol=0.02)


def test_batches_draw_frames_with_their_factors():
    data = load("moving-mnist", options={"form": "drnet", "sequences": "50"}).train
    batch = Batches(data, 6, frames=3, companions=2).batch(4)
    drawn = data.frames(batch["index"], batch["frame"])
    assert torch.equal(batch["x"].mul(255).round().to(torch.uint8), drawn)
    rows = batch["index"].unsqueeze(1)
    assert torch.equal(batch["frame_factors"], data.frame_factors[rows, batch["frame"]])
    assert batch["companions"].shape == (6, 2, 3, 64, 64)


def test_digits_of_ones_own_move(tmp_path, monkeypatch):
    """Of each part's own images and classes, from .npz and from idx files, from any folder."""
    images = np.repeat(np.arange(60, dtype=np.uint8), 40).reshape(60, 5, 8) * 4
    classes = np.arange(60) // 20
    np.savez(tmp_path / "shapes.npz", images=images, labels=classes)
    for name, codes, array in (("images-idx3", 3, images), ("labels-idx1", 1, classes)):
        shape = np.array(array.shape, ">u4").tobytes()
        written = bytes([0, 0, 8, codes]) + shape + array.astype(np.uint8).tobytes()
        (tmp_path / f"own-{name}-ubyte").write_bytes(written)
    monkeypatch.chdir(tmp_path)
    drawn = []
    for source in ("shapes.npz", "./own", str(tmp_path / "shapes.npz")):
        given = {"digits_from": source, "digits": 1, "size": 28, "digit_size": 8, "sequences": 50}
        assert Path(typed_options("moving-mnist", given)["digits_from"]).is_absolute()
        drawn.append(load("moving-mnist", options=given))
    seen: list[set[float]] = []
    for name in ("train", "validation", "test"):
        parts = [getattr(splits, name) for splits in drawn]
        frames = [part.pixels(torch.arange(len(part))) for part in parts]
        assert all(torch.equal(frames[0], other) for other in frames[1:])
        brightest = frames[0].flatten(1).amax(1)
        assert torch.equal(parts[0].labels, brightest.long() // 4 // 20)
        seen.append(set(brightest.tolist()))
    assert not seen[0] & seen[1]
    assert not (seen[0] | seen[1]) & seen[2]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": (9, 5, 8)}, r"\(9, 1, 5, 8\), without labels; expected grey images"),
        ({"images": (9, 5, 8, 3), "labels": (9,)}, r"\(9, 3, 5, 8\), with labels; expected grey"),
        ({"sequences": (9, 2, 5, 8), "labels": (9,)}, r"\(9, 2, 1, 5, 8\), with labels; expec"),
    ],
)
def test_what_are_no_digits_is_refused(tmp_path, arrays, message):
    made = {name: np.zeros(shape, np.uint8) for name, shape in arrays.items()}
    np.savez(tmp_path / "own.npz", **made)
    with pytest.raises(DataError, match=message):
        moving_mnist(0, digits_from=tmp_path / "own.npz")


def test_draws_of_more_rows_begin_alike():
    assert np.array_equal(uniforms((3, 1), 9, 2, 4)[:5], uniforms((3, 1), 5, 2, 4))
    assert not np.array_equal(uniforms((3, 1), 5), uniforms((3, 2), 5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "kth"}, "form is 'kth'; expected one of srivastava, drnet, svg, svg-stochastic"),
        ({"digits_from": "svhn"}, "digits_from is 'svhn'; expected one of mnist-small, mnist"),
        ({"digits": 0}, "digits is 0; expected an integer of at least 1"),
        ({"digits": 4, "form": "drnet"}, "digits is 4; expected 1 to 3"),
        ({"length": 0}, "length is 0; expected an integer of at least 1"),
        ({"length": 2.0}, "length is 2.0; expected an integer"),
        ({"size": 27}, "size is 27; expected an integer of at least 28"),
        ({"size": 32, "form": "svg"}, "size is 32; expected an integer of at least 33"),
        ({"size": 20, "digit_size": 21}, "size is 20; expected an integer of at least 21"),
        ({"digit_size": 0}, "digit_size is 0; expected an integer of at least 1"),
        ({"sequences": 9}, "sequences is 9; expected an integer of at least 10"),
        ({"length": 10**6}, "size that moving-mnist declares is .*Set UNBRAID_MAX_GIB"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        moving_mnist(0, **options)
