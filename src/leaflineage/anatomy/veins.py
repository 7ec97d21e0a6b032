"""Veins: ridges of brightness, as strong as they are narrow and long.

At a scale σ the Hessian of the brightness has the eigenvalues λ₁ ≤ λ₂; a bright line has a large −λ₁, a dark one a
large λ₂, and both are multiplied by σ² so that scales can be compared. Veins are bright on fresh leaves and dark on
cleared ones: the polarity is that of the better midvein.

Reference: Lindeberg, "Edge detection and ridge detection with automatic scale selection" (1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.morphology import skeletonize

from leaflineage.anatomy.labels import Floats, Mask

Ridges = NDArray[np.float32]
MIDVEIN_SCALES = (0.007, 0.014)  # σ in L
OFF_RIDGE = 0.3  # what a pixel off every ridge counts, against 1 on the strongest
LEAST_SECONDARY = 0.07  # length in L


@dataclass(frozen=True)
class Ridge:
    """Ridges of one polarity: strength (rows, columns), 0 outside the blade, and direction of the line there.

    A strength of 1 is reached by one pixel in a hundred, of the two polarities the stronger. Directions are radians,
    x right, y down, known up to half a turn.
    """

    strength: Ridges
    directions: Floats


def measure_ridges(brightness: NDArray[np.float32], blade: Mask, sigmas: tuple[float, ...]) -> tuple[Ridge, Ridge]:
    """Return the bright and the dark ridges of a blade.

    Parameters
    ----------
    brightness
        (rows, columns).
    blade
        Beyond it the brightness is filled in from inside, so that the outline is no ridge.
    sigmas
        Pixels; directions are those of the first.
    """
    filled = _fill_outside(brightness, blade, 2.5 * max(sigmas))
    bright, dark = np.zeros_like(filled), np.zeros_like(filled)
    directions: Floats | None = None
    for sigma in sigmas:
        smooth = ndimage.gaussian_filter(filled, sigma, truncate=3.0)
        down, right = np.gradient(smooth)
        yy, yx = np.gradient(down)
        xx = np.gradient(right, axis=1)
        middle, spread = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + yx**2)
        factor = np.float32(sigma**2)
        bright = np.maximum(bright, factor * (spread - middle))
        dark = np.maximum(dark, factor * (spread + middle))
        if directions is None:
            # The eigenvector of the larger eigenvalue: a bright line bends most, downwards, across itself.
            directions = 0.5 * np.arctan2(2 * yx, xx - yy)
    assert directions is not None
    typical = max(float(np.percentile(each[blade], 99)) for each in (bright, dark)) + 1e-6
    return (
        Ridge(np.where(blade, bright / typical, 0), directions),
        Ridge(np.where(blade, dark / typical, 0), directions + np.pi / 2),
    )


def spread_costs(ridges: Ridges, blade: Mask, starts: list[tuple[int, int]]) -> MCP_Geometric:
    """Return the cheapest ways from some pixels (row, column) through the blade: ridges are cheap, the rest is not."""
    costs = np.where(blade, 1 / (OFF_RIDGE + np.minimum(ridges, 1.0)), np.inf)
    paths = MCP_Geometric(costs, fully_connected=True)
    paths.find_costs(starts)
    return paths


def find_secondaries(ridges: Ridges, allowed: Mask, length: float) -> Mask:
    """Return the lines of ridges that are at least 0.07 L long, drawn some 0.006 L wide.

    Parameters
    ----------
    ridges
        (rows, columns) of the right polarity.
    allowed
        Where veins may be: the blade without margin and midvein.
    length
        L in pixels.
    """
    if allowed.sum() < 50:
        return np.zeros_like(allowed)
    low, high = np.percentile(ridges[allowed], [86, 95])
    weak = (ridges > low) & allowed
    pieces, n = ndimage.label(weak, np.ones((3, 3)))
    strong = np.unique(pieces[weak & (ridges > high)])
    lines = skeletonize(np.isin(pieces, strong[strong > 0]))
    pieces, n = ndimage.label(lines, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)
    kept = np.isin(pieces, np.flatnonzero(sizes >= LEAST_SECONDARY * length)) & lines
    width = max(1.0, 0.006 * length)
    drawn: Mask = (np.asarray(ndimage.distance_transform_edt(~kept)) <= width / 2) & allowed
    return drawn if kept.any() else np.zeros_like(allowed)


def _fill_outside(brightness: NDArray[np.float32], blade: Mask, sigma: float) -> NDArray[np.float32]:
    inner = np.asarray(ndimage.binary_erosion(blade, iterations=2))
    inner = inner if inner.any() else blade
    index = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    nearest = brightness[index[0], index[1]]
    soft = ndimage.gaussian_filter(nearest, sigma, truncate=2.0)
    return np.where(inner, brightness, soft).astype(np.float32)
