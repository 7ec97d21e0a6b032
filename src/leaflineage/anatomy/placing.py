"""Where on the leaf a concept sits: share and enrichment by zone, with an interval over leaves.

A coefficient map's cells are spread over the classifier's input; each cell's area is divided among the zones under it.
With m a cell's coefficient and f_z the part of its area that zone z has, over the cells c of specimens s:

    share_z       Σ_s Σ_c m f_z / Σ_s Σ_c m
    expected_z    Σ_s (Σ_c m) (mean_c f_z) / Σ_s Σ_c m     what an evenly spread map would put there
    enrichment_z  share_z / expected_z

`within_leaf` is the enrichment of the leaf's zones among themselves, so that a concept of the whole leaf has 1
everywhere and does not look like one of its margin. Intervals are bootstraps over groups: pictures of one leaf are
drawn together.

Reference: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaflineage.anatomy.labels import LEAF_ZONES, N_ZONES, OFF_LEAF_ZONES, PADDING, Floats, Labels

N_DRAWS = 1000
LEVELS = (2.5, 97.5)
N_AT_ONCE = 64  # specimens of which all cells are held


@dataclass(frozen=True)
class Lie:
    """How a picture lies in the classifier's input: x_input = x_picture · scale_x + offset_x, in pixels; y likewise."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    input_width: int
    input_height: int


@dataclass(frozen=True)
class Estimates:
    """Numbers (n_concepts, n_columns) with the ends of their 95 % intervals, NaN where there is nothing to measure."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Placement:
    """Where a family's concepts sit; columns are zones 0 to 9.

    off_leaf: one column, what lies on background, foreign things and padding together; off_leaf_enrichment likewise.
    border: one column, what lies on the outermost ring of the map's cells, and border_enrichment.
    n_groups: leaves that took part.
    """

    share: Estimates
    enrichment: Estimates
    within_leaf: Estimates
    off_leaf: Estimates
    off_leaf_enrichment: Estimates
    border: Estimates
    border_enrichment: Estimates
    n_groups: int


def divide_cells(labels: Labels, lie: Lie, map_shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the part of every cell's area that each zone has, (rows, columns, 10); each cell sums to 1.

    Parameters
    ----------
    labels
        (height, width) of the upright picture.
    map_shape
        (rows, columns) of the coefficient map, which covers the whole input.
    """
    rows, columns = map_shape
    height, width = labels.shape
    column, inside_x = _assign(width, lie.scale_x, lie.offset_x, lie.input_width, columns)
    row, inside_y = _assign(height, lie.scale_y, lie.offset_y, lie.input_height, rows)
    seen = (row >= 0)[:, None] & (column >= 0)[None, :]
    cell = row[:, None] * columns + column[None, :]
    counts = np.bincount((cell * N_ZONES + labels)[seen], minlength=rows * columns * N_ZONES)
    parts = counts.reshape(rows, columns, N_ZONES).astype(np.float64)
    totals = parts.sum(axis=-1, keepdims=True)
    covered = np.where(totals[..., 0] > 0, inside_y[:, None] * inside_x[None, :], 0.0)[..., None]
    parts = np.divide(parts, totals, out=np.zeros_like(parts), where=totals > 0) * covered
    parts[..., PADDING] += 1 - covered[..., 0]
    return np.asarray(parts, dtype=np.float32)


def _assign(n: int, scale: float, offset: float, size: int, n_cells: int) -> tuple[NDArray[np.intp], Floats]:
    """Return the cell of each pixel of a line (−1: not seen), and how much of each cell the picture covers."""
    places = (np.arange(n) + 0.5) * scale + offset
    cell = np.floor(places * n_cells / size).astype(np.intp)
    cell[(places < 0) | (places >= size)] = -1
    edges = np.arange(n_cells + 1) * size / n_cells
    start, stop = max(0.0, offset), min(float(size), n * scale + offset)
    covered = np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None) * n_cells / size
    return cell, covered


def place_concepts(maps: Floats, cells: Floats, groups: Sequence[str], *, seed: int) -> Placement:
    """Return where a family's concepts sit.

    Parameters
    ----------
    maps
        (n_specimens, rows, columns, n_concepts) coefficients ≥ 0.
    cells
        (n_specimens, rows, columns, 10), of `divide_cells`.
    groups
        One a specimen.

    Raises
    ------
    ValueError
        Where the shapes do not belong together, or there is no specimen.
    """
    if maps.ndim != 4 or len(maps) == 0 or cells.shape != (*maps.shape[:3], N_ZONES) or len(groups) != len(maps):
        raise ValueError(
            "coefficient maps (n_specimens, rows, columns, n_concepts) with as many divided cells (…, 10) and groups "
            f"are wanted; came {maps.shape}, {cells.shape} and {len(groups)}"
        )
    sums = [
        _sum_cells(maps[start : start + N_AT_ONCE], cells[start : start + N_AT_ONCE])
        for start in range(0, len(maps), N_AT_ONCE)
    ]
    on_zones, spread, totals = (np.concatenate(each) for each in zip(*sums, strict=True))
    names = sorted(set(groups))
    where = {name: index for index, name in enumerate(names)}
    of_group = np.array([where[group] for group in groups])
    draws = np.random.default_rng(seed).integers(len(names), size=(N_DRAWS, len(names)))
    counts = np.stack([np.bincount(draw, minlength=len(names)) for draw in draws])[:, of_group]
    counts = np.concatenate([np.ones((1, len(maps))), counts]).astype(np.float64)  # the first is no draw
    drawn = [np.tensordot(counts, each, axes=1) for each in (on_zones, spread, totals)]
    found = _measure(*drawn)
    return Placement(**{name: _take(values) for name, values in found.items()}, n_groups=len(names))


def _sum_cells(maps: Floats, cells: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what specimens' concepts hold on each zone and on the ring, what an even spread would, and their sums.

    Returns
    -------
    on_zones, spread
        (n, n_concepts, 11).
    totals
        (n, n_concepts).
    """
    flat = maps.reshape(len(maps), -1, maps.shape[-1]).astype(np.float64)  # (n, n_cells, k)
    parts = cells.reshape(len(maps), -1, N_ZONES).astype(np.float64)
    ring = np.zeros(maps.shape[1:3])
    ring[[0, -1], :], ring[:, [0, -1]] = 1, 1
    parts = np.concatenate([parts, np.broadcast_to(ring.reshape(-1, 1), (*parts.shape[:2], 1))], axis=-1)
    totals = flat.sum(axis=1)
    return np.einsum("nck,ncz->nkz", flat, parts), totals[..., None] * parts.mean(axis=1)[:, None, :], totals


def _measure(on_zones: Floats, spread: Floats, totals: Floats) -> dict[str, Floats]:
    """Return all measures, (n_draws, n_concepts, n_columns) each."""
    leaf, off = list(LEAF_ZONES), list(OFF_LEAF_ZONES)
    share = _divide(on_zones, totals[..., None])
    expected = _divide(spread, totals[..., None])
    inside = _divide(share[..., :N_ZONES], share[..., leaf].sum(axis=-1, keepdims=True))
    even = _divide(expected[..., :N_ZONES], expected[..., leaf].sum(axis=-1, keepdims=True))
    within = _divide(inside, even)
    within[..., off] = np.nan
    off_leaf, off_expected = (each[..., off].sum(axis=-1, keepdims=True) for each in (share, expected))
    return {
        "share": share[..., :N_ZONES],
        "enrichment": _divide(share, expected)[..., :N_ZONES],
        "within_leaf": within,
        "off_leaf": off_leaf,
        "off_leaf_enrichment": _divide(off_leaf, off_expected),
        "border": share[..., N_ZONES:],
        "border_enrichment": _divide(share, expected)[..., N_ZONES:],
    }


def _divide(above: Floats, below: Floats) -> Floats:
    above, below = np.broadcast_arrays(above, below)
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 1e-12))


def _take(draws: Floats) -> Estimates:
    value, others = draws[0], draws[1:]
    known = np.isfinite(others)
    # A zone that few leaves have is missing from some draws: the interval is over those that have it.
    filled = np.where(known, others, np.nan)
    enough = known.any(axis=0)
    safe = np.where(enough, filled, 0.0)
    low, high = np.nanpercentile(safe, LEVELS, axis=0)
    low, high = np.fmin(low, value), np.fmax(high, value)
    unknown = ~enough | ~np.isfinite(value)
    return Estimates(value, np.where(unknown, np.nan, low), np.where(unknown, np.nan, high))
