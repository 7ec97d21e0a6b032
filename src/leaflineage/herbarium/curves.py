"""Lines in the plane: bows, equal spacing along a line, tapering bands."""

import numpy as np
from numpy.typing import NDArray

from leaflineage.herbarium.plan import Points, Strokes, Widths

Floats = NDArray[np.float64]


def bezier(start: Points, first: Points, second: Points, end: Points, n_points: int) -> Points:
    """Return cubic curves (..., n_points, 2) through `start` and `end`, pulled to the two handles (..., 2)."""
    u = np.linspace(0.0, 1.0, n_points)[:, None]
    a, b, c, d = (np.asarray(p, dtype=np.float64)[..., None, :] for p in (start, first, second, end))
    return np.asarray((1 - u) ** 3 * a + 3 * (1 - u) ** 2 * u * b + 3 * (1 - u) * u**2 * c + u**3 * d)


def direction(angle: Floats | float) -> Points:
    """Return the unit vector (..., 2) that leans `angle` radians from the midvein to the right."""
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1)


def arc_lengths(points: Points) -> Floats:
    """Return the length run at each point (n_points,), starting at 0."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps)])


def resample(points: Points, n_points: int) -> Points:
    """Return the line (n, 2) with `n_points` points at equal distances along it."""
    lengths = arc_lengths(points)
    at = np.linspace(0.0, lengths[-1], n_points)
    return np.stack([np.interp(at, lengths, points[:, 0]), np.interp(at, lengths, points[:, 1])], axis=1)


def point_at(points: Points, u: Floats | float) -> Points:
    """Return the points (..., 2) at the fractions u of the index range of a line (n, 2)."""
    at = np.asarray(u) * (len(points) - 1)
    index = np.arange(len(points))
    return np.stack([np.interp(at, index, points[:, 0]), np.interp(at, index, points[:, 1])], axis=-1)


def normals(points: Points) -> Points:
    """Return unit normals (..., n_points, 2), to the right of the way the line runs."""
    tangents = np.gradient(points, axis=-2)
    lengths = np.hypot(tangents[..., 0], tangents[..., 1])
    # A point that stands still has no direction; any will do, and none may become NaN.
    tangents = tangents / np.maximum(lengths, 1e-12)[..., None]
    return np.stack([tangents[..., 1], -tangents[..., 0]], axis=-1)


def sway(points: Points, amplitude: Floats | float, phase: Floats | float, waves: float = 1.5) -> Points:
    """Return the lines moved sideways by a wave that vanishes at both ends; amplitude in L."""
    u = np.linspace(0.0, 1.0, points.shape[-2])
    wave = np.sin(np.pi * u) * np.sin(2 * np.pi * waves * u + np.asarray(phase)[..., None])
    return np.asarray(points + normals(points) * (np.asarray(amplitude)[..., None] * wave)[..., None])


def taper(n_points: int, start: Floats | float, end: Floats | float, power: float = 1.0) -> Widths:
    """Return widths (..., n_points) that fall from `start` to `end`."""
    fall = np.linspace(1.0, 0.0, n_points) ** power
    begin, finish = np.asarray(start, dtype=np.float64)[..., None], np.asarray(end, dtype=np.float64)[..., None]
    return np.asarray(finish + (begin - finish) * fall)


def bands(strokes: Strokes) -> Points:
    """Return each stroke's outline (n_strokes, 2 * n_points, 2): down one side, back on the other."""
    offset = normals(strokes.points) * (strokes.widths / 2)[..., None]
    return np.concatenate([strokes.points + offset, (strokes.points - offset)[:, ::-1]], axis=1)


def smoothstep(x: Floats | float) -> Floats:
    """Return the soft step from 0 at x = 0 to 1 at x = 1."""
    clipped = np.clip(x, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3 - 2 * clipped))
