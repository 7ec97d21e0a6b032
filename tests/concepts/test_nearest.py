"""The nearest of a long list that streams by: what sorting all of it gives."""

from __future__ import annotations

import numpy as np
import pytest
from reference import nearest_by_sorting

from leaflineage.concepts.nearest import find_nearest


@pytest.mark.parametrize("sizes", [[30], [1] * 30, [7, 0, 16, 7]])
def test_the_nearest_are_those_that_sorting_finds_however_the_list_is_cut(sizes: list[int]) -> None:
    dice = np.random.default_rng(0)
    candidates = dice.normal(size=(30, 6))
    blocks = np.split(candidates, np.cumsum(sizes)[:-1])
    own = np.array([4, 29, 0])
    places, cosines = find_nearest(candidates[own], blocks, n=5, own=own)
    for row, place, found, values in zip(candidates[own], own, places, cosines, strict=True):
        wanted = nearest_by_sorting(row, candidates, 5, int(place))
        assert found.tolist() == [index for index, _ in wanted]
        np.testing.assert_allclose(values, [cosine for _, cosine in wanted], atol=1e-6)


def test_a_row_that_is_not_in_the_list_may_equal_one_that_is() -> None:
    rows = np.eye(3)
    places, cosines = find_nearest(5 * rows, [rows], n=1, own=None)
    assert places.tolist() == [[0], [1], [2]]
    np.testing.assert_array_equal(cosines, 1)


def test_equal_candidates_come_in_their_order_and_what_is_lacking_is_marked() -> None:
    row = np.array([[1.0, 0.0]])
    places, cosines = find_nearest(row, [np.array([[2.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])], n=4, own=None)
    assert places.tolist() == [[0, 1, 2, -1]]
    assert cosines.tolist() == [[1.0, 1.0, 0.0, -np.inf]]


def test_a_row_of_zeros_is_like_none() -> None:
    places, cosines = find_nearest(np.zeros((1, 3)), [np.eye(3)], n=2, own=None)
    assert places.tolist() == [[0, 1]]
    np.testing.assert_array_equal(cosines, 0)
