"""Zones of drawn leaves are where they were drawn; where they cannot be found, it is said."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.transform import resize

from leaflineage.anatomy import find_zones
from leaflineage.anatomy.labels import APEX, BASE, BLADE, FOREIGN, MARGIN, MIDVEIN, PETIOLE, find_leaf
from leaflineage.anatomy.zones import NO_LEAF, REASONS, SIDE, _fit

Mask = NDArray[np.bool_]


def overlap(one: Mask, other: Mask, reach: float = 0.0) -> float:
    """Return intersection over union, both masks dilated by some pixels."""
    if reach:
        one, other = (np.asarray(distance_transform_edt(~each)) <= reach for each in (one, other))
    return float((one & other).sum() / (one | other).sum())


def rate(looked, zone: int, *, reach: float = 0.005) -> list[float]:
    """Return the overlap of a zone on every leaf that was drawn with it."""
    return [
        overlap(leaf.found.labels == zone, leaf.true == zone, reach * leaf.found.length)
        for leaf in looked.values()
        if (leaf.true == zone).any()
    ]


# --- against what was drawn --------------------------------------------------------------------------------------


def test_leaves_are_found_where_they_were_drawn(looked) -> None:
    rated = [overlap(find_leaf(leaf.found.labels), find_leaf(leaf.true)) for leaf in looked.values()]
    assert np.mean(rated) >= 0.97
    assert min(rated) >= 0.9


@pytest.mark.parametrize(("zone", "bar"), [(MARGIN, 0.7), (PETIOLE, 0.7), (MIDVEIN, 0.6)])
def test_thin_zones_reach_their_bars(looked, zone: int, bar: float) -> None:
    assert np.mean(rate(looked, zone)) >= bar


@pytest.mark.parametrize("zone", [BASE, APEX, BLADE])
def test_the_blade_is_divided_along_its_axis(looked, zone: int) -> None:
    assert np.mean(rate(looked, zone, reach=0)) >= 0.65


def test_base_and_apex_are_never_mixed_up(looked) -> None:
    for leaf in looked.values():
        found, true = (
            [np.argwhere(labels == zone).mean(axis=0) for zone in (BASE, APEX)]
            for labels in (leaf.found.labels, leaf.true)
        )
        assert np.linalg.norm(found[0] - true[0]) < np.linalg.norm(found[0] - true[1]), leaf.family
        assert np.linalg.norm(found[1] - true[1]) < np.linalg.norm(found[1] - true[0]), leaf.family


def test_the_planted_ruler_is_foreign(looked) -> None:
    leaf = looked["Lauraceae"]
    foreign = leaf.found.labels == FOREIGN
    assert foreign.any()
    assert (leaf.true[foreign] == FOREIGN).mean() > 0.95
    others = [each for each in looked.values() if each.family != "Lauraceae"]
    assert not any((each.found.labels == FOREIGN).any() for each in others)


def test_a_palmate_leaf_has_several_primaries(looked) -> None:
    assert looked["Vitaceae"].found.is_palmate
    assert not looked["Ulmaceae"].found.is_palmate


def test_most_drawn_leaves_are_usable_and_have_no_reason_not_to_be(looked) -> None:
    usable = [leaf.found for leaf in looked.values() if leaf.found.is_usable]
    assert len(usable) >= 0.9 * len(looked)
    assert all(each.reason is None and 0.5 <= each.confidence <= 1 for each in usable)


# --- coordinates ---------------------------------------------------------------------------------------------------


def test_coordinates_are_known_on_the_leaf_and_nowhere_else(looked) -> None:
    found = looked["Moraceae"].found
    leaf = find_leaf(found.labels)
    for values in (found.along, found.across, found.depth):
        assert np.array_equal(np.isfinite(values), leaf)
    assert np.abs(found.across[leaf]).max() <= 1
    assert found.depth[leaf].min() >= 0


def test_positions_run_from_the_base_to_the_apex(looked) -> None:
    found = looked["Betulaceae"].found
    labels, along = found.labels, found.along
    assert along[labels == APEX].min() > 0.75
    assert along[labels == BASE].max() < 0.25
    assert along[labels == PETIOLE].max() < 0.05
    assert found.depth[labels == MARGIN].max() <= 0.03 + 1e-6
    ends = np.linalg.norm(np.diff(found.axis, axis=0), axis=1).sum()
    assert ends == pytest.approx(found.length, rel=0.01)


def test_right_of_the_axis_is_above_zero_seen_from_base_to_apex(looked) -> None:
    found = looked["Ulmaceae"].found
    rows, columns = np.nonzero(find_leaf(found.labels) & (np.abs(found.across) > 0.3))
    start, ahead = found.axis[0], found.axis[-1] - found.axis[0]
    cross = ahead[0] * (rows - start[1]) - ahead[1] * (columns - start[0])  # y runs down: above 0 is right
    assert (np.sign(cross) == np.sign(found.across[rows, columns])).mean() > 0.95


def test_a_turned_picture_has_turned_zones(looked) -> None:
    leaf = looked["Myrtaceae"]
    turned = find_zones(np.ascontiguousarray(np.rot90(leaf.image)))
    back = np.rot90(turned.labels, -1)
    assert overlap(find_leaf(back), find_leaf(leaf.found.labels)) > 0.98
    assert overlap(back == APEX, leaf.found.labels == APEX) > 0.8


def test_floating_point_and_uint8_give_the_same_zones(looked) -> None:
    leaf = looked["Fagaceae"]
    again = find_zones(leaf.image.astype(np.float32) / 255)
    assert np.array_equal(again.labels, leaf.found.labels)
    assert again.confidence == leaf.found.confidence


# --- where it cannot -----------------------------------------------------------------------------------------------


def test_bare_paper_has_no_leaf() -> None:
    paper = np.random.default_rng(0).integers(235, 245, (120, 160, 3)).astype(np.uint8)
    found = find_zones(paper)
    assert not found.is_usable
    assert found.labels.shape == (120, 160)
    assert not found.labels.any()
    assert found.reason == NO_LEAF


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 40, 3), (40, 2, 3), (17, 17, 3)])
def test_tiny_pictures_are_taken_as_they_come(shape: tuple[int, int, int]) -> None:
    found = find_zones(np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8))
    assert found.labels.shape == shape[:2]
    assert 0 <= found.confidence <= 1


@pytest.mark.parametrize("shape", [(224, 160, 3), (97, 256, 3), (5, 300, 3)])
def test_a_small_picture_is_enlarged_as_scikit_image_does(shape: tuple[int, int, int]) -> None:
    picture = np.random.default_rng(3).random(shape).astype(np.float32)
    made = _fit(picture)
    assert max(made.shape) == SIDE
    assert made.shape[2] == 3
    expected = resize(picture, made.shape, order=3, anti_aliasing=False)
    np.testing.assert_allclose(np.clip(made, picture.min(), picture.max()), expected, atol=1e-5)


def test_an_array_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"came an array \(4, 4\)"):
        find_zones(np.zeros((4, 4)))


def test_two_blades_side_by_side_are_not_usable(looked) -> None:
    image = looked["Salicaceae"].image
    both = np.concatenate([image, image], axis=1)
    found = find_zones(both)
    assert not found.is_usable
    assert found.reason == REASONS["pieces"]


def test_a_cut_leaf_is_not_usable(looked) -> None:
    leaf = looked["Lauraceae"]
    rows, _ = np.nonzero(find_leaf(leaf.true))
    found = find_zones(leaf.image[: int(np.median(rows))])
    assert not found.is_usable
    assert found.reason == REASONS["cut"]


def test_grey_scans_keep_their_leaf(looked) -> None:
    leaf = looked["Cornaceae"]
    grey = np.repeat(leaf.image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    assert overlap(find_leaf(find_zones(grey).labels), find_leaf(leaf.true)) > 0.9


@pytest.mark.slow
def test_real_leaves_are_mostly_usable_and_never_fail(shared: Path) -> None:
    with (shared / "leaves.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    usable = []
    for row in rows[:: len(rows) // 40]:
        found = find_zones(np.asarray(Image.open(shared / "leaves" / row["path"]).convert("RGB")))
        assert found.is_usable == (found.reason is None)
        usable.append(found.is_usable)
    assert np.mean(usable) > 0.75
