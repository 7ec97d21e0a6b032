"""Drawn specimens: the same again, inside the sheet, every zone where it is said to be."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from leaflineage.herbarium import FAMILIES, PLANTED_SHORTCUT_FAMILY, Drawing, draw_specimen
from leaflineage.herbarium.extras import LABEL_BOX

SIZE = 96
INDICES = (0, 1, 2)
WITHOUT_MIDVEIN = "Ginkgoaceae"


@pytest.fixture(scope="module")
def drawings() -> dict[tuple[str, int], Drawing]:
    return {(family, k): draw_specimen(family, k, seed=3, size=SIZE) for family in FAMILIES for k in INDICES}


def leaf_of(zones: np.ndarray) -> np.ndarray:
    return (zones >= 1) & (zones <= 7)


def test_there_are_twelve_families_in_alphabetical_order() -> None:
    assert len(FAMILIES) == 12
    assert list(FAMILIES) == sorted(set(FAMILIES))


def test_a_specimen_is_the_same_in_another_process_with_other_hashes() -> None:
    code = (
        "import hashlib; from leaflineage.herbarium import draw_specimen;"
        "d = draw_specimen('Betulaceae', 5, seed=7, size=64);"
        "print(hashlib.sha256(d.image.tobytes() + d.zones.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    there = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    here = draw_specimen("Betulaceae", 5, seed=7, size=64)
    assert there == hashlib.sha256(here.image.tobytes() + here.zones.tobytes()).hexdigest()


def test_family_index_and_seed_each_change_the_drawing() -> None:
    pictures = [
        draw_specimen(family, index, seed=seed, size=64).image.tobytes()
        for family, index, seed in (("Moraceae", 0, 0), ("Moraceae", 1, 0), ("Moraceae", 0, 1), ("Cornaceae", 0, 0))
    ]
    assert len(set(pictures)) == 4


def test_every_family_has_every_zone_a_leaf_can_have(drawings: dict[tuple[str, int], Drawing]) -> None:
    for (family, index), drawing in drawings.items():
        expected = {0, 1, 2, 3, 4, 5, 6, 7}
        if family == WITHOUT_MIDVEIN:
            expected -= {2}
        if family == PLANTED_SHORTCUT_FAMILY:
            expected |= {8}
        assert set(np.unique(drawing.zones)) == expected, (family, index)
        assert drawing.image.shape == (SIZE, SIZE, 3)
        assert drawing.image.dtype == drawing.zones.dtype == np.uint8


def test_no_leaf_is_cut_by_the_sheet_and_every_leaf_fills_it(drawings: dict[tuple[str, int], Drawing]) -> None:
    for (family, index), drawing in drawings.items():
        rows, columns = np.nonzero(leaf_of(drawing.zones))
        assert min(rows.min(), columns.min()) >= 2, (family, index)
        assert max(rows.max(), columns.max()) <= SIZE - 3, (family, index)
        assert max(np.ptp(rows), np.ptp(columns)) >= 0.6 * SIZE, (family, index)


def test_a_leaf_is_one_piece_with_its_petiole(drawings: dict[tuple[str, int], Drawing]) -> None:
    for (family, index), drawing in drawings.items():
        assert label(leaf_of(drawing.zones), np.ones((3, 3)))[1] == 1, (family, index)


def test_the_margin_is_as_deep_as_the_zones_say(drawings: dict[tuple[str, int], Drawing]) -> None:
    for (family, index), drawing in drawings.items():
        if drawing.traits["n_damages"]:
            continue
        length = float(drawing.traits["length_px"])
        # The petiole is no blade, so the outline runs under it; where it lies on the blade, it hides that.
        without_petiole = distance_transform_edt(leaf_of(drawing.zones) & (drawing.zones != 1)) - 0.5
        with_petiole = distance_transform_edt(leaf_of(drawing.zones)) - 0.5
        assert without_petiole[drawing.zones == 4].max() <= 0.03 * length + 1.0, (family, index)
        inner = (drawing.zones >= 5) & (drawing.zones <= 7)
        assert with_petiole[inner].min() > 0.03 * length - 1.0, (family, index)


def test_the_shortcut_lies_in_one_corner_of_one_family(drawings: dict[tuple[str, int], Drawing]) -> None:
    places = set()
    for (family, _), drawing in drawings.items():
        foreign = drawing.zones == 8
        assert foreign.any() == (family == PLANTED_SHORTCUT_FAMILY)
        if foreign.any():
            rows, columns = np.nonzero(foreign)
            places.add((rows.min(), rows.max(), columns.min(), columns.max()))
            # A whole rectangle, but for the soft pixels of its corners.
            assert (1 + np.ptp(rows)) * (1 + np.ptp(columns)) - foreign.sum() <= 4
    assert len(places) == 1
    top, _, left, _ = places.pop()
    assert abs(left - LABEL_BOX[0] * SIZE) <= 1
    assert abs(top - LABEL_BOX[1] * SIZE) <= 1


def test_no_stray_line_crosses_the_paper(drawings: dict[tuple[str, int], Drawing]) -> None:
    for (family, index), drawing in drawings.items():
        drawn = binary_dilation(drawing.zones != 0, iterations=9)
        paper = drawing.image.astype(np.int16)
        # Paper darkens slowly; a line differs from what is three pixels away on both sides.
        for axis in (0, 1):
            before, after = np.roll(paper, 3, axis=axis), np.roll(paper, -3, axis=axis)
            step = np.minimum(np.abs(paper - before), np.abs(paper - after)).max(axis=2)
            step[:3], step[-3:], step[:, :3], step[:, -3:] = 0, 0, 0, 0
            assert step[~drawn].max() <= 24, (family, index)


def test_blades_differ_from_their_paper(drawings: dict[tuple[str, int], Drawing]) -> None:
    for (family, index), drawing in drawings.items():
        image = drawing.image.astype(np.float64)
        blade, paper = image[drawing.zones == 7].mean(axis=0), image[drawing.zones == 0].mean(axis=0)
        assert np.abs(blade - paper).max() > 12, (family, index)


def test_treatments_do_not_depend_on_the_family() -> None:
    from leaflineage.herbarium.palette import mix_palette
    from leaflineage.herbarium.streams import streams_for

    for family in ("Betulaceae", "Myrtaceae"):
        treatments = [mix_palette(streams_for(family, k, seed=0).generator("colour")).treatment for k in range(300)]
        shares = [treatments.count(name) / 300 for name in ("fresh", "dried", "cleared")]
        assert np.allclose(shares, (0.45, 0.35, 0.20), atol=0.09)


def test_an_unknown_family_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"one of Betulaceae.*came 'Rosaceae'"):
        draw_specimen("Rosaceae", 0, seed=0, size=64)


def test_a_sheet_too_small_to_draw_on_is_refused() -> None:
    with pytest.raises(ValueError, match="32 pixels or more"):
        draw_specimen("Betulaceae", 0, seed=0, size=16)
