"""How far concepts stand for what the classifier does: they are switched off and on, and the logit is watched.

A *game* answers with a specimen's centred logit f(m) under a mask m of its players, the k concepts and, last, the
residual; here masks are 0 or 1. With concepts in an order o_1, o_2, …

    deletion_j  = f(all but o_1 … o_j),              the residual stays
    insertion_j = f(only o_1 … o_j),                 the residual stays away

for j = 0 … k. The area of a curve is the mean over its points: a good order deletes fast (small area) and inserts
fast (large area). On a head that is affine after pooling f(m) = bias + Σ m_i φ_i, so

    deletion_j = f(all) − Σ_{i ≤ j} φ_{o_i}.

The j largest φ make it as small as j concepts can, for every j at once: falling contribution is the best order there
is, for insertion likewise. Falling total Sobol index is not: T_i ∝ φ_i² does not see the sign of φ_i, so a concept that
speaks strongly *against* the family is switched off early, and the logit rises.

µFidelity asks the same of sets: over random subsets S of half the concepts, Pearson's correlation of

    Σ_{i ∈ S} attribution_i      with      f(all) − f(all but S).

On an affine head the right side is Σ_{i ∈ S} φ_i, so contributions reach exactly 1.

References: Petsiuk et al., RISE (arXiv:1806.07421), deletion and insertion; Bhatt et al., "Evaluating and aggregating
feature-based model explanations" (IJCAI 2020), µFidelity; Fel et al. (arXiv:2306.07304), both for concepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Game = Callable[[int, Floats], Floats]  # specimen, masks (n_masks, n_players) → centred logits (n_masks,)


@dataclass(frozen=True)
class Curves:
    """Centred logits while concepts are switched, one row a specimen.

    Attributes
    ----------
    deletion, insertion
        (n_specimens, n_concepts + 1) float64, logits: with 0, 1, … concepts switched.
    """

    deletion: Floats
    insertion: Floats


def make_affine_game(contributions: Floats, bias: float) -> Game:
    """Return the game of a head that is affine after pooling: no evaluation of the head.

    Parameters
    ----------
    contributions
        (n_specimens, n_players), logits, the residual last.
    bias
        The centred logit with every player masked.
    """

    def play(specimen: int, masks: Floats) -> Floats:
        answers: Floats = bias + masks @ contributions[specimen]
        return answers

    return play


def order_concepts(attributions: Floats) -> NDArray[np.intp]:
    """Return each specimen's concepts by falling attribution, ties by index: (n_specimens, 1, n_concepts)."""
    return np.argsort(-attributions, axis=1, kind="stable")[:, None]


def draw_orders(n_specimens: int, n_concepts: int, *, n_orders: int, seed: int) -> NDArray[np.intp]:
    """Return random orders, (n_specimens, n_orders, n_concepts)."""
    generator = np.random.default_rng(seed)
    orders = np.broadcast_to(np.arange(n_concepts), (n_specimens, n_orders, n_concepts))
    return generator.permuted(orders, axis=2)


def trace_curves(game: Game, orders: Mapping[str, NDArray[np.intp]]) -> dict[str, Curves]:
    """Return deletion and insertion curves, by name of the order.

    Parameters
    ----------
    orders
        Name → (n_specimens, n_orders, n_concepts); a specimen's curve is the mean over its orders.
    """
    n_specimens, _, n_concepts = next(iter(orders.values())).shape
    found: dict[str, list[Floats]] = {name: [] for name in orders}
    for specimen in range(n_specimens):
        masks = np.concatenate([_make_masks(each[specimen]) for each in orders.values()])
        # Orders share their ends and more: each mask is asked for once.
        different, where = np.unique(masks.reshape(-1, n_concepts + 1), axis=0, return_inverse=True)
        answers = game(specimen, different)[where.reshape(-1)].reshape(masks.shape[:3])  # (n_orders, 2, n_concepts + 1)
        start = 0
        for name, each in orders.items():
            found[name].append(answers[start : start + each.shape[1]].mean(axis=0))
            start += each.shape[1]
    stacked = {name: np.stack(curves) for name, curves in found.items()}  # (n_specimens, 2, n_concepts + 1)
    return {name: Curves(deletion=curves[:, 0], insertion=curves[:, 1]) for name, curves in stacked.items()}


def draw_subsets(n_concepts: int, *, n_subsets: int, seed: int) -> NDArray[np.bool_]:
    """Return random subsets of half the concepts, of one at least: (n_subsets, n_concepts)."""
    size = max(1, n_concepts // 2)
    places = draw_orders(1, n_concepts, n_orders=n_subsets, seed=seed)[0]
    subsets: NDArray[np.bool_] = places < size
    return subsets


def measure_falls(game: Game, subsets: NDArray[np.bool_], *, n_specimens: int) -> Floats:
    """Return f(all) − f(all but S) of each subset S, (n_specimens, n_subsets), logits."""
    masks = np.ones((len(subsets) + 1, subsets.shape[1] + 1))
    masks[1:, :-1] -= subsets
    different, where = np.unique(masks, axis=0, return_inverse=True)
    answers = np.stack([game(specimen, different)[where.reshape(-1)] for specimen in range(n_specimens)])
    falls: Floats = answers[:, :1] - answers[:, 1:]
    return falls


def correlate_subsets(attributions: Floats, falls: Floats, subsets: NDArray[np.bool_]) -> Floats:
    """Return each specimen's µFidelity, (n_specimens,) in [-1, 1]; NaN where a side does not vary.

    Parameters
    ----------
    attributions
        (n_specimens, n_concepts).
    falls
        (n_specimens, n_subsets), as `measure_falls` returns them.
    subsets
        (n_subsets, n_concepts).
    """
    sums = attributions.astype(np.float64) @ subsets.T  # (n_specimens, n_subsets)
    sides = [each - each.mean(axis=1, keepdims=True) for each in (sums, falls.astype(np.float64))]
    sizes = [np.linalg.norm(each, axis=1) for each in sides]
    # What varies by rounding alone does not vary.
    varies = np.all(
        [
            size > 1e-9 * np.maximum(np.abs(each).max(axis=1), 1e-30)
            for size, each in zip(sizes, (sums, falls), strict=True)
        ],
        axis=0,
    )
    products = (sides[0] * sides[1]).sum(axis=1)
    correlations = np.full(len(sums), np.nan)
    np.divide(products, sizes[0] * sizes[1], out=correlations, where=varies)
    clipped: Floats = np.clip(correlations, -1, 1)
    return clipped


def measure_errors(activations: Iterable[Floats], maps: Floats, concept_bank: Floats) -> tuple[Floats, Floats]:
    """Return ‖A − UW‖² and ‖A‖² of each specimen, (n_specimens,) float64 each: relative_error² is the ratio of sums.

    Parameters
    ----------
    activations
        (…, n_channels) a specimen, looked at one after another.
    maps
        (n_specimens, …, n_concepts).
    concept_bank
        (n_concepts, n_channels).
    """
    squared_errors, energies = np.zeros(len(maps)), np.zeros(len(maps))
    for specimen, (whole, coefficients) in enumerate(zip(activations, maps, strict=True)):
        cells = whole.astype(np.float32)
        errors = cells - coefficients.astype(np.float32) @ concept_bank
        squared_errors[specimen] = np.square(errors, dtype=np.float64).sum()
        energies[specimen] = np.square(cells, dtype=np.float64).sum()
    return squared_errors, energies


def _make_masks(orders: NDArray[np.intp]) -> Floats:
    """Return the masks of a deletion and an insertion curve an order: (n_orders, 2, n_concepts + 1, n_players)."""
    n_orders, n_concepts = orders.shape
    places = np.argsort(orders, axis=1)  # (n_orders, n_concepts): where a concept stands in the order
    is_switched = places[:, None] < np.arange(n_concepts + 1)[:, None]  # (n_orders, n_concepts + 1, n_concepts)
    masks = np.ones((n_orders, 2, n_concepts + 1, n_concepts + 1))
    masks[:, 0, :, :-1] = ~is_switched
    masks[:, 1, :, :-1] = is_switched
    masks[:, 1, :, -1] = 0
    return masks
