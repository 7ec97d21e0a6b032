"""Crops: squares inside the image, the top crop on the red square, at most one a leaf."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import graded_specimens, top_cells

from leaflineage.concepts.crops import centre_box, find_graded_cells, find_top_cells, is_blank, place_grid
from leaflineage.concepts.encoding import encode
from leaflineage.concepts.factorization import factorize

sides = st.integers(1, 600)
fractions = st.floats(0.01, 1.0)


@given(sides, sides, fractions, fractions)
def test_a_grid_of_squares_lies_inside_the_image_and_reaches_all_borders(
    width: int, height: int, crop_side: float, crop_stride: float
) -> None:
    if min(width, height) * crop_stride < 4:
        crop_stride = min(1.0, 4 / min(width, height))
    boxes = place_grid(width, height, crop_side=crop_side, crop_stride=crop_stride)
    side = boxes[0][2] - boxes[0][0]
    assert side == max(1, round(crop_side * min(width, height)))
    assert all(x1 - x0 == y1 - y0 == side for x0, y0, x1, y1 in boxes)
    assert min(box[0] for box in boxes) == min(box[1] for box in boxes) == 0
    assert (max(box[2] for box in boxes), max(box[3] for box in boxes)) == (width, height)
    assert len(set(boxes)) == len(boxes)


def test_a_grid_whose_stride_is_under_its_side_covers_every_pixel() -> None:
    covered = np.zeros((50, 90), dtype=bool)
    for x0, y0, x1, y1 in place_grid(90, 50, crop_side=0.4, crop_stride=0.3):
        covered[y0:y1, x0:x1] = True
    assert covered.all()


def test_a_small_grid_is_the_one_that_can_be_counted_by_hand() -> None:
    assert place_grid(10, 10, crop_side=0.5, crop_stride=0.4) == [
        (0, 0, 5, 5), (4, 0, 9, 5), (5, 0, 10, 5),
        (0, 4, 5, 9), (4, 4, 9, 9), (5, 4, 10, 9),
        (0, 5, 5, 10), (4, 5, 9, 10), (5, 5, 10, 10),
    ]  # fmt: skip


@given(st.floats(-900, 900), st.floats(-900, 900), sides, sides, fractions)
def test_a_box_is_a_square_inside_the_image_wherever_its_centre_lies(
    x: float, y: float, width: int, height: int, crop_side: float
) -> None:
    x0, y0, x1, y1 = centre_box(x, y, width, height, crop_side=crop_side)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert x1 - x0 == y1 - y0 == max(1, round(crop_side * min(width, height)))


def test_a_box_is_centred_where_there_is_room() -> None:
    assert centre_box(50, 40, 100, 100, crop_side=0.2) == (40, 30, 60, 50)
    assert centre_box(2, 99, 100, 100, crop_side=0.2) == (0, 80, 20, 100)


def test_paper_is_blank_and_paper_with_a_vein_is_not() -> None:
    paper = np.full((40, 40, 3), 243, dtype=np.uint8)
    paper[::2] += 3  # a deviation of 1.5 of 255
    assert is_blank(paper)
    paper[20] = 90
    assert not is_blank(paper)


def test_a_square_that_differs_in_one_channel_alone_is_not_blank() -> None:
    square = np.full((8, 8, 3), 200, dtype=np.uint8)
    square[:4, :, 1] = 190
    assert not is_blank(square)


# --- top cells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_top_cells_are_the_plain_ones(seed: int) -> None:
    generator = np.random.default_rng(seed)
    maps = np.maximum(generator.integers(-3, 4, size=(12, 3, 4, 3)), 0).astype(np.float32)  # many ties, many zeros
    groups = [f"leaf-{generator.integers(6)}" for _ in range(12)]
    found = find_top_cells(maps, groups, n_crops=4)
    for concept in range(3):
        assert found[concept] == top_cells(maps.astype(np.float64), groups, concept, 4)


def test_at_most_one_crop_a_leaf_is_taken() -> None:
    maps = np.arange(1, 9, dtype=np.float32).reshape(8, 1, 1, 1)
    groups = ["a", "a", "a", "b", "b", "c", "c", "c"]
    assert [cell[0] for cell in find_top_cells(maps, groups, n_crops=10)[0]] == [7, 4, 2]


def test_a_concept_that_no_specimen_holds_has_no_crop() -> None:
    assert find_top_cells(np.zeros((4, 2, 2, 1), dtype=np.float32), list("abcd"), n_crops=3) == [[]]


def test_the_concept_tied_to_a_drawn_red_square_has_its_top_crop_on_it() -> None:
    generator = np.random.default_rng(0)
    size, cell = 48, 8
    images, places = [], []
    for _ in range(10):
        image = np.full((size, size, 3), 240, dtype=np.uint8)
        for colour in ((30, 120, 40), (200, 20, 20)):  # a green square somewhere, a red one somewhere else
            row, column = generator.integers(0, size // cell, size=2) * cell
            image[row : row + cell, column : column + cell] = colour
        images.append(image)
        places.append((int(row), int(column)))
    cells = np.stack([_pool(image, cell) for image in images])  # (10, 6, 6, 3): redness, greenness, paper
    fitted = factorize(
        cells.reshape(-1, 3), n_concepts=3, seed=0, max_iterations=200, tolerance=1e-3, method="nmf", device="cpu"
    )
    maps = encode(cells.reshape(-1, 3), fitted.concept_bank).reshape(10, 6, 6, 3)
    red = int(fitted.concept_bank[:, 0].argmax())
    top = find_top_cells(maps, [str(i) for i in range(10)], n_crops=10)[red]
    assert len(top) == 10
    for specimen, row, column, _ in top:
        x0, y0, x1, y1 = centre_box((column + 0.5) * cell, (row + 0.5) * cell, size, size, crop_side=1 / 6)
        assert (y0, x0) == places[specimen]
        assert (images[specimen][y0:y1, x0:x1] == (200, 20, 20)).all()


def _pool(image: NDArray[np.uint8], cell: int) -> NDArray[np.float32]:
    """Return (rows, columns, 3) stand-ins for activations: how red, how green, how pale each cell is."""
    pixels = image.astype(np.float32) / 255
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    stacked = np.stack([np.maximum(red - green, 0), np.maximum(green - red, 0), np.minimum(red, blue)], axis=-1)
    rows = len(image) // cell
    return stacked.reshape(rows, cell, rows, cell, 3).mean(axis=(1, 3))


# --- graded crops ------------------------------------------------------------------------------------------------


def grade(
    strengths: list[float],
    groups: list[str] | None = None,
    *,
    n_crops: int = 4,
    hidden: tuple[int, ...] = (),
    preferred: tuple[int, ...] = (),
) -> dict[str, list[int]]:
    """Return the specimens of each kind, for one concept on maps of one cell."""
    maps = np.array(strengths, dtype=np.float32)[:, None, None, None]
    allowed = np.array([index not in hidden for index in range(len(strengths))])
    names = groups or [str(index) for index in range(len(strengths))]
    (found,) = find_graded_cells(maps, names, n_crops=n_crops, allowed=allowed, preferred=set(preferred))
    return {kind: [cell[0] for cell in cells] for kind, cells in found.items()}


def test_graded_crops_of_a_hundred_leaves_are_those_that_can_be_counted_by_hand() -> None:
    assert grade([float(i) for i in range(100)]) == {
        "p99": [99, 98, 97, 96],
        "p90": [91, 90, 89, 88],
        "p50": [51, 50, 49, 48],
        "counter": [3, 2, 1, 0],
    }


def test_no_leaf_comes_twice_and_a_few_leaves_give_a_few_crops() -> None:
    assert grade([5, 4, 3, 2, 1]) == {"p99": [0], "p90": [], "p50": [2], "counter": [3, 4]}
    assert grade([1.0]) == {"p99": [0], "p90": [], "p50": [], "counter": []}
    found = grade([float(i // 2) for i in range(100)], [str(i // 2) for i in range(100)])
    leaves = [index // 2 for chosen in found.values() for index in chosen]
    assert len(leaves) == len(set(leaves)) == 16


def test_leaves_without_a_concept_stand_at_its_median_where_most_are_such() -> None:
    found = grade([0.0] * 70 + [float(i) for i in range(1, 31)])
    assert found["p50"] == [0, 1, 2, 3]
    assert found["counter"] == [], "all that lack it stand at the median"
    found = grade([0.0] * 40 + [float(i) for i in range(1, 61)])
    assert found["counter"] == [0, 1, 2, 3]


def test_leaves_that_are_shown_anyway_are_taken_before_others_within_five_points() -> None:
    strengths = [float(i) for i in range(100)]
    assert grade(strengths, preferred=(46, 60, 85))["p50"] == [50, 49, 48, 46]
    assert grade(strengths, preferred=(46, 60, 85))["p90"] == [90, 89, 88, 85]


def test_a_leaf_that_is_withheld_counts_and_is_not_taken() -> None:
    strengths = [float(i) for i in range(100)]
    found = grade(strengths, hidden=(0, 50, 99))
    assert found["p99"] == [98, 97, 96, 95]
    assert found["p50"] == [51, 49, 48, 47]
    assert found["counter"] == [4, 3, 2, 1]


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(1, 12),
    st.sets(st.integers(0, 39)),
    st.sets(st.integers(0, 39)),
)
def test_graded_crops_are_those_of_the_plain_version(
    strengths: list[int], n_crops: int, n_groups: int, hidden: set[int], preferred: set[int]
) -> None:
    values, groups = [float(each) for each in strengths], [str(i % n_groups) for i in range(len(strengths))]
    known = {each for each in preferred if each < len(values)}
    found = grade(values, groups, n_crops=n_crops, hidden=tuple(hidden), preferred=tuple(known))
    allowed = [index not in hidden for index in range(len(values))]
    assert found == graded_specimens(values, groups, n_crops, allowed, known)


def test_a_graded_crop_is_at_its_leafs_strongest_cell_or_in_the_middle() -> None:
    maps = np.zeros((4, 3, 5, 2), dtype=np.float32)
    maps[3, 2, 1, 0], maps[2, 0, 4, 0], maps[1, 1, 1, 0] = 3, 2, 1
    found, absent = find_graded_cells(maps, list("abcd"), n_crops=1, allowed=np.ones(4, dtype=bool), preferred=set())
    assert found["p99"] == [(3, 2, 1, 3.0)]
    assert found["p50"] == [(1, 1, 1, 1.0)]
    assert found["counter"] == [(0, 1, 2, 0.0)]
    assert absent["p99"] == [(0, 1, 2, 0.0)], "of a concept that is nowhere, all leaves are alike"
