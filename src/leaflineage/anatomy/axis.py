"""The leaf's axis: from the petiole's insertion along the midvein to the apex.

Every tip of the outline that is far from the insertion may be the apex. Each is reached on the cheapest way through the
blade, on which ridges are cheap; the apex is the tip that is far, leaves as much blade on one side as on the other,
lies ahead of the petiole and is reached along a ridge.

Where there is no petiole, both ends of the leaf are tried as base. Secondary veins leave the midvein towards the
apex, the midvein is wider at the base, and a leaf that the picture cuts is cut at its stalk more often than at its tip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from leaflineage.anatomy.labels import Floats, Mask
from leaflineage.anatomy.veins import Ridges, spread_costs

N_POINTS = 160
NEAR_TIP = 0.72  # of the farthest distance: tips nearer than that are no apex
N_OUTLINE = 240


@dataclass(frozen=True)
class Axis:
    """A way from base to apex.

    points: (160, 2) x and y in pixels, smooth, evenly spaced, ending on the outline. vein: (n, 2) pixels (row, column)
    of the cheapest way along the ridge. length: L in pixels. ridge: mean ridge along the vein. imbalance: difference of
    the two sides, of the blade's area. forward: [−1, 1], how surely side veins lean towards the apex. merit: of several
    axes the largest is taken.
    """

    points: Floats
    vein: NDArray[np.intp]
    length: float
    ridge: float
    imbalance: float
    forward: float
    merit: float


@dataclass(frozen=True)
class Blade:
    """What an axis is looked for in: the blade's mask, its outline (n, 2) x and y, and ridges of one polarity."""

    mask: Mask
    outline: Floats
    ridges: Ridges
    directions: Floats


def trace_outline(mask: Mask) -> Floats:
    """Return the outline of the largest piece of a mask, (240, 2) x and y in pixels, evenly spaced."""
    padded = np.pad(mask, 1).astype(np.float32)
    contours = find_contours(padded, 0.5)
    longest = max(contours, key=len) - 1
    return resample(longest[:, ::-1], N_OUTLINE, closed=True)


def resample(points: Floats, n: int, *, closed: bool = False) -> Floats:
    """Return n points evenly spaced along a line of points (m, 2)."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    reached = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, reached[-1], n + 1)[:-1] if closed else np.linspace(0, reached[-1], n)
    return np.stack([np.interp(wanted, reached, points[:, k]) for k in (0, 1)], axis=1)


class Ways:
    """The cheapest ways from one pixel through the blade, found on half the resolution where that is fine enough."""

    def __init__(self, blade: Blade, start: tuple[int, int]) -> None:
        self.scale = 2 if blade.mask.size > 200 * 200 else 1
        rows, columns = (-(-size // self.scale) * self.scale for size in blade.mask.shape)
        pad = ((0, rows - blade.mask.shape[0]), (0, columns - blade.mask.shape[1]))
        shape = (rows // self.scale, self.scale, columns // self.scale, self.scale)
        self.inside: Mask = np.asarray(np.pad(blade.mask, pad).reshape(shape).any(axis=(1, 3)))
        self.paths = spread_costs(
            np.pad(blade.ridges, pad).reshape(shape).max(axis=(1, 3)),
            self.inside,
            [_snap(self.inside, (start[0] // self.scale, start[1] // self.scale))],
        )

    def trace(self, end: Floats) -> NDArray[np.intp] | None:
        """Return the pixels (n, 2; row, column) of the way to a point (x, y); None where there is none."""
        target = _snap(self.inside, (round(float(end[1])) // self.scale, round(float(end[0])) // self.scale))
        try:
            way = np.array(self.paths.traceback(target))
        except ValueError:
            return None
        return way * self.scale + self.scale // 2


def find_axis(
    blade: Blade, ways: Ways, insertion: tuple[int, int], direction: tuple[float, float] | None
) -> Axis | None:
    """Return the best axis that starts at an insertion (row, column), or None where the blade is too small.

    Parameters
    ----------
    ways
        From the insertion.
    direction
        Unit vector (x, y) of the petiole towards the blade; None where there is no petiole.
    """
    base = np.array([insertion[1], insertion[0]], dtype=float)
    best: Axis | None = None
    for tip in _list_tips(blade.outline, base):
        found = _measure_axis(blade, ways, base, tip, direction)
        if found is not None and (best is None or found.merit > best.merit):
            best = found
    return best


def reverse(axis: Axis) -> Axis:
    """Return an axis from its apex to its base."""
    return replace(axis, points=axis.points[::-1].copy(), vein=axis.vein[::-1].copy(), forward=-axis.forward)


def _snap(mask: Mask, pixel: tuple[int, int]) -> tuple[int, int]:
    """Return the pixel of a mask that is nearest to a pixel."""
    row, column = min(pixel[0], mask.shape[0] - 1), min(pixel[1], mask.shape[1] - 1)
    if mask[row, column]:
        return row, column
    rows, columns = np.nonzero(mask)
    nearest = int(np.argmin((rows - row) ** 2 + (columns - column) ** 2))
    return int(rows[nearest]), int(columns[nearest])


def _list_tips(outline: Floats, base: Floats) -> list[int]:
    """Return indices of outline points that may be the apex: farthest points around, and the one straight ahead."""
    away = np.hypot(*(outline - base).T)
    smooth = ndimage.gaussian_filter1d(away, 2.0, mode="wrap")
    peaks = np.flatnonzero((smooth >= np.roll(smooth, 1)) & (smooth > np.roll(smooth, -1)))
    tips = [int(each) for each in peaks if smooth[each] > NEAR_TIP * smooth.max()]
    # Ahead of the blade's middle: a fan, or a notched apex, has no tip there.
    middle = outline.mean(axis=0) - base
    angle = np.arctan2(*(outline - base).T[::-1]) - np.arctan2(middle[1], middle[0])
    ahead = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    straight = np.flatnonzero((ahead < 0.06) & (away > 0.3 * away.max()))
    if len(straight):
        tips.append(int(straight[np.argmax(away[straight])]))
    return sorted(set(tips), key=lambda each: -away[each])[:14]


def _measure_axis(
    blade: Blade, ways: Ways, base: Floats, tip: int, direction: tuple[float, float] | None
) -> Axis | None:
    end = blade.outline[tip]
    vein = ways.trace(end)
    if vein is None or len(vein) < 6:
        return None
    line = np.concatenate([base[None], vein[1:, ::-1].astype(float), end[None]])
    straight = float(np.hypot(*(end - base)))
    along = resample(line, N_POINTS)
    smooth = ndimage.gaussian_filter1d(along, N_POINTS * 0.045, axis=0, mode="nearest")
    # Smoothing pulls the ends in; the line still starts at the insertion and ends at the tip.
    pull = np.linspace(1, 0, N_POINTS)[:, None] ** 6
    smooth = smooth + (base - smooth[0]) * pull + (end - smooth[-1]) * pull[::-1]
    points = resample(smooth, N_POINTS)
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    read = blade.ridges[np.clip(vein[:, 0], 0, len(blade.mask) - 1), np.clip(vein[:, 1], 0, blade.mask.shape[1] - 1)]
    ridge = float(np.minimum(read, 1.0)[: max(3, int(0.85 * len(read)))].mean())
    side, forward = _compare_sides(blade, points)
    bend = length / max(straight, 1e-6) - 1
    reach = straight / float(np.hypot(*(blade.outline - base).T).max())
    turn = 0.0
    if direction is not None:
        first = points[N_POINTS // 4] - base
        cosine = float(first @ np.array(direction)) / max(float(np.hypot(*first)), 1e-6)
        turn = 1 - max(cosine, -1.0)
    merit = 0.9 * reach - 1.0 * side + 0.8 * ridge - 0.35 * turn - 1.5 * bend + 0.3 * forward
    return Axis(points, vein, length, ridge, side, forward, merit)


def _compare_sides(blade: Blade, points: Floats) -> tuple[float, float]:
    """Return how unlike in area the two sides are, and how surely side veins lean forward."""
    step = max(1, round(np.sqrt(blade.mask.size) / 100))
    rows, columns = np.nonzero(blade.mask[::step, ::step])
    rows, columns = rows * step, columns * step
    at = np.stack([columns, rows], axis=1).astype(float)
    knots = points[:: N_POINTS // 20]
    nearest = np.argmin(((at[:, None] - knots[None]) ** 2).sum(axis=-1), axis=1)
    ahead = np.gradient(knots, axis=0)
    ahead /= np.maximum(np.hypot(*ahead.T), 1e-6)[:, None]
    tangent, offset = ahead[nearest], at - knots[nearest]
    across = tangent[:, 0] * offset[:, 1] - tangent[:, 1] * offset[:, 0]  # > 0: right of the axis, seen on the sheet
    side = abs(float(np.sign(across).sum())) / len(across)
    weight = blade.ridges[rows, columns]
    angle = blade.directions[rows, columns]
    vein = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    out = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * np.sign(across)[:, None]
    lean = (vein * out).sum(axis=1) * (vein * tangent).sum(axis=1)  # > 0: outwards is forwards
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    taken = (np.abs(across) > 0.04 * length) & (weight > np.percentile(weight, 70))
    if not taken.any():
        return side, 0.0
    return side, float((lean * weight)[taken].sum() / (np.abs(lean) * weight)[taken].sum())
