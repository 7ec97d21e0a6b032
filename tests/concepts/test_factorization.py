"""Factorization: planted factors come back, plain second versions agree, nothing breaks on poor input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference import match_by_permutation, multiplicative_nmf, multiplicative_semi_nmf

from leaflineage.concepts import factorization
from leaflineage.concepts.encoding import encode
from leaflineage.concepts.factorization import (
    Factorization,
    Method,
    factorize,
    measure_negative_energy,
    measure_relative_error,
)
from leaflineage.errors import ActivationError

Floats = NDArray[np.float64]
METHODS: tuple[Method, ...] = ("nmf", "semi-nmf")


def plant(seed: int, *, n_cells: int = 120, n_channels: int = 24, n_concepts: int = 3) -> tuple[Floats, Floats]:
    """Return (activations, bank): sparse factors that overlap a little, so that they are identifiable."""
    generator = np.random.default_rng(seed)
    bank = generator.random((n_concepts, n_channels)) * (generator.random((n_concepts, n_channels)) < 0.4)
    coefficients = generator.random((n_cells, n_concepts)) * (generator.random((n_cells, n_concepts)) < 0.5)
    coefficients *= np.array([3.0, 2.0, 1.0])[:n_concepts]
    return coefficients @ bank, bank


def fit(
    activations: NDArray[np.floating], n_concepts: int = 3, *, seed: int = 0, method: Method = "nmf"
) -> Factorization:
    return factorize(
        activations,
        n_concepts=n_concepts,
        seed=seed,
        max_iterations=600,
        tolerance=1e-5,
        method=method,
        device="cpu",
    )


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
    assert float(found.coefficients[::7].max()) == 0
    assert min(match_by_permutation(bank, found.concept_bank.astype(np.float64))) > 0.999


@pytest.mark.parametrize("method", METHODS)
def test_cells_that_are_all_alike_make_one_concept(method: Method) -> None:
    row = np.random.default_rng(0).random(16)
    found = fit(np.tile(row, (50, 1)), 3, method=method)
    np.testing.assert_allclose(found.concept_bank, [row / np.linalg.norm(row)], atol=1e-5)
    np.testing.assert_allclose(found.coefficients, np.full((50, 1), np.linalg.norm(row)), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_cells_that_repeat_make_no_more_concepts_than_there_are_different_ones(method: Method) -> None:
    activations = np.repeat(np.random.default_rng(0).random((3, 16)), 20, axis=0)
    found = fit(activations, 6, method=method)
    assert len(found.concept_bank) == 3
    assert measure_relative_error(activations, found.coefficients, found.concept_bank) < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_fewer_cells_than_concepts_make_as_many_concepts_as_cells(method: Method) -> None:
    activations = np.eye(2, 12) + 0.01
    found = fit(activations, 5, method=method)
    assert found.concept_bank.shape == (2, 12)
    assert measure_relative_error(activations, found.coefficients, found.concept_bank) < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_one_cell_is_one_concept(method: Method) -> None:
    found = fit(np.array([[3.0, 0.0, 4.0]]), 4, method=method)
    np.testing.assert_allclose(found.concept_bank, [[0.6, 0, 0.8]], atol=1e-5)
    np.testing.assert_allclose(found.coefficients, [[5]], atol=1e-4)


def test_negative_entries_are_clipped() -> None:
    activations, _ = plant(1)
    negative = np.where(activations == 0, -0.5, activations)
    assert fit(negative).concept_bank.tobytes() == fit(activations).concept_bank.tobytes()


@pytest.mark.parametrize(
    ("activations", "what"),
    [
        (np.zeros((5, 4)), "every one of them is 0 or below"),
        (-np.ones((5, 4)), "every one of them is 0 or below"),
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
    found = factorize(activations, n_concepts=4, seed=0, max_iterations=3, tolerance=0, method="nmf", device="cpu")
    assert found.n_iterations == 3


def test_a_tighter_tolerance_ends_closer_and_later() -> None:
    activations = np.random.default_rng(0).random((200, 40)).astype(np.float32) ** 4
    ends = [
        factorize(
            activations, n_concepts=6, seed=0, max_iterations=1000, tolerance=tolerance, method="nmf", device="cpu"
        )
        for tolerance in (1e-2, 1e-3, 1e-4)
    ]
    steps = [end.n_iterations for end in ends]
    errors = [measure_relative_error(activations, end.coefficients, end.concept_bank) for end in ends]
    assert steps == sorted(set(steps))
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < errors[2] * 1.005


def test_parts_swept_apart_are_swept_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    activations, _ = plant(0, n_cells=500)
    whole = fit(activations)
    monkeypatch.setattr(factorization, "N_SWEPT", 37)
    parts = fit(activations)
    np.testing.assert_allclose(parts.concept_bank, whole.concept_bank, atol=1e-4)


# --- activations of either sign ------------------------------------------------------------------------------


def plant_signed(seed: int, *, n_cells: int = 150, n_channels: int = 24) -> tuple[Floats, Floats]:
    """Return (activations, bank): concepts of either sign, most cells showing one of them alone."""
    generator = np.random.default_rng(seed)
    bank = generator.normal(size=(3, n_channels))
    coefficients = generator.random((n_cells, 3)) * (generator.random((n_cells, 3)) < 0.2)
    coefficients[np.arange(n_cells), np.arange(n_cells) % 3] += 1
    return coefficients @ bank, bank


@pytest.mark.parametrize("seed", range(4))
def test_planted_concepts_of_either_sign_are_found(seed: int) -> None:
    activations, bank = plant_signed(seed)
    found = fit(activations, method="semi-nmf")
    assert measure_relative_error(activations, found.coefficients, found.concept_bank) < 1e-4
    assert min(match_by_permutation(bank, found.concept_bank.astype(np.float64))) > 0.999
    assert (found.coefficients >= 0).all()
    assert (found.concept_bank < -0.1).any()
    np.testing.assert_allclose(np.linalg.norm(found.concept_bank, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_semi_nmf_is_as_close_as_ding_s_multiplicative_updates(seed: int) -> None:
    activations = np.random.default_rng(seed).normal(size=(60, 16))
    found = fit(activations, 4, method="semi-nmf")
    coefficients, bank = multiplicative_semi_nmf(activations, 4, n_iterations=3000, seed=seed)
    plain = float(np.linalg.norm(activations - coefficients @ bank) / np.linalg.norm(activations))
    assert measure_relative_error(activations, found.coefficients, found.concept_bank) < plain * 1.01


def test_a_signed_bank_is_that_of_least_squares_and_its_coefficients_are_optimal() -> None:
    activations, _ = plant_signed(0)
    activations = activations + 0.1 * np.random.default_rng(1).normal(size=activations.shape)
    found = fit(activations, method="semi-nmf")
    coefficients, bank = found.coefficients.astype(np.float64), found.concept_bank.astype(np.float64)
    np.testing.assert_allclose(np.linalg.lstsq(coefficients, activations)[0], bank, atol=1e-3)
    np.testing.assert_allclose(encode(activations, bank), coefficients, atol=2e-2)


def test_semi_nmf_keeps_what_nmf_clips() -> None:
    activations, _ = plant_signed(1)
    errors = [
        measure_relative_error(activations, found.coefficients, found.concept_bank)
        for found in (fit(activations, method=method) for method in METHODS)
    ]
    assert errors[1] < 0.01
    assert errors[0] > 0.3


def test_the_same_seed_gives_the_same_signed_bits() -> None:
    activations, _ = plant_signed(0)
    first, again = (fit(activations, method="semi-nmf") for _ in range(2))
    assert first.concept_bank.tobytes() == again.concept_bank.tobytes()


def test_activations_that_are_all_negative_have_a_signed_bank() -> None:
    row = np.random.default_rng(0).random(8)
    found = fit(np.tile(-row, (5, 1)), method="semi-nmf")
    np.testing.assert_allclose(found.concept_bank, [-row / np.linalg.norm(row)], atol=1e-5)


def test_signed_activations_of_zeros_cannot_be_factorised_either() -> None:
    with pytest.raises(ActivationError, match="every one of them is 0:"):
        fit(np.zeros((4, 3)), method="semi-nmf")


# --- what is left out ----------------------------------------------------------------------------------------


def test_the_relative_error_is_what_is_missing_over_what_is_there() -> None:
    activations = np.array([[3.0, 4.0]])
    assert measure_relative_error(activations, np.array([[3.0]]), np.array([[1.0, 0.0]])) == pytest.approx(0.8)
    assert measure_relative_error(np.zeros((2, 2)), np.zeros((2, 1)), np.eye(1, 2)) == 0.0


def test_negative_energy_is_the_negative_share_of_squares() -> None:
    assert measure_negative_energy(np.array([[3.0, -4.0], [0.0, 12.0]])) == pytest.approx(16 / 169)
    assert measure_negative_energy(np.zeros((2, 2))) == 0.0


# --- devices -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU: there the same objective is to be reached")
@pytest.mark.parametrize("method", METHODS)
def test_cpu_and_gpu_reach_the_same_objective(method: Method) -> None:
    activations, _ = plant(0, n_cells=2000, n_channels=256)
    activations = activations + 0.05 * np.random.default_rng(1).normal(size=activations.shape) ** 2
    errors = []
    for device in ("cpu", "cuda"):
        found = factorize(
            activations, n_concepts=5, seed=0, max_iterations=400, tolerance=1e-3, method=method, device=device
        )
        errors.append(measure_relative_error(activations, found.coefficients, found.concept_bank) ** 2)
    assert errors[1] == pytest.approx(errors[0], rel=1e-4)
