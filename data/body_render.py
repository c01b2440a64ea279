"""Draw closed meshes from the front, shaded grey: an orthographic z-buffer in NumPy.

Vertices are snapped to a fine grid of integers, on which it is exactly known what lies inside of a
face. A sample on an edge belongs to one of the two faces that share it, so that a closed mesh has
neither gaps nor samples drawn twice.
"""

import numpy as np

HEIGHT, WIDTH = 64, 32
SUPERSAMPLING = 4  # samples along each axis of a pixel

METRES_PER_PIXEL = 0.0385
_CENTRE = 0.31  # the height, in metres, that is in the middle of the image
_LIGHT = np.array([-0.45, -0.75, 0.5])  # towards the light: left of the viewer, in front, above
_AMBIENT = 0.15  # what a face turned away from the light still sends back

_GRID = 64  # steps of the grid from one sample to the next
_DEPTHS = 2**10  # steps of depth within a step of the grid
_FACE_BITS = 32  # below the depth, the key of a fragment holds its face
_EMPTY = np.iinfo(np.int64).min


def render(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Draw bodies from the front.

    Args:
        vertices: `(B, V, 3)` in metres: x to the right, y away from the viewer, z up.
        faces: Indices of vertices `(F, 3)`, counter-clockwise seen from outside.

    Returns:
        uint8 `(B, 64, 32)`; the background is 0.
    """
    right, away, up = np.moveaxis(vertices, -1, 0)
    columns = (WIDTH / 2 + right / METRES_PER_PIXEL) * SUPERSAMPLING
    rows = (HEIGHT / 2 - (up - _CENTRE) / METRES_PER_PIXEL) * SUPERSAMPLING
    nearness = -away / METRES_PER_PIXEL * SUPERSAMPLING
    size = (HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING)
    face = z_buffer(np.stack([columns, rows, nearness], -1), faces, size)
    grey = np.append(lambert(vertices, faces).reshape(-1), 0.0)[face]  # -1 is the background
    shape = (len(vertices), HEIGHT, SUPERSAMPLING, WIDTH, SUPERSAMPLING)
    return np.rint(255 * grey.reshape(shape).mean((2, 4))).astype(np.uint8)


def lambert(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the brightness of faces `(B, F)`, 0 to 1: ambient light and one fixed lamp."""
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    length = np.sqrt((normals**2).sum(-1))
    lit = (normals * (_LIGHT / np.linalg.norm(_LIGHT))).sum(-1) / np.where(length > 0, length, 1.0)
    return _AMBIENT + (1 - _AMBIENT) * np.clip(lit, 0, 1)


def z_buffer(points: np.ndarray, faces: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Say which face is seen at every sample.

    Args:
        points: `(B, V, 3)`: column and row, in samples from the upper left corner of the image,
            and how near the point is to the viewer.
        faces: Indices of points `(F, 3)`. Those are seen whose corners run counter-clockwise in
            the image; of several, the nearest.
        size: Number of rows and columns of samples; their centres are at halves.

    Returns:
        int64 `(B, rows, columns)`: body times `F` plus face, -1 where there is none.
    """
    corners = points[:, faces] * _GRID
    corners = corners.reshape(-1, 3, 3)
    place = np.rint(corners[..., :2]).astype(np.int64)
    first, last = _reach(place, size)
    spans = np.maximum(last - first + 1, 0)
    seen = np.flatnonzero((_doubled_area(place) > 0) & (spans.prod(1) > 0))
    spans, first, place, depth = spans[seen], first[seen], place[seen], corners[seen, :, 2]
    counts = spans.prod(1)
    owner = np.repeat(np.arange(len(seen)), counts)
    within = np.arange(len(owner)) - np.repeat(counts.cumsum() - counts, counts)
    down, across = np.divmod(within, spans[owner, 0])
    column, row = first[owner, 0] + across, first[owner, 1] + down
    inside, near = _cover(place, depth, owner, column, row)
    owner, column, row = owner[inside], column[inside], row[inside]
    rows, columns = size
    keys = np.full(len(points) * rows * columns, _EMPTY)
    where = (seen[owner] // len(faces) * rows + row) * columns + column
    np.maximum.at(keys, where, (near[inside] << _FACE_BITS) | seen[owner])
    found = np.where(keys == _EMPTY, -1, keys & ((1 << _FACE_BITS) - 1))
    return found.reshape(len(points), rows, columns)


def _reach(place: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last sample `(n, 2)` that a face can cover, column before row."""
    half = _GRID // 2
    first = -((half - place.min(1)) // _GRID)
    last = (place.max(1) - half) // _GRID
    return np.maximum(first, 0), np.minimum(last, np.array(size[::-1]) - 1)


def _doubled_area(place: np.ndarray) -> np.ndarray:
    """Return twice the area of faces; positive where they run counter-clockwise, rows down."""
    (ax, ay), (bx, by), (cx, cy) = np.moveaxis(place, 0, -1)
    return (by - ay) * (cx - ax) - (bx - ax) * (cy - ay)


def _cover(
    place: np.ndarray,
    depth: np.ndarray,
    owner: np.ndarray,
    column: np.ndarray,
    row: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Say which samples lie inside the face that owns them, and how near it is there."""
    inside = np.ones(len(owner), bool)
    plane = np.zeros((3, len(place)))  # the nearness as a function of column, row and 1
    area = _doubled_area(place)
    for k in range(3):
        start, end = place[:, (k + 1) % 3], place[:, (k + 2) % 3]
        across, down = (end - start).T
        # The edge function is twice the area that a sample spans with this edge, in grid steps.
        edge = np.stack([down, -across, across * start[:, 1] - down * start[:, 0]])
        half = _GRID // 2
        edge[2] += (edge[0] + edge[1]) * half
        edge[:2] *= _GRID
        plane += edge * (depth[:, k] / area)
        edge[2] -= ~((down > 0) | ((down == 0) & (across > 0)))  # the other face has the edge
        inside &= edge[0][owner] * column + edge[1][owner] * row + edge[2][owner] >= 0
    near = plane[0][owner] * column + plane[1][owner] * row + plane[2][owner]
    return inside, np.rint(near * _DEPTHS).astype(np.int64)
