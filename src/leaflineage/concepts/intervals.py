"""95 % intervals: Wilson's of a proportion, and the bootstrap's of a ratio of sums over groups.

Most figures of a family are a ratio of two sums over its specimens, value = Σ a / Σ b: a mean has b = 1, an explained
share sums indices, a squared relative error sums energies. The bootstrap draws groups, not specimens: pictures of one
leaf are no independent leaves.

References: Wilson, "Probable inference, the law of succession, and statistical inference" (1927); Efron and
Tibshirani, "An introduction to the bootstrap" (1993), percentile interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.bootstrap import draw_counts, take_interval

Floats = NDArray[np.floating]


def compute_wilson(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion."""
    z = 1.959964
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = float(centre - half), float(centre + half)
    return 0.0 if successes == 0 else low, 1.0 if successes == n else high


def bootstrap_ratio(
    numerators: Floats, denominators: Floats, groups: Sequence[str], *, seed: int
) -> tuple[float, tuple[float, float] | None]:
    """Return Σ numerators / Σ denominators and its 95 % bootstrap interval over groups.

    Parameters
    ----------
    numerators, denominators
        (n_specimens,), the denominators ≥ 0; all 1 where a mean is wanted.
    groups
        One a specimen; pictures of one leaf share it and are drawn together.
    seed
        Of the 1,000 draws.

    Returns
    -------
    value
        0 where the denominators sum to 0.
    interval
        Low and high, the value between them; None of a single group, which cannot be drawn otherwise.
    """
    sums = np.stack([numerators, denominators], axis=1).astype(np.float64)  # (n_specimens, 2)
    above, below = sums.sum(axis=0)
    value = float(above / below) if below > 0 else 0.0
    if len(set(groups)) < 2:
        return value, None
    drawn = draw_counts(groups, seed=seed) @ sums  # (n_draws, 2)
    known = drawn[:, 1] > 0  # a draw of groups without any denominator says nothing
    if not known.any():
        return value, (value, value)
    low, high = take_interval((drawn[known, 0] / drawn[known, 1])[:, None], np.array([value]))
    return value, (float(low[0]), float(high[0]))
