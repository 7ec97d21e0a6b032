"""A score that a feature visualization can fail: whether it holds its concept, and that one above all.

A picture is looked at in a few fixed squares around its middle, as wide as the crops it was optimised on, and whole.
Each is encoded like a real crop; u: a concept's coefficient, the mean over cells.

    percentile = 100 · share of pairs (square, real crop) with u(square) > u(crop), ties counting half
    own_rank   = 1 + number of the bank's other concepts whose mean u over the squares is larger

Shares of pairs, not a mean coefficient against the crops': one square that holds ten times as much as any leaf does not
make up for three that hold nothing.

    transfer   = the percentile of a second network's guess of u from its own pooled activations b: w · b + c, the ridge
                 regression of u on b over the real crops

A concept has no row in another network's space; what that network sees of it is what predicts it there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Box = tuple[int, int, int, int]
SQUARE_SIDES = (1.0, 0.75, 0.55, 0.35)  # of a picture's side: the whole, and the widths MACO's crops are drawn from
ACCENTED_SIDES = (1.0, 0.9, 0.8)  # likewise of an accentuated crop, which is itself a crop
RIDGE = 0.1  # of the mean squared norm of the second network's centred activations


def place_squares(size: int, *, sides: tuple[float, ...]) -> list[Box]:
    """Return centred squares (x0, y0, x1, y1) of a picture ``size`` pixels wide, one a side given."""
    boxes = []
    for side in sides:
        width = max(1, min(size, round(side * size)))
        start = (size - width) // 2
        boxes.append((start, start, start + width, start + width))
    return boxes


def measure_percentile(squares: Floats, crops: Floats) -> float:
    """Return the share, in percent, of pairs in which a square's coefficient is larger than a crop's; ties count half.

    Parameters
    ----------
    squares
        (n_squares,) of a picture.
    crops
        (n_crops,) of real crops, at least one.

    Raises
    ------
    ValueError
        Where there is no square or no crop.
    """
    if not len(squares) or not len(crops):
        raise ValueError(
            f"A percentile wants squares and real crops, got {len(squares)} and {len(crops)}. Give one each."
        )
    ordered = np.sort(np.asarray(crops, dtype=np.float64))
    below = np.searchsorted(ordered, squares, side="left")
    up_to = np.searchsorted(ordered, squares, side="right")
    return float(50 * (below + up_to).mean() / len(ordered))


def rank_own(squares: Floats, concept: int) -> int:
    """Return the rank of a concept among all, by its mean over squares (n_squares, n_concepts); 1 is largest."""
    means = np.asarray(squares, dtype=np.float64).mean(axis=0)
    return 1 + int((means > means[concept]).sum())


@dataclass(frozen=True)
class Guess:
    """How a second network's pooled activations b tell a concept's coefficient: (b − centre) @ weights + offset.

    Attributes
    ----------
    weights
        (n_channels, n_concepts).
    centre, offset
        (n_channels,) and (n_concepts,).
    """

    weights: Floats
    centre: Floats
    offset: Floats


def fit_guess(pooled: Floats, coefficients: Floats) -> Guess:
    """Return the ridge regression of coefficients on a second network's pooled activations.

    Parameters
    ----------
    pooled
        (n_crops, n_channels) of the second network.
    coefficients
        (n_crops, n_concepts) of the first.
    """
    rows, wanted = np.asarray(pooled, dtype=np.float64), np.asarray(coefficients, dtype=np.float64)
    centre, offset = rows.mean(axis=0), wanted.mean(axis=0)
    rows, wanted = rows - centre, wanted - offset
    gram = rows @ rows.T  # (n_crops, n_crops): fewer crops than channels, most often
    ridge = RIDGE * float(np.trace(gram)) / len(rows)
    if ridge <= 0:  # the second network says the same of every crop
        return Guess(np.zeros((rows.shape[1], wanted.shape[1])), centre, offset)
    gram[np.diag_indices_from(gram)] += ridge
    return Guess(rows.T @ np.linalg.solve(gram, wanted), centre, offset)


def guess(pooled: Floats, by: Guess) -> Floats:
    """Return guessed coefficients (n, n_concepts) of a second network's pooled activations (n, n_channels)."""
    guessed: Floats = (np.asarray(pooled, dtype=np.float64) - by.centre) @ by.weights + by.offset
    return guessed
