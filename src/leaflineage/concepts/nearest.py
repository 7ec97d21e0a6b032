"""The rows of a long list that point most nearly the same way, found while the list streams by.

    cosine(a, b) = a · b / (‖a‖ ‖b‖)

Only the nearest so far are held, so memory does not grow with the list.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def find_nearest(
    rows: Floats, blocks: Iterable[Floats], *, n: int, own: NDArray[np.integer] | None
) -> tuple[NDArray[np.int64], Floats]:
    """Return the candidates with the largest cosine to each row.

    Parameters
    ----------
    rows
        (n_rows, n_channels).
    blocks
        Candidates (n_candidates, n_channels) each, counted on from one block to the next.
    n
        Nearest candidates wanted of each row.
    own
        (n_rows,): the place of each row among the candidates, where it is not its own neighbour; None where no row is
        among them.

    Returns
    -------
    places
        (n_rows, n) by falling cosine, ties by place; -1 where there are no more candidates.
    cosines
        (n_rows, n) in [-1, 1], float32; -inf likewise.
    """
    wanted = _normalise(rows)
    places = np.full((len(rows), n), -1, dtype=np.int64)
    cosines = np.full((len(rows), n), -np.inf, dtype=np.float32)
    start = 0
    for block in blocks:
        found = np.clip(wanted @ _normalise(block).T, -1, 1)  # (n_rows, n_candidates)
        numbers = np.arange(start, start + len(block))
        if own is not None:
            inside = np.flatnonzero((own >= start) & (own < start + len(block)))
            found[inside, own[inside] - start] = -np.inf
        closer = np.flatnonzero((found > cosines[:, -1:]).any(axis=1))  # of the others nothing changes
        both = np.concatenate([cosines[closer], found[closer]], axis=1)
        names = np.concatenate([places[closer], np.broadcast_to(numbers, (len(closer), len(numbers)))], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :n]
        cosines[closer] = np.take_along_axis(both, order, axis=1)
        places[closer] = np.take_along_axis(names, order, axis=1)
        start += len(block)
    places[np.isneginf(cosines)] = -1
    return places, cosines


def _normalise(rows: Floats) -> NDArray[np.float32]:
    """Return rows of length 1; a row of zeros stays one, and is like none."""
    plain = np.asarray(rows, dtype=np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", plain, plain, dtype=np.float64)).astype(np.float32)
    scaled: NDArray[np.float32] = plain / np.maximum(norms, np.float32(1e-12))[:, None]
    return scaled
