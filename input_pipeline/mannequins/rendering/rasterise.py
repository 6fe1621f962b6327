"""A scan-line rasteriser in NumPy: triangles to the nearest triangle of each pixel, without gaps or double pixels."""

from dataclasses import dataclass

import numpy as np

NOTHING = -1
DEPTH_STEPS = 65535
LARGEST_TRIANGLE = 0.1
"""No triangle is larger than this share of the frame's height."""


@dataclass(frozen=True)
class Camera:
    """Looks along -z from `distance` metres; scale and centres map the plane z = 0 to fractions of the frame height.

    A point (x, y, z) is at row `centre_y - scale * y * p` and column `centre_x + scale * x * p`, p = distance /
    (distance - z), in units of the frame's height from its upper left corner.
    """

    scale: float
    centre_y: float
    centre_x: float
    distance: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) metres to (N, 2) of (row, column) in frame heights."""
        nearness = self.scale * self.distance / (self.distance - points[:, 2])
        return np.stack([self.centre_y - points[:, 1] * nearness, self.centre_x + points[:, 0] * nearness], 1)


@dataclass(frozen=True)
class Visible:
    """What each covered pixel shows; P pixels.

    pixel (P,) flat index in the frame; triangle (P,); share: barycentric weights of the triangle's corners, 3 x (P, 1).
    """

    pixel: np.ndarray
    triangle: np.ndarray
    share: tuple[np.ndarray, np.ndarray, np.ndarray]

    def blend_corners(self, corners: np.ndarray) -> np.ndarray:
        """Attributes (P, K) from values (3, T, K) at the corners of every triangle."""
        return _weighed([corners[i].take(self.triangle, 0) for i in range(3)], self.share)

    def blend_vertices(self, values: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Attributes (P, K) from values (V, K) at the vertices of triangles (T, 3)."""
        corner = faces.take(self.triangle, 0)
        return _weighed([values.take(corner[:, i], 0) for i in range(3)], self.share)


def _weighed(values: list[np.ndarray], share: tuple[np.ndarray, ...]) -> np.ndarray:
    total = values[0] * share[0]
    for value, weight in zip(values[1:], share[1:], strict=True):
        value *= weight
        total += value
    return total


def _ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts (N,): the owner of each item and its number within the owner."""
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    starts = (np.cumsum(counts) - counts).astype(np.int32)
    return owner, np.arange(len(owner), dtype=np.int32) - starts.take(owner)


def rasterise(
    screen: np.ndarray, depth: np.ndarray, faces: np.ndarray, height: int, width: int, bias: np.ndarray
) -> Visible:
    """Finds the nearest front-facing triangle of every pixel.

    screen (V, 2) row and column in pixels, pixel centres at +0.5; depth (V,) larger = nearer; faces (T, 3) wind
    counter-clockwise seen from outside; bias (T,) is added to the depth. Rows and columns outside the frame are cut.
    """
    row, column = (np.ascontiguousarray(screen[:, i], np.float32) for i in range(2))
    keep, edges, area = _front_facing(row, column, faces)
    corners = faces.take(keep, 0)
    rows = [row.take(corners[:, i]) for i in range(3)]
    lowest, highest = np.minimum(np.minimum(*rows[:2]), rows[2]), np.maximum(np.maximum(*rows[:2]), rows[2])
    first = np.clip(np.ceil(lowest - 0.5), 0, height).astype(np.int32)
    last = np.clip(np.ceil(highest - 0.5), 0, height).astype(np.int32)
    owner, within = _ranges(np.maximum(last - first, 0))
    y = first.take(owner) + within
    left, right = _spans(edges, owner, y + np.float32(0.5), width)
    row_of, within = _ranges(np.maximum(right - left, 0))
    triangle, y, x = owner.take(row_of), y.take(row_of), left.take(row_of) + within
    centre_x, centre_y = x + np.float32(0.5), y + np.float32(0.5)
    planes = [tuple(part / area for part in edges[i]) for i in (1, 2)]
    near = [depth.astype(np.float32).take(corners[:, i]) for i in range(3)]
    to_first, to_second = near[0] - near[2], near[1] - near[2]
    plane = [planes[0][i] * to_first + planes[1][i] * to_second for i in range(3)]
    plane[2] = plane[2] + near[2] + bias.take(keep)
    order = _far_to_near(_at(plane, triangle, centre_x, centre_y))
    nearest = np.full(height * width, NOTHING, np.int32)
    nearest[(y * np.int32(width) + x).take(order)] = order
    pixel = np.flatnonzero(nearest >= 0)
    winner = nearest.take(pixel)
    triangle, centre_x, centre_y = triangle.take(winner), centre_x.take(winner), centre_y.take(winner)
    share = [_at(plane, triangle, centre_x, centre_y)[:, None] for plane in planes]
    return Visible(pixel, keep.take(triangle), (share[0], share[1], 1 - share[0] - share[1]))


def _front_facing(row: np.ndarray, column: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, list, np.ndarray]:
    """Indices of the triangles that face the viewer, their three edges (slope x, slope y, offset) and double areas.

    Edge k runs from corner k to the next one; a point is inside where slope_x * x + slope_y * y + offset >= 0.
    """
    r, c = [row.take(faces[:, i]) for i in range(3)], [column.take(faces[:, i]) for i in range(3)]
    area = (r[1] - r[0]) * (c[2] - c[0]) - (c[1] - c[0]) * (r[2] - r[0])
    keep = np.flatnonzero(area > 1e-6)
    r, c = [part.take(keep) for part in r], [part.take(keep) for part in c]
    edges = []
    for k in range(3):
        n = (k + 1) % 3
        edges.append((r[n] - r[k], c[k] - c[n], c[n] * r[k] - c[k] * r[n]))
    return keep, edges, area.take(keep)


def _at(plane: list[np.ndarray], triangle: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of the triangles' planes (slope x, slope y, offset) at points."""
    return plane[0].take(triangle) * x + plane[1].take(triangle) * y + plane[2].take(triangle)


def _spans(edges: list, owner: np.ndarray, y: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Half-open column ranges of each row inside three edges. Neighbours share an edge with exactly opposite signs, so
    their crossings are equal and no pixel is lost or drawn twice."""
    left, right = np.full(len(y), 0, np.float32), np.full(len(y), width, np.float32)
    for slope_x, slope_y, offset in edges:
        slope = slope_x.take(owner)
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = -(slope_y.take(owner) * y + offset.take(owner)) / slope
        np.maximum(left, crossing, out=left, where=slope > 0)
        np.minimum(right, crossing, out=right, where=slope < 0)
    return np.ceil(np.minimum(left, width) - 0.5).astype(np.int32), np.ceil(np.maximum(right, 0) - 0.5).astype(np.int32)


def _far_to_near(depth: np.ndarray) -> np.ndarray:
    """Stable order of fragments from far to near; 16 bits make it a radix sort."""
    if not len(depth):
        return np.zeros(0, np.int64)
    low = depth.min()
    steps = (depth - low) * (DEPTH_STEPS / max(float(depth.max() - low), 1e-6))
    return np.argsort(steps.astype(np.uint16), kind="stable")


def covers(screen: np.ndarray, depth: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Depth (N,) of the nearest surface over each of a few screen points (N, 2); -inf where there is none.

    Exact, whatever the resolution, so that the visibility of a joint does not depend on the size of the picture.
    """
    result = np.full(len(points), -np.inf)
    row, column = screen[:, 0].take(faces[:, 0]), screen[:, 1].take(faces[:, 0])
    for index, (y, x) in enumerate(points):
        near = np.flatnonzero((np.abs(row - y) < LARGEST_TRIANGLE) & (np.abs(column - x) < LARGEST_TRIANGLE))
        corners = faces.take(near, 0)
        a, b, c = (screen.take(corners[:, i], 0) - points[index] for i in range(3))
        weights = [_cross(b, c), _cross(c, a), _cross(a, b)]
        same = [(weights[0] * sign >= 0) & (weights[1] * sign >= 0) & (weights[2] * sign >= 0) for sign in (1, -1)]
        total = weights[0] + weights[1] + weights[2]
        inside = np.flatnonzero((same[0] | same[1]) & (np.abs(total) > 1e-12))
        if len(inside):
            shown = sum(depth.take(corners[inside, i]) * weights[i][inside] for i in range(3)) / total[inside]
            result[index] = shown.max()
    return result


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
