"""Encoding: non-negative least squares, against scipy's; exact for banks whose rows nearly repeat each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from reference import encode_rows

from leaflineage.concepts import encoding
from leaflineage.concepts.encoding import encode

Floats = NDArray[np.float64]


def measure_violation(activations: NDArray[np.floating], bank: Floats, coefficients: NDArray[np.floating]) -> float:
    """Return how far the KKT conditions are broken, relative to the largest product of a cell with the bank."""
    activations, coefficients = activations.astype(np.float64), coefficients.astype(np.float64)
    gradient = (coefficients @ bank - activations) @ bank.T
    free = np.abs(np.where(coefficients > 0, gradient, 0)).max()
    return float(max(free, -gradient.min(), 0) / np.abs(activations @ bank.T).max())


@pytest.mark.parametrize("seed", range(3))
def test_encoding_is_non_negative_least_squares(seed: int) -> None:
    generator = np.random.default_rng(seed)
    bank = generator.random((6, 20)) ** 2
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    activations = generator.normal(size=(40, 20))
    np.testing.assert_allclose(encode(activations, bank), encode_rows(activations, bank), atol=2e-6)


def test_encoding_meets_the_kkt_conditions_for_rows_that_nearly_repeat() -> None:
    generator = np.random.default_rng(0)
    row = generator.random(20)
    bank = np.stack([row, row + 0.05 * generator.random(20), generator.random(20)])
    activations = generator.random((30, 20))
    coefficients = encode(activations, bank)
    assert measure_violation(activations, bank, coefficients) < 1e-6


def test_a_row_of_zeros_in_the_bank_gets_no_coefficients() -> None:
    bank = np.array([[1.0, 0, 0], [0, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(encode(np.array([[2.0, 3, 4]]), bank), [[2, 0, 3]], atol=1e-6)


def test_no_cells_encode_to_no_coefficients() -> None:
    assert encode(np.zeros((0, 4), dtype=np.float16), np.eye(4, dtype=np.float32)).shape == (0, 4)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(5)), elements=st.floats(-8, 8, width=16)))
def test_no_coefficients_fit_better_than_the_encoded_ones(activations: NDArray[np.float32]) -> None:
    bank = np.array([[1, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 2], [1, 1, 1, 1, 1]], dtype=np.float64)
    found = np.linalg.norm(activations - encode(activations, bank) @ bank)
    best = np.linalg.norm(activations - encode_rows(activations.astype(np.float64), bank) @ bank)
    assert found <= best + 2e-5 * np.linalg.norm(activations)


@pytest.mark.parametrize("seed", range(3))
def test_encoding_with_a_signed_bank_is_non_negative_least_squares(seed: int) -> None:
    generator = np.random.default_rng(seed)
    bank = generator.normal(size=(12, 20))
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    activations = generator.normal(size=(300, 20))
    found = encode(activations, bank)
    np.testing.assert_allclose(found, encode_rows(activations, bank), atol=1e-5)
    assert measure_violation(activations, bank, found) < 1e-6
    assert 0.1 < float((found > 0).mean()) < 0.9  # or nothing would be asked of it


@pytest.mark.parametrize("spread", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-7, 0.0])
@pytest.mark.parametrize("signed", [False, True])
def test_rows_that_repeat_each_other_ever_more_closely_are_encoded_as_well_as_by_scipy(
    spread: float, signed: bool
) -> None:
    generator = np.random.default_rng(0)
    base = generator.random((4, 40)) - (0.5 if signed else 0)
    bank = np.concatenate([base + spread * generator.normal(size=(4, 40)) for _ in range(3)])
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    for activations in (generator.random((100, 40)), generator.normal(size=(100, 40))):
        found, plain = encode(activations, bank), encode_rows(activations, bank)
        assert measure_violation(activations, bank, found) < 1e-6
        np.testing.assert_allclose(found @ bank, plain @ bank, atol=1e-5)


def test_rows_that_are_the_same_share_their_coefficients() -> None:
    bank = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [1.0, 0, 0]])
    np.testing.assert_allclose(encode(np.array([[4.0, 0, 0]]), bank), [[2, 0, 2]], atol=1e-5)


def test_every_row_is_encoded_by_itself() -> None:
    generator = np.random.default_rng(0)
    bank, activations = generator.random((7, 20)), generator.normal(size=(50, 20)) + 0.3
    whole = encode(activations, bank)
    alone = np.concatenate([encode(row[None], bank) for row in activations])
    np.testing.assert_allclose(whole, alone, atol=1e-6)


def test_blocks_of_rows_are_encoded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    bank, activations = generator.random((7, 20)), generator.random((50, 20))
    whole = encode(activations, bank)
    monkeypatch.setattr(encoding, "N_ROWS", 7)
    np.testing.assert_allclose(encode(activations, bank), whole, atol=1e-6)


@pytest.mark.parametrize("n_rounds", [0, 1])
def test_what_does_not_settle_is_solved_row_by_row(monkeypatch: pytest.MonkeyPatch, n_rounds: int) -> None:
    monkeypatch.setattr(encoding, "MAX_ROUNDS", n_rounds)
    generator = np.random.default_rng(0)
    bank, activations = generator.normal(size=(12, 20)), generator.normal(size=(60, 20))
    np.testing.assert_allclose(encode(activations, bank), encode_rows(activations, bank), atol=1e-5)


def test_exchanging_one_coefficient_at_a_time_ends_at_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "PATIENCE", -1)
    monkeypatch.setattr(encoding, "_solve_one_by_one", None)
    generator = np.random.default_rng(0)
    bank, activations = generator.normal(size=(6, 20)), generator.normal(size=(60, 20))
    np.testing.assert_allclose(encode(activations, bank), encode_rows(activations, bank), atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_of_a_bank_or_of_activations_changes_nothing_else(scale: float) -> None:
    generator = np.random.default_rng(0)
    bank, activations = generator.normal(size=(6, 20)), generator.normal(size=(40, 20))
    plain = encode(activations, bank)
    np.testing.assert_allclose(encode(activations * scale, bank), plain * scale, rtol=1e-5)
    np.testing.assert_allclose(encode(activations, bank * scale), plain / scale, rtol=1e-5)


def test_an_empty_bank_encodes_to_no_columns_and_a_bank_of_zeros_to_zeros() -> None:
    assert encode(np.ones((3, 4)), np.zeros((0, 4))).shape == (3, 0)
    assert encode(np.ones((3, 4)), np.zeros((2, 4))).tolist() == [[0, 0]] * 3


def test_cells_of_zeros_encode_to_zeros() -> None:
    assert not encode(np.zeros((3, 4)), np.random.default_rng(0).random((2, 4))).any()


def test_more_concepts_than_fit_in_one_word_are_encoded() -> None:
    generator = np.random.default_rng(0)
    bank, activations = generator.normal(size=(70, 90)), generator.normal(size=(10, 90))
    np.testing.assert_allclose(encode(activations, bank), encode_rows(activations, bank), atol=1e-5)
