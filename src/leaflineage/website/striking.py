"""Which picture opens the atlas: the one in which most colour comes back where a weighty concept is active.

A leaf photographed in grey, or a concept that sits on bare paper, shows little under its heat map; neither is a
picture to begin with. Measured as the mean chroma of the specimen, weighted by the heat:

    colour = Σ heat · (max(r, g, b) − min(r, g, b)) / Σ heat
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Crop
from leaflineage.website.scores import fails, is_accentuated

SIDE = 64  # px; the size at which pictures are compared
N_CANDIDATES = 8  # families looked at
N_LOOKED_AT = 5  # top crops of each

ReadFamily = Callable[[str], tuple[AtlasFamily, dict[str, AtlasSpecimen]]]
MeasureColour = Callable[[AtlasSpecimen, Crop], float]


def measure_colour(specimen: Path, heatmap: Path) -> float:
    """Return how much colour a heat map gives back to a specimen, in [0, 1]; 0 where a picture cannot be read."""
    try:
        with Image.open(specimen) as picture, Image.open(heatmap) as veil:
            pixels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
            alpha = veil.convert("RGBA").getchannel("A").resize((SIDE, SIDE), Image.Resampling.BOX)
            heat = 1.0 - np.asarray(alpha, dtype=np.float64) / 255.0  # (SIDE, SIDE)
    except (OSError, UnidentifiedImageError):
        return 0.0
    chroma = (pixels.max(axis=2) - pixels.min(axis=2)) / 255.0
    return float((heat * chroma).sum() / heat.sum()) if heat.sum() > 0 else 0.0


def choose_concept(family: AtlasFamily) -> AtlasConcept:
    """Return the first concept that speaks for its family and carries no warning, or simply the first.

    One whose computed picture does not pass comes after those whose picture does.
    """
    good = [each for each in family.concepts if each.importance.contribution > 0 and not each.flags]
    pictured = [each for each in good if each.visualizations]
    passed = [each for each in pictured if not is_accentuated(each) and not fails(each.visualizations[0])]
    return (passed or pictured or good or family.concepts)[0]


def choose_opening(
    families: list[AtlasFamily], read_family: ReadFamily, colour_of: MeasureColour
) -> tuple[AtlasFamily, Crop | None] | None:
    """Return the family that opens the atlas and the crop whose leaf shows its concept best.

    Of the families whose chosen concept has the highest lower end of its interval, the one where that end times the
    colour that comes back is greatest.
    """

    def weigh(family: AtlasFamily) -> float:
        importance = choose_concept(family).importance
        return importance.interval[0] if importance.contribution > 0 else 0.0

    best: tuple[float, AtlasFamily, Crop | None] | None = None
    for listed in sorted(families, key=lambda each: (-weigh(each), each.slug))[:N_CANDIDATES]:
        family, specimens = read_family(listed.slug)
        crops = [crop for crop in choose_concept(family).crops if crop.kind == "top"][:N_LOOKED_AT]
        colours = [round(colour_of(specimens[crop.specimen], crop), 3) for crop in crops]
        place = colours.index(max(colours)) if colours else None
        merit = weigh(listed) * (colours[place] if place is not None else 0.0)
        if best is None or merit > best[0]:
            best = (merit, listed, crops[place] if place is not None else None)
    return best[1:] if best else None
