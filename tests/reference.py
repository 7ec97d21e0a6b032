"""Slow, plain second versions of the mathematics: loops over single numbers, nothing shared with ``leaflineage``."""

from __future__ import annotations

import itertools
import math
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


def jansen_indices(function: Callable[[Floats], float], first: Floats, second: Floats) -> list[float]:
    """Return Jansen's estimate over the designs A and B, one evaluation at a time."""
    base = [function(row) for row in first]
    other = [function(row) for row in second]
    both = base + other
    mean = sum(both) / len(both)
    variance = sum((value - mean) ** 2 for value in both) / len(both)
    indices = []
    for player in range(first.shape[1]):
        total = 0.0
        for row in range(len(first)):
            mixed = [
                second[row][column] if column == player else first[row][column] for column in range(len(first[row]))
            ]
            total += (base[row] - function(np.array(mixed))) ** 2
        indices.append(total / len(first) / (2 * variance))
    return indices


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
