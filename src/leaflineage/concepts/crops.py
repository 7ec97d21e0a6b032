"""Square crops: the grid CRAFT fits on, the squares that show a concept best.

A box is (x0, y0, x1, y1) in pixels, half-open; a crop's side is a fraction of the image's shorter side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Box = tuple[int, int, int, int]
BLANK = 0.01  # standard deviation in [0, 1] under which a square is bare paper


def place_grid(width: int, height: int, *, crop_side: float, crop_stride: float) -> list[Box]:
    """Return overlapping squares that cover an image, row by row; the last of a row ends at the border.

    Parameters
    ----------
    crop_side
        Fraction of the shorter side.
    crop_stride
        Fraction of the shorter side between neighbours.
    """
    shorter = min(width, height)
    side = max(1, min(shorter, round(crop_side * shorter)))
    stride = max(1, round(crop_stride * shorter))
    return [
        (x, y, x + side, y + side) for y in _place_line(height, side, stride) for x in _place_line(width, side, stride)
    ]


def centre_box(x: float, y: float, width: int, height: int, *, crop_side: float) -> Box:
    """Return the square of ``crop_side`` around a point, moved inside the image."""
    side = max(1, min(width, height, round(crop_side * min(width, height))))
    x0 = min(max(round(x - side / 2), 0), width - side)
    y0 = min(max(round(y - side / 2), 0), height - side)
    return (x0, y0, x0 + side, y0 + side)


def is_blank(square: NDArray[np.uint8]) -> bool:
    """Tell whether a square (rows, columns, 3) uint8 is bare paper: no channel's deviation reaches 0.01."""
    return bool((square.reshape(-1, 3).std(axis=0) / 255 < BLANK).all())


def find_top_cells(maps: Floats, groups: Sequence[str], *, n_crops: int) -> list[list[tuple[int, int, int, float]]]:
    """Return, a concept each, the strongest cell of the strongest specimens, at most one a group.

    Parameters
    ----------
    maps
        (n_specimens, rows, columns, n_concepts) coefficient maps.
    groups
        One a specimen.

    Returns
    -------
    top_cells
        For each concept at most ``n_crops`` of (specimen index, row, column, coefficient), by falling coefficient,
        ties by specimen index; cells in which the concept is absent are left out.
    """
    n_specimens, rows, columns, n_concepts = maps.shape
    flat = maps.reshape(n_specimens, rows * columns, n_concepts)
    best = flat.argmax(axis=1)  # (n_specimens, n_concepts)
    strength = np.take_along_axis(flat, best[:, None], axis=1)[:, 0]
    found = []
    for concept in range(n_concepts):
        taken: set[str] = set()
        cells: list[tuple[int, int, int, float]] = []
        for index in np.argsort(-strength[:, concept], kind="stable"):
            coefficient = float(strength[index, concept])
            if len(cells) == n_crops or coefficient <= 0:
                break
            if groups[index] not in taken:
                taken.add(groups[index])
                row, column = divmod(int(best[index, concept]), columns)
                cells.append((int(index), row, column, coefficient))
        found.append(cells)
    return found


def _place_line(length: int, side: int, stride: int) -> list[int]:
    """Return the starts of squares along one side."""
    starts = list(range(0, length - side + 1, stride))
    return starts if starts[-1] == length - side else [*starts, length - side]
