"""Distances, projections and lines on a grid of pixels, in the leaf's terms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from leaflineage.anatomy.axis import resample
from leaflineage.anatomy.labels import SQUARE, Floats, Mask


def measure_depth(blade: Mask) -> Floats:
    """Return the distance to the outline in pixels, which runs half a pixel before the first one outside."""
    distance = np.asarray(ndimage.distance_transform_edt(blade))
    return np.maximum(distance - 0.5, 0.0)


def grow(mask: Mask, radius: float) -> Mask:
    """Return a mask dilated by a disc of a radius in pixels."""
    if not mask.any():
        return mask
    grown: Mask = np.asarray(ndimage.distance_transform_edt(~mask)) <= radius
    return grown


def project(points: Floats, mask: Mask, length: float) -> tuple[Floats, Floats]:
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


def draw(vein: NDArray[np.intp], shape: tuple[int, ...], widths: Floats) -> Mask:
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
