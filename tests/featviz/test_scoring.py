"""The score of a picture: shares of pairs, ranks, and what a second network guesses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import count_pairs, fit_ridge, rank_by_sorting

from leaflineage.featviz.scoring import (
    ACCENTED_SIDES,
    RIDGE,
    SQUARE_SIDES,
    fit_guess,
    guess,
    measure_percentile,
    place_squares,
    rank_own,
)

numbers = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)  # few values: many ties


def test_three_of_four_pairs_and_a_tie_are_counted_by_hand() -> None:
    # 2 > 1, 2 = 2 (half), 3 > 1, 3 > 2: 3.5 of 4 pairs
    assert measure_percentile(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == 87.5


@given(numbers, numbers)
def test_the_percentile_counts_pairs(squares: list[float], crops: list[float]) -> None:
    assert measure_percentile(np.array(squares), np.array(crops)) == pytest.approx(count_pairs(squares, crops))


def test_one_enormous_view_does_not_make_up_for_three_that_hold_nothing() -> None:
    assert measure_percentile(np.array([1000.0, 0, 0, 0]), np.arange(1, 11)) == 25


@pytest.mark.parametrize(("n_squares", "n_crops"), [(0, 3), (3, 0)])
def test_a_percentile_of_nothing_is_refused(n_squares: int, n_crops: int) -> None:
    with pytest.raises(ValueError, match="wants squares and real crops"):
        measure_percentile(np.ones(n_squares), np.ones(n_crops))


@given(
    st.lists(st.lists(st.integers(0, 5).map(float), min_size=4, max_size=4), min_size=1, max_size=4), st.integers(0, 3)
)
def test_the_own_rank_is_the_place_in_falling_order_of_the_mean(squares: list[list[float]], concept: int) -> None:
    assert rank_own(np.array(squares), concept) == rank_by_sorting(squares, concept)


@pytest.mark.parametrize("sides", [SQUARE_SIDES, ACCENTED_SIDES])
@pytest.mark.parametrize("size", [32, 65, 384])
def test_views_are_centred_squares_inside_the_picture_and_the_first_is_the_whole(
    size: int, sides: tuple[float, ...]
) -> None:
    boxes = place_squares(size, sides=sides)
    assert boxes[0] == (0, 0, size, size)
    for (x0, y0, x1, y1), side in zip(boxes, sides, strict=True):
        assert x1 - x0 == y1 - y0 == round(side * size)
        assert 0 <= x0 == y0
        assert abs((size - x1) - x0) <= 1


def test_a_guess_is_ridge_regression() -> None:
    generator = np.random.default_rng(0)
    pooled, coefficients = generator.normal(size=(9, 5)), generator.random((9, 3))
    found = guess(pooled, fit_guess(pooled, coefficients))
    np.testing.assert_allclose(found, fit_ridge(pooled, coefficients, ridge=RIDGE), atol=1e-9)


def test_what_a_second_network_sees_too_is_guessed_and_noise_is_not() -> None:
    generator = np.random.default_rng(1)
    seen, unseen = generator.random(60), generator.random(60)
    pooled = np.stack([3 * seen + 1, -seen], axis=1) + 0.01 * generator.normal(size=(60, 2))
    found = guess(pooled, fit_guess(pooled, np.stack([seen, unseen], axis=1)))
    assert np.corrcoef(found[:, 0], seen)[0, 1] > 0.99
    assert abs(np.corrcoef(found[:, 1], unseen)[0, 1]) < 0.5


def test_a_second_network_that_says_the_same_of_everything_guesses_the_mean() -> None:
    coefficients = np.array([[1.0], [3.0]])
    found = guess(np.zeros((1, 4)), fit_guess(np.zeros((2, 4)), coefficients))
    assert found == pytest.approx(2)
