"""Rows of activations, of which there may be more than memory should hold: read in blocks, wherever they lie.

What is summed over rows is summed block by block, and a block has a fixed number of rows: whether all rows are held or
each block is read when its turn comes changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Places = NDArray[np.intp]
BLOCK = 32_768  # rows that a fit multiplies at once
N_BEYOND = 20  # singular vectors beyond the concepts wanted: a fit's start is as good as the SVD
GB = 10**9
PIECE = 4096  # rows that are read, or measured, at once: several copies of them are made


class Readable(Protocol):
    """An array, or something on disk that gives a part of one when it is asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any:
        """Return an array: an entry of the first axis, or a slice or a list of them."""


@dataclass(frozen=True)
class Rows:
    """Rows that are picked from one or several arrays.

    Attributes
    ----------
    parts
        Arrays (n, n_channels) of any type of numbers, and which rows of each are taken, in this order.
    weights
        (n_rows,) float32, what each row is multiplied by; None for rows as they are.
    held
        Whether whoever fits on them may hold all of them at once, as float32.
    """

    parts: Sequence[tuple[Readable, Places]]
    weights: NDArray[np.float32] | None
    held: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(n_rows, n_channels)."""
        return sum(len(places) for _, places in self.parts), self.parts[0][0].shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows from ``start`` to before ``stop``, an array of their own."""
        found = np.empty((stop - start, self.shape[1]), dtype=np.float32)
        first = 0  # of the part, among all rows
        for array, places in self.parts:
            low, high = max(start, first), min(stop, first + len(places))
            for begin in range(low, high, PIECE):
                end = min(begin + PIECE, high)
                found[begin - start : end - start] = array[places[begin - first : end - first]]
            first += len(places)
        if self.weights is not None:
            found *= self.weights[start:stop, None]
        return found

    def pick(self, weights: NDArray[np.float32]) -> Rows:
        """Return the rows whose weight (n_rows,) is above 0, multiplied by it."""
        parts, first = [], 0
        for array, places in self.parts:
            own = weights[first : first + len(places)]
            parts.append((array, places[own > 0]))
            first += len(places)
        kept = weights > 0
        return Rows(parts, weights[kept] if self.weights is None else (self.weights * weights)[kept], self.held)


def as_rows(activations: Floats | Rows) -> Rows:
    """Return activations (n_rows, n_channels) as rows; an array is held by whoever gives it, and may be held again."""
    if isinstance(activations, Rows):
        return activations
    return Rows([(activations, np.arange(len(activations)))], None, held=True)


def list_blocks(n_rows: int, size: int) -> Iterator[slice]:
    """Yield slices of ``size`` rows that cover all; one without rows where there are none."""
    for start in range(0, max(n_rows, 1), size):
        yield slice(start, min(start + size, n_rows))


def estimate_fit_bytes(shape: tuple[int, int], n_concepts: int, *, signed: bool, held: bool) -> int:
    """Return about how much memory fitting a bank takes at its largest.

    Parameters
    ----------
    shape
        (n_rows, n_channels) of what it is fitted on.
    signed
        Whether by semi-NMF.
    held
        Whether all rows are held at once, or a block of them and the one before.
    """
    n_rows, n_channels = shape
    block = min(n_rows, BLOCK)
    copies = (n_rows if held else 2 * block) + (1.1 if signed else 0.3) * block + 2 * min(n_rows, PIECE)
    # Beside the rows, numbers of which each has some: two sets of singular vectors, coefficients, products.
    per_row = 3 * (n_concepts + N_BEYOND) + 5 * n_concepts
    return int(4 * (n_channels * copies + per_row * n_rows))


def may_hold(shape: tuple[int, int], n_concepts: int, *, signed: bool, memory_gb: float) -> bool:
    """Tell whether a fit stays within so many GB where it holds all rows; the bytes of its bank do not depend on it."""
    return estimate_fit_bytes(shape, n_concepts, signed=signed, held=True) <= memory_gb * GB
