"""The zone map of a drawing: which part of the leaf each pixel belongs to, known because it was drawn.

0 background, 1 petiole, 2 midvein, 3 secondary veins, 4 margin, 5 base, 6 apex, 7 blade, 8 foreign,
9 padding (never in a drawing). Of several zones at one pixel the first of petiole, midvein, secondary
veins, margin, base, apex, blade counts. Holes and tears are background.

Palmate and acrodromous leaves: every primary is midvein. A fan leaf has no midvein: its forking
veins are secondary veins, and base and apex are the first and last quarter of the distance from the
petiole's insertion to the edge, along the fan's axis.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from leaflineage.herbarium.placement import Placement
from leaflineage.herbarium.raster import Coverage, Coverages

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

MARGIN_DEPTH: Final = 0.03
"""How far the margin reaches into the blade, in L."""


def depth_in_blade(coverages: Coverages, placement: Placement) -> NDArray[np.float32]:
    """Return each pixel's distance (size, size) to the outline in L, 0 outside the blade.

    The outline is that of the whole blade: the rim of a hole is no margin.
    """
    inside = coverages.whole_blade >= 0.5
    pixels = distance_transform_edt(inside)
    # Measured between pixel centres; the outline runs half a pixel before the first one outside.
    depth = np.maximum(np.asarray(pixels) - 0.5, 0.0) / (placement.length * inside.shape[0])
    return np.asarray(depth, dtype=np.float32)


def zone_map(
    coverages: Coverages, height: NDArray[np.float64], depth: NDArray[np.float32], foreign: Coverage | None
) -> NDArray[np.uint8]:
    """Return the zone map (size, size) of one leaf on its place.

    height: how far along the midvein each pixel stands, in L (leaf coordinate y).
    depth: of `depth_in_blade`. foreign: coverage of a label or ruler, or None.
    """
    size = depth.shape[0]
    blade = coverages.blade >= 0.5
    zones = np.zeros((size, size), dtype=np.uint8)
    if foreign is not None:
        zones[foreign >= 0.5] = FOREIGN
    zones[blade] = BLADE
    zones[blade & (height > 0.75)] = APEX
    zones[blade & (height < 0.25)] = BASE
    zones[blade & (depth <= MARGIN_DEPTH)] = MARGIN
    zones[blade & (coverages.secondary_zone >= 0.5)] = SECONDARY
    zones[blade & (coverages.midvein_zone >= 0.5)] = MIDVEIN
    zones[(coverages.petiole >= 0.5) & (height <= 0.0)] = PETIOLE
    return zones
