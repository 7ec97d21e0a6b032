"""How much each concept moves a family's logit: total Sobol indices and signed contributions.

The players of one specimen are its concepts and the residual, what the bank leaves out of the pooled activation a:

    φ_i = ū_i (bank_i · θ),    φ_r = (a − ū · bank) · θ

θ is the family's row of the head minus the mean of all rows (the *centred* logit: softmax does not see a common
shift). A mask in [0, 1] scales each player; masks are independent and uniform. On a head that is affine after pooling
the total Sobol index then has a closed form,

    T_i = φ_i² / (Σ_j φ_j² + φ_r²),

and needs no evaluation of the head. Elsewhere it is estimated over scrambled Sobol points A, B:

    T_i = E[(f(A) − f(A with column i from B))²] / (2 Var f).

References: Jansen, "Analysis of variance designs for model output" (1999); its use for concepts: Fel et al., CRAFT
(arXiv:2211.10154); closed forms of concept importance: Fel et al. (arXiv:2306.07304).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
N_DRAWS = 1000  # of the bootstrap over groups
N_SCRAMBLINGS = 4
FIRST_DESIGNS = 32


@dataclass(frozen=True)
class SpecimenImportances:
    """Indices and contributions of one family's specimens.

    Attributes
    ----------
    indices
        (n_scramblings, n_specimens, n_players) float64 in [0, 1]: total Sobol indices, the residual last; one
        scrambling where they are exact.
    contributions
        (n_specimens, n_players, n_outputs) float64: logits, centred, the residual last.
    biases
        (n_outputs,) or (n_specimens, n_outputs) float64: the centred logits with every player masked.
    exact
        Whether the indices are free of mask-sampling error.
    n_evaluations
        How often the head was evaluated.
    """

    indices: Floats
    contributions: Floats
    biases: Floats
    exact: bool
    n_evaluations: int


def compute_exact_importances(
    coefficients: Floats, pooled: Floats, concept_bank: Floats, *, head_weight: Floats, head_bias: Floats, output: int
) -> SpecimenImportances:
    """Compute importances on a head that is affine after pooling, without evaluating it.

    Parameters
    ----------
    coefficients
        (n_specimens, n_concepts): means of the coefficient maps.
    pooled
        (n_specimens, n_channels): means of the feature maps.
    concept_bank
        (n_concepts, n_channels).
    head_weight, head_bias
        (n_outputs, n_channels) and (n_outputs,).
    output
        The family's output.
    """
    weight = head_weight.astype(np.float64) - head_weight.astype(np.float64).mean(axis=0)
    bias = head_bias.astype(np.float64) - float(head_bias.astype(np.float64).mean())
    contributions = _affine_contributions(coefficients, pooled, concept_bank, weight)
    squares = contributions[:, :, output] ** 2  # (n_specimens, n_players)
    total = squares.sum(axis=1, keepdims=True)
    indices = np.divide(squares, total, out=np.zeros_like(squares), where=total > 0)
    return SpecimenImportances(indices[None], contributions, bias, exact=True, n_evaluations=0)


def compute_sampled_importances(
    players: Callable[[int], Floats],
    evaluate: Callable[[Floats, Floats], Floats],
    *,
    n_specimens: int,
    output: int,
    half_width: float,
    max_evaluations: int,
    seed: int,
) -> SpecimenImportances:
    """Estimate importances on any head, with designs doubled until the family's mean is known well enough.

    Parameters
    ----------
    players
        Specimen index → (n_players, …): what each mask scales, the residual last.
    evaluate
        (masks (n_masks, n_players), players) → (n_masks, n_outputs) logits of the head at the masked sum.
    half_width
        Wanted half-width of the 95 % interval (over scramblings) of the family's mean index.
    max_evaluations
        Evaluations of the head at most, for the whole family; one round of designs is made whatever it takes.
    """
    n_players = len(players(0))
    contributions, biases = _ablate(players, evaluate, n_specimens, n_players)
    n_used = n_specimens * (n_players + 2)
    n_designs = FIRST_DESIGNS
    while True:
        cost = N_SCRAMBLINGS * n_specimens * n_designs * (n_players + 2)
        indices = np.stack(
            [
                [
                    _estimate_jansen(players(index), evaluate, output, n_designs, seed + 7919 * scrambling)
                    for index in range(n_specimens)
                ]
                for scrambling in range(N_SCRAMBLINGS)
            ]
        )  # (n_scramblings, n_specimens, n_players)
        n_used += cost
        means = indices.mean(axis=1)
        width = 1.96 * float(means.std(axis=0, ddof=1).max()) / np.sqrt(N_SCRAMBLINGS)
        if width <= half_width or n_used + 2 * cost > max_evaluations:
            return SpecimenImportances(indices, contributions, biases, exact=False, n_evaluations=n_used)
        n_designs *= 2


def estimate_total_indices(
    function: Callable[[Floats], Floats], n_players: int, *, n_designs: int, seed: int
) -> Floats:
    """Return Jansen's estimate of the total Sobol indices of a scalar function of masks, clipped to [0, 1].

    Parameters
    ----------
    function
        (n_masks, n_players) in [0, 1] → (n_masks,).
    n_designs
        Rows of A and of B; a power of two keeps the points balanced.

    Returns
    -------
    indices
        (n_players,); zeros where the function never moves.
    """
    first, second = draw_designs(n_players, n_designs, seed)
    mixed = np.repeat(first[None], n_players, axis=0)
    mixed[np.arange(n_players), :, np.arange(n_players)] = second.T
    # All masks in one call: a head is evaluated in full batches.
    answers = function(np.concatenate([first, second, mixed.reshape(-1, n_players)])).reshape(n_players + 2, n_designs)
    base, other = answers[0], answers[1]
    variance = float(np.concatenate([base, other]).var())
    # A function that moves by rounding alone does not move.
    if variance <= (1e-7 * max(1.0, float(np.abs(base).max()))) ** 2:
        return np.zeros(n_players)
    indices: Floats = np.clip(((base - answers[2:]) ** 2).mean(axis=1) / (2 * variance), 0, 1)
    return indices


def draw_designs(n_players: int, n_designs: int, seed: int) -> tuple[Floats, Floats]:
    """Return two (n_designs, n_players) designs from one scrambled Sobol sequence of twice the dimension."""
    from scipy.stats import qmc

    sampler = qmc.Sobol(2 * n_players, scramble=True, rng=np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # counts that are no power of two are the caller's choice
        points = sampler.random(n_designs)
    return points[:, :n_players], points[:, n_players:]


def bootstrap_mean(values: Floats, groups: Sequence[str], *, seed: int) -> tuple[Floats, Floats]:
    """Return the 95 % interval of the mean over specimens, resampling groups (and scramblings) with replacement.

    Parameters
    ----------
    values
        (n_scramblings, n_specimens, n_players).
    groups
        One a specimen; pictures of one leaf share it and are drawn together.

    Returns
    -------
    low, high
        (n_players,) each.
    """
    generator = np.random.default_rng(seed)
    names = sorted(set(groups))
    where = {name: index for index, name in enumerate(names)}
    member = np.zeros((len(names), values.shape[1]))
    member[[where[group] for group in groups], np.arange(values.shape[1])] = 1
    sums = member @ values  # (n_scramblings, n_groups, n_players)
    draws = generator.integers(len(names), size=(N_DRAWS, len(names)))
    counts = np.stack([np.bincount(draw, minlength=len(names)) for draw in draws])  # (n_draws, n_groups)
    which = generator.integers(len(values), size=N_DRAWS)
    totals = np.stack([counts[draw] @ sums[which[draw]] for draw in range(N_DRAWS)])
    means = totals / (counts @ member.sum(axis=1))[:, None]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return low, high


def _affine_contributions(coefficients: Floats, pooled: Floats, bank: Floats, weight: Floats) -> Floats:
    """Return (n_specimens, n_players, n_outputs): what each player adds to each centred logit."""
    coefficients = coefficients.astype(np.float64)
    bank = bank.astype(np.float64)
    concepts = coefficients[:, :, None] * (bank @ weight.T)[None]
    residual = (pooled.astype(np.float64) - coefficients @ bank) @ weight.T
    return np.concatenate([concepts, residual[:, None]], axis=1)


def _ablate(
    players: Callable[[int], Floats],
    evaluate: Callable[[Floats, Floats], Floats],
    n_specimens: int,
    n_players: int,
) -> tuple[Floats, Floats]:
    """Return contributions f(all) − f(all but i), the rest's as what is left of f(all) − f(none), and f(none)."""
    masks = np.ones((n_players + 2, n_players))
    masks[np.arange(n_players), np.arange(n_players)] = 0
    masks[-1] = 0
    contributions, biases = [], []
    for index in range(n_specimens):
        logits = evaluate(masks, players(index))  # (n_players + 2, n_outputs)
        centred = logits - logits.mean(axis=1, keepdims=True)
        everything, nothing = centred[-2], centred[-1]
        each = everything[None] - centred[: n_players - 1]
        contributions.append(np.concatenate([each, (everything - nothing - each.sum(axis=0))[None]]))
        biases.append(nothing)
    return np.stack(contributions), np.stack(biases)


def _estimate_jansen(
    players: Floats, evaluate: Callable[[Floats, Floats], Floats], output: int, n_designs: int, seed: int
) -> Floats:
    """Return one specimen's estimated indices of the centred logit."""

    def answer(masks: Floats) -> Floats:
        logits = evaluate(masks, players)
        centred: Floats = logits[:, output] - logits.mean(axis=1)
        return centred

    return estimate_total_indices(answer, len(players), n_designs=n_designs, seed=seed)
