"""Where a picture climbs when its first try showed another concept too: away from what the concept shares with others.

    v' = v − α P v,  scaled to |v'| = |v|         v: the concept's row; P: projection on the span of the bank's others

With α = 0 that is the concept itself, with α = 1 what no other concept can make up for: what non-negative least squares
reads as this concept's own, though the network may never show it alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def lean_apart(concept_bank: Floats, row: int, *, share: float) -> NDArray[np.float32]:
    """Return a direction (n_channels,): a row of the bank less a share of what the other rows span of it.

    Parameters
    ----------
    concept_bank
        (n_concepts, n_channels).
    row
        The concept's.
    share
        α, from 0 up to, but not including, 1: at 1 nothing may be left.
    """
    bank = np.asarray(concept_bank, dtype=np.float64)
    own, others = bank[row], np.delete(bank, row, axis=0)
    shared = np.linalg.lstsq(others.T, own, rcond=None)[0] @ others if len(others) else np.zeros_like(own)
    leaning = own - share * shared
    length = float(np.linalg.norm(leaning))
    scale = float(np.linalg.norm(own)) / length if length > 0 else 0.0
    direction: NDArray[np.float32] = (scale * leaning).astype(np.float32)
    return direction
