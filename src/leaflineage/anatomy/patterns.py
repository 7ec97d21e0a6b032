"""What a piece of leaf looks like, in numbers: teeth, their lean, lobes, veins.

The margin is read as a signal. The outline is walked at steps of 0.004 L; at each step stands how far it lies outside
a smoother outline of itself. What is smoothed away at 0.02 L are teeth, what lies between 0.02 and 0.12 L are lobes.
Teeth that lean towards the apex rise slowly and fall steeply on the way to it: the skewness of the signal's slope.

A pattern belongs to a concept only if crops in which it is strong differ from crops of the same zone and family in
which it is weak: the difference of the means of the strongest and the weakest third, in standard deviations, against
the same after the coefficients were shuffled among the crops. All of a family's tests share one false discovery rate.

References: Benjamini and Hochberg, "Controlling the false discovery rate" (1995); Phipson and Smyth, "Permutation
p-values should never be zero" (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from leaflineage.anatomy.axis import resample
from leaflineage.anatomy.labels import BLADE, MIDVEIN, PETIOLE, SECONDARY, Floats, Mask
from leaflineage.anatomy.zones import LeafZones

STEP = 0.004  # of the walk along the outline, in L
TEETH, LOBES = 0.02, 0.12  # in L: what is smoothed away by these are teeth, and teeth and lobes
LEAST_TOOTH = 0.75  # pixels by which a tooth stands out: less is the grid of pixels
LEAST_MARGIN = 12  # steps of outline in a crop, for its statistics
LEAST_CROPS = 6  # a third of the crops, at least
N_SHUFFLES = 999
DISCOVERY_RATE = 0.10

STATISTICS = ("teeth", "lean", "periodicity", "lobes", "vein_density", "vein_alignment")
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Margin:
    """A blade's outline as a signal.

    points: (n, 2) x and y in pixels. teeth, lobes: (n,) in L, above 0 where the outline stands out. rising: (n,) 1
    where the walk goes towards the apex, −1 where it comes from it. peaks: indices of tooth points. length: L in
    pixels.
    """

    points: Floats
    teeth: Floats
    lobes: Floats
    rising: Floats
    peaks: NDArray[np.intp]
    length: float


@dataclass(frozen=True)
class CropPattern:
    """Statistics of one crop, NaN where there is nothing to measure.

    values: (6,) in order of `STATISTICS`: root mean square of the teeth in L; lean towards the apex; how periodic the
    teeth are, [0, 1]; root mean square of the lobes in L; veins' share of the blade; how aligned its texture is.
    tooth_px: median distance of neighbouring tooth points; n_teeth.
    """

    values: Floats
    tooth_px: float
    n_teeth: int


@dataclass(frozen=True)
class PatternTest:
    """What sets a concept's strong crops apart from its weak ones, (6,) each.

    effect: in standard deviations. p_value: NaN where there were too few crops. floor: the effect that
    95 % of shuffled coefficients stay under.
    """

    effect: Floats
    p_value: Floats
    floor: Floats


def trace_margin(zones: LeafZones) -> Margin | None:
    """Return a leaf's outline as a signal; None where there is no blade to speak of."""
    blade: Mask = (zones.labels > PETIOLE) & (zones.labels <= BLADE)
    if zones.length < 24 or blade.sum() < 200:
        return None
    whole = np.asarray(ndimage.binary_fill_holes(blade))
    # A grid of pixels has corners everywhere; a little blur takes them off and leaves the teeth.
    contours = find_contours(ndimage.gaussian_filter(np.pad(whole, 2).astype(np.float32), 0.8), 0.5)
    if not contours:
        return None
    line = max(contours, key=len)[:, ::-1] - 2
    way = float(np.hypot(*np.diff(line, axis=0).T).sum())
    n = max(48, round(way / (STEP * zones.length)))
    points = resample(line, n, closed=True)
    step = way / n
    scales = [scale * zones.length / step for scale in (TEETH, LOBES)]
    fine, coarse = (ndimage.gaussian_filter1d(points, scale, axis=0, mode="wrap") for scale in scales)
    teeth = _stand_out(points, fine, scales[0]) / zones.length
    lobes = _stand_out(fine, coarse, scales[1]) / zones.length
    ahead = zones.axis[-1] - zones.axis[0]
    walk = np.roll(fine, -1, axis=0) - np.roll(fine, 1, axis=0)
    rising = np.where(walk @ ahead >= 0, 1.0, -1.0)
    height = LEAST_TOOTH / zones.length
    top = (teeth >= np.roll(teeth, 1)) & (teeth > np.roll(teeth, -1)) & (teeth > height)
    return Margin(points, teeth, lobes, rising, np.flatnonzero(top), zones.length)


def _stand_out(points: Floats, smooth: Floats, scale: float) -> Floats:
    """Return how far points (n, 2) lie outside a smoother line; slow drifts, as of plain roundness, do not count."""
    walk = np.roll(smooth, -1, axis=0) - np.roll(smooth, 1, axis=0)
    normal = np.stack([walk[:, 1], -walk[:, 0]], axis=1) / np.maximum(np.hypot(*walk.T), 1e-9)[:, None]
    area = float((smooth[:, 0] * np.roll(smooth[:, 1], -1) - np.roll(smooth[:, 0], -1) * smooth[:, 1]).sum())
    out = ((points - smooth) * normal).sum(axis=1) * (1 if area > 0 else -1)
    return np.asarray(out - ndimage.gaussian_filter1d(out, 1.5 * scale, mode="wrap"))


def measure_crop(image: NDArray[np.uint8], zones: LeafZones, margin: Margin | None, box: Box) -> CropPattern:
    """Return the statistics of one crop.

    Parameters
    ----------
    image
        (height, width, 3) uint8, the picture the zones are of.
    margin
        Of `trace_margin`, once a picture.
    box
        (x0, y0, x1, y1) pixels, half-open.
    """
    values = np.full(len(STATISTICS), np.nan)
    tooth_px, n_teeth = float("nan"), 0
    x0, y0, x1, y1 = box
    if margin is not None:
        inside = (
            (margin.points[:, 0] >= x0) & (margin.points[:, 0] < x1)
            & (margin.points[:, 1] >= y0) & (margin.points[:, 1] < y1)
        )  # fmt: skip
        if inside.sum() >= LEAST_MARGIN:
            values[:4], tooth_px, n_teeth = _measure_margin(margin, inside)
    labels = zones.labels[y0:y1, x0:x1]
    blade = (labels > PETIOLE) & (labels <= BLADE)
    if blade.sum() >= 50:
        values[4] = float(((labels == SECONDARY) | (labels == MIDVEIN)).sum() / blade.sum())
        values[5] = _measure_alignment(image[y0:y1, x0:x1], blade)
    return CropPattern(values, tooth_px, n_teeth)


def _measure_margin(margin: Margin, inside: Mask) -> tuple[list[float], float, int]:
    signal = margin.teeth[inside]
    slope = np.gradient(margin.teeth) * margin.rising
    spread = float(slope[inside].std())
    # Towards the apex a leaning tooth rises slowly and falls steeply: few, large negative slopes.
    lean = -float(((slope[inside] - slope[inside].mean()) ** 3).mean()) / max(spread, 1e-9) ** 3
    peaks = margin.peaks[inside[margin.peaks]]
    gaps = np.hypot(*np.diff(margin.points[peaks], axis=0).T)
    gaps = gaps[gaps < 0.2 * margin.length]  # a crop may hold two stretches of the edge
    tooth_px = float(np.median(gaps)) if len(gaps) else float("nan")
    measured = [
        float(np.sqrt(np.mean(signal**2))),
        lean if len(peaks) >= 2 else float("nan"),
        _measure_periodicity(signal),
        float(np.sqrt(np.mean(margin.lobes[inside] ** 2))),
    ]
    return measured, tooth_px, len(peaks)


def _measure_periodicity(signal: Floats) -> float:
    """Return the highest peak of the signal's autocorrelation after its first dip, in [0, 1]."""
    centred = signal - signal.mean()
    power = float(centred @ centred)
    if power <= 1e-12:
        return 0.0
    n = len(centred)
    correlation = np.correlate(centred, centred, mode="full")[n - 1 :][: n // 2] / power
    below = np.flatnonzero(correlation < 0)
    return float(np.clip(correlation[below[0] :].max(), 0, 1)) if len(below) else 0.0


def _measure_alignment(crop: NDArray[np.uint8], blade: Mask) -> float:
    """Return how much the blade's texture runs one way, in [0, 1]: the coherence of its mean structure tensor."""
    brightness = crop.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    inner = np.asarray(ndimage.binary_erosion(blade, iterations=3))
    if inner.sum() < 30:
        return float("nan")
    down, right = np.gradient(ndimage.gaussian_filter(brightness, 1.0))
    xx, yy, xy = (float((a * b)[inner].mean()) for a, b in ((right, right), (down, down), (right, down)))
    return float(np.hypot(xx - yy, 2 * xy) / max(xx + yy, 1e-12))


def contrast_patterns(coefficients: Floats, statistics: Floats, *, seed: int) -> PatternTest:
    """Return what sets the crops in which a concept is strong apart from those in which it is weak.

    Parameters
    ----------
    coefficients
        (n_crops,), of one concept in crops of one zone and family, one crop a group.
    statistics
        (n_crops, 6), of `measure_crop`.
    seed
        Of the shuffles.
    """
    n_statistics = statistics.shape[1]
    effect, p_value, floor = (np.full(n_statistics, np.nan) for _ in range(3))
    generator = np.random.default_rng(seed)
    for index in range(n_statistics):
        known = np.isfinite(statistics[:, index])
        values, own = statistics[known, index], coefficients[known]
        third = len(values) // 3
        spread = float(values.std()) if len(values) else 0.0
        if third < LEAST_CROPS or spread < 1e-12 or float(np.ptp(own)) <= 0:
            continue
        order = np.argsort(-own, kind="stable")
        scaled = (values - values.mean()) / spread
        weights = np.zeros(len(values))
        weights[order[:third]], weights[order[-third:]] = 1 / third, -1 / third
        seen = float(weights @ scaled)
        shuffled = np.array([weights @ generator.permutation(scaled) for _ in range(N_SHUFFLES)])
        effect[index] = seen
        p_value[index] = (1 + (np.abs(shuffled) >= abs(seen) - 1e-12).sum()) / (1 + N_SHUFFLES)
        floor[index] = float(np.percentile(np.abs(shuffled), 95))
    return PatternTest(effect, p_value, floor)


def hold_discovery_rate(p_values: Floats, *, rate: float) -> NDArray[np.bool_]:
    """Return which tests are discoveries at a false discovery rate (Benjamini and Hochberg's step-up); NaN are none."""
    flat = p_values.ravel()
    known = np.flatnonzero(np.isfinite(flat))
    order = known[np.argsort(flat[known], kind="stable")]
    passes = np.flatnonzero(flat[order] <= rate * np.arange(1, len(order) + 1) / max(len(order), 1))
    found = np.zeros(len(flat), dtype=bool)
    if len(passes):
        found[order[: passes[-1] + 1]] = True
    return found.reshape(p_values.shape)


def summarize_teeth(patterns: Sequence[CropPattern]) -> tuple[float | None, float | None]:
    """Return the median way between teeth in pixels and the median number of teeth, of crops that have some."""
    gaps = [each.tooth_px for each in patterns if np.isfinite(each.tooth_px)]
    counts = [each.n_teeth for each in patterns if each.n_teeth]
    return (float(np.median(gaps)) if gaps else None, float(np.median(counts)) if counts else None)
