"""Intervals by a bootstrap over groups: what is drawn together, how wide they are, what they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from leaflineage.concepts.bootstrap import (
    N_DRAWS,
    bootstrap_mean,
    draw_counts,
    draw_scramblings,
    resample_mean,
    take_interval,
)


def test_the_interval_holds_the_mean_of_every_column() -> None:
    values = np.random.default_rng(0).random((1, 30, 4)) ** 2
    low, high = bootstrap_mean(values, [f"leaf-{i}" for i in range(30)], seed=0)
    mean = values.mean(axis=(0, 1))
    assert (low < mean).all()
    assert (mean < high).all()


def test_the_interval_narrows_with_the_root_of_the_number_of_leaves() -> None:
    values = np.random.default_rng(0).random((1, 900, 1))
    widths = {
        n: float(np.subtract(*bootstrap_mean(values[:, :n], [str(i) for i in range(n)], seed=0)[::-1])[0])
        for n in (100, 900)
    }
    assert widths[100] == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 100), rel=0.15)
    assert widths[900] == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 900), rel=0.15)


def test_pictures_of_one_leaf_are_drawn_together() -> None:
    # Ten leaves, each pictured ten times: as uncertain as ten pictures, not as a hundred.
    leaves = np.random.default_rng(0).random(10)
    values = np.repeat(leaves, 10)[None, :, None]
    together = bootstrap_mean(values, [f"leaf-{i // 10}" for i in range(100)], seed=0)
    alone = bootstrap_mean(leaves[None, :, None], [f"leaf-{i}" for i in range(10)], seed=0)
    np.testing.assert_allclose(together, alone, atol=1e-12)
    apart = bootstrap_mean(values, [f"picture-{i}" for i in range(100)], seed=0)
    assert (apart[1] - apart[0])[0] < 0.5 * (together[1] - together[0])[0]


def test_a_leaf_of_many_pictures_weighs_as_many_times() -> None:
    values = np.array([0.0, 1.0, 1.0, 1.0])[None, :, None]
    low, high = bootstrap_mean(values, ["a", "b", "b", "b"], seed=0)
    assert (low[0], high[0]) == (0.0, 1.0)  # a drawn twice, b drawn twice
    one = bootstrap_mean(values, ["same"] * 4, seed=0)
    np.testing.assert_allclose(one, [[0.75], [0.75]], atol=1e-12)


def test_scramblings_widen_the_interval_by_the_error_of_their_mean() -> None:
    values = np.stack([np.full((5, 1), value) for value in (0.2, 0.4, 0.6, 0.8)])  # specimens alike, scramblings not
    means = resample_mean(values, draw_counts(list("abcde"), seed=0), draw_scramblings(4, seed=0))
    assert means.var() == pytest.approx(np.var([0.2, 0.4, 0.6, 0.8], ddof=1) / 4, rel=0.1)
    low, high = bootstrap_mean(values, list("abcde"), seed=0)
    assert 0.2 < low[0] < 0.35
    assert 0.65 < high[0] < 0.8


def test_weights_of_scramblings_sum_to_one_and_one_scrambling_is_always_taken() -> None:
    weights = draw_scramblings(4, seed=0)
    assert weights.shape == (N_DRAWS, 4)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (draw_scramblings(1, seed=0) == 1).all()


def test_the_same_seed_draws_the_same_interval() -> None:
    values = np.random.default_rng(0).random((1, 12, 3))
    groups = [f"leaf-{i // 2}" for i in range(12)]
    first, again = bootstrap_mean(values, groups, seed=4), bootstrap_mean(values, groups, seed=4)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, bootstrap_mean(values, groups, seed=5))


def test_pictures_of_a_leaf_are_drawn_as_often_as_one_another() -> None:
    counts = draw_counts(["a", "b", "a", "c"], seed=0)
    assert counts.shape == (N_DRAWS, 4)
    assert np.array_equal(counts[:, 0], counts[:, 2])
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_a_draw_without_any_of_the_specimens_asked_about_is_left_out() -> None:
    counts = draw_counts(["a", "b"], seed=0)
    means = resample_mean(np.array([[5.0]]), counts[:, :1])
    assert 0 < len(means) < N_DRAWS
    assert (means == 5).all()


def test_an_interval_is_widened_to_hold_its_estimate() -> None:
    low, high = take_interval(np.full((N_DRAWS, 2), 0.5), np.array([0.4, 0.7]))
    np.testing.assert_allclose([low, high], [[0.4, 0.5], [0.5, 0.7]])
