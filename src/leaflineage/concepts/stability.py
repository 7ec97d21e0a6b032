"""Whether a concept is found again: refits on resampled groups, matched by cosine.

Concept i of the bank is matched one to one with a row of each refitted bank so that the sum of cosines is largest
(the Hungarian method). It is found again in a refit where its matched cosine reaches 0.75; different concepts of one
family reach 0.57.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.factorization import factorize

Floats = NDArray[np.floating]
FOUND_AGAIN = 0.75


def refit(
    activations: Floats, groups: Sequence[str], *, n_concepts: int, n_refits: int, seed: int, max_iterations: int
) -> list[Floats]:
    """Return the banks fitted on cells of groups drawn with replacement.

    Parameters
    ----------
    activations
        (n_cells, n_channels), what the bank was fitted on.
    groups
        One a cell.
    """
    names = sorted(set(groups))
    order = {name: index for index, name in enumerate(names)}
    of_cell = np.array([order[group] for group in groups])
    cells_of = [np.flatnonzero(of_cell == index) for index in range(len(names))]
    generator = np.random.default_rng(seed)
    banks: list[Floats] = []
    for number in range(n_refits):
        drawn = np.sort(generator.integers(len(names), size=len(names)))
        rows = np.concatenate([cells_of[index] for index in drawn])
        if not (activations[rows] > 0).any():  # leaves without activation alone were drawn: nothing is found again
            banks.append(np.zeros((0, activations.shape[1]), dtype=np.float32))
            continue
        fitted = factorize(
            activations[rows], n_concepts=n_concepts, seed=seed + number, max_iterations=max_iterations, tolerance=1e-2
        )
        banks.append(fitted.concept_bank)
    return banks


def match_banks(concept_bank: Floats, other: Floats) -> Floats:
    """Return (n_concepts,) cosines of each row with its match in another bank; 0 where it has none."""
    from scipy.optimize import linear_sum_assignment

    cosines = concept_bank @ other.T
    rows, columns = linear_sum_assignment(-cosines)
    matched = np.zeros(len(concept_bank))
    matched[rows] = np.clip(cosines[rows, columns], 0, 1)
    return matched


def measure_stability(concept_bank: Floats, refitted: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    """Return each concept's mean matched cosine and the number of refits in which it was found again."""
    cosines = np.stack([match_banks(concept_bank, bank) for bank in refitted])  # (n_refits, n_concepts)
    return cosines.mean(axis=0), (cosines >= FOUND_AGAIN).sum(axis=0)
