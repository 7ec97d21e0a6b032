"""The zones of a leaf in a picture, its own coordinates, and how far they can be trusted.

A picture is looked at with a longer side of 384 pixels. Every pixel of the leaf has a position along the axis (0 at the
petiole's insertion, 1 at the apex; a petiole's are below 0), a distance to the margin in L, and a place across:

    across = ± d_axis / (d_axis + d_margin)

0 on the axis, 1 on the outline, above 0 on the right of someone who looks from the base to the apex.

The confidence is a product of doubts: does the leaf stand out, is it in the picture, is it one blade, was an axis
found, is it known which end is the base. Below 0.5 a specimen is not used for names, and the greatest doubt says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.morphology import convex_hull_image
from skimage.transform import resize

from leaflineage.anatomy import labels as zone
from leaflineage.anatomy.foreground import Foreground, find_foreground
from leaflineage.anatomy.geometry import draw, grow, measure_depth, project
from leaflineage.anatomy.labels import Floats, Labels, Mask
from leaflineage.anatomy.skeleton import Skeleton, find_skeleton, is_round
from leaflineage.anatomy.veins import find_secondaries

_Kind = TypeVar("_Kind", bound=np.generic)

SIDE = 384  # pixels, the longer side at which a picture is looked at
LEAST_CONFIDENCE = 0.5
# A compound leaf: its share of its hull, its widest and narrowest place, how deep how many sinuses are.
SOLID, SLIM, NARROW = 0.8, 0.28, 0.35
SINUS, MANY_SINUSES = 0.17, 4


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
    skeleton = find_skeleton(foreground)
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
    made = resize(values, size, order=1, anti_aliasing=True) if scale < 1 else _enlarge(values, size)
    return np.asarray(np.clip(made, 0, 1), dtype=np.float32)


def _enlarge(values: Floats, size: tuple[int, int]) -> Floats:
    """Return what `skimage.transform.resize` of order 3 does, one axis at a time: a twentieth of its time."""
    down, right = (_make_spline(n, m) for n, m in zip(values.shape[:2], size, strict=True))
    made: Floats = np.einsum("ij,jkc,lk->ilc", down, values.astype(np.float64), right, optimize=True)
    return made


@lru_cache(maxsize=64)
def _make_spline(n: int, m: int) -> Floats:
    """Return the matrix (m, n) that takes a line of n samples to m by cubic B-splines, mirrored at its ends."""
    unit = np.eye(n)
    lines = [ndimage.zoom(each, m / n, order=3, mode="mirror", grid_mode=True) for each in unit]
    return np.stack(lines, axis=1)


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


# --- zones and coordinates -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    labels: Labels
    along: NDArray[np.float32]
    across: NDArray[np.float32]
    depth: NDArray[np.float32]


def _lay_out(foreground: Foreground, skeleton: Skeleton) -> _Layout:
    axis, stalk_mask = skeleton.axis, skeleton.stalk_mask
    length = axis.length
    leaf = foreground.leaf | stalk_mask
    whole_blade = foreground.whole & ~stalk_mask
    depth = measure_depth(whole_blade) / length
    along, from_axis = project(axis.points, leaf | foreground.whole, length)
    blade = leaf & ~stalk_mask
    labels = np.zeros(leaf.shape, dtype=np.uint8)
    labels[foreground.foreign] = zone.FOREIGN
    labels[blade] = zone.BLADE
    labels[blade & (along > 1 - zone.END_SHARE)] = zone.APEX
    labels[blade & (along < zone.END_SHARE)] = zone.BASE
    margin = blade & (depth <= zone.MARGIN_DEPTH)
    midvein = _draw_midvein(foreground, skeleton) & blade
    allowed = blade & (depth > 1.3 * zone.MARGIN_DEPTH) & ~grow(midvein, 0.008 * length)
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


def _draw_midvein(foreground: Foreground, skeleton: Skeleton) -> Mask:
    """Return the primaries at the width they are seen at, at least 0.01 L."""
    length = skeleton.axis.length
    shape = foreground.leaf.shape
    drawn = np.zeros(shape, dtype=bool)
    least = max(1.25, zone.LEAST_MIDVEIN * length)
    start = skeleton.stalk.width if skeleton.stalk is not None else 0.02 * length
    start = min(start, 0.035 * length)
    if skeleton.has_midvein:
        taper = np.linspace(1.0, 0.1, len(skeleton.axis.vein))
        drawn |= draw(skeleton.axis.vein, shape, np.maximum(least, start * taper))
    for vein in skeleton.primaries:
        drawn |= draw(vein, shape, np.maximum(least, 0.6 * start * np.linspace(1.0, 0.1, len(vein))))
    return drawn


# --- doubts --------------------------------------------------------------------------------------------------


def _doubt(foreground: Foreground, skeleton: Skeleton) -> dict[str, float]:
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


def _is_compound(skeleton: Skeleton) -> bool:
    """Tell whether a blade is several: it falls apart when its narrow places are cut, or is cut in deeply all around.

    A lobed leaf whose primaries were found is one blade, however deep its sinuses are.
    """
    blade = skeleton.blade.mask
    if blade.sum() > SOLID * ConvexHull(skeleton.blade.outline).volume or not is_round(blade):
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
