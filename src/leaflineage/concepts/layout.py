"""Places in the plane: a family's images by their importances, and all concepts by the directions of their bank rows.

Two images stand near one another where the same concepts matter for both. An image is its vector of total Sobol
indices, scaled to sum 1; the distance of two images is Hellinger's, which knows no bias towards the large indices,

    d(p, q) = ‖√p − √q‖ / √2                       in [0, 1]

and the plane is that of metric scaling: places whose distances come as near to these as two dimensions allow, by
majorisation (SMACOF) from the principal components. Nothing is drawn by chance: same importances, same places.

Directions are compared by their cosine, and there are many more of them: t-SNE keeps near ones together, from the
principal components on and with one seed; the few of a small atlas are scaled like images. Marks that would lie on one
another are pushed a little apart.

References: LENS's strategic cluster graphs (Fel et al., arXiv:2306.07304); De Leeuw and Mair, "Multidimensional
scaling using majorization: SMACOF in R" (2009); Van der Maaten and Hinton, "Visualizing data using t-SNE" (2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
N_ITERATIONS = 100
MOST_SCALED = 1500  # images; beyond, principal components alone: the distances of all pairs would take too much
MARGIN = 0.04  # of the square, left free on each side
MOST_COMPARED = 10  # directions that are scaled: t-SNE needs more neighbours than so few have
MOST_EXACT = 400  # directions beyond which t-SNE's forces are approximated (Barnes and Hut)
PERPLEXITY = (5.0, 30.0)  # neighbours that count, of few directions and of many
GAP = 0.25  # least distance of two directions, of the spacing of a grid that fills the square
N_PUSHES = 100
FAR = 90.0  # percentile of the distance from the middle, beyond which distances grow as their logarithm


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


def place_directions(rows: Floats) -> Floats:
    """Return a place for each row, near to those that point nearly the same way.

    Parameters
    ----------
    rows
        (n_rows, n_channels); their lengths do not matter.

    Returns
    -------
    places
        (n_rows, 2) in [0, 1], both axes of one scale, no two the same.
    """
    values = np.asarray(rows, dtype=np.float64)
    vectors: Floats = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    n = len(vectors)
    if n <= 1:
        return np.full((n, 2), 0.5)
    if n <= MOST_COMPARED:
        places = _find_components(vectors - vectors.mean(axis=0))
        if n > 2:
            places = _scale(places, measure_distances(vectors))
    else:
        places = _embed(vectors)
    return _fit_square(_separate(_fit_square(places), gap=GAP / np.sqrt(n)))


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


def _embed(vectors: Floats) -> Floats:
    """Return (n, 2) t-SNE of unit rows by cosine, with one thread: its sums depend on how many there are."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n = len(vectors)
    embedding = TSNE(
        metric="cosine",
        init="pca",
        perplexity=min(max(n / 6, PERPLEXITY[0]), PERPLEXITY[1], (n - 1) / 3),
        method="exact" if n <= MOST_EXACT else "barnes_hut",
        random_state=0,
        n_jobs=1,
    )
    with threadpool_limits(1):
        places: Floats = np.asarray(embedding.fit_transform(vectors), dtype=np.float64)
    return _pull_in(places)


def _pull_in(places: Floats) -> Floats:
    """Return places of which the few that stand far out are drawn nearer: they would leave the others no room."""
    away = places - np.median(places, axis=0)
    radius = np.linalg.norm(away, axis=1, keepdims=True)
    reach = max(float(np.percentile(radius, FAR)), 1e-12)
    drawn = reach * (1 + np.log(np.maximum(radius / reach, 1)) / 2)
    pulled: Floats = away * np.where(radius > reach, drawn / np.maximum(radius, reach), 1)
    return pulled


def _separate(places: Floats, *, gap: float) -> Floats:
    """Return places at least about ``gap`` apart: too near ones push each other, again and again."""
    from scipy.spatial import cKDTree

    moved = places.copy()
    for _ in range(N_PUSHES):
        pairs = cKDTree(moved).query_pairs(gap * (1 - 1e-6), output_type="ndarray")
        if not len(pairs):
            break
        first, second = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].T
        away = moved[second] - moved[first]
        distances = np.linalg.norm(away, axis=1, keepdims=True)
        turn = 2.399963 * (first + second)[:, None]  # a direction for those on one spot: the golden angle, by number
        fallback = np.concatenate([np.cos(turn), np.sin(turn)], axis=1)
        unit = np.where(distances > 1e-9, away / np.maximum(distances, 1e-9), fallback)
        push = unit * (gap - distances) / 2
        np.add.at(moved, first, -push)
        np.add.at(moved, second, push)
    return moved
