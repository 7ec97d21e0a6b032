"""Where veins radiate: the point of a palmate leaf at which the primaries meet.

Around a point the ridges are read along rays. A ray is a vein as far as it is filled with ridges; a hub is a point with
many veins in different directions. A petiole that lies in a closed sinus is one of its rays, and the petiole's end is
found there, where the outline says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leaflineage.anatomy.labels import Floats, Mask
from leaflineage.anatomy.veins import Ridges

N_RAYS = 72
N_STEPS = 22
REACH = (0.05, 0.34)  # of the root of the leaf's area
APART = 22.0  # degrees between two veins
IS_VEIN = 0.5  # of a ray is ridge
STRONG = 0.5  # what a ridge needs to fill a ray


@dataclass(frozen=True)
class Hub:
    """A point (row, column), the angles (radians, x right, y down) of its veins, and how full each is [0, 1]."""

    at: tuple[int, int]
    angles: Floats
    filled: Floats


def find_hub(ridges: Ridges, directions: Floats, whole: Mask, also: tuple[int, int] | None) -> Hub | None:
    """Return the point with the most and fullest veins, wherever in the leaf it is; None in a leaf without ridges.

    Parameters
    ----------
    ridges, directions
        (rows, columns) of one polarity, of the whole leaf.
    whole
        The leaf, holes filled.
    also
        A point (row, column) near which a hub would be no surprise: the petiole's insertion.
    """
    root = float(np.sqrt(whole.sum()))
    inside = np.asarray(ndimage.distance_transform_edt(whole)) > 0.05 * root
    step = max(2, round(0.03 * root))
    rows, columns = np.nonzero(inside[::step, ::step])
    if not len(rows):
        return None
    at = np.stack([rows, columns], axis=1) * step
    wide = _mark_lines(ridges, directions, 0.024 * root)
    coarse = at[int(np.argmax(_score(_read_rays(wide, at, root, every=2))))]
    offsets = np.stack(np.meshgrid(*[np.arange(-step, step + 1, 2)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    near = np.concatenate([each + offsets for each in ([coarse] if also is None else [coarse, np.array(also)])])
    rays = _read_rays(_mark_lines(ridges, directions, 0.009 * root), near, root)
    best = int(np.argmax(_score(rays)))
    return make_hub(rays[best], (int(near[best, 0]), int(near[best, 1])))


def make_hub(rays: Floats, at: tuple[int, int]) -> Hub:
    """Return a hub of its rays (72,): the local maxima that are veins, at least 22 degrees apart."""
    order = np.argsort(-rays, kind="stable")
    taken: list[int] = []
    apart = APART / 360 * N_RAYS
    for each in order:
        gaps = [min(abs(each - other), N_RAYS - abs(each - other)) for other in taken]
        if rays[each] >= IS_VEIN and all(gap >= apart for gap in gaps):
            taken.append(int(each))
    angles = np.array(taken, dtype=float) * 2 * np.pi / N_RAYS
    return Hub(at, (angles + np.pi) % (2 * np.pi) - np.pi, rays[taken])


def _mark_lines(ridges: Ridges, directions: Floats, reach: float) -> tuple[Ridges, Ridges]:
    """Return ridges as doubled angles, each (rows, columns), spread over their surroundings."""
    strength = np.minimum(ridges / STRONG, 1.0)
    size = max(3, round(reach) | 1)
    doubled = 2 * directions
    cosine, sine = strength * np.cos(doubled), strength * np.sin(doubled)
    # A line two pixels wide fills that much of a square around it.
    gain = np.float32(size / 2.0)
    return tuple(  # type: ignore[return-value]
        np.clip(ndimage.uniform_filter(each.astype(np.float32), size) * gain, -1, 1) for each in (cosine, sine)
    )


def _read_rays(lines: tuple[Ridges, Ridges], at: NDArray[np.intp], root: float, *, every: int = 1) -> Floats:
    """Return how full of ridges along it each ray of each point is, (n_points, 72), or of every second ray."""
    angles = np.arange(0, N_RAYS, every) * 2 * np.pi / N_RAYS
    radii = np.linspace(*REACH, N_STEPS // every) * root
    down = np.rint(np.sin(angles)[:, None] * radii).astype(int)
    right = np.rint(np.cos(angles)[:, None] * radii).astype(int)
    height, width = lines[0].shape
    rows, columns = at[:, 0, None, None] + down, at[:, 1, None, None] + right
    seen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = np.where(seen, rows * width + columns, 0)
    doubled = (2 * angles)[:, None]
    cosine, sine = np.cos(doubled).astype(np.float32), np.sin(doubled).astype(np.float32)
    along = lines[0].ravel()[index] * cosine + lines[1].ravel()[index] * sine
    return np.asarray((np.maximum(along, 0) * seen).mean(axis=-1))


def _score(rays: Floats) -> Floats:
    """Return, a point each, the sum of its five fullest of eighteen sectors of 20 degrees."""
    sectors = rays.reshape(len(rays), 18, -1).max(axis=-1)
    # Neighbouring sectors share a vein that runs between them.
    kept = np.where(sectors >= np.maximum(np.roll(sectors, 1, axis=1), np.roll(sectors, -1, axis=1)), sectors, 0.0)
    return np.asarray(np.sort(kept, axis=1)[:, -5:].sum(axis=1) + 0.2 * np.sort(kept, axis=1)[:, -7:-5].sum(axis=1))
