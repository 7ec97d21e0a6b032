"""Slow, plain second versions of the mathematics: loops over single numbers, nothing shared with ``leaflineage``."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]


# --- importance ----------------------------------------------------------------------------------------------


def exact_indices(contributions: Sequence[float]) -> list[float]:
    """Return total Sobol indices of Σ mᵢ φᵢ under independent masks, from the variances of its terms."""
    variances = [phi * phi / 12 for phi in contributions]  # a uniform mask on [0, 1] has variance 1/12
    whole = sum(variances)
    return [each / whole if whole > 0 else 0.0 for each in variances]


def grid_indices(function: Callable[[Floats], float], n_players: int, *, n_levels: int) -> list[float]:
    """Return total Sobol indices by brute force: the definition, over a dense grid of masks (midpoints).

    T_i = E[Var(f | all masks but i)] / Var f
    """
    levels = [(level + 0.5) / n_levels for level in range(n_levels)]
    values = {
        masks: function(np.array(masks, dtype=np.float64)) for masks in itertools.product(levels, repeat=n_players)
    }
    everything = list(values.values())
    mean = sum(everything) / len(everything)
    variance = sum((value - mean) ** 2 for value in everything) / len(everything)
    indices = []
    for player in range(n_players):
        inner = 0.0
        others = list(itertools.product(levels, repeat=n_players - 1))
        for other in others:
            line = [values[(*other[:player], level, *other[player:])] for level in levels]
            middle = sum(line) / len(line)
            inner += sum((value - middle) ** 2 for value in line) / len(line)
        indices.append(inner / len(others) / variance if variance > 0 else 0.0)
    return indices


def controlled_indices(
    function: Callable[[Floats], float], designs: Sequence[tuple[Floats, Floats]]
) -> tuple[list[float], list[list[float]]]:
    """Return total Sobol indices by Jansen's pairs with a linear control variate, one evaluation at a time.

    One pair of designs (A, B) a scrambling; also each scrambling's pseudo-values.
    """
    n_players, n_scramblings = designs[0][0].shape[1], len(designs)

    def mix(first: Floats, second: Floats, player: int) -> Floats:
        return np.array([b if place == player else a for place, (a, b) in enumerate(zip(first, second, strict=True))])

    everything = [
        function(mask)
        for one, other in designs
        for a, b in zip(one, other, strict=True)
        for mask in (a, b, *(mix(a, b, player) for player in range(n_players)))
    ]
    offset = sum(everything) / len(everything)
    numerators, seconds, firsts, straights = [], [], [], []
    for own in range(n_scramblings):
        slopes = []
        for player in range(n_players):
            above = below = 0.0
            for scrambling, (one, other) in enumerate(designs):
                if scrambling != own:
                    for a, b in zip(one, other, strict=True):
                        step = float(b[player] - a[player])
                        above += step * (function(mix(a, b, player)) - function(a))
                        below += step * step
            slopes.append(above / below)
        pairs, second, first, straight = [0.0] * n_players, 0.0, 0.0, 0.0
        n_designs = len(designs[own][0])
        for a, b in zip(*designs[own], strict=True):
            beside = [a, *(mix(a, b, player) for player in range(n_players))]
            for mask, weight in [(b, 0.5), *((each, 0.5 / len(beside)) for each in beside)]:
                f = function(mask) - offset
                g = sum(slope * (float(m) - 0.5) for slope, m in zip(slopes, mask, strict=True))
                second += weight * (f * f - g * g) / n_designs
                first += weight * (f - g) / n_designs
                straight += weight * g / n_designs
            for player in range(n_players):
                rise = function(mix(a, b, player)) - function(a)
                line = slopes[player] * float(b[player] - a[player])
                pairs[player] += (rise * rise - line * line) / (2 * n_designs)
        numerators.append([slope * slope / 12 + pair for slope, pair in zip(slopes, pairs, strict=True)])
        seconds.append(sum(slope * slope for slope in slopes) / 12 + second)
        firsts.append(first)
        straights.append(straight)
    square = sum(x * y for i, x in enumerate(firsts) for j, y in enumerate(firsts) if i != j)
    square /= n_scramblings * (n_scramblings - 1)
    variances = []
    for own in range(n_scramblings):
        others = (sum(firsts) - firsts[own]) / (n_scramblings - 1)
        variances.append(seconds[own] - 2 * straights[own] * others - square)
    variance = sum(variances) / n_scramblings
    ratios = [sum(each[player] for each in numerators) / n_scramblings / variance for player in range(n_players)]
    indices = [min(1.0, max(0.0, ratio)) for ratio in ratios]
    pseudo = [
        [
            indices[player] + (numerators[own][player] - ratios[player] * variances[own]) / variance
            for player in range(n_players)
        ]
        for own in range(n_scramblings)
    ]
    return indices, pseudo


def centred_logit(activation: Floats, weight: Floats, bias: Floats, output: int) -> float:
    """Return an output's logit minus the mean logit of all outputs."""
    logits = [
        sum(float(w) * float(a) for w, a in zip(row, activation, strict=True)) + float(b)
        for row, b in zip(weight, bias, strict=True)
    ]
    return logits[output] - sum(logits) / len(logits)


# --- factorization -------------------------------------------------------------------------------------------


def multiplicative_nmf(activations: Floats, n_concepts: int, *, n_iterations: int, seed: int) -> tuple[Floats, Floats]:
    """Return coefficients and bank by Lee and Seung's multiplicative updates from a random start."""
    generator = np.random.default_rng(seed)
    coefficients = generator.random((activations.shape[0], n_concepts)) + 0.1
    bank = generator.random((n_concepts, activations.shape[1])) + 0.1
    for _ in range(n_iterations):
        bank *= (coefficients.T @ activations) / (coefficients.T @ coefficients @ bank + 1e-12)
        coefficients *= (activations @ bank.T) / (coefficients @ bank @ bank.T + 1e-12)
    return coefficients, bank


def multiplicative_semi_nmf(
    activations: Floats, n_concepts: int, *, n_iterations: int, seed: int
) -> tuple[Floats, Floats]:
    """Return coefficients ≥ 0 and a bank of either sign by the updates of Ding, Li and Jordan, from a random start."""
    coefficients = np.random.default_rng(seed).random((activations.shape[0], n_concepts)) + 0.1
    for _ in range(n_iterations):
        bank = np.linalg.pinv(coefficients) @ activations
        products, gram = activations @ bank.T, bank @ bank.T
        above = np.maximum(products, 0) + coefficients @ np.maximum(-gram, 0)
        below = np.maximum(-products, 0) + coefficients @ np.maximum(gram, 0)
        coefficients = coefficients * np.sqrt(above / (below + 1e-12)) + 1e-12
    return coefficients, np.linalg.pinv(coefficients) @ activations


def encode_rows(activations: Floats, bank: Floats) -> Floats:
    """Return non-negative least squares coefficients, one row at a time, by scipy's active-set method."""
    return np.array([nnls(bank.T.astype(np.float64), row.astype(np.float64))[0] for row in activations])


# --- stability -----------------------------------------------------------------------------------------------


def match_by_permutation(bank: Floats, other: Floats) -> list[float]:
    """Return matched cosines by trying every one-to-one matching; ``other`` has at least as many rows."""
    best: list[float] = []
    for chosen in itertools.permutations(range(len(other)), len(bank)):
        cosines = [
            float(bank[row] @ other[column]) / float(np.linalg.norm(bank[row]) * np.linalg.norm(other[column]))
            for row, column in enumerate(chosen)
        ]
        if not best or sum(cosines) > sum(best):
            best = cosines
    return best


# --- leaves a bank has not seen ------------------------------------------------------------------------------


def unseen_error(cells: Floats, left_out: Sequence[int], bank: Floats) -> float:
    """Return the relative error of a bank on the cells of some specimens, one cell after the other."""
    missing = there = 0.0
    for specimen in left_out:
        for cell in cells[specimen]:
            _, distance = nnls(bank.T, cell)
            missing += float(distance) ** 2
            there += sum(float(value) ** 2 for value in cell)
    return math.sqrt(missing / there)


def predicted_error(
    cells: Floats, left_out: Sequence[int], bank: Floats, halves: tuple[Sequence[int], Sequence[int]]
) -> float:
    """Return the relative error of each half of the channels, rebuilt with coefficients found on the other."""
    missing = there = 0.0
    for specimen in left_out:
        for cell in cells[specimen]:
            for half, other in (halves, halves[::-1]):
                codes, _ = nnls(bank[:, other].T, cell[other])
                for channel in half:
                    missing += float(cell[channel] - codes @ bank[:, channel]) ** 2
                    there += float(cell[channel]) ** 2
    return math.sqrt(missing / there)


def unseen_explained(cells: Floats, left_out: Sequence[int], bank: Floats, direction: Floats) -> float:
    """Return 1 − the residual's share of the importance on some specimens, by the definition of its index."""
    totals = np.zeros(len(bank) + 1)
    for specimen in left_out:
        codes = sum(nnls(bank.T, cell)[0] for cell in cells[specimen]) / len(cells[specimen])
        pooled = sum(cells[specimen]) / len(cells[specimen])
        contributions = [float(code) * float(row @ direction) for code, row in zip(codes, bank, strict=True)]
        contributions.append(float(pooled @ direction) - sum(contributions))
        totals += exact_indices(contributions)
    return 1 - float(totals[-1]) / float(totals.sum())


# --- crops ---------------------------------------------------------------------------------------------------


def top_cells(maps: Floats, groups: Sequence[str], concept: int, n_crops: int) -> list[tuple[int, int, int, float]]:
    """Return (specimen, row, column, coefficient) of the strongest cell a specimen, the strongest specimen a group."""
    strongest = []
    for specimen in range(maps.shape[0]):
        best = (0, 0)
        for row, column in itertools.product(range(maps.shape[1]), range(maps.shape[2])):
            if maps[specimen, row, column, concept] > maps[specimen, best[0], best[1], concept]:
                best = (row, column)
        coefficient = float(maps[specimen, best[0], best[1], concept])
        if coefficient > 0:
            strongest.append((specimen, *best, coefficient))
    strongest.sort(key=lambda cell: (-cell[3], cell[0]))
    found: list[tuple[int, int, int, float]] = []
    for cell in strongest:
        if groups[cell[0]] not in [groups[each[0]] for each in found] and len(found) < n_crops:
            found.append(cell)
    return found


# --- the magnitude spectrum ----------------------------------------------------------------------------------


def mean_spectrum(images: Sequence[NDArray[np.uint8]], mixing: Floats, mean: Floats) -> Floats:
    """Return the mean magnitude of the windowed, decorrelated images, one image and one channel at a time."""
    total = np.zeros((3, images[0].shape[0], images[0].shape[1] // 2 + 1))
    for image in images:
        side = len(image)
        pixels = image.reshape(-1, 3).astype(np.float64) / 255 - mean
        channels = np.linalg.solve(mixing, pixels.T).reshape(3, side, side)
        line = np.array([0.5 - 0.5 * math.cos(2 * math.pi * (place + 1) / (side + 1)) for place in range(side)])
        window = np.array([[a * b for b in line] for a in line])
        window = window * math.sqrt(side * side / float((window * window).sum()))
        for index in range(3):
            total[index] += np.abs(np.fft.rfft2((channels[index] - channels[index].mean()) * window))
    return total / len(images)


def without_cross(spectrum: Floats) -> Floats:
    """Return a (3, side, side // 2 + 1) spectrum whose axes are no stronger than what lies beside, bin by bin."""
    cleaned = spectrum.copy()
    n_rows, n_columns = spectrum.shape[1:]
    for channel in range(3):
        for row in range(n_rows):
            y = row if row <= n_rows // 2 else row - n_rows
            for x in range(n_columns):
                if x <= 2 and abs(y) >= 6:
                    beside = [spectrum[channel, row, near] for near in (4, 5, 6)]
                elif abs(y) <= 2 and x >= 6:
                    beside = [spectrum[channel, near, x] for near in (4, 5, 6, -4, -5, -6)]
                else:
                    continue
                cleaned[channel, row, x] = min(spectrum[channel, row, x], sum(beside) / len(beside))
    return cleaned


# --- proportions ---------------------------------------------------------------------------------------------


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval: the proportions p with |successes/n − p| ≤ z √(p (1 − p) / n), by bisection."""
    z, observed = 1.959964, successes / n

    def is_outside(p: float) -> bool:
        return abs(observed - p) > z * math.sqrt(p * (1 - p) / n)

    def bisect(inside: float, outside: float) -> float:
        if not is_outside(outside):
            return outside
        for _ in range(200):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if is_outside(middle) else (middle, outside)
        return inside

    return bisect(observed, 0.0), bisect(observed, 1.0)


# --- the layout of images ------------------------------------------------------------------------------------


def hellinger_distance(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Hellinger's distance of two distributions, by the affinity of Bhattacharyya."""
    affinity = sum(math.sqrt(p * q) for p, q in zip(first, second, strict=True))
    return math.sqrt(max(0.0, 1 - affinity))


def stress(places: Floats, wanted: Floats) -> float:
    """Return the sum of squared differences between the distances of places and those wanted, a pair at a time."""
    total = 0.0
    for one, other in itertools.combinations(range(len(places)), 2):
        total += (math.dist(places[one], places[other]) - float(wanted[one, other])) ** 2
    return total


# --- intervals -----------------------------------------------------------------------------------------------


def bootstrap_interval(
    statistic: Callable[[list[int]], float], groups: Sequence[str], *, seed: int, n_draws: int = 2000
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic of rows, whole groups drawn with replacement."""
    generator = np.random.default_rng(seed)
    names = sorted(set(groups))
    members = {name: [row for row, group in enumerate(groups) if group == name] for name in names}
    values = []
    for _ in range(n_draws):
        drawn = [names[index] for index in generator.integers(len(names), size=len(names))]
        values.append(statistic([row for name in drawn for row in members[name]]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


# --- attribution ---------------------------------------------------------------------------------------------


def coefficient_gradients(activations: Floats, bank: Floats, concept: int) -> Floats:
    """Return ∂u_concept / ∂a of each row a, by moving every channel a little and solving anew.

    A reading across a kink, where a coefficient comes or goes, is an average of both sides.
    """
    step = 1e-6
    gradients = np.zeros_like(activations)
    for row, channel in itertools.product(range(len(activations)), range(activations.shape[1])):
        answers = []
        for sign in (1, -1):
            moved = activations[row].copy()
            moved[channel] += sign * step
            answers.append(float(nnls(bank.T, moved)[0][concept]))
        gradients[row, channel] = (answers[0] - answers[1]) / (2 * step)
    return gradients


# --- intervals and fidelity ----------------------------------------------------------------------------------


def bootstrap_ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], groups: Sequence[str], *, n_draws: int, seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of Σ numerators / Σ denominators, drawing one group after the other."""
    source, names = random.Random(seed), sorted(set(groups))
    ratios = []
    for _ in range(n_draws):
        above = below = 0.0
        for _ in names:
            drawn = source.choice(names)
            for one, other, group in zip(numerators, denominators, groups, strict=True):
                if group == drawn:
                    above, below = above + one, below + other
        if below > 0:
            ratios.append(above / below)
    ratios.sort()
    return ratios[round(0.025 * (len(ratios) - 1))], ratios[round(0.975 * (len(ratios) - 1))]


def switching_curves(function: Callable[[Floats], float], order: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return a deletion and an insertion curve of one specimen, switching one concept after the other."""
    mask = np.ones(len(order) + 1)  # the residual last: it stays
    deletion = [function(mask)]
    for concept in order:
        mask[concept] = 0
        deletion.append(function(mask))
    mask = np.zeros(len(order) + 1)
    insertion = [function(mask)]
    for concept in order:
        mask[concept] = 1
        insertion.append(function(mask))
    return deletion, insertion


def mu_fidelity(
    function: Callable[[Floats], float], attributions: Sequence[float], subsets: Sequence[Sequence[int]]
) -> float:
    """Return Pearson's correlation of summed attributions with the fall of a function, by its textbook formula."""
    whole = function(np.ones(len(attributions) + 1))
    xs, ys = [], []
    for subset in subsets:
        mask = np.ones(len(attributions) + 1)
        for concept in subset:
            mask[concept] = 0
        xs.append(sum(attributions[concept] for concept in subset))
        ys.append(whole - function(mask))
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    product = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    square_x, square_y = sum((x - mean_x) ** 2 for x in xs), sum((y - mean_y) ** 2 for y in ys)
    return product / math.sqrt(square_x * square_y)


# --- feature visualization -----------------------------------------------------------------------------------


def paint_plainly(
    magnitude: Floats, phase: Floats, centre: Floats, mixing: Floats, reach: Floats | None = None
) -> Floats:
    """Return (3, size, size) colours: each wave added by itself, with its mirror image where it has one."""
    _, size, n_columns = magnitude.shape
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    channels = np.zeros((3, size, size))
    for channel in range(3):
        for row in range(size):
            for column in range(n_columns):
                angle = 2 * math.pi * (row * rows + column * columns) / size + phase[channel, row, column]
                has_mirror = column > 0 and 2 * column != size
                wave = magnitude[channel, row, column] * np.cos(angle) / size**2
                channels[channel] += (2 if has_mirror else 1) * wave
    for channel in range(2) if reach is not None else ():
        for place in np.ndindex(size, size):
            value = channels[channel][place]
            low, high = float(reach[0, channel]), float(reach[1, channel])
            half, shift = (high - low) / 2, math.atanh(-(high + low) / (high - low))
            steepness = math.cosh(shift) ** 2 / half
            channels[channel][place] = half * (math.tanh(steepness * value + shift) - math.tanh(shift))
    colours = np.zeros((3, size, size))
    for colour in range(3):
        logit = centre[colour] + sum(mixing[colour, channel] * channels[channel] for channel in range(3))
        colours[colour] = 1 / (1 + np.exp(-logit))
    return colours


def resample_plainly(window: Floats, height: int, width: int) -> Floats:
    """Return (3, height, width) of a window (3, rows, columns): triangle weights, number by number."""

    def resample_line(line: Floats, length: int) -> list[float]:
        scale, found = len(line) / length, []
        for index in range(length):
            centre, total, weight_sum = (index + 0.5) * scale - 0.5, 0.0, 0.0
            for place, value in enumerate(line):
                weight = max(0.0, 1 - abs(place - centre) / max(scale, 1.0))
                total, weight_sum = total + weight * float(value), weight_sum + weight
            found.append(total / weight_sum)
        return found

    narrowed = np.array([[resample_line(line, width) for line in channel] for channel in window])
    return np.array([[resample_line(line, height) for line in channel.T] for channel in narrowed]).transpose(0, 2, 1)


# --- scores of pictures ----------------------------------------------------------------------------------------


def count_pairs(squares: Sequence[float], crops: Sequence[float]) -> float:
    """Return the share, in percent, of pairs (square, crop) in which the square is larger, ties counting half."""
    won = 0.0
    for square in squares:
        for crop in crops:
            won += 1.0 if square > crop else 0.5 if square == crop else 0.0
    return 100 * won / (len(squares) * len(crops))


def rank_by_sorting(squares: Sequence[Sequence[float]], concept: int) -> int:
    """Return the place of a concept's mean over squares among all means, from the largest; the best place of a tie."""
    means = [sum(column) / len(column) for column in zip(*squares, strict=True)]
    return sorted(means, reverse=True).index(means[concept]) + 1


def fit_ridge(rows: Floats, wanted: Floats, *, ridge: float) -> Floats:
    """Return the fitted values of ridge regression by its normal equations; the ridge is relative to a mean square."""
    centred, residual = rows - rows.mean(axis=0), wanted - wanted.mean(axis=0)
    strength = ridge * sum(float(row @ row) for row in centred) / len(centred)
    weights = np.linalg.inv(centred.T @ centred + strength * np.eye(rows.shape[1])) @ centred.T @ residual
    fitted: Floats = centred @ weights + wanted.mean(axis=0)
    return fitted


# --- graded crops, nearest specimens, places on a map ------------------------------------------------------------


def graded_specimens(
    strengths: Sequence[float], groups: Sequence[str], n: int, allowed: Sequence[bool], preferred: set[int]
) -> dict[str, list[int]]:
    """Return the specimens (indices) that show a concept at the 99th, 90th and 50th percentile, and its absence."""
    count, taken = len(strengths), set[str]()
    weaker = [100 * sum(other < each for other in strengths) / count for each in strengths]
    no_stronger = [100 * sum(other <= each for other in strengths) / count for each in strengths]
    found: dict[str, list[int]] = {}
    for kind, percentile in (("p99", 99), ("p90", 90), ("p50", 50), ("counter", 0)):
        off = [max(0.0, weaker[i] - percentile, percentile - no_stronger[i]) for i in range(count)]
        if kind == "counter":
            fits = [i for i in range(count) if allowed[i] and no_stronger[i] <= 50]
            fits.sort(key=lambda i: (strengths[i], i not in preferred, i))
        else:
            fits = [i for i in range(count) if allowed[i] and off[i] <= max(5, min(off))]
            fits.sort(key=lambda i: (i not in preferred, off[i], i))
        chosen: list[int] = []
        for i in fits:
            if groups[i] not in taken and len(chosen) < n:
                chosen.append(i)
                taken.add(groups[i])
        preferred = preferred | set(chosen)
        found[kind] = sorted(chosen, key=lambda i: (-strengths[i], i))
    return found


def nearest_by_sorting(row: Floats, candidates: Floats, n: int, own: int | None) -> list[tuple[int, float]]:
    """Return (place, cosine) of the candidates that point most nearly as a row does, the row itself left out."""
    cosines = [float(row @ each) / float(np.linalg.norm(row) * np.linalg.norm(each)) for each in candidates]
    order = sorted((i for i in range(len(candidates)) if i != own), key=lambda i: (-cosines[i], i))
    return [(i, cosines[i]) for i in order[:n]]


def share_of_kept_neighbours(rows: Floats, places: Floats, n: int) -> float:
    """Return the share of the ``n`` nearest by cosine that are among the ``n`` nearest on a map, over all rows."""
    kept = 0
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i]
        by_cosine = sorted(others, key=lambda j: -float(rows[i] @ rows[j]))[:n]
        by_place = sorted(others, key=lambda j: math.dist(places[i], places[j]))[:n]
        kept += len(set(by_cosine) & set(by_place))
    return kept / (n * len(rows))


# --- what parts two families -----------------------------------------------------------------------------------


def list_partings(
    of_first: dict[str, dict[str, float]], of_second: dict[str, dict[str, float]], first: str, second: str
) -> list[tuple[str, float]]:
    """Return (concept, signed difference of contributions) of both families, the largest first, by repeated search."""
    left = {}
    for concepts in (of_first, of_second):
        for name, contributions in concepts.items():
            left[name] = contributions[first] - contributions[second]
    ranked = []
    while left:
        best = None
        for name in sorted(left):
            if best is None or abs(left[name]) > abs(left[best]):
                best = name
        assert best is not None
        ranked.append((best, left.pop(best)))
    return ranked


# --- leaves: zones, places, alarms -----------------------------------------------------------------------------


def divide_cell(labels: Sequence[Sequence[int]], row: int, column: int, side: int, pad: tuple[int, int]) -> list[float]:
    """Return the ten zones' shares of one cell of ``side`` pixels; the labels lie ``pad`` (x, y) pixels inside."""
    counted = [0] * 10
    for y in range(row * side, (row + 1) * side):
        for x in range(column * side, (column + 1) * side):
            inside = 0 <= y - pad[1] < len(labels) and 0 <= x - pad[0] < len(labels[0])
            counted[labels[y - pad[1]][x - pad[0]] if inside else 9] += 1
    return [count / side**2 for count in counted]


def enrich_zone(maps: Floats, cells: Floats, concept: int, zone: int) -> tuple[float, float]:
    """Return (share, enrichment) of a zone, from single cells of (specimens, rows, columns, …)."""
    on_zone = even = total = 0.0
    for one_map, one_cells in zip(maps, cells, strict=True):
        values = [float(value[concept]) for line in one_map for value in line]
        parts = [float(part[zone]) for line in one_cells for part in line]
        on_zone += sum(value * part for value, part in zip(values, parts, strict=True))
        even += sum(values) * sum(parts) / len(parts)
        total += sum(values)
    return on_zone / total, on_zone / even


def count_larger(own: Sequence[float], others: Sequence[float]) -> float:
    """Return the share of pairs in which the own value is the larger one; ties count half."""
    won = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in own for b in others)
    return won / (len(own) * len(others))


def keep_discoveries(p_values: Sequence[float], rate: float) -> list[bool]:
    """Return Benjamini and Hochberg's discoveries: the largest set whose p-values all are at most rate · size / n."""
    n = len(p_values)
    for size in range(n, 0, -1):
        limit = rate * size / n
        if sum(p <= limit for p in p_values) >= size:
            return [p <= limit for p in p_values]
    return [False] * n


def measure_coherence(right: Sequence[float], down: Sequence[float]) -> float:
    """Return how much gradients run one way: the length of the mean of their doubled angles, by squared length."""
    energy = sum(x * x + y * y for x, y in zip(right, down, strict=True))
    cosine = sum((x * x + y * y) * math.cos(2 * math.atan2(y, x)) for x, y in zip(right, down, strict=True))
    sine = sum((x * x + y * y) * math.sin(2 * math.atan2(y, x)) for x, y in zip(right, down, strict=True))
    return math.hypot(cosine, sine) / energy
