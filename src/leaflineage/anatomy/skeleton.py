"""A leaf's skeleton: petiole, axis, and every primary vein.

Likely petioles are tried in turn, and none at all; what the side veins contradict is a tip. A blade that is round is
searched for a hub of veins (palmate leaves); one that is wider than long and widest at its edge is a fan, without a
midvein; in the others, veins that arch from the base to the apex are primaries as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leaflineage.anatomy.axis import Axis, Blade, Ways, find_axis, resample, reverse, trace_outline
from leaflineage.anatomy.foreground import Foreground
from leaflineage.anatomy.geometry import draw, measure_depth, project
from leaflineage.anatomy.hub import Hub, find_hub
from leaflineage.anatomy.labels import SQUARE, Floats, Mask
from leaflineage.anatomy.stalk import Stalk, find_stalks
from leaflineage.anatomy.veins import MIDVEIN_SCALES, Ridge, Ridges, measure_ridges

LEAST_STALK = 0.03  # merit
BACKWARDS = -0.1  # orientation under which a petiole is none
GOOD_AXIS = 1.1  # merit above which no other petiole is tried
ROUND = 0.5  # shorter over longer side of the blade: a palmate leaf is at least so round
PALMATE = (5, 4.85)  # veins of a hub, and their sum
ARCH = 0.55  # mean ridge of a primary that arches from base to apex
ARCH_UNBROKEN = 0.8  # share of its length that is ridge
FAN = 1.1  # width over length of a fan at least


@dataclass(frozen=True)
class Skeleton:
    """Petiole, axis and further primaries.

    strength: of the ridges of the whole leaf. primaries: pixels (n, 2; row, column). orientation: how surely the axis
    runs from base to apex, by what the blade shows. has_midvein: a fan has none.
    """

    stalk: Stalk | None
    stalk_mask: Mask
    axis: Axis
    blade: Blade
    strength: Ridges
    primaries: list[NDArray[np.intp]]
    orientation: float
    has_midvein: bool = True

    @property
    def merit(self) -> float:
        """Of several skeletons the largest is taken; a petiole counts."""
        return self.axis.merit + (0.0 if self.stalk is None else 0.3 + self.stalk.merit)


def find_skeleton(foreground: Foreground) -> Skeleton | None:
    """Return the skeleton of the leaf's largest piece; None where it is too small for one."""
    whole = _largest_piece(foreground.whole)
    if whole.sum() < 60:
        return None
    root = float(np.sqrt(whole.sum()))
    sigmas = tuple(max(0.8, 1.6 * root * each) for each in MIDVEIN_SCALES)
    polarities = measure_ridges(foreground.lab[..., 0], whole, sigmas)
    stalks: list[Stalk | None] = [each for each in find_stalks(whole) if each.merit > LEAST_STALK]
    best: Skeleton | None = None
    for stalk in [*stalks[:2], None]:
        found = _try_stalk(whole, polarities, stalk)
        if found is None or (stalk is not None and found.orientation < BACKWARDS):
            continue  # a tip, not a petiole: the side veins lean the other way
        if best is None or found.merit > best.merit:
            best = found
        if best.axis.merit > GOOD_AXIS:
            break
    if best is None:
        return None
    if is_round(whole):
        at = None if best.stalk is None else best.stalk.insertion
        hub = find_hub(best.strength, best.blade.directions, whole, at)
        if hub is not None and len(hub.angles) >= PALMATE[0] and float(hub.filled.sum()) >= PALMATE[1]:
            made = _follow_hub(hub, whole, best)
            if made is not None:
                return made
        if best.stalk is not None and _is_fan(best):
            return _open_fan(best)
    return replace(best, primaries=_find_arches(best))


def _try_stalk(whole: Mask, polarities: tuple[Ridge, Ridge], stalk: Stalk | None) -> Skeleton | None:
    """Return petiole and axis if this is the petiole; without one, the axis runs to the likelier apex."""
    stalk_mask = np.zeros_like(whole) if stalk is None else stalk.mask
    mask = _largest_piece(whole & ~stalk_mask)
    if mask.sum() < 60:
        return None
    outline = trace_outline(mask)
    start = stalk.insertion if stalk is not None else _list_ends(outline)[0]
    best: Skeleton | None = None
    for ridge in polarities:
        blade = Blade(mask, outline, np.where(mask, ridge.strength, 0).astype(np.float32), ridge.directions)
        ways = Ways(blade, start)
        axis = find_axis(blade, ways, start, stalk.direction if stalk is not None else None)
        if axis is not None and (best is None or axis.merit > best.axis.merit):
            best = Skeleton(stalk, stalk_mask, axis, blade, ridge.strength, [], 0.0)
    if best is None:
        return None
    orientation = _weigh_ends(best.axis, best.blade)
    axis = reverse(best.axis) if stalk is None and orientation < 0 else best.axis
    return replace(best, axis=axis, orientation=orientation)


def _largest_piece(mask: Mask) -> Mask:
    pieces, n = ndimage.label(mask, SQUARE)
    if n < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest: Mask = pieces == int(sizes.argmax())
    return largest


def is_round(mask: Mask) -> bool:
    """Tell whether a shape is at least half as wide as long, by its second moments."""
    at = np.argwhere(mask).astype(float)
    spread = np.linalg.eigvalsh(np.cov(at[:: max(1, len(at) // 4000)], rowvar=False))
    return bool(np.sqrt(max(spread[0], 0) / max(spread[1], 1e-9)) > ROUND)


def _list_ends(outline: Floats) -> list[tuple[int, int]]:
    """Return the two points (row, column) of an outline that are farthest apart."""
    gaps = np.hypot(*(outline[:, None] - outline[None]).transpose(2, 0, 1))
    pair = np.unravel_index(int(gaps.argmax()), gaps.shape)
    return [(round(float(outline[each, 1])), round(float(outline[each, 0]))) for each in pair]


def _weigh_ends(axis: Axis, blade: Blade) -> float:
    """Return how surely an axis without a petiole runs from base to apex, in [−1, 1]; below 0 it runs backwards."""
    read = blade.ridges[
        np.clip(axis.vein[:, 0], 0, blade.mask.shape[0] - 1), np.clip(axis.vein[:, 1], 0, blade.mask.shape[1] - 1)
    ]
    quarter = max(2, len(read) // 4)
    first, last = float(read[:quarter].mean()), float(read[-quarter:].mean())
    thickness = (first - last) / max(first + last, 1e-6)
    rows, columns = np.nonzero(blade.mask)
    at = np.stack([columns, rows], axis=1)
    chord = axis.points[-1] - axis.points[0]
    along = (at - axis.points[0]) @ chord / max(float(chord @ chord), 1e-6)
    heavy = 0.5 - float(along.mean())  # ovate leaves are more common than obovate ones
    return float(np.clip(2.0 * axis.forward + 0.8 * thickness + 1.0 * heavy, -1, 1))


def _follow_hub(hub: Hub, whole: Mask, found: Skeleton) -> Skeleton | None:
    """Return a palmate leaf's parts: the axis, the petiole as far as the hub, and a primary along every other vein."""
    root = float(np.sqrt(whole.sum()))
    center = np.array([hub.at[1], hub.at[0]], dtype=float)
    stalk, stalk_mask, directions = found.stalk, found.stalk_mask, found.blade.directions
    full = Blade(whole, trace_outline(whole), found.strength, directions)
    ways = Ways(full, hub.at)
    direction = None
    if stalk is not None:
        foot = np.array([stalk.insertion[1], stalk.insertion[0]], dtype=float)
        gap = center - foot
        direction = stalk.direction if np.hypot(*gap) < 0.05 * root else tuple(gap / np.hypot(*gap))
        away = np.hypot(*(np.array([stalk.foot[1], stalk.foot[0]]) - center))
        if np.hypot(*gap) > 0.03 * root and away > np.hypot(*gap):
            way = ways.trace(foot)
            if way is not None:
                stalk_mask = stalk_mask | draw(way, whole.shape, np.full(len(way), min(stalk.width, 0.03 * root)))
    blade_mask = whole & ~stalk_mask
    blade = Blade(blade_mask, full.outline, np.where(blade_mask, found.strength, 0).astype(np.float32), directions)
    axis = find_axis(full, ways, hub.at, direction)
    if axis is None:
        return None
    ahead = _angle(axis.points[len(axis.points) // 5] - center)
    backwards = _angle(-np.array(direction)) if direction is not None else ahead + np.pi
    if stalk is None:
        # The petiole is the vein that runs most nearly backwards.
        turns = np.abs(_wrap(hub.angles - backwards))
        nearest = int(turns.argmin())
        if turns[nearest] < np.radians(35):
            backwards = float(hub.angles[nearest])
            way = _trace_ray(full, ways, center, backwards)
            if way is not None:
                width = max(2.0, 0.017 * root)
                stalk_mask = stalk_mask | draw(way, whole.shape, np.full(len(way), width))
    primaries = []
    for angle in hub.angles:
        if abs(_wrap(angle - ahead)) < np.radians(14) or abs(_wrap(angle - backwards)) < np.radians(20):
            continue
        way = _trace_ray(full, ways, center, float(angle))
        if way is not None:
            primaries.append(way)
    return replace(found, stalk_mask=stalk_mask & whole, axis=axis, blade=blade, primaries=primaries, orientation=1.0)


def _angle(vector: Floats) -> float:
    return float(np.arctan2(vector[1], vector[0]))


def _wrap(angle: Floats | float) -> Floats:
    return np.asarray((np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi)


def _trace_ray(blade: Blade, ways: Ways, center: Floats, angle: float) -> NDArray[np.intp] | None:
    """Return the way to the farthest outline point within 12 degrees of a vein's direction."""
    offset = blade.outline - center
    near = np.abs(_wrap(np.arctan2(offset[:, 1], offset[:, 0]) - angle)) < np.radians(12)
    if not near.any():
        return None
    indices = np.flatnonzero(near)
    return ways.trace(blade.outline[indices[int(np.hypot(*offset[indices].T).argmax())]])


def _is_fan(found: Skeleton) -> bool:
    """Tell whether a blade is wider than long and widest towards its edge, as Ginkgo's is."""
    along, across = _measure_from_base(found)
    order = np.argsort(along)
    span = along[order[-1]]
    widest = float(along[np.argsort(-np.abs(across))[: len(across) // 10]].mean())
    return bool(np.ptp(across) > FAN * span and widest > 0.5 * span and found.axis.forward > 0.5)


def _measure_from_base(found: Skeleton) -> tuple[Floats, Floats]:
    """Return outline points' distances from the insertion along the way to the blade's middle, and across it."""
    offset = found.blade.outline - found.axis.points[0]
    ahead = offset.mean(axis=0) / max(float(np.hypot(*offset.mean(axis=0))), 1e-6)
    return offset @ ahead, offset @ np.array([-ahead[1], ahead[0]])


def _open_fan(found: Skeleton) -> Skeleton:
    """Return a fan's parts: a straight axis as long as the blade, no midvein."""
    along, _ = _measure_from_base(found)
    offset = found.blade.outline.mean(axis=0) - found.axis.points[0]
    length = float(along.max())
    ahead = offset / max(float(np.hypot(*offset)), 1e-6)
    points = found.axis.points[0] + np.linspace(0, length, len(found.axis.points))[:, None] * ahead
    return replace(found, axis=replace(found.axis, points=points, length=length), has_midvein=False)


def _find_arches(found: Skeleton) -> list[NDArray[np.intp]]:
    """Return primaries that arch from the base to the apex, one a side at most.

    In the leaf's own coordinates such a vein keeps its place across; a side vein crosses the whole of it.
    """
    n_along, n_across = 40, 20  # steps and lanes of a grid in the leaf's coordinates
    # Every other pixel is enough to follow a vein, and four times as quick.
    mask = found.blade.mask[::2, ::2]
    reached, beside = _measure_from_base(found)
    if np.ptp(beside) > 0.9 * reached.max():
        return []
    along, signed = project(found.axis.points / 2, mask, found.axis.length / 2)
    depth = measure_depth(mask) / (found.axis.length / 2)
    place = signed / np.maximum(np.abs(signed) + depth, 1e-6)
    down, right = np.gradient(place)
    lane_direction = np.arctan2(right, -down)  # along which the place across stays
    strength = np.minimum(found.strength[::2, ::2], 1.0)
    strength = strength * np.cos(found.blade.directions[::2, ::2] - lane_direction) ** 4
    arches = []
    for side in (-1, 1):
        chosen = mask & (place * side > 0.2) & (place * side < 0.8) & (along > 0.12) & (along < 0.85)
        rows, columns = np.nonzero(chosen)
        if len(rows) < 80:
            return []
        step = ((along[rows, columns] - 0.12) / 0.73 * n_along).astype(int)
        lane = ((place[rows, columns] * side - 0.2) / 0.6 * n_across).astype(int)
        cell = step * n_across + lane
        order = np.lexsort((strength[rows, columns], cell))
        last = np.flatnonzero(np.diff(np.append(cell[order], -1)))  # of each cell the strongest pixel
        grid, pixel = np.zeros(n_along * n_across), np.zeros((n_along * n_across, 2), dtype=np.intp)
        top = order[last]
        grid[cell[top]] = strength[rows[top], columns[top]]
        pixel[cell[top]] = np.stack([rows[top], columns[top]], axis=1)
        lanes = _follow_lane(grid.reshape(n_along, n_across))
        values = grid.reshape(n_along, n_across)[np.arange(n_along), lanes]
        if values.mean() < ARCH or (values > 0.4 * ARCH).mean() < ARCH_UNBROKEN or np.ptp(lanes) > 0.5 * n_across:
            return []
        line = 2 * pixel.reshape(n_along, n_across, 2)[np.arange(n_along), lanes]
        ends = [found.axis.points[each][::-1] for each in (2, -3)]
        smooth = ndimage.gaussian_filter1d(line.astype(float), 1.0, axis=0, mode="nearest")
        arches.append(np.rint(resample(np.concatenate([ends[:1], smooth, ends[1:]]), 120)).astype(np.intp))
    return arches


def _follow_lane(grid: Floats) -> NDArray[np.intp]:
    """Return the lane at each step of the strongest path through a grid (steps, lanes) that changes one lane a step."""
    total, came = grid[0].copy(), np.zeros(grid.shape, dtype=np.intp)
    for step in range(1, len(grid)):
        padded = np.pad(total, 1, constant_values=-np.inf)
        choices = np.stack([padded[:-2] - 0.1, padded[1:-1], padded[2:] - 0.1])
        move = choices.argmax(axis=0)
        came[step] = np.arange(len(total)) + move - 1
        total = grid[step] + choices.max(axis=0)
    lanes = np.zeros(len(grid), dtype=np.intp)
    lanes[-1] = int(total.argmax())
    for step in range(len(grid) - 1, 0, -1):
        lanes[step - 1] = came[step, lanes[step]]
    return lanes
