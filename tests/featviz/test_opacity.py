"""Opacity: whole where the concept cared, none where it never did, finite whatever the gradients are."""

from __future__ import annotations

import numpy as np

from leaflineage.featviz.opacity import compute_opacity


def test_opacity_is_finite_and_clear_where_there_was_no_gradient() -> None:
    assert compute_opacity(np.zeros((32, 32), dtype=np.float32)).tolist() == np.zeros((32, 32)).tolist()


def test_opacity_is_finite_where_a_gradient_overflowed() -> None:
    gradients = np.random.default_rng(0).random((32, 32))
    gradients[3, 4], gradients[5, 6] = np.nan, np.inf
    found = compute_opacity(gradients)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_opacity_is_whole_where_the_gradient_was_and_none_far_from_it() -> None:
    gradients = np.zeros((60, 60), dtype=np.float32)
    gradients[10:30, 10:30] = 1e-6
    found = compute_opacity(gradients)
    assert found[20, 20] == 1
    assert found[50, 50] == 0
    np.testing.assert_allclose(compute_opacity(gradients * 1e4), found, atol=1e-5)  # its scale does not matter
