"""Drawn leaves with known zones, drawn and looked at once; seeds that nothing was tuned on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from leaflineage.anatomy import LeafZones, find_zones
from leaflineage.herbarium import FAMILIES, draw_specimen

SEED = 31
SIZE = 320


@dataclass(frozen=True)
class Looked:
    """A drawing, its true zones, and those that were found."""

    family: str
    image: NDArray[np.uint8]
    true: NDArray[np.uint8]
    found: LeafZones


@pytest.fixture(scope="session")
def looked() -> dict[str, Looked]:
    """One leaf of every drawn family."""
    leaves = {}
    for family in FAMILIES:
        drawing = draw_specimen(family, 0, seed=SEED, size=SIZE)
        leaves[family] = Looked(family, drawing.image, drawing.zones, find_zones(drawing.image))
    return leaves
