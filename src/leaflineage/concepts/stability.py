"""Whether a concept is found again, and how a bank does on leaves it has not seen: refits on resampled groups.

Each refit draws as many groups as there are, with replacement, and fits a bank on their cells; about 37 % of the
groups are not drawn (out of bag).

Concept i of the bank is matched one to one with a row of each refitted bank so that the sum of cosines is largest
(the Hungarian method). It is found again in a refit where its matched cosine reaches 0.75; different concepts of one
family reach 0.57.

References: Efron and Tibshirani, "Improvements on cross-validation: the .632+ bootstrap method" (1997), for errors out
of bag; Wu et al., "Stability-driven nonnegative matrix factorization" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.factorization import Method, factorize
from leaflineage.concepts.rows import PIECE, Rows, as_rows, list_blocks

Floats = NDArray[np.floating]
FOUND_AGAIN = 0.75


@dataclass(frozen=True)
class Refit:
    """A bank fitted on some of the leaves.

    Attributes
    ----------
    concept_bank
        (n_concepts, n_channels) float32; no row where leaves without activation alone were drawn.
    drawn
        Groups that it was fitted on.
    """

    concept_bank: Floats
    drawn: frozenset[str]


def refit(
    activations: Floats | Rows,
    groups: Sequence[str],
    *,
    n_concepts: int,
    n_refits: int,
    seed: int,
    max_iterations: int,
    tolerance: float,
    method: Method,
    device: str,
) -> list[Refit]:
    """Return banks fitted on cells of groups drawn with replacement.

    Parameters
    ----------
    activations
        (n_cells, n_channels), what the bank was fitted on.
    groups
        One a cell.
    n_concepts, max_iterations, tolerance, method, device
        As of a fit.
    """
    names = sorted(set(groups))
    order = {name: index for index, name in enumerate(names)}
    of_cell = np.array([order[group] for group in groups])
    generator, rows = np.random.default_rng(seed), as_rows(activations)
    refits: list[Refit] = []
    for number in range(n_refits):
        counts = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))
        # A cell that is drawn twice weighs as much as one of √2 times the length: the same bank, of fewer cells.
        cells = rows.pick(np.sqrt(counts[of_cell]).astype(np.float32))
        bank = np.zeros((0, rows.shape[1]), dtype=np.float32)
        if has_activation(cells, signed=method == "semi-nmf"):
            bank = factorize(
                cells,
                n_concepts=n_concepts,
                seed=seed + number,
                max_iterations=max_iterations,
                tolerance=tolerance,
                method=method,
                device=device,
            ).concept_bank
        refits.append(Refit(bank, frozenset(name for name, count in zip(names, counts, strict=True) if count)))
    return refits


def has_activation(rows: Rows, *, signed: bool) -> bool:
    """Tell whether any row has an activation above 0, or of either sign."""
    pieces = (rows.read(each.start, each.stop) for each in list_blocks(len(rows), PIECE))
    return any(bool((piece != 0).any() if signed else (piece > 0).any()) for piece in pieces)


def match_banks(concept_bank: Floats, other: Floats) -> Floats:
    """Return (n_concepts,) cosines of each row with its match in another bank; 0 where it has none."""
    from scipy.optimize import linear_sum_assignment

    cosines = concept_bank @ other.T
    rows, columns = linear_sum_assignment(-cosines)
    matched = np.zeros(len(concept_bank))
    matched[rows] = np.clip(cosines[rows, columns], 0, 1)
    return matched


def measure_stability(concept_bank: Floats, refits: Sequence[Refit]) -> tuple[Floats, NDArray[np.int64]]:
    """Return each concept's mean matched cosine and the number of refits in which it was found again."""
    cosines = np.stack([match_banks(concept_bank, each.concept_bank) for each in refits])  # (n_refits, n_concepts)
    return cosines.mean(axis=0), (cosines >= FOUND_AGAIN).sum(axis=0)
