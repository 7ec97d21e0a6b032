"""Factorization: planted factors come back, plain second versions agree, nothing breaks on poor input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from reference import encode_rows, match_by_permutation, multiplicative_nmf

from leaflineage.concepts.factorization import Factorization, encode, factorize, measure_relative_error
from leaflineage.errors import ActivationError

Floats = NDArray[np.float64]


def plant(seed: int, *, n_cells: int = 120, n_channels: int = 24, n_concepts: int = 3) -> tuple[Floats, Floats]:
    """Return (activations, bank): sparse factors that overlap a little, so that they are identifiable."""
    generator = np.random.default_rng(seed)
    bank = generator.random((n_concepts, n_channels)) * (generator.random((n_concepts, n_channels)) < 0.4)
    coefficients = generator.random((n_cells, n_concepts)) * (generator.random((n_cells, n_concepts)) < 0.5)
    coefficients *= np.array([3.0, 2.0, 1.0])[:n_concepts]
    return coefficients @ bank, bank


def fit(activations: NDArray[np.floating], n_concepts: int = 3, *, seed: int = 0) -> Factorization:
    return factorize(activations, n_concepts=n_concepts, seed=seed, max_iterations=400, tolerance=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_planted_factors_are_found_up_to_order_and_scale(seed: int) -> None:
    activations, bank = plant(seed)
    found = fit(activations)
    assert min(match_by_permutation(bank, found.concept_bank.astype(np.float64))) > 0.999
    assert measure_relative_error(activations, found.coefficients, found.concept_bank) < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_as_close_as_that_of_multiplicative_updates(seed: int) -> None:
    activations = np.random.default_rng(seed).random((60, 16)) ** 3
    found = fit(activations, 4)
    coefficients, bank = multiplicative_nmf(activations, 4, n_iterations=3000, seed=seed)
    plain = float(np.linalg.norm(activations - coefficients @ bank) / np.linalg.norm(activations))
    assert measure_relative_error(activations, found.coefficients, found.concept_bank) < plain * 1.02


def test_a_fit_meets_the_conditions_of_an_optimum() -> None:
    activations = np.random.default_rng(0).random((60, 16)) ** 3
    found = fit(activations, 4)
    coefficients, bank = found.coefficients.astype(np.float64), found.concept_bank.astype(np.float64)
    residual = coefficients @ bank - activations
    for gradient, factor in ((residual @ bank.T, coefficients), (coefficients.T @ residual, bank)):
        bound = 1e-3 * float(np.linalg.norm(activations))
        assert float(np.abs(gradient[factor > 1e-6]).max()) < bound  # flat where it may move
        assert float(gradient.min()) > -bound  # rising where it may not


@pytest.mark.parametrize("seed", range(6))
def test_rows_have_unit_norm_in_order_of_falling_coefficients(seed: int) -> None:
    found = fit(np.random.default_rng(seed).random((80, 20)) ** 4, 6)
    np.testing.assert_allclose(np.linalg.norm(found.concept_bank, axis=1), 1, atol=1e-6)
    norms = np.linalg.norm(found.coefficients, axis=0)
    assert (np.diff(norms) <= 0).all()
    assert found.concept_bank.dtype == found.coefficients.dtype == np.float32
    assert (found.concept_bank >= 0).all()
    assert (found.coefficients >= 0).all()


def test_the_same_seed_gives_the_same_bits() -> None:
    activations, _ = plant(0)
    first, again = fit(activations, seed=3), fit(activations, seed=3)
    assert first.concept_bank.tobytes() == again.concept_bank.tobytes()
    assert first.coefficients.tobytes() == again.coefficients.tobytes()


def test_the_scale_of_activations_scales_the_coefficients_alone() -> None:
    activations, _ = plant(2)
    found, large = fit(activations), fit(activations * 1024)
    np.testing.assert_allclose(large.concept_bank, found.concept_bank, atol=1e-5)
    np.testing.assert_allclose(large.coefficients, found.coefficients * 1024, rtol=1e-3, atol=1e-2)


def test_the_input_is_left_as_it_was() -> None:
    activations = plant(0)[0].astype(np.float32)
    before = activations.copy()
    fit(activations)
    assert np.array_equal(activations, before)


def test_cells_of_zeros_get_no_coefficients() -> None:
    activations, bank = plant(0)
    activations[::7] = 0
    found = fit(activations)
    assert float(found.coefficients[::7].max()) < 1e-4
    assert min(match_by_permutation(bank, found.concept_bank.astype(np.float64))) > 0.999


def test_cells_that_are_all_alike_make_one_concept() -> None:
    row = np.random.default_rng(0).random(16)
    found = fit(np.tile(row, (50, 1)), 3)
    np.testing.assert_allclose(found.coefficients @ found.concept_bank, np.tile(row, (50, 1)), atol=1e-3)
    np.testing.assert_allclose(found.concept_bank[0], row / np.linalg.norm(row), atol=2e-2)


def test_fewer_cells_than_concepts_make_as_many_concepts_as_cells() -> None:
    activations = np.eye(2, 12) + 0.01
    found = fit(activations, 5)
    assert found.concept_bank.shape == (2, 12)
    assert measure_relative_error(activations, found.coefficients, found.concept_bank) < 1e-3


def test_one_cell_is_one_concept() -> None:
    found = fit(np.array([[3.0, 0.0, 4.0]]), 4)
    np.testing.assert_allclose(found.concept_bank, [[0.6, 0, 0.8]], atol=1e-5)
    np.testing.assert_allclose(found.coefficients, [[5]], atol=1e-4)


def test_negative_entries_are_clipped() -> None:
    activations, _ = plant(1)
    negative = np.where(activations == 0, -0.5, activations)
    assert fit(negative).concept_bank.tobytes() == fit(activations).concept_bank.tobytes()


@pytest.mark.parametrize(
    ("activations", "what"),
    [
        (np.zeros((5, 4)), "every one of them is 0"),
        (-np.ones((5, 4)), "every one of them is 0"),
        (np.zeros((0, 4)), "no cell"),
        (np.array([[1.0, np.nan]]), "not finite"),
        (np.array([[1.0, np.inf]]), "not finite"),
    ],
)
def test_what_cannot_be_factorised_is_said(activations: Floats, what: str) -> None:
    with pytest.raises(ActivationError, match=what):
        fit(activations)


def test_iterations_stop_at_the_bound() -> None:
    activations = np.random.default_rng(0).random((60, 16)).astype(np.float32)
    found = factorize(activations, n_concepts=4, seed=0, max_iterations=3, tolerance=0)
    assert found.n_iterations == 3


# --- encoding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_encoding_is_non_negative_least_squares(seed: int) -> None:
    generator = np.random.default_rng(seed)
    bank = generator.random((6, 20)) ** 2
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    activations = generator.normal(size=(40, 20))
    np.testing.assert_allclose(encode(activations, bank), encode_rows(activations, bank), atol=2e-5)


def test_encoding_meets_the_kkt_conditions_for_rows_that_nearly_repeat() -> None:
    generator = np.random.default_rng(0)
    row = generator.random(20)
    bank = np.stack([row, row + 0.05 * generator.random(20), generator.random(20)])
    activations = generator.random((30, 20))
    coefficients = encode(activations, bank).astype(np.float64)
    gradient = (coefficients @ bank - activations) @ bank.T
    bound = 1e-5 * float(np.abs(activations @ bank.T).max())
    assert float(np.abs(gradient[coefficients > 0]).max()) < bound
    assert float(gradient.min()) > -bound


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


def test_the_relative_error_is_what_is_missing_over_what_is_there() -> None:
    activations = np.array([[3.0, 4.0]])
    assert measure_relative_error(activations, np.array([[3.0]]), np.array([[1.0, 0.0]])) == pytest.approx(0.8)
    assert measure_relative_error(np.zeros((2, 2)), np.zeros((2, 1)), np.eye(1, 2)) == 0.0
