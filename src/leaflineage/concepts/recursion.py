"""Concepts inside a concept: the crops that activate it most, factorised again at an earlier layer.

A crop's map A at that layer, and the map B of an empty picture (the *baseline*), are sums of the same parts:

    A = Σ_j u_j w_j + R,    B = Σ_j b_j w_j + R_B

u_j, b_j: coefficient maps of sub-concept j; w_j: its row of the sub-bank; R, R_B: residuals. Masks in [0, 1] lead from
the one to the other,

    A(m) = B + Σ_j m_j (u_j − b_j) w_j + m_r (R − R_B)

and the function of the masks is the *parent's coefficient*: the rest of the features, then non-negative least squares
on the family's bank, then the mean over cells of the parent's column. The total Sobol index of that function says how
much of the parent hangs on a sub-concept, alone or with others; f(all) − f(all but j) is what it adds to the parent or
takes from it, in units of the coefficient.

Why not from nothing, B = 0, as for the classifier's head: what follows inside a network is no linear layer with a
harmless bias but a normalisation, which never saw zeros. On drawn leaves the parent's coefficient was up to ten times
as large with every part at zero as in the crops themselves, so that each part seemed to speak against its own parent;
an empty picture leaves it at 0.

Reference: Fel et al., CRAFT (arXiv:2211.10154), its first ingredient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.bootstrap import draw_counts, draw_scramblings, resample_mean, take_interval
from leaflineage.concepts.encoding import encode
from leaflineage.concepts.factorization import factorize, measure_relative_error
from leaflineage.concepts.sobol import N_SCRAMBLINGS, DesignSums, draw_scrambled, mix_designs

Floats = NDArray[np.floating]
Span = tuple[float, float]
BATCH_SIZE = 16  # masked maps that meet the network at once; always full
N_DESIGNS = 8  # a scrambling, of which there are four


@dataclass(frozen=True)
class Division:
    """A concept's crops, factorised again.

    Attributes
    ----------
    concept_bank
        (n_subconcepts, n_channels) float32, rows of unit L2 norm, in order of falling coefficient norm.
    coefficient_maps
        (n_crops, rows, columns, n_subconcepts) float32 ≥ 0.
    relative_error
        ‖A − UW‖_F / ‖A‖_F over all cells of the crops.
    """

    concept_bank: Floats
    coefficient_maps: Floats
    relative_error: float


@dataclass(frozen=True)
class SubconceptImportances:
    """How much of the parent's coefficient hangs on each sub-concept; the residual is the last player.

    Attributes
    ----------
    indices
        (n_players,) float64 in [0, 1]: mean total Sobol index over the crops whose coefficient moves at all.
    intervals
        One (low, high) a player, 95 %, over groups and scramblings.
    shares, share_intervals
        Of the sum of all players' indices; (n_players,) and one (low, high) a player.
    contributions, contribution_intervals
        In units of the parent's coefficient; the residual's is what is left of f(all) − f(none).
    n_silent
        Crops whose coefficient no player moves.
    """

    indices: Floats
    intervals: list[Span]
    shares: Floats
    share_intervals: list[Span]
    contributions: Floats
    contribution_intervals: list[Span]
    n_silent: int


def find_strong_cells(
    maps: Floats, groups: Sequence[str], *, n_crops: int, n_per_group: int
) -> list[tuple[int, int, int, float]]:
    """Return the strongest cell of the specimens that hold most of a concept, a few of a group.

    Parameters
    ----------
    maps
        (n_specimens, rows, columns) coefficient maps of one concept.
    groups
        One a specimen.

    Returns
    -------
    cells
        At most ``n_crops`` of (specimen index, row, column, coefficient), by falling coefficient, ties by specimen
        index; specimens without the concept are left out.
    """
    flat = maps.reshape(len(maps), -1)
    strength = flat.max(axis=1)
    taken: dict[str, int] = {}
    cells: list[tuple[int, int, int, float]] = []
    for index in np.argsort(-strength, kind="stable"):
        if len(cells) == n_crops or strength[index] <= 0:
            break
        group = groups[index]
        if taken.get(group, 0) < n_per_group:
            taken[group] = taken.get(group, 0) + 1
            row, column = divmod(int(flat[index].argmax()), maps.shape[2])
            cells.append((int(index), row, column, float(strength[index])))
    return cells


def divide_concept(
    maps: Floats,
    blank: NDArray[np.bool_],
    *,
    n_subconcepts: int,
    method: Literal["nmf", "semi-nmf"],
    seed: int,
    max_iterations: int,
    tolerance: float,
    device: str,
) -> Division:
    """Factorise the cells of a concept's crops.

    Parameters
    ----------
    maps
        (n_crops, rows, columns, n_channels) at the earlier layer.
    blank
        (n_crops, rows, columns): cells of bare paper, which are not fitted on; all are where there is nothing else.

    Raises
    ------
    ActivationError
        Where there is nothing to factorise.
    """
    cells = np.ascontiguousarray(maps, dtype=np.float32).reshape(-1, maps.shape[-1])
    kept = np.flatnonzero(~blank.reshape(-1))
    fit = factorize(
        cells[kept] if len(kept) else cells,
        n_concepts=n_subconcepts,
        seed=seed,
        max_iterations=max_iterations,
        tolerance=tolerance,
        method=method,
        device=device,
    )
    coefficients = encode(cells, fit.concept_bank)
    return Division(
        concept_bank=fit.concept_bank,
        coefficient_maps=coefficients.reshape(*maps.shape[:3], -1),
        relative_error=measure_relative_error(cells, coefficients, fit.concept_bank),
    )


def rank_subconcepts(
    maps: Floats,
    division: Division,
    baseline: Floats,
    measure: Callable[[int, Floats], Floats],
    groups: Sequence[str],
    *,
    n_designs: int,
    seed: int,
) -> SubconceptImportances:
    """Find how much of the parent's coefficient hangs on each sub-concept, and on what none of them holds.

    Parameters
    ----------
    maps
        (n_crops, rows, columns, n_channels) at the earlier layer.
    division
        Of these crops, or of more of which these are the first.
    baseline
        (rows, columns, n_channels): the map of an empty picture, which is left where all masks are 0.
    measure
        (crop index, masked maps (BATCH_SIZE, rows, columns, n_channels) float32) → (BATCH_SIZE,): the parent's
        coefficient.
    groups
        One a crop.
    n_designs
        A scrambling; a power of two.
    """
    n_crops, n_players = len(maps), len(division.concept_bank) + 1
    first, second = draw_scrambled(n_players, start=0, stop=n_designs, seed=[seed])
    masks = mix_designs(first, second)  # (n_scramblings, n_designs, n_players + 2, n_players)
    indices = np.zeros((N_SCRAMBLINGS, n_crops, n_players))
    contributions = np.zeros((n_crops, n_players))
    ablations = np.ones((n_players + 1, n_players))  # all but each sub-concept, all, none
    ablations[np.arange(n_players - 1), np.arange(n_players - 1)] = 0
    ablations[-1] = 0
    empty = _divide_map(baseline, encode(_flatten(baseline), division.concept_bank), division.concept_bank)
    for crop in range(n_crops):
        parts = _divide_map(maps[crop], _flatten(division.coefficient_maps[crop]), division.concept_bank)

        def answer(masks: Floats, crop: int = crop, players: Floats = parts - empty) -> Floats:
            return _mask(masks, players, baseline, lambda batch: measure(crop, batch))

        answers = answer(masks.reshape(-1, n_players)).reshape(masks.shape[:-1])
        indices[:, crop] = DesignSums(answers, first, second).solve()
        *without, everything, nothing = answer(ablations)
        contributions[crop, :-1] = everything - np.array(without)
        contributions[crop, -1] = everything - nothing - contributions[crop, :-1].sum()
    return _summarise(indices, contributions, groups, seed=seed)


def _flatten(cells: Floats) -> Floats:
    """Return (n_cells, n) of (rows, columns, n)."""
    return cells.reshape(-1, cells.shape[-1])


def _divide_map(activation_map: Floats, coefficients: Floats, bank: Floats) -> Floats:
    """Return the parts (n_players, rows, columns, n_channels) of a map, the residual last."""
    each = (coefficients.T[:, :, None] * bank[:, None]).reshape(-1, *activation_map.shape)
    return np.concatenate([each, (activation_map - each.sum(axis=0))[None]]).astype(np.float32)


def _mask(masks: Floats, players: Floats, baseline: Floats, measure: Callable[[Floats], Floats]) -> Floats:
    """Return (n_masks,) answers, asked for in full batches."""
    flat = players.reshape(len(players), -1)
    answers = []
    for start in range(0, len(masks), BATCH_SIZE):
        batch = masks[start : start + BATCH_SIZE].astype(np.float32)
        filled = np.zeros((BATCH_SIZE, batch.shape[1]), dtype=np.float32)
        filled[: len(batch)] = batch
        masked = (filled @ flat).reshape(-1, *players.shape[1:]) + baseline.astype(np.float32)
        answers.append(measure(masked)[: len(batch)])
    return np.concatenate(answers).astype(np.float64)


def _summarise(indices: Floats, contributions: Floats, groups: Sequence[str], *, seed: int) -> SubconceptImportances:
    """Return means over crops with their intervals: indices over those that move, contributions over all."""
    n_players = contributions.shape[1]
    counts, scramblings = draw_counts(groups, seed=seed), draw_scramblings(len(indices), seed=seed)
    added = contributions.mean(axis=0)
    added_spans = take_interval(resample_mean(contributions, counts), added)
    counted = np.flatnonzero(indices.any(axis=(0, 2)))
    if not len(counted):  # nothing moves the parent: the rest holds what there is
        values, spans, shares = np.zeros(n_players), np.zeros((2, n_players)), np.eye(n_players)[-1]
        share_spans: tuple[Floats, Floats] = (shares, shares)
    else:
        moving = indices[:, counted]
        values = np.clip(moving.mean(axis=(0, 1)), 0, 1)
        draws = np.clip(resample_mean(moving, counts[:, counted], scramblings), 0, 1)
        spans = np.stack(take_interval(draws, values))
        shares = values / values.sum()
        share_spans = take_interval(draws / draws.sum(axis=1, keepdims=True), shares)
    return SubconceptImportances(
        indices=values,
        intervals=_pair(spans[0], spans[1]),
        shares=shares,
        share_intervals=_pair(*share_spans),
        contributions=added,
        contribution_intervals=_pair(*added_spans),
        n_silent=len(contributions) - len(counted),
    )


def _pair(low: Floats, high: Floats) -> list[Span]:
    return [(float(start), float(stop)) for start, stop in zip(low, high, strict=True)]
