"""The petiole: a strip of even width that ends at the blade.

What an opening with a disc takes away from the leaf are its thin parts: the petiole, teeth, tips, lobes. A petiole is
long for its width and does not taper. From its foot a front is sent through the leaf; the petiole's insertion is where
the front, so far as wide as the petiole, begins to widen for good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

from leaflineage.anatomy.labels import SQUARE, Floats, Mask

DISC = 0.19  # of the largest circle in the leaf: what is thinner may be a petiole
LEAST_LENGTH = 0.05  # of the root of the leaf's area
WIDENS = 1.5  # times the petiole's width: where the blade begins
MANY = 4  # candidates looked at


@dataclass(frozen=True)
class Stalk:
    """A petiole: its mask (rows, columns), the pixels (row, column) of its foot and insertion, its width in pixels.

    direction: unit vector (x, y) towards the blade at the insertion. merit: how much it looks like a petiole.
    """

    mask: Mask
    foot: tuple[int, int]
    insertion: tuple[int, int]
    width: float
    length: float
    direction: tuple[float, float]
    merit: float


def find_stalks(whole: Mask) -> list[Stalk]:
    """Return what may be the petiole, the likeliest first.

    Parameters
    ----------
    whole
        (rows, columns): the leaf, holes filled.
    """
    inside = np.asarray(ndimage.distance_transform_edt(np.pad(whole, 1)))[1:-1, 1:-1]
    root = float(np.sqrt(whole.sum()))
    radius = max(1.5, DISC * float(inside.max()))
    core = inside > radius
    body = np.asarray(ndimage.distance_transform_edt(~core)) <= radius + 0.7
    pieces, n = ndimage.label(whole & ~body, SQUARE)
    found = []
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)
    for number in sorted(range(1, n + 1), key=lambda each: (-sizes[each], each))[: 3 * MANY]:
        stalk = _measure_stalk(whole, body & whole, pieces == number, inside, root)
        if stalk is not None:
            found.append(stalk)
    return sorted(found, key=lambda stalk: -stalk.merit)[:MANY]


def _measure_stalk(whole: Mask, body: Mask, piece: Mask, inside: Floats, root: float) -> Stalk | None:
    place = ndimage.find_objects(piece.astype(np.int8))[0]
    extent = float(np.hypot(place[0].stop - place[0].start, place[1].stop - place[1].start))
    if extent < LEAST_LENGTH * root:
        return None
    margin = int(0.35 * extent + 0.08 * root) + 2
    window = tuple(slice(max(0, each.start - margin), each.stop + margin) for each in place)
    near, own = body[window], piece[window]
    contact = own & np.asarray(ndimage.binary_dilation(near, SQUARE))
    if not contact.any():
        return None
    leaf = np.asarray(whole[window])
    starts = list(zip(*np.nonzero(contact), strict=True))
    away = _spread(own, starts)
    foot = np.unravel_index(int(np.argmax(np.where(own & np.isfinite(away), away, -1))), own.shape)
    front = _spread(leaf, [(int(foot[0]), int(foot[1]))])
    reach = float(front[contact].min())
    if not np.isfinite(reach) or reach < LEAST_LENGTH * root:
        return None
    finite = np.isfinite(front)
    last = int(min(front[finite].max(), 1.3 * reach + 0.06 * root))
    widths = np.bincount(front[finite & (front < last)].astype(int), minlength=last + 1)[:last].astype(float)
    if len(widths) < 6:
        return None
    widths = np.asarray(ndimage.uniform_filter1d(widths, 3, mode="nearest"))
    usual = float(np.median(widths[int(0.1 * reach) : max(int(0.1 * reach) + 2, int(0.75 * reach))]))
    limit = max(WIDENS * usual, usual + 2.0)
    wide = np.flatnonzero(widths > limit)
    wide = wide[wide > 0.35 * reach]
    end = int(wide[0]) if len(wide) else len(widths) - 1
    # Walk back to where it began to widen.
    while end > 1 and widths[end - 1] > 1.15 * usual and end > 0.35 * reach:
        end -= 1
    mask = np.zeros_like(whole)
    mask[window] = finite & (front <= end)
    rows, columns = np.nonzero(mask[window] & (front > end - 2.5))
    if not len(rows):
        return None
    offset = (window[0].start, window[1].start)
    insertion = (round(float(rows.mean())) + offset[0], round(float(columns.mean())) + offset[1])
    back_rows, back_columns = np.nonzero(
        mask[window] & (front > max(0.0, end - 0.1 * root - 4)) & (front <= max(2.0, end - 0.05 * root - 2))
    )
    foot_at = (int(foot[0]) + offset[0], int(foot[1]) + offset[1])
    origin = (
        (float(back_rows.mean()) + offset[0], float(back_columns.mean()) + offset[1]) if len(back_rows) else foot_at
    )
    along = np.array([insertion[1] - origin[1], insertion[0] - origin[0]], dtype=float)
    along /= max(float(np.hypot(*along)), 1e-6)
    # A tip tapers to nothing, a petiole does not.
    tip = float(np.median(widths[1 : max(3, int(0.3 * end))]))
    middle = float(np.median(widths[int(0.4 * end) : max(int(0.4 * end) + 2, int(0.9 * end))]))
    taper = min(1.0, tip / max(middle, 1e-6))
    slender = min(1.0, end / (3.0 * usual))
    at_rim = min(foot_at) < 2 or foot_at[0] > whole.shape[0] - 3 or foot_at[1] > whole.shape[1] - 3
    merit = min(end / root, 0.5) * taper**2 * slender * (1.5 if at_rim else 1.0) + 0.08 * taper**2 * slender
    return Stalk(mask, foot_at, insertion, usual, float(end), (float(along[0]), float(along[1])), merit)


def _spread(mask: Mask, starts: list[tuple[int, int]]) -> Floats:
    """Return the way inside a mask from some of its pixels, in pixels; infinite where there is none."""
    paths = MCP_Geometric(np.where(mask, 1.0, np.inf), fully_connected=True)
    costs: NDArray[np.float64] = paths.find_costs([(int(row), int(column)) for row, column in starts])[0]
    return costs
