"""The zones of a leaf in a picture, its own coordinates, and how far they can be trusted.

A picture is looked at with a longer side of 384 pixels. Every pixel of the leaf has a position along the axis (0 at the
petiole's insertion, 1 at the apex; a petiole's are below 0), a distance to the margin in L, and a place across:

    across = ± d_axis / (d_axis + d_margin)

0 on the axis, 1 on the outline, above 0 on the right of someone who looks from the base to the apex.

The confidence is a product of doubts: does the leaf stand out, is it in the picture, is it one blade, was an axis
found, is it known which end is the base. Below 0.5 a specimen is not used for names, and the greatest doubt says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, cKDTree
from skimage.morphology import convex_hull_image
from skimage.transform import resize

from leaflineage.anatomy import labels as zone
from leaflineage.anatomy.axis import Axis, Blade, Ways, find_axis, resample, reverse, trace_outline
from leaflineage.anatomy.foreground import Foreground, find_foreground
from leaflineage.anatomy.hub import Hub, find_hub
from leaflineage.anatomy.labels import SQUARE, Floats, Labels, Mask
from leaflineage.anatomy.stalk import Stalk, find_stalks
from leaflineage.anatomy.veins import (
    MIDVEIN_SCALES,
    Ridge,
    Ridges,
    find_secondaries,
    measure_ridges,
)

_Kind = TypeVar("_Kind", bound=np.generic)

SIDE = 384  # pixels, the longer side at which a picture is looked at
LEAST_CONFIDENCE = 0.5
LEAST_STALK = 0.03  # merit
BACKWARDS = -0.1  # orientation under which a petiole is none
GOOD_AXIS = 1.1  # merit above which no other petiole is tried
ROUND = 0.5  # shorter over longer side of the blade: a palmate leaf is at least so round
PALMATE = (5, 4.85)  # veins of a hub, and their sum
ARCH = 0.55  # mean ridge of a primary that arches from base to apex
ARCH_UNBROKEN = 0.8  # share of its length that is ridge
# A compound leaf: its share of its hull, its widest and narrowest place, how deep how many sinuses are.
SOLID, SLIM, NARROW = 0.8, 0.28, 0.35
SINUS, MANY_SINUSES = 0.17, 4
FAN = 1.1  # width over length of a fan at least


@dataclass(frozen=True)
class LeafZones:
    """A leaf's zones at its picture's size.

    labels: (rows, columns) uint8, see `leaflineage.anatomy.labels`. along, across, depth: (rows, columns) float32, NaN
    off the leaf: position along the axis, place across it in [−1, 1], distance to the margin in L.
    axis: (160, 2) x and y in pixels, base first; length: L in pixels (0 where no axis was found).
    confidence: [0, 1]; doubts: its factors by name; reason: why it is too low to use, in words, else None.
    is_palmate: more than one primary.
    """

    labels: Labels
    along: NDArray[np.float32]
    across: NDArray[np.float32]
    depth: NDArray[np.float32]
    axis: Floats
    length: float
    confidence: float
    doubts: dict[str, float]
    reason: str | None
    is_palmate: bool

    @property
    def is_usable(self) -> bool:
        """Whether a specimen may be used for names."""
        return self.confidence >= LEAST_CONFIDENCE


@dataclass(frozen=True)
class _Skeleton:
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
        return self.axis.merit + (0.0 if self.stalk is None else 0.3 + self.stalk.merit)


REASONS = {
    "contrast": "leaf and background hardly differ",
    "size": "the leaf is too small, or fills the whole picture",
    "cut": "the picture cuts the leaf",
    "pieces": "several blades, as of a compound leaf: there is no single base and apex",
    "axis": "no axis was found along which both sides are alike",
    "ends": "it cannot be told which end is the base",
}
NO_LEAF = "nothing stands out from the background"


def find_zones(image: NDArray[np.uint8] | NDArray[np.floating]) -> LeafZones:
    """Return a leaf's zones, coordinates and confidence.

    Parameters
    ----------
    image
        (rows, columns, 3), sRGB, upright; uint8, or floating point in [0, 1].

    Returns
    -------
    zones
        At the picture's size. Where no leaf is found everything is background and the confidence is 0.

    Raises
    ------
    ValueError
        If the image has another shape.
    """
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 1:
        raise ValueError(f"a picture (rows, columns, 3) is wanted to find a leaf in; came an array {image.shape}")
    shape = image.shape[:2]
    small = _fit(image)
    foreground = find_foreground(small) if min(small.shape[:2]) >= 16 else None
    if foreground is None:
        return _return_nothing(shape)
    skeleton = _find_skeleton(foreground)
    if skeleton is None:
        return _return_nothing(shape)
    found = _lay_out(foreground, skeleton)
    doubts = _doubt(foreground, skeleton)
    confidence = float(np.prod(list(doubts.values())))
    worst = min(doubts, key=lambda name: doubts[name])
    scale = max(shape) / max(small.shape[:2])
    across, along, depth = (_stretch(each, shape) for each in (found.across, found.along, found.depth))
    return LeafZones(
        labels=_stretch(found.labels, shape),
        along=along,
        across=across,
        depth=depth,
        axis=skeleton.axis.points * scale,
        length=skeleton.axis.length * scale,
        confidence=confidence,
        doubts=doubts,
        reason=None if confidence >= LEAST_CONFIDENCE else REASONS[worst],
        is_palmate=bool(skeleton.primaries),
    )


def _fit(image: NDArray[np.uint8] | NDArray[np.floating]) -> NDArray[np.float32]:
    values = image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image.astype(np.float32)
    rows, columns = values.shape[:2]
    scale = SIDE / max(rows, columns)
    if scale == 1:
        return values
    size = max(1, round(rows * scale)), max(1, round(columns * scale))
    # Enlarged by cubic curves, so that a stalk one pixel wide stays a line; made smaller by means.
    made = resize(values, size, order=1 if scale < 1 else 3, anti_aliasing=scale < 1)
    return np.asarray(np.clip(made, 0, 1), dtype=np.float32)


def _stretch(values: NDArray[_Kind], shape: tuple[int, int]) -> NDArray[_Kind]:
    """Return an array (rows, columns) at another size, each pixel the nearest."""
    if values.shape == shape:
        return values
    rows = np.minimum(((np.arange(shape[0]) + 0.5) * values.shape[0] / shape[0]).astype(int), values.shape[0] - 1)
    columns = np.minimum(((np.arange(shape[1]) + 0.5) * values.shape[1] / shape[1]).astype(int), values.shape[1] - 1)
    taken: NDArray[_Kind] = values[rows[:, None], columns[None, :]]
    return taken


def _return_nothing(shape: tuple[int, int]) -> LeafZones:
    empty = np.full(shape, np.nan, dtype=np.float32)
    return LeafZones(
        labels=np.zeros(shape, dtype=np.uint8),
        along=empty,
        across=empty,
        depth=empty,
        axis=np.zeros((0, 2)),
        length=0.0,
        confidence=0.0,
        doubts={},
        reason=NO_LEAF,
        is_palmate=False,
    )


# --- petiole, axis, primaries --------------------------------------------------------------------------------


def _find_skeleton(foreground: Foreground) -> _Skeleton | None:
    whole = _largest_piece(foreground.whole)
    if whole.sum() < 60:
        return None
    root = float(np.sqrt(whole.sum()))
    sigmas = tuple(max(0.8, 1.6 * root * each) for each in MIDVEIN_SCALES)
    polarities = measure_ridges(foreground.lab[..., 0], whole, sigmas)
    stalks: list[Stalk | None] = [each for each in find_stalks(whole) if each.merit > LEAST_STALK]
    best: _Skeleton | None = None
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
    if _is_round(whole):
        at = None if best.stalk is None else best.stalk.insertion
        hub = find_hub(best.strength, best.blade.directions, whole, at)
        if hub is not None and len(hub.angles) >= PALMATE[0] and float(hub.filled.sum()) >= PALMATE[1]:
            made = _follow_hub(hub, whole, best)
            if made is not None:
                return made
        if best.stalk is not None and _is_fan(best):
            return _open_fan(best)
    return replace(best, primaries=_find_arches(best))


def _try_stalk(whole: Mask, polarities: tuple[Ridge, Ridge], stalk: Stalk | None) -> _Skeleton | None:
    """Return petiole and axis if this is the petiole; without one, the axis runs to the likelier apex."""
    stalk_mask = np.zeros_like(whole) if stalk is None else stalk.mask
    mask = _largest_piece(whole & ~stalk_mask)
    if mask.sum() < 60:
        return None
    outline = trace_outline(mask)
    start = stalk.insertion if stalk is not None else _list_ends(outline)[0]
    best: _Skeleton | None = None
    for ridge in polarities:
        blade = Blade(mask, outline, np.where(mask, ridge.strength, 0).astype(np.float32), ridge.directions)
        ways = Ways(blade, start)
        axis = find_axis(blade, ways, start, stalk.direction if stalk is not None else None)
        if axis is not None and (best is None or axis.merit > best.axis.merit):
            best = _Skeleton(stalk, stalk_mask, axis, blade, ridge.strength, [], 0.0)
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


def _is_round(mask: Mask) -> bool:
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


def _follow_hub(hub: Hub, whole: Mask, found: _Skeleton) -> _Skeleton | None:
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
                stalk_mask = stalk_mask | _draw(way, whole.shape, np.full(len(way), min(stalk.width, 0.03 * root)))
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
                stalk_mask = stalk_mask | _draw(way, whole.shape, np.full(len(way), width))
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


def _is_fan(found: _Skeleton) -> bool:
    """Tell whether a blade is wider than long and widest towards its edge, as Ginkgo's is."""
    along, across = _measure_from_base(found)
    order = np.argsort(along)
    span = along[order[-1]]
    widest = float(along[np.argsort(-np.abs(across))[: len(across) // 10]].mean())
    return bool(np.ptp(across) > FAN * span and widest > 0.5 * span and found.axis.forward > 0.5)


def _measure_from_base(found: _Skeleton) -> tuple[Floats, Floats]:
    """Return outline points' distances from the insertion along the way to the blade's middle, and across it."""
    offset = found.blade.outline - found.axis.points[0]
    ahead = offset.mean(axis=0) / max(float(np.hypot(*offset.mean(axis=0))), 1e-6)
    return offset @ ahead, offset @ np.array([-ahead[1], ahead[0]])


def _open_fan(found: _Skeleton) -> _Skeleton:
    """Return a fan's parts: a straight axis as long as the blade, no midvein."""
    along, _ = _measure_from_base(found)
    offset = found.blade.outline.mean(axis=0) - found.axis.points[0]
    length = float(along.max())
    ahead = offset / max(float(np.hypot(*offset)), 1e-6)
    points = found.axis.points[0] + np.linspace(0, length, len(found.axis.points))[:, None] * ahead
    return replace(found, axis=replace(found.axis, points=points, length=length), has_midvein=False)


def _find_arches(found: _Skeleton) -> list[NDArray[np.intp]]:
    """Return primaries that arch from the base to the apex, one a side at most.

    In the leaf's own coordinates such a vein keeps its place across; a side vein crosses the whole of it.
    """
    n_along, n_across = 40, 20  # steps and lanes of a grid in the leaf's coordinates
    # Every other pixel is enough to follow a vein, and four times as quick.
    mask = found.blade.mask[::2, ::2]
    reached, beside = _measure_from_base(found)
    if np.ptp(beside) > 0.9 * reached.max():
        return []
    along, signed = _project(found.axis.points / 2, mask, found.axis.length / 2)
    depth = _measure_depth(mask) / (found.axis.length / 2)
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


# --- zones and coordinates -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    labels: Labels
    along: NDArray[np.float32]
    across: NDArray[np.float32]
    depth: NDArray[np.float32]


def _lay_out(foreground: Foreground, skeleton: _Skeleton) -> _Layout:
    axis, stalk_mask = skeleton.axis, skeleton.stalk_mask
    length = axis.length
    leaf = foreground.leaf | stalk_mask
    whole_blade = foreground.whole & ~stalk_mask
    depth = _measure_depth(whole_blade) / length
    along, from_axis = _project(axis.points, leaf | foreground.whole, length)
    blade = leaf & ~stalk_mask
    labels = np.zeros(leaf.shape, dtype=np.uint8)
    labels[foreground.foreign] = zone.FOREIGN
    labels[blade] = zone.BLADE
    labels[blade & (along > 1 - zone.END_SHARE)] = zone.APEX
    labels[blade & (along < zone.END_SHARE)] = zone.BASE
    margin = blade & (depth <= zone.MARGIN_DEPTH)
    midvein = _draw_midvein(foreground, skeleton) & blade
    allowed = blade & (depth > 1.3 * zone.MARGIN_DEPTH) & ~_grow(midvein, 0.008 * length)
    secondary = find_secondaries(skeleton.blade.ridges, allowed, length)
    labels[margin] = zone.MARGIN
    labels[secondary] = zone.SECONDARY
    labels[midvein] = zone.MIDVEIN
    labels[stalk_mask & leaf] = zone.PETIOLE
    is_leaf = zone.find_leaf(labels)
    across = from_axis / np.maximum(np.abs(from_axis) + depth, 1e-6)
    return _Layout(
        labels=labels,
        along=np.where(is_leaf, along, np.nan).astype(np.float32),
        across=np.where(is_leaf, np.where(stalk_mask, 0.0, across), np.nan).astype(np.float32),
        depth=np.where(is_leaf, np.where(stalk_mask, 0.0, depth), np.nan).astype(np.float32),
    )


def _measure_depth(blade: Mask) -> Floats:
    """Return the distance to the outline in pixels, which runs half a pixel before the first one outside."""
    distance = np.asarray(ndimage.distance_transform_edt(blade))
    return np.maximum(distance - 0.5, 0.0)


def _grow(mask: Mask, radius: float) -> Mask:
    if not mask.any():
        return mask
    grown: Mask = np.asarray(ndimage.distance_transform_edt(~mask)) <= radius
    return grown


def _project(points: Floats, mask: Mask, length: float) -> tuple[Floats, Floats]:
    """Return, (rows, columns) each, the position along the axis, and the distance to it in L, below 0 on the left."""
    n = len(points)
    step = length / (n - 1)
    reach = n // 12
    first, last = points[0] - points[reach], points[-1] - points[-1 - reach]
    first, last = first / max(np.hypot(*first), 1e-6), last / max(np.hypot(*last), 1e-6)
    before = points[0] + first * (np.arange(n, 0, -1) * step)[:, None]
    after = points[-1] + last * (np.arange(1, n + 1) * step)[:, None]
    line = np.concatenate([before, points, after])
    positions = (np.arange(len(line)) - n) / (n - 1)
    step = 2 if mask.size > 200 * 200 else 1
    # Both are smooth, so that every other pixel is enough; between them they are straight.
    grid = [np.arange(0, size + step, step) for size in mask.shape]
    near = np.asarray(ndimage.binary_dilation(np.pad(mask, 1), SQUARE))
    last = [np.minimum(each + 1, size) for each, size in zip(grid, mask.shape, strict=True)]
    rows, columns = np.nonzero(near[np.ix_(*last)])
    at = np.stack([columns, rows], axis=1) * float(step)
    distance, nearest = cKDTree(line).query(at)
    tangent = np.gradient(line, axis=0)[nearest]
    offset = at - line[nearest]
    cross = tangent[:, 0] * offset[:, 1] - tangent[:, 1] * offset[:, 0]
    ahead = (tangent * offset).sum(axis=1) / np.maximum((tangent * tangent).sum(axis=1), 1e-9) / (n - 1)
    shape = tuple(len(each) for each in grid)
    position, signed = np.zeros(shape), np.zeros(shape)
    position[rows, columns] = positions[nearest] + ahead
    signed[rows, columns] = np.sign(cross) * distance / length
    return _double(position, mask.shape, step), _double(signed, mask.shape, step)


def _double(values: Floats, shape: tuple[int, ...], step: int) -> Floats:
    """Return an array known at every second row and column at all of them."""
    if step == 1:
        return values[: shape[0], : shape[1]]
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        made = np.empty((2 * len(values) - 1, values.shape[1]))
        made[::2], made[1::2] = values, (values[1:] + values[:-1]) / 2
        values = np.moveaxis(made, 0, axis)
    return values[: shape[0], : shape[1]]


def _draw_midvein(foreground: Foreground, skeleton: _Skeleton) -> Mask:
    """Return the primaries at the width they are seen at, at least 0.01 L."""
    length = skeleton.axis.length
    shape = foreground.leaf.shape
    drawn = np.zeros(shape, dtype=bool)
    least = max(1.25, zone.LEAST_MIDVEIN * length)
    start = skeleton.stalk.width if skeleton.stalk is not None else 0.02 * length
    start = min(start, 0.035 * length)
    if skeleton.has_midvein:
        taper = np.linspace(1.0, 0.1, len(skeleton.axis.vein))
        drawn |= _draw(skeleton.axis.vein, shape, np.maximum(least, start * taper))
    for vein in skeleton.primaries:
        drawn |= _draw(vein, shape, np.maximum(least, 0.6 * start * np.linspace(1.0, 0.1, len(vein))))
    return drawn


def _draw(vein: NDArray[np.intp], shape: tuple[int, ...], widths: Floats) -> Mask:
    """Return a line (n, 2; row, column) drawn at a width in pixels for each point."""
    line = np.stack([ndimage.gaussian_filter1d(vein[:, k].astype(float), 2.0, mode="nearest") for k in (0, 1)], axis=1)
    many = max(2, 2 * len(line))
    fine = resample(line, many)
    wide = np.interp(np.linspace(0, 1, many), np.linspace(0, 1, len(widths)), widths)
    reach = int(np.ceil(wide.max() / 2)) + 1
    low = np.maximum(np.floor(fine.min(axis=0)).astype(int) - reach, 0)
    high = np.minimum(np.ceil(fine.max(axis=0)).astype(int) + reach + 1, shape[:2])
    nearest = np.clip(np.rint(fine).astype(int), low, high - 1) - low
    seeds, width_at = np.zeros(high - low, dtype=bool), np.zeros(high - low)
    seeds[nearest[:, 0], nearest[:, 1]] = True
    width_at[nearest[:, 0], nearest[:, 1]] = wide
    distance, index = ndimage.distance_transform_edt(~seeds, return_indices=True)
    drawn = np.zeros(shape[:2], dtype=bool)
    drawn[low[0] : high[0], low[1] : high[1]] = distance <= width_at[index[0], index[1]] / 2
    return drawn


# --- doubts --------------------------------------------------------------------------------------------------


def _doubt(foreground: Foreground, skeleton: _Skeleton) -> dict[str, float]:
    """Return what speaks for the zones, each in [0, 1]; 1 leaves no doubt."""
    share = float(foreground.whole.mean())
    others = 1 - skeleton.blade.mask.sum() / max(1, (foreground.whole & ~skeleton.stalk_mask).sum())
    axis = skeleton.axis
    return {
        "contrast": min(_rise(foreground.contrast, 1.6, 2.6), 1 - _rise(foreground.between, 0.1, 0.2)),
        "size": min(_rise(share, 0.01, 0.03), 1 - _rise(share, 0.85, 0.97)),
        "cut": 1 - _rise(foreground.on_rim, 0.05, 0.2),
        "pieces": min(1 - _rise(float(others), 0.05, 0.3), 0.3 if _is_compound(skeleton) else 1.0),
        "axis": (1 - _rise(axis.imbalance, 0.25, 0.6)) * (0.6 + 0.4 * _rise(axis.ridge, 0.2, 0.5)),
        "ends": 1.0 if skeleton.stalk is not None else 0.4 + 0.6 * _rise(abs(skeleton.orientation), 0.05, 0.3),
    }


def _is_compound(skeleton: _Skeleton) -> bool:
    """Tell whether a blade is several: it falls apart when its narrow places are cut, or is cut in deeply all around.

    A lobed leaf whose primaries were found is one blade, however deep its sinuses are.
    """
    blade = skeleton.blade.mask
    if blade.sum() > SOLID * ConvexHull(skeleton.blade.outline).volume or not _is_round(blade):
        return False
    hull = convex_hull_image(blade)
    root = np.sqrt(blade.sum())
    deep = np.asarray(ndimage.distance_transform_edt(hull)) > SINUS * root
    _, n_sinuses = ndimage.label(deep & hull & ~blade)
    if n_sinuses >= MANY_SINUSES and not skeleton.primaries:
        return True
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(blade, 1)))[1:-1, 1:-1]
    widest = float(depth.max())
    if widest < SLIM * root:
        return True
    radius = NARROW * widest
    pieces, n = ndimage.label(depth > radius)
    distance, index = ndimage.distance_transform_edt(pieces == 0, return_indices=True)
    own = np.where((distance <= radius) & blade, pieces[index[0], index[1]], 0)
    sizes = np.bincount(own.ravel(), minlength=n + 1)[1:]
    return bool((sizes > 0.08 * blade.sum()).sum() > 1)


def _rise(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))
