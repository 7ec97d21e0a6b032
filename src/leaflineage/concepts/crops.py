"""Square crops: the grid CRAFT fits on, the squares that show a concept best.

A box is (x0, y0, x1, y1) in pixels, half-open; a crop's side is a fraction of the image's shorter side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Box = tuple[int, int, int, int]
Cell = tuple[int, int, int, float]  # specimen index, row, column, coefficient
BLANK = 0.01  # standard deviation in [0, 1] under which a square is bare paper
GRADES = {"p99": 99.0, "p90": 90.0, "p50": 50.0}  # percentiles at which a concept is shown beside its strongest crops
COUNTER = "counter"  # and where there is least of it
TOLERANCE = 5.0  # points that a specimen may be off its percentile


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


def find_top_cells(maps: Floats, groups: Sequence[str], *, n_crops: int) -> list[list[Cell]]:
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
        cells: list[Cell] = []
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


def find_graded_cells(
    maps: Floats, groups: Sequence[str], *, n_crops: int, allowed: NDArray[np.bool_], preferred: set[int]
) -> list[dict[str, list[Cell]]]:
    """Return, a concept each, the strongest cells of specimens that hold much, less and least of it.

    A specimen's strength is its strongest cell. It stands at a percentile where that percentile lies in its step of the
    strengths' distribution, equal ones together: from the share that is weaker to the share that is no stronger. For
    each percentile of `GRADES` those at most `TOLERANCE` points off are taken (the nearest where all are further off),
    for `COUNTER` the weakest below the median. No group comes twice in a concept, so a small family has fewer.

    Parameters
    ----------
    maps
        (n_specimens, rows, columns, n_concepts) coefficient maps, n_specimens ≥ 1.
    groups
        One a specimen.
    n_crops
        Of each kind, at most.
    allowed
        (n_specimens,): those that may be shown; the others count all the same.
    preferred
        Specimens (indices) to take before others that fit as well, since they are shown anyway; those taken are added.

    Returns
    -------
    graded
        For each concept {kind: cells}, by falling coefficient, ties by specimen index. Where a specimen holds nothing
        of the concept, the cell is the middle one.
    """
    n_specimens, rows, columns, n_concepts = maps.shape
    flat = maps.reshape(n_specimens, rows * columns, n_concepts)
    best, strengths = flat.argmax(axis=1), flat.max(axis=1)  # (n_specimens, n_concepts)
    graded = []
    for concept in range(n_concepts):
        strength = strengths[:, concept]
        ordered = np.sort(strength)
        low = np.searchsorted(ordered, strength, side="left") * 100 / n_specimens
        high = np.searchsorted(ordered, strength, side="right") * 100 / n_specimens
        taken: set[str] = set()
        found: dict[str, list[Cell]] = {}
        for kind in (*GRADES, COUNTER):
            if kind == COUNTER:
                fits = allowed & (high <= 50)
                keys = [(float(strength[i]), i not in preferred, 0.0, i) for i in np.flatnonzero(fits).tolist()]
            else:
                off = np.maximum(0, np.maximum(low - GRADES[kind], GRADES[kind] - high))
                fits = allowed & (off <= max(TOLERANCE, float(off.min())))
                keys = [(0.0, i not in preferred, float(off[i]), i) for i in np.flatnonzero(fits).tolist()]
            chosen: list[int] = []
            for *_, index in sorted(keys):
                if len(chosen) < n_crops and groups[index] not in taken:
                    taken.add(groups[index])
                    chosen.append(index)
            preferred.update(chosen)
            found[kind] = [
                (index, *_place_cell(float(strength[index]), int(best[index, concept]), rows, columns))
                for index in sorted(chosen, key=lambda each: (-float(strength[each]), each))
            ]
        graded.append(found)
    return graded


def _place_cell(strength: float, best: int, rows: int, columns: int) -> tuple[int, int, float]:
    """Return row, column and coefficient of a map's strongest cell; the middle one's where all are 0."""
    if strength <= 0:
        return rows // 2, columns // 2, 0.0
    return (*divmod(best, columns), strength)


def _place_line(length: int, side: int, stride: int) -> list[int]:
    """Return the starts of squares along one side."""
    starts = list(range(0, length - side + 1, stride))
    return starts if starts[-1] == length - side else [*starts, length - side]
