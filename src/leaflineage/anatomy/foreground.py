"""The leaf's mask: what is no background, told apart from shadows and from what else lies there.

1. The background is a smooth surface of colour, fitted to the rim of the picture and refitted to what resembles it.
2. A direction of colour that separates leaf from background is found by turns: a threshold (Otsu's) on the distance
   from the background, a linear discriminant of the two sides, a threshold on that. What varies on the background
   alone, such as the brightness under a soft shadow, loses its weight.
3. The edge is drawn anew where a pixel is nearer to the leaf's colour around it than to the background's around it:
   a shadow beside the leaf becomes background, whatever its depth.
4. Of the pieces, the leaf is the largest that does not cling to the rim, with those that look like it (leaflets);
   the others are foreign.

References: Otsu, "A threshold selection method from gray-level histograms" (1979); Fisher, "The use of multiple
measurements in taxonomic problems" (1936).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu
from skimage.morphology import convex_hull_image

from leaflineage.anatomy.labels import SQUARE, Mask

RIM = 0.03  # width of the picture's rim, as a fraction of its shorter side
N_TURNS = 3
SMALLEST_PIECE = 0.0004  # of the picture; less is dust
SPECK = 6  # pixels: less is grain, and no mark on a ruler
SMALLEST_LEAFLET = 0.04  # of the largest piece
LEAST_SHARE = 0.14  # of the way from the background's colour to the leaf's: what a thin strip needs
MOST_HOLES = 15
# One hill of colours cut in two, as paper is, has a third of its pixels that near to the cut.
NEARLY, ONE_HILL = 0.2, 0.22
LARGE_HOLE = 0.02  # of the leaf
APART = 0.025  # of the longer side: how far the marks of one thing are apart
ELSEWHERE = 4.0  # Lab: how far dust and grain are from the background at most, at the least threshold


@dataclass(frozen=True)
class Foreground:
    """A leaf's mask and what was seen on the way.

    leaf: (rows, columns), holes left open; whole: the same, holes filled; foreign: other things on the background.
    lab: (rows, columns, 3) float32 colours. contrast: distance of leaf and background in standard deviations of both.
    between: share of pixels that are hardly nearer to one than to the other. on_rim: share of the leaf's outline that
    the picture cuts.
    """

    leaf: Mask
    whole: Mask
    foreign: Mask
    lab: NDArray[np.float32]
    contrast: float
    between: float
    on_rim: float


def find_foreground(image: NDArray[np.float32]) -> Foreground | None:
    """Return the leaf's mask, or None where nothing stands out.

    Parameters
    ----------
    image
        (rows, columns, 3) float32 in [0, 1], sRGB.
    """
    lab = np.asarray(rgb2lab(image), dtype=np.float32)
    smooth = np.stack([ndimage.gaussian_filter(lab[..., c], 0.7) for c in range(3)], axis=-1)
    difference = smooth - _fit_background(smooth)
    score, contrast, between = _separate(difference)
    rough = score > 0
    if not rough.any() or rough.all() or between > ONE_HILL:
        return None
    leaf, foreign = _choose_leaf(_redraw_edge(smooth, rough), lab)
    if not leaf.any():
        return None
    leaf = _add_faint_parts(score, leaf, foreign)
    leaf, foreign = _join_pieces(leaf, foreign)
    whole = _fill_small_holes(leaf)
    leaf = _keep_true_holes(leaf, whole, np.linalg.norm(difference, axis=-1))
    rim = _find_rim(leaf.shape, 1)
    outline = whole & ~np.asarray(ndimage.binary_erosion(whole))
    return Foreground(
        leaf=leaf,
        whole=whole,
        foreign=_fill_things(foreign) & ~whole,
        lab=lab,
        contrast=contrast,
        between=between,
        on_rim=float((whole & rim).sum() / outline.sum()),
    )


def _find_rim(shape: tuple[int, ...], width: int) -> Mask:
    rim = np.ones(shape[:2], dtype=bool)
    rim[width:-width, width:-width] = False
    return rim


def _fit_background(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the background's colour (rows, columns, 3) at every pixel: a quadratic surface, fitted robustly."""
    rows, columns = lab.shape[:2]
    y, x = np.linspace(-1, 1, rows, dtype=np.float32), np.linspace(-1, 1, columns, dtype=np.float32)
    step = max(1, min(rows, columns) // 96)
    small = lab[::step, ::step]
    rim = _find_rim(small.shape, max(1, round(RIM * min(small.shape[:2]))))
    # The leaf may lie on the rim: of the rim's colours, the commonest is the background.
    colours = small[rim]
    middle = np.median(colours, axis=0)
    near = np.linalg.norm(colours - middle, axis=1)
    if np.median(near) > 12:  # no majority: the brighter half, since backgrounds are paper
        middle = np.median(colours[colours[:, 0] >= np.median(colours[:, 0])], axis=0)
    distance = np.linalg.norm(small - middle, axis=-1)
    spread = max(3.0, 2.5 * float(np.median(np.linalg.norm(colours - middle, axis=1))))
    taken = distance < spread
    terms = _make_terms(x[None, ::step], y[::step, None])  # (rows, columns, 6)
    surface = np.broadcast_to(middle, small.shape)
    for turn in range(4):
        if taken.sum() < 60:
            break
        # A plane first: a quadratic through a few corners would run away under the leaf.
        n_terms = 3 if turn == 0 else 6
        design = terms[taken][:, :n_terms]
        ridge = 1e-3 * len(design) * np.diag([0, 0.1, 0.1, 1, 1, 1])[:n_terms, :n_terms]
        weights = np.linalg.solve(design.T @ design + ridge, design.T @ small[taken])
        surface = terms[..., :n_terms] @ weights
        residual = np.linalg.norm(small - surface, axis=-1)
        limit = float(np.clip(3.0 * np.median(residual[taken]), 2.5, 8.0))
        taken = residual < limit
    else:
        return np.asarray(_make_terms(x[None, :], y[:, None]) @ weights.astype(np.float32), dtype=np.float32)
    return np.broadcast_to(middle, lab.shape).astype(np.float32)


def _make_terms(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y = np.broadcast_arrays(x, y)
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _separate(difference: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, float]:
    """Return a score (rows, columns), above 0 on the leaf; the sides' distance in deviations; what lies between."""
    step = 2 if difference.size > 3 * 200 * 200 else 1  # every other pixel says enough
    some = difference[::step, ::step].reshape(-1, 3)
    distance = np.sqrt(np.square(some) @ np.array([0.36, 1.0, 1.0], dtype=np.float32))
    rated = distance - max(float(threshold_otsu(distance, nbins=128)), ELSEWHERE)
    direction, threshold, contrast, between = np.zeros(3), 0.0, 0.0, 1.0
    for _ in range(N_TURNS):
        inside = rated > 0
        if inside.sum() < 20 or (~inside).sum() < 20:
            break
        one, other = some[inside], some[~inside]
        mean_one, mean_other = one.mean(axis=0), other.mean(axis=0)
        within = np.cov(one, rowvar=False) * 0.5 + np.cov(other, rowvar=False) * 0.5 + np.eye(3) * 4.0
        direction = np.linalg.solve(within, mean_one - mean_other)
        rated = some @ direction.astype(np.float32)
        threshold = float(threshold_otsu(rated, nbins=128))
        rated = rated - np.float32(threshold)
        gap = float((mean_one - mean_other) @ direction)
        contrast, between = gap**0.5, float((np.abs(rated) < NEARLY * gap).mean())
    return np.asarray(difference @ direction.astype(np.float32) - np.float32(threshold)), contrast, between


def _redraw_edge(lab: NDArray[np.float32], rough: Mask) -> Mask:
    """Return the mask, its edge where a pixel is as near to the leaf's colour around as to the background's around."""
    sigma = max(2.0, 0.012 * min(rough.shape))
    band_in = rough & ~np.asarray(ndimage.binary_erosion(rough, iterations=2))
    inner, outer = rough & ~band_in, ~np.asarray(ndimage.binary_dilation(rough, iterations=2))
    thin = rough & ~np.asarray(ndimage.binary_dilation(inner, iterations=3))
    inner = inner | thin
    own, weight_in = _average(lab, inner, sigma)
    around, weight_out = _average(lab, outer, sigma)
    axis = own - around
    size = np.maximum((axis * axis).sum(axis=-1), 1e-6)
    share = ((lab - around) * axis).sum(axis=-1) / size
    known = (weight_in > 1e-3) & (weight_out > 1e-3) & (size > 9)
    near = np.asarray(ndimage.binary_dilation(rough, iterations=max(2, round(sigma))))
    return np.where(known & near, share >= 0.5, rough)


def _average(lab: NDArray[np.float32], where: Mask, sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean colour (rows, columns, 3) of the pixels around that are in a mask, and their weight.

    It is smooth, so that every second pixel is enough to know it.
    """
    step = 2
    some = where[::step, ::step].astype(np.float32)
    weight = ndimage.gaussian_filter(some, sigma / step, truncate=3.0)
    masked = lab[::step, ::step] * some[..., None]
    means = (
        np.stack([ndimage.gaussian_filter(masked[..., c], sigma / step, truncate=3.0) for c in range(3)], axis=-1)
        / np.maximum(weight, 1e-6)[..., None]
    )
    rows, columns = where.shape
    large = [np.repeat(np.repeat(each, step, axis=0), step, axis=1)[:rows, :columns] for each in (means, weight)]
    return large[0], large[1]


def _choose_leaf(mask: Mask, lab: NDArray[np.float32]) -> tuple[Mask, Mask]:
    """Return the pieces that are leaf and those that are something else."""
    pieces, n = ndimage.label(mask, SQUARE)
    if n == 0:
        return mask, mask
    index = np.arange(1, n + 1)
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)[1:].astype(float)
    rim = _find_rim(mask.shape, 2)
    on_rim = np.bincount(pieces[rim], minlength=n + 1)[1:]
    merit = sizes.copy()
    # What runs along the border for most of its own outline is a sliver of a ruler, not a leaf.
    clings = on_rim > 3.0 * np.sqrt(sizes)
    merit[clings] *= 0.05
    largest = int(merit.argmax())
    colours = np.stack([ndimage.mean(lab[..., c], pieces, index) for c in range(3)], axis=-1)
    alike = np.linalg.norm((colours - colours[largest]) * [0.7, 1.0, 1.0], axis=1) < 14
    chosen = (sizes >= SMALLEST_LEAFLET * sizes[largest]) & alike & ~clings
    chosen[largest] = True
    foreign = (sizes >= SPECK) & ~chosen
    return np.isin(pieces, index[chosen]), np.isin(pieces, index[foreign])


def _add_faint_parts(score: NDArray[np.float32], leaf: Mask, foreign: Mask) -> Mask:
    """Return the leaf with what a lower threshold adds: stalks and midveins paler than the blade.

    Only thin strips count that hang on the leaf by one end, or that have leaf on both sides: a soft shadow is
    neither.
    """
    typical, bare = float(np.median(score[leaf])), float(np.median(score[~leaf]))
    share = (score - bare) / max(typical - bare, 1e-6)  # 0 as the background, 1 as the leaf
    noise = float(np.median(np.abs(share[~leaf]))) * 1.5
    between = _close(leaf, 0.008 * max(leaf.shape)) & (share > 0.3)
    leaf = leaf | between
    low = (share > max(LEAST_SHARE, 5 * noise)) | leaf
    reach = max(2.0, 0.012 * max(leaf.shape))
    core = np.asarray(ndimage.distance_transform_edt(low)) > reach
    if not core.any():
        return leaf
    strips = low & (np.asarray(ndimage.distance_transform_edt(~core)) > reach + 1) & ~(leaf & ~foreign)
    pieces, _ = ndimage.label(strips, SQUARE)
    touching = np.asarray(ndimage.binary_dilation(leaf, SQUARE, iterations=2))
    added = np.zeros_like(leaf)
    for number, place in enumerate(ndimage.find_objects(pieces), start=1):
        own = pieces[place] == number
        contact = int((own & touching[place]).sum())
        extent = float(np.hypot(*own.shape))
        is_long = extent > 4 * own.sum() / extent and extent > 0.035 * max(leaf.shape)
        if contact and is_long and contact < 0.35 * own.sum():
            added |= pieces == number
    if not added.any():
        return leaf
    joined = np.asarray(ndimage.binary_dilation(added, SQUARE, iterations=3)) & low
    return leaf | added | joined


def _join_pieces(leaf: Mask, foreign: Mask) -> tuple[Mask, Mask]:
    """Return both masks, small pieces of the one that now hang together with the leaf given to it."""
    pieces, n = ndimage.label(foreign & ~leaf, SQUARE)
    if n == 0:
        return leaf, foreign & ~leaf
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)
    joined = np.unique(pieces[np.asarray(ndimage.binary_dilation(leaf, SQUARE))])
    joined = joined[(joined > 0) & (sizes[joined] < 0.02 * leaf.sum())]
    own = np.isin(pieces, joined)
    return leaf | own, (pieces > 0) & ~own


def _close(mask: Mask, radius: float) -> Mask:
    """Return a mask closed by an octagon of a radius in pixels."""
    n = max(1, round(radius))
    padded = np.pad(mask, n)
    shapes = [ndimage.generate_binary_structure(2, 1 + each % 2) for each in range(n)]
    for shape in shapes:
        padded = ndimage.binary_dilation(padded, shape)
    for shape in shapes:
        padded = ndimage.binary_erosion(padded, shape, border_value=1)
    closed: Mask = np.asarray(padded)[n:-n, n:-n] | mask
    return closed


def _fill_things(foreign: Mask) -> Mask:
    """Return foreign pieces with what lies between them: of a ruler as pale as the paper only its marks stand out."""
    if not foreign.any():
        return foreign
    near = np.asarray(ndimage.binary_dilation(foreign, SQUARE, iterations=max(1, round(APART * max(foreign.shape)))))
    things, _ = ndimage.label(near, SQUARE)
    filled = foreign.copy()
    for number, place in enumerate(ndimage.find_objects(things), start=1):
        own = foreign[place] & (things[place] == number)
        if own.sum() < SMALLEST_PIECE * foreign.size:
            filled[place] &= ~own
        elif min(np.ptp(np.argwhere(own), axis=0)) > 0:
            filled[place] |= convex_hull_image(own)
    return filled


def _fill_small_holes(leaf: Mask) -> Mask:
    """Return the leaf without holes, but for what leaflets enclose: more than a fiftieth of it."""
    holes, n = ndimage.label(np.asarray(ndimage.binary_fill_holes(leaf)) & ~leaf)
    if n == 0:
        return leaf
    sizes = np.bincount(holes.ravel(), minlength=n + 1)
    small = np.flatnonzero(sizes < LARGE_HOLE * leaf.sum())
    filled: Mask = leaf | np.isin(holes, small[small > 0])
    return filled


def _keep_true_holes(leaf: Mask, whole: Mask, distance: NDArray[np.floating]) -> Mask:
    """Return the mask with those holes filled that do not show the background: gloss, pale veins."""
    holes, n = ndimage.label(whole & ~leaf)
    if n == 0:
        return leaf
    index = np.arange(1, n + 1)
    sizes = np.bincount(holes.ravel(), minlength=n + 1)[1:]
    shown = np.asarray(ndimage.minimum(distance, holes, index))
    typical = float(np.median(distance[leaf]))
    filled = (sizes < 12) | (shown > 0.25 * typical)
    if n > MOST_HOLES:  # gloss, not insects
        filled[:] = True
    return leaf | np.isin(holes, index[filled])
