"""How much each concept moves a family's logit: total Sobol indices and signed contributions.

The players of one specimen are its concepts and the residual, what the bank leaves out of the pooled activation a:

    φ_i = ū_i (bank_i · θ),    φ_r = (a − ū · bank) · θ

θ is the family's row of the head minus the mean of all rows (the *centred* logit: softmax does not see a common
shift). A mask in [0, 1] scales each player; masks are independent and uniform. On a head that is affine after pooling
the total Sobol index then has a closed form,

    T_i = φ_i² / (Σ_j φ_j² + φ_r²),

and needs no evaluation of the head. Elsewhere it is estimated from the head's answers to masks (`sobol`), a
contribution is f(all) − f(all but i), and the residual's is what is left of f(all) − f(none).

References: Jansen, "Analysis of variance designs for model output" (1999); its use for concepts: Fel et al., CRAFT
(arXiv:2211.10154); closed forms of concept importance: Fel et al. (arXiv:2306.07304).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.sobol import N_SCRAMBLINGS, DesignSums, draw_scrambled, mix_designs

Floats = NDArray[np.floating]
Evaluate = Callable[[int, Floats], Floats]
FIRST_DESIGNS = 8  # of each scrambling; doubled where they are too few
CHUNK = 16  # designs of a scrambling at once: what is held at a time does not grow with their number


@dataclass(frozen=True)
class SpecimenImportances:
    """Indices and contributions of one family's specimens.

    Attributes
    ----------
    indices
        (n_scramblings, n_specimens, n_players) float64, the residual last: their mean over scramblings is the total
        Sobol index, in [0, 1]; their spread is the error of sampling masks. One scrambling where they are exact.
    contributions
        (n_specimens, n_players, n_outputs): logits, centred, the residual last; float64 where they are exact, float32
        where a head was asked.
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

    @property
    def mean_indices(self) -> Floats:
        """Total Sobol indices, (n_specimens, n_players) in [0, 1]: the mean over scramblings, without its rounding."""
        mean: Floats = np.clip(self.indices.mean(axis=0), 0, 1)
        return mean


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
    evaluate: Evaluate,
    *,
    n_specimens: int,
    n_players: int,
    output: int,
    batch_size: int,
    half_width: float,
    max_evaluations: int,
    seed: int,
) -> SpecimenImportances:
    """Estimate importances on any head, with designs doubled until the family's mean is known well enough.

    Specimens are taken one at a time and keep running sums only, so what is held does not grow with the designs.
    Every specimen and scrambling has points of its own, so that errors average out over a family.

    Parameters
    ----------
    evaluate
        (specimen index, masks (batch_size, n_players) in [0, 1], the residual last) → (batch_size, n_outputs) logits of
        the head where each mask scales its player. Always called with full batches: the last is filled up with zeros.
    half_width
        Wanted half-width of the 95 % interval of the family's mean index, as far as masks are concerned.
    max_evaluations
        Evaluations of the head at most, for the whole family; one round of designs is made whatever it takes.
    """

    def sample(index: int, start: int, stop: int) -> tuple[Floats, Floats, Floats]:
        first, second = draw_scrambled(n_players, start=start, stop=stop, seed=[seed, index])
        masks = mix_designs(first, second).reshape(-1, n_players)
        answers = [
            logits[:, output] - logits.mean(axis=1) for logits in _ask_in_batches(evaluate, index, masks, batch_size)
        ]
        return np.concatenate(answers).reshape(N_SCRAMBLINGS, stop - start, n_players + 2), first, second

    contributions, biases = _ablate(evaluate, n_specimens, n_players, batch_size)
    n_used = n_specimens * (n_players + 1)
    sums = [DesignSums(*sample(index, 0, FIRST_DESIGNS)) for index in range(n_specimens)]
    n_designs = FIRST_DESIGNS
    n_used += N_SCRAMBLINGS * n_specimens * n_designs * (n_players + 2)
    while True:
        indices = np.stack([each.solve() for each in sums], axis=1)  # (n_scramblings, n_specimens, n_players)
        cost = N_SCRAMBLINGS * n_specimens * n_designs * (n_players + 2)  # of as many designs again
        if measure_half_width(indices) <= half_width or n_used + cost > max_evaluations:
            return SpecimenImportances(indices, contributions, biases, exact=False, n_evaluations=n_used)
        for index, each in enumerate(sums):
            for start in range(n_designs, 2 * n_designs, CHUNK):
                each.add(*sample(index, start, min(start + CHUNK, 2 * n_designs)))
        n_designs *= 2
        n_used += cost


def measure_half_width(indices: Floats) -> float:
    """Return the half-width of the 95 % interval of the least known mean index, from scramblings alone.

    Parameters
    ----------
    indices
        (n_scramblings, n_specimens, n_players): pseudo-values; a specimen whose logit never moves is left out.

    Returns
    -------
    half_width
        0 where no specimen's logit moves.
    """
    from scipy.special import stdtrit

    n_scramblings = len(indices)
    moving = indices[:, np.abs(indices).sum(axis=(0, 2)) > 0]  # (n_scramblings, n_moving, n_players)
    n_moving = moving.shape[1]
    if not n_moving:
        return 0.0
    # Points of different specimens are independent, so their variances add up.
    error = np.sqrt(moving.var(axis=0, ddof=1).sum(axis=0) / n_scramblings) / n_moving
    return float(stdtrit((n_scramblings - 1) * n_moving, 0.975) * error.max())


def _affine_contributions(coefficients: Floats, pooled: Floats, bank: Floats, weight: Floats) -> Floats:
    """Return (n_specimens, n_players, n_outputs): what each player adds to each centred logit."""
    coefficients = coefficients.astype(np.float64)
    bank = bank.astype(np.float64)
    concepts = coefficients[:, :, None] * (bank @ weight.T)[None]
    residual = (pooled.astype(np.float64) - coefficients @ bank) @ weight.T
    return np.concatenate([concepts, residual[:, None]], axis=1)


def _ask_in_batches(evaluate: Evaluate, index: int, masks: Floats, batch_size: int) -> Iterator[Floats]:
    """Yield the logits of all masks, (n_masks of a batch, n_outputs) float64 each, asked for in full batches."""
    for start in range(0, len(masks), batch_size):
        batch = masks[start : start + batch_size]
        filled = np.zeros((batch_size, masks.shape[1]))
        filled[: len(batch)] = batch
        yield evaluate(index, filled)[: len(batch)].astype(np.float64)


def _ablate(evaluate: Evaluate, n_specimens: int, n_players: int, batch_size: int) -> tuple[Floats, Floats]:
    """Return contributions f(all) − f(all but i), the rest's as what is left of f(all) − f(none), and f(none)."""
    masks = np.ones((n_players + 1, n_players))
    masks[np.arange(n_players - 1), np.arange(n_players - 1)] = 0
    masks[-1] = 0
    contributions = biases = np.empty(0)
    for index in range(n_specimens):
        logits = np.concatenate(list(_ask_in_batches(evaluate, index, masks, batch_size)))
        centred = logits - logits.mean(axis=1, keepdims=True)
        everything, nothing = centred[-2], centred[-1]
        if index == 0:
            contributions = np.empty((n_specimens, n_players, len(nothing)), dtype=np.float32)
            biases = np.empty((n_specimens, len(nothing)))
        contributions[index, :-1] = everything[None] - centred[:-2]
        contributions[index, -1] = everything - nothing - (everything[None] - centred[:-2]).sum(axis=0)
        biases[index] = nothing
    return contributions, biases
