"""How much a bank rebuilds, and how much of a logit it explains, on leaves that it was not fitted on.

Every refit is asked about the specimens of groups that it had not drawn (out of bag). Two ratios of sums over them:

    relative error    √(Σ ‖A − UW‖² / Σ ‖A‖²), over their cells
    explained share   Σ (1 − T_r) / n, over specimens whose logit some player moves; T_r is the residual's total Sobol
                      index, φ_r² / (Σ φᵢ² + φ_r²) with φᵢ = ūᵢ (bankᵢ · θ) and φ_r = (ā − ū bank) · θ

A: cells; U: their coefficients; ā, ū: a specimen's means; θ: the family's row of the head, centred. Reported is the
mean over refits; its interval is a bootstrap over groups, in which all refits see the same draw of leaves.

A bank of more concepts rebuilds noise as well. How much was there to be found is seen from the *predicted error*: each
half of the channels is rebuilt with coefficients that were found on the other half, which noise says nothing of.

References: Efron and Tibshirani, "Improvements on cross-validation: the .632+ bootstrap method" (1997); Owen and Perry,
"Bi-cross-validation of the SVD and the nonnegative matrix factorization" (2009).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.bootstrap import draw_counts, take_interval
from leaflineage.concepts.encoding import encode
from leaflineage.concepts.rows import PIECE, Readable
from leaflineage.concepts.stability import Refit

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Estimate:
    """A mean over refits, its 95 % interval and its standard error over groups."""

    value: float
    interval: tuple[float, float]
    standard_error: float


@dataclass(frozen=True)
class UnseenMeasures:
    """What refits make of the leaves they had not drawn; None where no refit left a leaf out that says anything."""

    relative_error: Estimate | None
    explained: Estimate | None


def measure_unseen(
    cells: Readable, groups: Sequence[str], refits: Sequence[Refit], *, direction: Floats | None, seed: int
) -> UnseenMeasures:
    """Measure refits on the specimens of groups that each had not drawn.

    Parameters
    ----------
    cells
        (n_specimens, n_cells, n_channels): every cell of every specimen.
    groups
        One a specimen.
    direction
        (n_channels,): the family's row of an affine head, centred; None where the head is not affine, and nothing is
        said of what is explained.
    seed
        Of the bootstrap.
    """
    shape = (len(refits), len(groups))
    errors, energies, explained, counted = (np.zeros(shape) for _ in range(4))
    for number, each in enumerate(refits):
        for left_out in _find_left_out(groups, each, n_cells=cells.shape[1]):
            own = np.asarray(cells[left_out], dtype=np.float32)  # (n_left_out, n_cells, n_channels)
            flat = own.reshape(-1, own.shape[-1])
            coefficients = encode(flat, each.concept_bank)  # (n_left_out · n_cells, n_concepts)
            residual = (flat - coefficients @ each.concept_bank).reshape(own.shape)
            errors[number, left_out] = _sum_squares(residual)
            energies[number, left_out] = _sum_squares(own)
            if direction is not None:
                theta = np.asarray(direction, dtype=np.float64)
                means = coefficients.reshape(*own.shape[:2], -1).mean(axis=1, dtype=np.float64)
                of_concepts = np.square(means * (each.concept_bank.astype(np.float64) @ theta)).sum(axis=1)
                of_residual = np.square(residual.mean(axis=1, dtype=np.float64) @ theta)
                total = of_concepts + of_residual
                counted[number, left_out] = total > 0
                explained[number, left_out] = np.divide(of_concepts, total, out=np.zeros_like(total), where=total > 0)
    return UnseenMeasures(
        relative_error=estimate_ratio(errors, energies, groups, root=True, seed=seed),
        explained=estimate_ratio(explained, counted, groups, root=False, seed=seed),
    )


def measure_predicted_error(
    cells: Readable, groups: Sequence[str], refits: Sequence[Refit], *, seed: int
) -> Estimate | None:
    """Measure how well refits predict one half of the channels from the other, on leaves they had not drawn.

    Parameters
    ----------
    cells
        (n_specimens, n_cells, n_channels), at least two channels.
    groups
        One a specimen.
    seed
        Of the halves and of the bootstrap.

    Returns
    -------
    estimate
        Of √(Σ ‖A_h − U_o W_h‖² / Σ ‖A‖²) over both halves h, U_o found on the other; None where no refit left out a
        leaf with activations.
    """
    order = np.random.default_rng(seed).permutation(cells.shape[-1])
    halves = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    errors, energies = np.zeros((2, len(refits), len(groups)))
    for number, each in enumerate(refits):
        for left_out in _find_left_out(groups, each, n_cells=cells.shape[1]):
            own = np.asarray(cells[left_out], dtype=np.float32)  # (n_left_out, n_cells, n_channels)
            for half, other in (halves, halves[::-1]):
                known, wanted = own[..., other].reshape(-1, len(other)), own[..., half]
                found = encode(known, each.concept_bank[:, other]) @ each.concept_bank[:, half]
                errors[number, left_out] += _sum_squares(wanted - found.reshape(wanted.shape))
                energies[number, left_out] += _sum_squares(wanted)
    return estimate_ratio(errors, energies, groups, root=True, seed=seed)


def _find_left_out(groups: Sequence[str], refit: Refit, *, n_cells: int) -> Iterator[NDArray[np.intp]]:
    """Yield the specimens of groups that a refit had not drawn, so many at a time that their cells are a piece."""
    places = np.array([index for index, group in enumerate(groups) if group not in refit.drawn], dtype=np.intp)
    n_each = max(1, PIECE // n_cells)
    return (places[start : start + n_each] for start in range(0, len(places), n_each))


def _sum_squares(values: Floats) -> Floats:
    """Return (n_specimens,) float64 sums of squares of (n_specimens, n_cells, n_channels)."""
    return np.asarray(np.square(values, dtype=np.float64).sum(axis=(1, 2)))


def estimate_ratio(
    numerators: Floats, denominators: Floats, groups: Sequence[str], *, root: bool, seed: int
) -> Estimate | None:
    """Return the mean over refits of a ratio of sums (or of its root), with a bootstrap interval over groups.

    Parameters
    ----------
    numerators, denominators
        (n_refits, n_specimens); 0 in both where a refit says nothing of a specimen.
    groups
        One a specimen; pictures of one leaf are drawn together.

    Returns
    -------
    estimate
        None where no refit has a denominator above 0.
    """

    def ratio(weights: Floats) -> Floats:
        above, below = numerators @ weights, denominators @ weights
        found = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
        return np.sqrt(found) if root else found

    of_refits = ratio(np.ones(len(groups)))  # (n_refits,)
    if np.isnan(of_refits).all():
        return None
    drawn = ratio(draw_counts(groups, seed=seed).T)  # (n_refits, n_draws)
    means = np.nanmean(drawn[:, ~np.isnan(drawn).all(axis=0)], axis=0)
    value = np.nanmean(of_refits, keepdims=True)
    (low,), (high,) = take_interval(means[:, None], value)
    return Estimate(float(value[0]), (float(low), float(high)), float(means.std()))
