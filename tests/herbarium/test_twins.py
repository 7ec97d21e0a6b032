"""Twins differ in one zone, and nowhere else."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from leaflineage.herbarium import TWINS, draw_twins

SIZE = 192
NEAR = 12  # pixels: how far a shadow or a soft edge reaches
ALLOWED = {
    "teeth": (4,),
    "petiole-length": (1,),
    "corner-label": (8,),
    "base-shape": (5,),
    "secondary-spacing": (2, 3, 4, 5, 6, 7),
}


def difference(trait: str, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    without, with_trait = draw_twins(trait, index, seed=2, size=SIZE)
    assert (without.traits["has_trait"], with_trait.traits["has_trait"]) == (False, True)
    changed = np.abs(without.image.astype(int) - with_trait.image.astype(int)).max(axis=2)
    return changed, without.zones, with_trait.zones


@pytest.mark.parametrize("trait", TWINS)
def test_twins_differ_only_near_the_zone_of_their_trait(trait: str) -> None:
    for index in range(2):
        changed, first, second = difference(trait, index)
        assert changed.max() > 25
        zone = np.isin(first, ALLOWED[trait]) | np.isin(second, ALLOWED[trait])
        if trait == "base-shape":
            # What one twin has there and the other has not may be margin or veins.
            zone |= (first > 0) != (second > 0)
        assert changed[~binary_dilation(zone, iterations=NEAR)].max(initial=0) <= 2


def test_the_zone_maps_of_twins_differ_with_the_trait() -> None:
    _, short, long = difference("petiole-length", 0)
    assert (long == 1).sum() > 2.5 * (short == 1).sum()
    _, none, labelled = difference("corner-label", 0)
    assert not (none == 8).any()
    assert (labelled == 8).any()
    _, sparse, dense = difference("secondary-spacing", 0)
    assert (dense == 3).sum() > 1.4 * (sparse == 3).sum()


def test_an_unknown_trait_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"one of base-shape.*came 'colour'"):
        draw_twins("colour", 0, seed=0, size=64)
