"""Rows that may be more than memory holds: what is fitted on them is the same, however they are read."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from leaflineage.concepts import factorization, rows
from leaflineage.concepts.factorization import Method, factorize, measure_negative_energy, measure_relative_error
from leaflineage.concepts.rows import Rows, as_rows, estimate_fit_bytes, list_blocks, may_hold
from leaflineage.concepts.stability import refit
from leaflineage.errors import ActivationError

Floats = NDArray[np.floating]


def draw_cells(n: int = 150, n_channels: int = 12, *, signed: bool = False) -> Floats:
    generator = np.random.default_rng(4)
    cells = generator.gamma(0.5, 1, (n, 3)) @ generator.gamma(0.5, 1, (3, n_channels))
    cells += 0.05 * generator.random((n, n_channels))
    return (cells - cells.mean(axis=0) if signed else cells).astype(np.float16)


def fit(activations: Floats | Rows, method: Method = "nmf") -> factorization.Factorization:
    return factorize(activations, n_concepts=3, seed=0, max_iterations=50, tolerance=1e-4, method=method, device="cpu")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("BLOCK", 64), ("PIECE", 16)):
        monkeypatch.setattr(rows, name, size)
        monkeypatch.setattr(factorization, name, size)


def test_rows_of_several_arrays_follow_each_other(small_blocks: None) -> None:
    first, second = draw_cells(40), draw_cells(30) + np.float16(1)
    picked = Rows([(first, np.arange(0, 40, 2)), (second, np.array([3, 29]))], None, held=False)
    expected = np.concatenate([first[::2], second[[3, 29]]]).astype(np.float32)
    assert picked.shape == (22, 12)
    np.testing.assert_array_equal(picked.read(0, 22), expected)
    np.testing.assert_array_equal(picked.read(18, 21), expected[18:21])
    weights = np.where(np.arange(22) % 3 == 0, 0, np.sqrt(2)).astype(np.float32)
    some = picked.pick(weights)
    np.testing.assert_array_equal(some.read(0, len(some)), (expected * weights[:, None])[weights > 0])
    again = some.pick(np.full(len(some), 0.5, dtype=np.float32))
    np.testing.assert_array_equal(again.read(2, 5), some.read(2, 5) * np.float32(0.5))


def test_blocks_cover_all_rows() -> None:
    assert list(list_blocks(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(list_blocks(0, 2)) == [slice(0, 0)]


@pytest.mark.parametrize("method", ["nmf", "semi-nmf"])
@pytest.mark.parametrize("n", [60, 150])  # one block, and three
def test_a_bank_has_the_same_bits_whether_its_cells_are_held_or_read_anew(
    small_blocks: None, method: Method, n: int
) -> None:
    cells = draw_cells(n, signed=method == "semi-nmf")
    held, read = (fit(Rows([(cells, np.arange(n))], None, held=each), method) for each in (True, False))
    np.testing.assert_array_equal(held.concept_bank, read.concept_bank)
    np.testing.assert_array_equal(held.coefficients, read.coefficients)
    assert held.n_iterations == read.n_iterations


@pytest.mark.parametrize("method", ["nmf", "semi-nmf"])
def test_a_bank_of_several_blocks_is_that_of_one_but_for_rounding(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = draw_cells(150, signed=method == "semi-nmf")
    whole = fit(cells, method)
    monkeypatch.setattr(factorization, "BLOCK", 64)
    parts = fit(cells, method)
    np.testing.assert_allclose(parts.concept_bank, whole.concept_bank, atol=2e-3)
    np.testing.assert_allclose(parts.coefficients, whole.coefficients, atol=2e-2)


def test_refits_have_the_same_bits_too(small_blocks: None) -> None:
    cells = draw_cells(150)
    groups = [f"leaf-{index // 10}" for index in range(150)]
    settings = {"n_concepts": 3, "n_refits": 2, "seed": 1, "max_iterations": 20, "tolerance": 1e-3, "method": "nmf"}
    held, read = (
        refit(Rows([(cells, np.arange(150))], None, held=each), groups, device="cpu", **settings)
        for each in (True, False)
    )
    assert all(np.array_equal(one.concept_bank, two.concept_bank) for one, two in zip(held, read, strict=True))


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(("value", "said"), [(np.nan, "not finite"), (0, "every one of them is 0")])
def test_cells_that_say_nothing_are_refused_however_they_are_read(
    small_blocks: None, held: bool, value: float, said: str
) -> None:
    cells = np.zeros((150, 4), dtype=np.float16)
    cells[149] = value
    with pytest.raises(ActivationError, match=said):
        fit(Rows([(cells, np.arange(150))], None, held=held))


def test_measures_in_pieces_are_those_of_the_whole(small_blocks: None) -> None:
    cells = draw_cells(50, signed=True).astype(np.float32)
    bank = np.eye(2, 12, dtype=np.float32)
    coefficients = cells[:, :2]
    expected = np.linalg.norm(cells[:, 2:]) / np.linalg.norm(cells)
    assert measure_relative_error(cells, coefficients, bank) == pytest.approx(expected, rel=1e-6)
    squares = cells.astype(np.float64) ** 2
    assert measure_negative_energy(cells) == pytest.approx(squares[cells < 0].sum() / squares.sum(), rel=1e-6)


def test_what_a_fit_holds_grows_with_its_rows_and_not_where_they_are_read_anew() -> None:
    def estimate(n: int, *, held: bool, signed: bool = False) -> int:
        return estimate_fit_bytes((n, 2048), 10, signed=signed, held=held)

    assert estimate(10**6, held=True) > 8e9
    assert estimate(10**6, held=False) < 2e9
    assert estimate(20_000, held=True) > 20_000 * 2048 * 4
    assert estimate(20_000, held=True, signed=True) > estimate(20_000, held=True)
    assert may_hold((20_000, 2048), 10, signed=False, memory_gb=4)
    assert not may_hold((10**6, 2048), 10, signed=False, memory_gb=4)


def test_an_array_may_be_held_again() -> None:
    assert as_rows(draw_cells(5)).held
    given = Rows([(draw_cells(5), np.arange(5))], None, held=False)
    assert as_rows(given) is given
