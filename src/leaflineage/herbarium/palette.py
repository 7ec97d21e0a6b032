"""The colours of blades, veins and papers, in three treatments: fresh, dried, cleared and stained."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Treatment = Literal["fresh", "dried", "cleared"]
Colour = NDArray[np.float32]

# dark and light of the blade, its veins, in sRGB
FRESH = (
    ((50, 88, 46), (92, 134, 66), (176, 190, 124)),
    ((64, 104, 52), (118, 154, 80), (196, 208, 146)),
    ((56, 88, 62), (104, 138, 98), (178, 194, 150)),
    ((96, 124, 48), (150, 174, 84), (208, 216, 150)),
    ((72, 84, 44), (122, 132, 70), (182, 178, 118)),
    ((132, 60, 38), (186, 104, 56), (226, 176, 116)),
    ((150, 112, 34), (206, 170, 76), (232, 212, 146)),
)
FRESH_ODDS = (0.24, 0.24, 0.16, 0.14, 0.10, 0.06, 0.06)
DRIED = (
    ((98, 78, 48), (148, 122, 82), (74, 50, 30)),
    ((92, 90, 54), (140, 134, 88), (66, 58, 32)),
    ((122, 74, 44), (172, 118, 76), (80, 42, 26)),
    ((152, 120, 66), (200, 168, 106), (104, 68, 34)),
    ((100, 106, 80), (148, 150, 116), (74, 68, 46)),
    ((84, 66, 50), (128, 104, 78), (168, 142, 104)),
)
CLEARED = (
    ((214, 184, 168), (240, 222, 208), (150, 48, 56)),
    ((206, 182, 190), (236, 220, 224), (112, 44, 84)),
    ((220, 190, 136), (242, 222, 178), (118, 66, 28)),
    ((186, 198, 204), (222, 230, 232), (50, 74, 112)),
    ((196, 202, 172), (228, 230, 206), (72, 84, 50)),
)
PAPERS = ((244, 239, 226), (247, 246, 242), (236, 226, 205), (228, 229, 228), (229, 234, 236), (235, 238, 227))
LIGHT_TABLE = ((250, 249, 246), (246, 248, 250), (252, 248, 238))


@dataclass(frozen=True)
class Palette:
    """Colours of one drawing, each (3,) in [0, 1]."""

    treatment: Treatment
    dark: Colour
    light: Colour
    vein: Colour
    paper: Colour


def _shade(colour: tuple[int, int, int], random: Generator, spread: float) -> Colour:
    shifted = np.asarray(colour, dtype=np.float64) / 255 * (1 + random.normal(0, spread)) + random.normal(
        0, spread / 4, 3
    )
    return np.clip(shifted, 0.0, 1.0).astype(np.float32)


def mix_palette(random: Generator) -> Palette:
    """Return a palette; the treatment does not depend on the family, so colour tells nothing of it."""
    treatment: Treatment = ("fresh", "dried", "cleared")[int(random.choice(3, p=[0.45, 0.35, 0.20]))]
    if treatment == "fresh":
        dark, light, vein = FRESH[int(random.choice(len(FRESH), p=FRESH_ODDS))]
    elif treatment == "dried":
        dark, light, vein = DRIED[int(random.integers(len(DRIED)))]
    else:
        dark, light, vein = CLEARED[int(random.integers(len(CLEARED)))]
    papers = LIGHT_TABLE if treatment == "cleared" else PAPERS
    paper = papers[int(random.integers(len(papers)))]
    spread = 0.05 if treatment != "cleared" else 0.015
    return Palette(
        treatment,
        _shade(dark, random, spread),
        _shade(light, random, spread),
        _shade(vein, random, 0.04),
        _shade(paper, random, 0.008),
    )
