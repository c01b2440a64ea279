# pyright: reportMissingImports=false
import numpy as np
import pytest
from scipy.spatial import Delaunay

from unbraid.data.body_render import lambert, render, z_buffer

SIZE = (40, 30)  # rows and columns


def draw(points, faces, size=SIZE):
    return z_buffer(np.array(points, float)[None], np.array(faces), size)[0]


def test_a_triangle_covers_its_area_and_the_samples_inside():
    points = np.array([[3.3, 2.1, 0], [6.2, 35.7, 0], [27.9, 20.4, 0]])
    seen = draw(points, [[0, 1, 2]])
    row, column = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = np.ones(SIZE, bool)
    for k in range(3):
        (ax, ay), (bx, by) = points[k, :2], points[(k + 1) % 3, :2]
        inside &= (by - ay) * (column - ax) - (bx - ax) * (row - ay) > 0
    assert np.array_equal(seen == 0, inside) and set(np.unique(seen)) == {-1, 0}
    a, b, c = points[:, :2]
    area = abs(np.linalg.det(np.stack([b - a, c - a]))) / 2
    assert inside.sum() == pytest.approx(area, rel=0.02)


def test_a_triangle_seen_from_behind_is_not_drawn():
    assert (draw([[3, 2, 0], [27, 20, 0], [6, 35, 0]], [[0, 1, 2]]) == -1).all()


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_nearer_of_two_wins(order):
    near = [[2, 2, 5.0], [2, 20, 5.0], [20, 2, 5.0]]
    far = [[2, 2, 1.0], [2, 38, 1.0], [28, 2, 1.0]]
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    seen = draw(near + far, faces[order])
    alone, behind = (draw(near + far, faces[[k]]) == 0 for k in (0, 1))
    assert np.array_equal(seen == order.index(0), alone)
    assert np.array_equal(seen == order.index(1), behind & ~alone)


def test_planes_that_cross_are_cut_where_they_are_equally_near():
    """One plane gets nearer with the column, the other with what is left of it."""
    square = [[0, 0], [0, 40], [30, 40], [30, 0]]
    points = [[x, y, x] for x, y in square] + [[x, y, 30 - x] for x, y in square]
    faces = [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    first = draw(points, faces) < 2
    assert np.array_equal(first, np.broadcast_to(np.arange(30) >= 15, SIZE))


def fan(count, seed):
    """A rectangle, cut into triangles around inner points that lie on samples and off them."""
    generator = np.random.default_rng(seed)
    inner = np.round(generator.uniform([2, 2], [28, 38], (count, 2)) * 2) / 2
    plane = np.unique(np.concatenate([[[1, 1], [29, 1], [1, 39], [29, 39]], inner]), axis=0)
    return plane, Delaunay(plane).simplices


@pytest.mark.parametrize("seed", range(4))
def test_shared_edges_leave_no_gap_and_no_sample_is_drawn_twice(seed):
    """Most corners and many edges pass right through the centres of samples."""
    plane, faces = fan(60, seed)
    corners = plane[faces]
    (ax, ay), (bx, by), (cx, cy) = np.moveaxis(corners, 0, -1)
    turned = (by - ay) * (cx - ax) - (bx - ax) * (cy - ay) < 0
    faces = np.where(turned[:, None], faces[:, ::-1], faces)
    points = np.concatenate([plane, np.zeros((len(plane), 1))], 1)
    times = sum((draw(points, faces[[k]]) == 0).astype(int) for k in range(len(faces)))
    truth = np.zeros(SIZE, int)
    truth[1:39, 1:29] = 1
    assert np.array_equal(times, truth)
    assert np.array_equal(draw(points, faces) >= 0, truth == 1)


def test_what_lies_outside_the_frame_is_cut():
    seen = draw([[-50, -50, 0], [-50, 200, 0], [200, -50, 0]], [[0, 1, 2]])
    assert (seen == 0).all()
    assert (draw([[-9, -9, 0], [-9, -2, 0], [-2, -9, 0]], [[0, 1, 2]]) == -1).all()


def test_several_bodies_are_drawn_each_on_its_own():
    generator = np.random.default_rng(0)
    points = generator.uniform([0, 0, 0], [30, 40, 9], (3, 12, 3))
    faces = generator.integers(0, 12, (20, 3))
    together = z_buffer(points, faces, SIZE)
    for k in range(3):
        alone = z_buffer(points[k : k + 1], faces, SIZE)[0]
        assert np.array_equal(together[k], np.where(alone < 0, -1, alone + k * len(faces)))


def test_light_falls_by_the_cosine_and_ambient_light_everywhere():
    light = np.array([-0.45, -0.75, 0.5]) / np.linalg.norm([-0.45, -0.75, 0.5])
    across = np.cross(light, [0, 0, 1])
    across /= np.linalg.norm(across)
    up = np.cross(light, across)
    origin, third = np.zeros(3), np.cos(np.pi / 3) * across + np.sin(np.pi / 3) * light
    points = np.stack([origin, across, up, third])[None]
    faces = np.array([[0, 1, 2], [0, 2, 1], [0, 3, 2]])  # facing it, away, and at 60 degrees
    assert np.allclose(lambert(points, faces), [[1, 0.15, 0.15 + 0.85 * 0.5]])


def test_a_square_of_one_brightness_is_antialiased_by_area():
    """0.0385 m to a pixel: its edges cut pixels in halves and quarters."""
    x0, x1, z0, z1 = (0.0385 * k for k in (-4.5, 3.25, -2.75, 5.5))
    points = np.array([[[x, 0.0, z + 0.31] for x, z in ((x0, z0), (x1, z0), (x1, z1), (x0, z1))]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    bright = 255 * lambert(points, faces)[0, 0]
    column = np.zeros(32)
    column[11], column[12:19], column[19] = 0.5, 1, 0.25
    row = np.zeros(64)
    row[26], row[27:34], row[34] = 0.5, 1, 0.75
    assert np.array_equal(render(points, faces)[0], np.rint(bright * np.outer(row, column)))


def test_what_is_nearer_to_the_viewer_hides_what_is_behind():
    """The viewer looks along y; a tilted square stands before an upright one."""
    square = np.array([[-0.2, 0, 0.1], [0.2, 0, 0.1], [0.2, 0, 0.5], [-0.2, 0, 0.5]])
    tilted = square * (0.5, 1, 1) + np.array([[0, -0.6], [0, -0.6], [0, -0.2], [0, -0.2]]) @ (
        [[0, 0, 0], [0, 1, 0]]
    )
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    together = np.stack([np.concatenate([square, tilted])])
    image = render(together, np.concatenate([faces, faces + 4]))[0]
    front, back = (255 * lambert(part[None], faces)[0, 0] for part in (tilted, square))
    assert front > back + 20
    assert image[31, 16] == round(front) and image[31, 12] == round(back)
