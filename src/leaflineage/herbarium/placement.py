"""From leaf coordinates to the sheet: the leaf is bent, turned, scaled and laid down.

A point (x, y) of the leaf stands x to the right of a midvein bent into an arc of curvature k:

    p = (1 / k, 0) + (x - 1 / k) (cos k y, -sin k y)

Then it is turned about the petiole's insertion, scaled by L in pixels, and moved.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from leaflineage.herbarium.curves import Floats
from leaflineage.herbarium.plan import Points

STRAIGHT = 1e-4


@dataclass(frozen=True)
class Placement:
    """How a leaf lies on a sheet whose side is 1; y runs down the sheet.

    curvature: radians an L; rotation: radians, clockwise; length: L as a fraction of the sheet;
    origin: where the petiole joins the blade, (x, y) in fractions of the sheet.
    """

    curvature: float
    rotation: float
    length: float
    origin: tuple[float, float]

    def to_sheet(self, points: Points) -> Points:
        """Return leaf points (..., 2) as points (..., 2) of the unit sheet."""
        return _turn(_bend(points, self.curvature), self.rotation) * [self.length, -self.length] + self.origin

    def to_leaf(self, points: Points) -> Points:
        """Return points (..., 2) of the unit sheet as leaf points (..., 2): the inverse of `to_sheet`."""
        flat = (points - np.asarray(self.origin)) / [self.length, -self.length]
        return _unbend(_turn(flat, -self.rotation), self.curvature)

    def pixel_centres(self, size: int) -> tuple[Floats, Floats]:
        """Return leaf coordinates x and y, each (size, size), of a sheet's pixel centres."""
        centres = (np.arange(size) + 0.5) / size
        grid = np.stack(np.meshgrid(centres, centres), axis=-1)
        leaf = self.to_leaf(grid)
        return leaf[..., 0], leaf[..., 1]


def _bend(points: Points, curvature: float) -> Points:
    if abs(curvature) < STRAIGHT:
        return points
    radius = 1 / curvature
    x, y = points[..., 0] - radius, points[..., 1] * curvature
    return np.stack([radius + x * np.cos(y), -x * np.sin(y)], axis=-1)


def _unbend(points: Points, curvature: float) -> Points:
    if abs(curvature) < STRAIGHT:
        return points
    radius = 1 / curvature
    sign = np.sign(curvature)
    from_centre = points - [radius, 0.0]
    distance = np.hypot(from_centre[..., 0], from_centre[..., 1])
    angle = np.arctan2(sign * from_centre[..., 1], -sign * from_centre[..., 0])
    return np.stack([radius - sign * distance, angle * radius], axis=-1)


def _turn(points: Points, angle: float) -> Points:
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * cosine + y * sine, y * cosine - x * sine], axis=-1)


Box = tuple[float, float, float, float]


def lay_down(
    shape: Points, *, curvature: float, rotation: float, fill: float, keep_free: Box | None, random: Generator
) -> Placement:
    """Find a place on the sheet for everything in `shape` (n_points, 2, leaf coordinates).

    fill: the longer side of the leaf's box as a fraction of the sheet.
    keep_free: a box (x0, y0, x1, y1) of the sheet that the leaf must not touch, or None.
    """
    unplaced = Placement(curvature, rotation, 1.0, (0.0, 0.0))
    points = unplaced.to_sheet(shape)
    low, high = points.min(axis=0), points.max(axis=0)
    shift = random.uniform(-1.0, 1.0, 2)
    while True:
        length = fill / float((high - low).max())
        slack = np.maximum(0.94 - (high - low) * length, 0.0) / 2
        centre = 0.5 + shift * np.minimum(slack, 0.05)
        origins = [centre - (low + high) / 2 * length]
        if keep_free is not None:
            # Up and to the left, away from the corner, before the leaf is made smaller.
            corner = 0.5 - slack
            origins += [origins[0] + (corner - centre) * step for step in (0.25, 0.5, 0.75, 1.0)]
        for origin in origins:
            if keep_free is None or not _touches(points * length + origin, keep_free):
                return Placement(curvature, rotation, length, (float(origin[0]), float(origin[1])))
        fill *= 0.97


def _touches(points: Points, box: Box) -> bool:
    x0, y0, x1, y1 = box
    x, y = points[:, 0], points[:, 1]
    return bool(((x > x0) & (x < x1) & (y > y0) & (y < y1)).any())
