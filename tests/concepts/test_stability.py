"""Stability: matching against brute force, refits that draw leaves and not pictures."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import match_by_permutation

from leaflineage.concepts import stability
from leaflineage.concepts.factorization import Method, factorize
from leaflineage.concepts.rows import Rows
from leaflineage.concepts.stability import FOUND_AGAIN, Refit, match_banks, measure_stability, refit

Floats = NDArray[np.float64]


def refit_plainly(
    activations: Floats,
    groups: list[str],
    *,
    n_concepts: int,
    n_refits: int,
    seed: int = 0,
    method: Method = "nmf",
) -> list[Refit]:
    return refit(
        activations,
        groups,
        n_concepts=n_concepts,
        n_refits=n_refits,
        seed=seed,
        max_iterations=200,
        tolerance=1e-5,
        method=method,
        device="cpu",
    )


def as_refits(*banks: NDArray[np.floating]) -> list[Refit]:
    return [Refit(bank, frozenset()) for bank in banks]


def make_bank(seed: int, n_concepts: int = 4, n_channels: int = 12) -> Floats:
    bank = np.random.default_rng(seed).random((n_concepts, n_channels)) ** 3
    return bank / np.linalg.norm(bank, axis=1, keepdims=True)


def test_identical_banks_match_with_cosine_one_in_any_order() -> None:
    bank = make_bank(0).astype(np.float32)
    cosines, found = measure_stability(bank, as_refits(bank, bank[[2, 0, 3, 1]]))
    np.testing.assert_allclose(cosines, 1, atol=1e-6)
    assert (cosines <= 1).all()
    assert found.tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("seed", range(8))
def test_matching_is_the_best_of_all_matchings(seed: int) -> None:
    bank, other = make_bank(seed), make_bank(seed + 100, n_concepts=5)
    np.testing.assert_allclose(match_banks(bank, other), match_by_permutation(bank, other), atol=1e-9)


def test_a_greedy_matching_would_be_worse() -> None:
    bank = np.array([[1.0, 0, 0], [0.8, 0.6, 0]])
    other = np.array([[0.96, 0.28, 0], [0.9, 0, 0.19**0.5]])  # cosines 0.96 and 0.9; 0.936 and 0.72
    np.testing.assert_allclose(match_banks(bank, other), [0.9, 0.936], atol=1e-12)


def test_a_concept_without_a_match_has_cosine_zero() -> None:
    bank = make_bank(0)
    matched = match_banks(bank, bank[[3, 1]])
    np.testing.assert_allclose(matched, [0, 1, 0, 1], atol=1e-12)


def test_a_concept_is_found_again_from_three_quarters_on() -> None:
    bank = np.eye(2)

    def turn(cosine: float) -> Floats:
        sine = np.sqrt(1 - cosine**2)
        return np.array([[cosine, 0, sine], [0, 1, 0]])

    wide = np.hstack([bank, np.zeros((2, 1))])
    cosines, found = measure_stability(wide, as_refits(turn(FOUND_AGAIN + 1e-9), turn(FOUND_AGAIN - 1e-6)))
    assert found.tolist() == [1, 2]
    assert cosines[0] == pytest.approx(FOUND_AGAIN, abs=1e-5)


@pytest.mark.parametrize("method", ["nmf", "semi-nmf"])
def test_planted_concepts_are_found_again_in_every_refit(method: Method) -> None:
    generator = np.random.default_rng(0)
    bank = np.kron(np.eye(3), np.ones(4)) / 2
    activations = (generator.random((200, 3)) * (generator.random((200, 3)) < 0.5)) @ bank
    groups = [f"leaf-{i // 10}" for i in range(200)]
    refits = refit_plainly(activations, groups, n_concepts=3, n_refits=4, method=method)
    cosines, found = measure_stability(bank, refits)
    assert (cosines > 0.98).all()
    assert found.tolist() == [4, 4, 4]


def test_a_refit_draws_whole_leaves_with_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Floats] = []

    class Fitted:
        concept_bank = np.eye(1, 2)

    def spy(activations: Rows, **_: object) -> Fitted:
        seen.append(activations.read(0, len(activations)))
        return Fitted()

    monkeypatch.setattr(stability, "factorize", spy)
    groups = ["a", "b", "b", "c", "c", "c"]
    cells = np.array([[1.0, number] for number in range(6)])
    refits = refit_plainly(cells, groups, n_concepts=1, n_refits=20)
    sizes = {"a": 1, "b": 2, "c": 3}
    for drawn, each in zip(seen, refits, strict=True):
        # A cell drawn n times comes once, √n times as long.
        times = np.zeros(6)
        times[np.round(drawn[:, 1] / drawn[:, 0]).astype(int)] = drawn[:, 0] ** 2
        per_group = {group: set(np.round(times[[g == group for g in groups]], 4).tolist()) for group in sizes}
        assert all(len(counts) == 1 for counts in per_group.values())  # all cells of a leaf alike
        counts = {group: next(iter(found)) for group, found in per_group.items()}
        assert sum(counts.values()) == pytest.approx(3, abs=1e-3)  # as many leaves as there are
        assert each.drawn == {group for group, count in counts.items() if count}
    assert len({each.drawn for each in refits}) > 3


def test_a_cell_of_root_two_times_the_length_is_worth_two() -> None:
    activations = np.random.default_rng(0).random((40, 12)) ** 3
    counts = np.arange(40) % 4
    banks = [
        factorize(cells, n_concepts=3, seed=0, max_iterations=600, tolerance=1e-6, method="nmf", device="cpu")
        for cells in (np.repeat(activations, counts, axis=0), activations * np.sqrt(counts)[:, None])
    ]
    np.testing.assert_allclose(match_banks(banks[0].concept_bank, banks[1].concept_bank), 1, atol=1e-3)


def test_the_same_seed_refits_to_the_same_bits() -> None:
    activations = np.random.default_rng(0).random((60, 8))
    groups = [str(i // 3) for i in range(60)]
    first, again = (refit_plainly(activations, groups, n_concepts=2, n_refits=2, seed=5) for _ in range(2))
    assert [each.concept_bank.tobytes() for each in first] == [each.concept_bank.tobytes() for each in again]
    assert [each.drawn for each in first] == [each.drawn for each in again]


@pytest.mark.parametrize("method", ["nmf", "semi-nmf"])
def test_a_refit_on_leaves_without_activation_finds_nothing(method: Method) -> None:
    # Of two leaves one is dark: about one refit in four draws it twice, and there is nothing to factorise.
    activations = np.concatenate([np.ones((4, 3)), np.zeros((4, 3))])
    groups = ["light"] * 4 + ["dark"] * 4
    refits = refit_plainly(activations, groups, n_concepts=1, n_refits=20, method=method)
    cosines, found = measure_stability(np.full((1, 3), 3**-0.5), refits)
    assert [len(each.concept_bank) for each in refits] == [int("light" in each.drawn) for each in refits]
    assert 10 <= found[0] < 20
    assert cosines[0] == pytest.approx(found[0] / 20, abs=1e-6)
