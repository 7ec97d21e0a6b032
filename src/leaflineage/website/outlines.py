"""Outlines of heat maps: closed lines along which a map has one value, found by marching squares.

The map is enlarged first, as the browser enlarges the picture of it (between the middles of cells), and softened a
little, since the corners of cells are not the leaf's; then it is framed by zeros, so that every line closes. Two lines
cross a square whose opposite corners lie above the level: they are drawn apart.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 48  # points of the enlarged map, on its longer side
SOFT = 0.3  # of a cell: the standard deviation by which a map is softened
SMALLEST = 0.2  # of the largest line's area: what is smaller is left out
Heat = NDArray[np.float64]
Point = tuple[float, float]
Line = tuple[Point, ...]
Edge = tuple[int, int, bool]  # row, column, whether it stands upright

# Edges of a square: 0 top, 1 right, 2 bottom, 3 left. By the corners above the level (1 top left, 2 top right, 4 bottom
# right, 8 bottom left): the pairs of edges that a line joins, what is above lying on its right.
CASES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((3, 0),),
    2: ((0, 1),),
    3: ((3, 1),),
    4: ((1, 2),),
    5: ((3, 0), (1, 2)),
    6: ((0, 2),),
    7: ((3, 2),),
    8: ((2, 3),),
    9: ((2, 0),),
    10: ((0, 1), (2, 3)),
    11: ((2, 1),),
    12: ((1, 3),),
    13: ((1, 0),),
    14: ((0, 3),),
}


def enlarge(heat: Heat, n_cells: int) -> Heat:
    """Return a map with ``SIDE`` points on its longer side, softened by a part of a cell.

    Parameters
    ----------
    heat : (rows, columns) array
        A map as it is stored: a point a cell, or enlarged already.
    n_cells : int
        How many cells of the network's map lie along the longer side.

    Returns
    -------
    (rows, columns) array
    """
    rows, columns = heat.shape
    scale = SIDE / max(rows, columns)
    tall, wide = max(1, round(rows * scale)), max(1, round(columns * scale))
    n_rounds = round(2 * (SOFT * SIDE / n_cells) ** 2)  # each adds a variance of half a point
    large: Heat = _make_enlarger(rows, tall, n_rounds) @ heat @ _make_enlarger(columns, wide, n_rounds).T
    return large


@lru_cache(maxsize=64)  # maps of one network have few sizes
def _make_enlarger(n: int, wanted: int, n_rounds: int) -> Heat:
    """Return the matrix (wanted, n) that enlarges a map along one axis and softens it: both are linear."""
    single = Image.fromarray(np.eye(n, dtype=np.float32)).resize((n, wanted), Image.Resampling.BICUBIC)
    large = np.asarray(single, dtype=np.float64)
    for _ in range(n_rounds):
        framed = np.pad(large, ((1, 1), (0, 0)), mode="edge")
        large = (framed[:-2] + 2 * large + framed[2:]) / 4
    return large


def trace(heat: Heat, level: float) -> tuple[Line, ...]:
    """Return the closed lines of a map at a level, the largest first.

    Parameters
    ----------
    heat : (rows, columns) array
        Values of any scale.
    level : float
        The value along the lines, above 0.

    Returns
    -------
    tuple of lines
        Each a tuple of points (x, y) in [0, 1] of the map's width and height, its end joined to its beginning.
    """
    framed = np.pad(heat, 1)
    above = framed >= level
    ahead: dict[
        tuple[int, int, bool], tuple[int, int, bool]
    ] = {}  # from edge to edge; an edge is (row, column, upright)
    cases = above[:-1, :-1] + 2 * above[:-1, 1:] + 4 * above[1:, 1:] + 8 * above[1:, :-1]
    for row, column in zip(*np.nonzero((cases > 0) & (cases < 15)), strict=True):
        y, x = int(row), int(column)
        edges = ((y, x, False), (y, x + 1, True), (y + 1, x, False), (y, x, True))
        for start, end in CASES[int(cases[y, x])]:
            ahead[edges[start]] = edges[end]
    lines = []
    while ahead:
        first = edge = min(ahead)
        points = []
        while edge in ahead:
            points.append(_cross(framed, edge, level))
            edge = ahead.pop(edge)
        assert edge == first
        lines.append(tuple(points))
    lines.sort(key=lambda line: (-measure_area(line), line))
    largest = measure_area(lines[0]) if lines else 0.0
    return tuple(line for line in lines if measure_area(line) >= SMALLEST * largest)


def _cross(framed: Heat, edge: Edge, level: float) -> Point:
    """Return where the level crosses an edge, in [0, 1] of the map without its frame."""
    row, column, upright = edge
    here, there = framed[row, column], framed[row + upright, column + (not upright)]
    share = float((level - here) / (there - here))
    rows, columns = framed.shape[0] - 2, framed.shape[1] - 2
    y, x = row + share * upright, column + share * (not upright)
    return min(1.0, max(0.0, (x - 0.5) / columns)), min(1.0, max(0.0, (y - 0.5) / rows))


def measure_area(line: Line) -> float:
    """Return the area that a closed line surrounds, whichever way it runs."""
    turned = (*line[1:], *line[:1])
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(line, turned, strict=True))) / 2


def find_middle(line: Line) -> Point:
    """Return the mean of a line's points."""
    return sum(x for x, _ in line) / len(line), sum(y for _, y in line) / len(line)
