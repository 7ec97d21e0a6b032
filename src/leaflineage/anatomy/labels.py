"""The zones of a leaf and their numbers in a label map (uint8), by precedence.

0 background, 1 petiole, 2 midvein, 3 secondary veins, 4 margin, 5 base, 6 apex, 7 blade, 8 foreign (a ruler, a label),
9 padding (a seam that the classifier sees and no picture shows). Leaf is 1 to 7. L is the blade's length along the
midvein; the margin is the blade within 0.03 L of its outline, base and apex are the first and last quarter of L.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

BACKGROUND: Final = 0
PETIOLE: Final = 1
MIDVEIN: Final = 2
SECONDARY: Final = 3
MARGIN: Final = 4
BASE: Final = 5
APEX: Final = 6
BLADE: Final = 7
FOREIGN: Final = 8
PADDING: Final = 9
N_ZONES: Final = 10

ZONE_NAMES: Final = (
    "background",
    "petiole",
    "midvein",
    "secondary veins",
    "margin",
    "base",
    "apex",
    "blade",
    "foreign",
    "padding",
)
LEAF_ZONES: Final = (PETIOLE, MIDVEIN, SECONDARY, MARGIN, BASE, APEX, BLADE)
OFF_LEAF_ZONES: Final = (BACKGROUND, FOREIGN, PADDING)

MARGIN_DEPTH: Final = 0.03  # in L
END_SHARE: Final = 0.25  # base and apex, in L
LEAST_MIDVEIN: Final = 0.01  # in L

SQUARE: Final[Mask] = np.ones((3, 3), dtype=bool)
"""A pixel and its eight neighbours."""


def find_leaf(labels: Labels) -> Mask:
    """Return which pixels of a label map (rows, columns) are leaf."""
    found: Mask = (labels >= PETIOLE) & (labels <= BLADE)
    return found
