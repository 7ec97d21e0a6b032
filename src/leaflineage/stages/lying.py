"""Where a picture and its leaf lie in the classifier's input, in the words of `anatomy`, which knows no files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leaflineage.anatomy import divide_cells, find_zones
from leaflineage.anatomy.labels import LEAF_ZONES
from leaflineage.anatomy.placing import Lie
from leaflineage.images import Frame


def make_lie(frame: Frame) -> Lie:
    """Return how a picture lies in the classifier's input."""
    return Lie(
        scale_x=frame.scale_x,
        scale_y=frame.scale_y,
        offset_x=frame.offset_x,
        offset_y=frame.offset_y,
        input_width=frame.input_width,
        input_height=frame.input_height,
    )


def find_off_leaf_cells(
    image: NDArray[np.uint8], frame: Frame, rows: int, columns: int, *, least: float
) -> NDArray[np.bool_]:
    """Tell, cell by cell, whether less than a share ``least`` of it is leaf; none where the leaf cannot be told."""
    zones = find_zones(image)
    if not zones.is_usable:
        return np.zeros(rows * columns, dtype=np.bool_)
    share = divide_cells(zones.labels, make_lie(frame), (rows, columns))[..., list(LEAF_ZONES)].sum(axis=-1)
    return np.asarray(share < least).ravel()


def measure_leaf_shares(image: NDArray[np.uint8], boxes: Sequence[tuple[int, int, int, int]]) -> NDArray[np.floating]:
    """Return how much of each box (x0, y0, x1, y1 px) is leaf, (n_boxes,) in [0, 1].

    Where the leaf cannot be told, all of every box is.
    """
    zones = find_zones(image)
    if not zones.is_usable:
        return np.ones(len(boxes))
    is_leaf = np.isin(zones.labels, list(LEAF_ZONES))
    return np.array([is_leaf[y0:y1, x0:x1].mean() for x0, y0, x1, y1 in boxes])
