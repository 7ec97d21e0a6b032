"""Intervals of statistics over a family's specimens: a bootstrap over groups.

Pictures of one leaf share a group and are drawn together, so that ten pictures of one leaf count as one leaf. A draw
takes as many groups as there are, with replacement; one set of draws serves every statistic of a family, so that
what depends on several of them (a share, a rest) is computed inside each draw. Where a number was estimated over
scramblings of the mask designs, a draw also takes all but one of those with replacement, which gives the resampled
mean the variance of the mean itself (Rao and Wu's rescaling).

References: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993); Rao and Wu, "Resampling inference with
complex survey data" (1988).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
N_DRAWS = 1000
LEVELS = (2.5, 97.5)  # percentiles: a 95 % interval


def draw_counts(groups: Sequence[str], *, seed: int) -> Floats:
    """Return how often each specimen is in each draw of groups.

    Parameters
    ----------
    groups
        One a specimen.

    Returns
    -------
    counts
        (n_draws, n_specimens) float64, whole numbers; the specimens of a group have the same.
    """
    generator = np.random.default_rng(seed)
    names = sorted(set(groups))
    where = {name: index for index, name in enumerate(names)}
    draws = generator.integers(len(names), size=(N_DRAWS, len(names)))
    counts = np.stack([np.bincount(draw, minlength=len(names)) for draw in draws])  # (n_draws, n_groups)
    return counts[:, [where[group] for group in groups]].astype(np.float64)


def draw_scramblings(n_scramblings: int, *, seed: int) -> Floats:
    """Return the weights of scramblings in each draw, (n_draws, n_scramblings) float64; each row sums to 1."""
    if n_scramblings == 1:
        return np.ones((N_DRAWS, 1))
    generator = np.random.default_rng([seed, 1])
    taken = generator.integers(n_scramblings, size=(N_DRAWS, n_scramblings - 1))
    return np.stack([np.bincount(draw, minlength=n_scramblings) for draw in taken]) / (n_scramblings - 1)


def resample_mean(values: Floats, counts: Floats, scramblings: Floats | None = None) -> Floats:
    """Return the mean over specimens in each draw, (n_kept_draws, n_columns) float64.

    Parameters
    ----------
    values
        (n_specimens, n_columns), or (n_scramblings, n_specimens, n_columns) with ``scramblings`` given.
    counts
        (n_draws, n_specimens), of these specimens; a draw that holds none of them is left out.
    scramblings
        (n_draws, n_scramblings).
    """
    totals = counts.sum(axis=1)
    kept = totals > 0
    weights = counts[kept] / totals[kept, None]
    if scramblings is None:
        means: Floats = weights @ values.astype(np.float64)
        return means
    return np.asarray(sum(scramblings[kept, index, None] * (weights @ each) for index, each in enumerate(values)))


def take_interval(draws: Floats, estimate: Floats) -> tuple[Floats, Floats]:
    """Return the low and high ends of the 95 % interval, widened where it would not hold its estimate.

    Parameters
    ----------
    draws
        (n_draws, n_columns).
    estimate
        (n_columns,).
    """
    low, high = np.percentile(draws, LEVELS, axis=0)
    return np.minimum(low, estimate), np.maximum(high, estimate)


def bootstrap_mean(values: Floats, groups: Sequence[str], *, seed: int) -> tuple[Floats, Floats]:
    """Return the 95 % interval of the mean over specimens, resampling groups (and scramblings) with replacement.

    Parameters
    ----------
    values
        (n_scramblings, n_specimens, n_columns).
    groups
        One a specimen; pictures of one leaf share it and are drawn together.

    Returns
    -------
    low, high
        (n_columns,) each; they hold the mean.
    """
    draws = resample_mean(values, draw_counts(groups, seed=seed), draw_scramblings(len(values), seed=seed))
    return take_interval(draws, values.mean(axis=(0, 1)))
