"""Intervals: of proportions, and of ratios of sums over groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import bootstrap_ratio_interval, wilson_interval

from leaflineage.concepts.intervals import bootstrap_ratio, compute_wilson


@settings(deadline=None)
@given(st.integers(1, 400), st.data())
def test_the_wilson_interval_is_the_plain_one(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    low, high = compute_wilson(successes, n)
    np.testing.assert_allclose((low, high), wilson_interval(successes, n), atol=1e-9)
    assert 0 <= low <= successes / n <= high <= 1


def test_a_wilson_interval_is_the_one_in_the_books() -> None:
    np.testing.assert_allclose(compute_wilson(8, 10), (0.4902, 0.9433), atol=1e-4)
    np.testing.assert_allclose(compute_wilson(0, 10), (0, 0.2775), atol=1e-4)


def test_the_bootstrap_of_a_ratio_is_close_to_the_plain_one() -> None:
    generator = np.random.default_rng(0)
    groups = [f"leaf-{index // 2}" for index in range(40)]
    above, below = generator.normal(2, 1, 40), generator.random(40) + 0.5
    value, interval = bootstrap_ratio(above, below, groups, seed=0)
    assert interval is not None
    wanted = bootstrap_ratio_interval(above.tolist(), below.tolist(), groups, n_draws=2000, seed=1)
    assert value == pytest.approx(above.sum() / below.sum())
    np.testing.assert_allclose(interval, wanted, atol=0.15 * (wanted[1] - wanted[0]))


def test_pictures_of_one_leaf_are_drawn_together() -> None:
    values, ones = np.repeat([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], 10), np.ones(60)
    _, apart = bootstrap_ratio(values, ones, [f"leaf-{index}" for index in range(60)], seed=0)
    _, together = bootstrap_ratio(values, ones, [f"leaf-{index // 10}" for index in range(60)], seed=0)
    assert apart is not None
    assert together is not None
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


def test_the_order_of_specimens_changes_nothing_and_the_seed_does() -> None:
    values, groups = np.arange(12.0), [f"leaf-{index}" for index in range(12)]
    one = bootstrap_ratio(values, np.ones(12), groups, seed=0)
    assert bootstrap_ratio(values[::-1].copy(), np.ones(12), groups[::-1], seed=0) == one
    assert bootstrap_ratio(values, np.ones(12), groups, seed=1) != one


def test_a_single_leaf_has_a_value_and_no_interval() -> None:
    assert bootstrap_ratio(np.array([3.0, 5.0]), np.ones(2), ["leaf", "leaf"], seed=0) == (4.0, None)


def test_a_ratio_of_nothing_is_zero_and_draws_of_nothing_are_left_out() -> None:
    assert bootstrap_ratio(np.zeros(3), np.zeros(3), ["a", "b", "c"], seed=0) == (0.0, (0.0, 0.0))
    silent = bootstrap_ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]), ["a", "b"], seed=0)
    assert silent == (0.5, (0.5, 0.5))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.just(0.0) | st.floats(1e-6, 5), st.sampled_from("abcd")), min_size=1, max_size=12
    )
)
def test_the_value_lies_in_its_interval(rows: list[tuple[float, float, str]]) -> None:
    above, below, groups = (list(column) for column in zip(*rows, strict=True))
    value, interval = bootstrap_ratio(np.array(above), np.array(below), groups, seed=0)
    assert interval is None or interval[0] <= value <= interval[1]
