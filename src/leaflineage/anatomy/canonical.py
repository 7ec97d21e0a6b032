"""A concept's mean coefficient map on one leaf that stands for all: the canonical leaf.

Every usable specimen's pixels have a place along the axis and across it. They fall into bins of a grid; a bin's value
on one specimen is the enlarged map's mean over its pixels, a linear function of the map's cells. Over specimens the
mean is taken, bin by bin, of those that have the bin. The petiole has bins of its own, from its foot to the insertion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaflineage.anatomy.labels import PETIOLE, Floats
from leaflineage.anatomy.placing import Lie
from leaflineage.anatomy.zones import LeafZones

N_ALONG = 24
N_ACROSS = 15
N_PETIOLE = 4
N_BINS = N_ALONG * N_ACROSS + N_PETIOLE
SIDE = 96  # pixels, the longer side at which bins are filled
PETIOLE_LENGTH = 0.28  # of the canonical leaf's, in L
PETIOLE_WIDTH = 0.075
WIDTH = 0.62
JOINED = 0.03  # of L, up to which the petiole reaches into the blade, so that no gap is left


@dataclass(frozen=True)
class CanonicalMap:
    """Means of one concept: blade (24 along, 15 across; base and left first), petiole (4; foot first). NaN: unseen."""

    blade: Floats
    petiole: Floats


def fill_bins(zones: LeafZones, lie: Lie, map_shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return each bin's value as weights of a map's cells, (n_bins, rows · columns); rows of unseen bins are 0.

    A specimen's bins are these weights times its coefficient map, as a column of cells.
    """
    rows, columns = map_shape
    step = max(1, max(zones.labels.shape) // SIDE)
    start = step // 2
    window = (slice(start, None, step), slice(start, None, step))
    along, across, labels = zones.along[window], zones.across[window], zones.labels[window]
    is_petiole = labels == PETIOLE
    at_row, at_column = np.nonzero(np.isfinite(along))
    places, sides, stalk = along[at_row, at_column], across[at_row, at_column], is_petiole[at_row, at_column]
    on_blade = np.clip((places * N_ALONG).astype(int), 0, N_ALONG - 1) * N_ACROSS + np.clip(
        ((sides + 1) / 2 * N_ACROSS).astype(int), 0, N_ACROSS - 1
    )
    foot = min(float(places[stalk].min()), -1e-6) if stalk.any() else -1.0
    on_stalk = np.clip(((1 - places / foot) * N_PETIOLE).astype(int), 0, N_PETIOLE - 1)
    bins = np.where(stalk, N_ALONG * N_ACROSS + on_stalk, on_blade)
    x = (at_column * step + start + 0.5) * lie.scale_x + lie.offset_x
    y = (at_row * step + start + 0.5) * lie.scale_y + lie.offset_y
    seen = (x >= 0) & (x < lie.input_width) & (y >= 0) & (y < lie.input_height)
    weights = np.zeros((N_BINS, rows * columns))
    counts = np.bincount(bins[seen], minlength=N_BINS)
    for cell, weight in _interpolate(
        y[seen] / lie.input_height * rows - 0.5, x[seen] / lie.input_width * columns - 0.5, map_shape
    ):
        np.add.at(weights, (bins[seen], cell), weight)
    return np.divide(weights, counts[:, None], out=weights, where=counts[:, None] > 0).astype(np.float32)


def _interpolate(rows: Floats, columns: Floats, shape: tuple[int, int]) -> Sequence[tuple[NDArray[np.intp], Floats]]:
    """Return the four cells around each place, and their weights; the outermost cells hold beyond their centres."""
    found = []
    rows, columns = np.clip(rows, 0, shape[0] - 1), np.clip(columns, 0, shape[1] - 1)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    for down in (0, 1):
        for right in (0, 1):
            row, column = np.minimum(top + down, shape[0] - 1), np.minimum(left + right, shape[1] - 1)
            weight = np.abs(1 - down - (rows - top)) * np.abs(1 - right - (columns - left))
            found.append((row * shape[1] + column, weight))
    return found


class LeafAverage:
    """The mean map of every concept in leaf coordinates, of specimens that come one after another."""

    def __init__(self, n_concepts: int) -> None:
        self._sums = np.zeros((N_BINS, n_concepts))
        self._counts = np.zeros(N_BINS, dtype=np.intp)

    def add(self, coefficient_map: Floats, bins: Floats) -> None:
        """Add a usable specimen.

        Parameters
        ----------
        coefficient_map
            (rows, columns, n_concepts).
        bins
            (n_bins, rows · columns), of `fill_bins`.
        """
        flat = coefficient_map.reshape(-1, coefficient_map.shape[-1]).astype(np.float64)
        self._sums += bins.astype(np.float64) @ flat
        self._counts += bins.sum(axis=-1) > 0

    def take(self) -> list[CanonicalMap]:
        """Return the means, a concept each."""
        counts = self._counts[:, None]
        means = np.divide(self._sums, counts, out=np.full_like(self._sums, np.nan), where=counts > 0)
        n_blade = N_ALONG * N_ACROSS
        return [
            CanonicalMap(means[:n_blade, index].reshape(N_ALONG, N_ACROSS), means[n_blade:, index])
            for index in range(means.shape[1])
        ]


def shade_leaf(canonical: CanonicalMap, *, height: int) -> NDArray[np.float32]:
    """Return a small picture's shade, (height, width) float32: the mean coefficient; NaN beside the canonical leaf.

    The leaf stands upright, its apex at the top; a grey or coloured veil is made of it by whoever draws.
    """
    x, y, half = _lay_grid(height)
    width = len(x)
    shade = np.full((height, width), np.nan)
    in_blade = (np.abs(x)[None, :] < half[:, None]) & (y >= 0)[:, None]
    place = np.clip(y[:, None] * N_ALONG - 0.5, 0, N_ALONG - 1) + np.zeros((1, width))
    across = np.divide(x[None, :], half[:, None], out=np.zeros((height, width)), where=half[:, None] > 0)
    lane = np.clip((across + 1) / 2 * N_ACROSS - 0.5, 0, N_ACROSS - 1)
    shade[in_blade] = _read(canonical.blade, place[in_blade], lane[in_blade])
    below = np.flatnonzero(y < 0)
    step = np.clip(((1 + y[below] / PETIOLE_LENGTH) * N_PETIOLE).astype(int), 0, N_PETIOLE - 1)
    strip = _find_strip(x)
    shade[np.ix_(below, strip)] = canonical.petiole[step][:, None]
    return shade.astype(np.float32)


def find_canonical_leaf(*, height: int) -> NDArray[np.bool_]:
    """Return where the canonical leaf is in the picture that `shade_leaf` gives, (height, width)."""
    x, y, half = _lay_grid(height)
    in_blade = (np.abs(x)[None, :] < half[:, None]) & (y >= 0)[:, None]
    return np.asarray(in_blade | ((y < JOINED)[:, None] & _find_strip(x)[None, :]))


def _lay_grid(height: int) -> tuple[Floats, Floats, Floats]:
    """Return the places of columns across the axis and of rows along it, in L, and the blade's half width at rows."""
    scale = height / (1 + PETIOLE_LENGTH)
    width = max(3, round(WIDTH * scale))
    y = 1 - (np.arange(height) + 0.5) / scale  # position along the axis, apex at the top
    x = (np.arange(width) + 0.5 - width / 2) / scale
    return x, y, outline_half_width(y)


def _find_strip(x: Floats) -> NDArray[np.bool_]:
    """Return which columns the petiole covers: one, at least."""
    step = float(x[1] - x[0])
    return np.asarray(np.abs(x) <= max(PETIOLE_WIDTH / 2, step / 2 + 1e-9))


def outline_half_width(along: Floats) -> Floats:
    """Return the canonical blade's half width in L at positions along its axis (n,), 0 beyond its ends."""
    inside = np.clip(along, 0, 1)
    width: Floats = 0.3 * np.sin(np.pi * inside**0.85) ** 0.9
    return np.asarray(np.where((along >= 0) & (along <= 1), width, 0.0))


def _read(grid: Floats, places: Floats, lanes: Floats) -> Floats:
    """Return a grid between its bins; unseen bins do not count, and where all around are unseen it is NaN."""
    sums, weights = np.zeros(len(places)), np.zeros(len(places))
    known = np.isfinite(grid).ravel()
    values = np.where(known, grid.ravel(), 0.0)
    for cell, weight in _interpolate(places, lanes, (grid.shape[0], grid.shape[1])):
        sums += values[cell] * weight * known[cell]
        weights += weight * known[cell]
    return np.asarray(np.divide(sums, weights, out=np.full(len(places), np.nan), where=weights > 1e-9))
