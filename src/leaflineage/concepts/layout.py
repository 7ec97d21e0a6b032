"""How a family's images spread over its concepts: a place in the plane for each, by its importances.

Two images stand near one another where the same concepts matter for both. An image is its vector of total Sobol
indices, scaled to sum 1; the distance of two images is Hellinger's, which knows no bias towards the large indices,

    d(p, q) = ‖√p − √q‖ / √2                       in [0, 1]

and the plane is that of metric scaling: places whose distances come as near to these as two dimensions allow, by
majorisation (SMACOF) from the principal components. Nothing is drawn by chance: same importances, same places.

References: LENS's strategic cluster graphs (Fel et al., arXiv:2306.07304); De Leeuw and Mair, "Multidimensional
scaling using majorization: SMACOF in R" (2009).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
N_ITERATIONS = 100
MOST_SCALED = 1500  # images; beyond, principal components alone: the distances of all pairs would take too much
MARGIN = 0.04  # of the square, left free on each side


def place_images(importances: Floats) -> Floats:
    """Return a place for each image, near to those for which the same concepts matter.

    Parameters
    ----------
    importances
        (n_images, n_players) ≥ 0: total Sobol indices, what no shown concept explains as the last. A row of zeros
        (nothing moves that image's logit) is as far from all others as can be.

    Returns
    -------
    places
        (n_images, 2) in [0, 1], both axes of one scale, the middle of all at (0.5, 0.5).
    """
    n = len(importances)
    if n == 0:
        return np.zeros((0, 2))
    vectors = _take_roots(importances)
    centred = vectors - vectors.mean(axis=0)
    places = _find_components(centred)
    if 2 < n <= MOST_SCALED:
        places = _scale(places, measure_distances(vectors))
    return _fit_square(places)


def measure_distances(vectors: Floats) -> Floats:
    """Return (n, n) Euclidean distances of rows, exactly 0 on the diagonal and for equal rows."""
    squares = np.einsum("ij,ij->i", vectors, vectors)
    distances: Floats = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * vectors @ vectors.T, 0))
    distances[distances < 1e-7] = 0
    return distances


def _take_roots(importances: Floats) -> Floats:
    """Return vectors whose Euclidean distance is Hellinger's."""
    values = np.maximum(np.asarray(importances, dtype=np.float64), 0)
    totals = values.sum(axis=1, keepdims=True)
    roots: Floats = np.sqrt(np.divide(values, totals, out=np.zeros_like(values), where=totals > 0) / 2)
    return roots


def _find_components(centred: Floats) -> Floats:
    """Return (n, 2) principal components, each with its largest loading positive."""
    _, values, right = np.linalg.svd(centred, full_matrices=False)
    axes = right[:2] * np.sign(right[:2][np.arange(len(right[:2])), np.abs(right[:2]).argmax(axis=1)])[:, None]
    axes[values[:2] < 1e-9] = 0
    places = np.zeros((len(centred), 2))
    places[:, : len(axes)] = centred @ axes.T
    return places


def _scale(places: Floats, wanted: Floats) -> Floats:
    """Return places whose distances are nearer to the wanted ones: Guttman's transform, again and again."""
    for _ in range(N_ITERATIONS):
        found = measure_distances(places)
        ratios = np.divide(wanted, found, out=np.zeros_like(wanted), where=found > 0)
        places = (ratios.sum(axis=1)[:, None] * places - ratios @ places) / len(places)
    return places


def _fit_square(places: Floats) -> Floats:
    """Return places moved and scaled, both axes alike, into the unit square."""
    low, high = places.min(axis=0), places.max(axis=0)
    widest = float((high - low).max())
    if widest <= 1e-9:
        return np.full_like(places, 0.5)
    fitted: Floats = 0.5 + (places - (low + high) / 2) / widest * (1 - 2 * MARGIN)
    return fitted
