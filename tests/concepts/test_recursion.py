"""Concepts inside a concept: planted parts are found, and ranked by what they do to their parent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import reference
from numpy.typing import NDArray

from leaflineage.concepts.encoding import encode
from leaflineage.concepts.recursion import (
    BATCH_SIZE,
    Division,
    divide_concept,
    find_strong_cells,
    rank_subconcepts,
)

Floats = NDArray[np.floating]


# --- crops ---------------------------------------------------------------------------------------------------


def test_the_strongest_cells_come_first_and_no_group_gives_more_than_its_number() -> None:
    maps = np.zeros((5, 2, 3))
    maps[0, 1, 2], maps[1, 0, 0], maps[2, 0, 1], maps[3, 1, 1] = 4, 9, 7, 5  # the last specimen lacks the concept
    groups = ["a", "a", "a", "b", "c"]
    cells = find_strong_cells(maps, groups, n_crops=9, n_per_group=2)
    assert cells == [(1, 0, 0, 9.0), (2, 0, 1, 7.0), (3, 1, 1, 5.0)]
    assert find_strong_cells(maps, groups, n_crops=1, n_per_group=2) == cells[:1]
    assert find_strong_cells(maps, groups, n_crops=9, n_per_group=1) == [cells[0], cells[2]]


def test_equally_strong_specimens_come_in_their_own_order() -> None:
    maps = np.ones((4, 1, 1))
    assert [cell[0] for cell in find_strong_cells(maps, list("abcd"), n_crops=3, n_per_group=1)] == [0, 1, 2]


def test_one_cell_a_group_is_what_the_top_crops_of_a_concept_are() -> None:
    maps = np.random.default_rng(0).random((12, 3, 4))
    groups = [f"leaf-{index % 5}" for index in range(12)]
    found = find_strong_cells(maps, groups, n_crops=4, n_per_group=1)
    assert found == reference.top_cells(maps[..., None], groups, 0, 4)


# --- division ------------------------------------------------------------------------------------------------


def plant(*, signed: bool, n_crops: int = 12) -> tuple[Floats, Floats, Floats]:
    """Return maps (n_crops, 3, 3, 8), their three parts' bank, and where each part is; the last row is blank paper."""
    generator = np.random.default_rng(5)
    bank = np.zeros((3, 8))
    bank[0, [0, 1]], bank[1, [2, 3, 4]], bank[2, [5, 6]] = 1, 1, 1
    if signed:
        bank[0, 7], bank[1, 0] = -1, -1
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    coefficients = generator.random((n_crops, 3, 3, 3)) * (generator.random((n_crops, 3, 3, 3)) < 0.5)
    coefficients[..., 0] *= 3  # so that the order of the parts is known
    coefficients[..., 2] *= 0.5
    maps = coefficients @ bank
    return maps, bank, coefficients


def divide(maps: Floats, blank: NDArray[np.bool_], *, signed: bool) -> Division:
    return divide_concept(
        maps,
        blank,
        n_subconcepts=3,
        method="semi-nmf" if signed else "nmf",
        seed=0,
        max_iterations=1000,
        tolerance=1e-7,
        device="cpu",
    )


@pytest.mark.parametrize("signed", [False, True], ids=["nmf", "semi-nmf"])
def test_planted_parts_are_found(signed: bool) -> None:
    maps, bank, coefficients = plant(signed=signed)
    found = divide(maps, np.zeros(maps.shape[:3], dtype=bool), signed=signed)
    assert found.concept_bank.shape == (3, 8)
    assert found.coefficient_maps.shape == (12, 3, 3, 3)
    assert min(reference.match_by_permutation(bank, found.concept_bank)) > 0.97
    if not signed:  # the parts of a semi-NMF may mix; those of this NMF are one solution
        np.testing.assert_allclose(found.coefficient_maps, coefficients, atol=0.05)
    assert found.relative_error < 0.02


def test_blank_cells_take_no_part_in_the_fit_but_are_encoded() -> None:
    maps, bank, _ = plant(signed=False)
    maps[:, 2] = np.eye(8)[7] * 50  # loud paper
    blank = np.zeros(maps.shape[:3], dtype=bool)
    blank[:, 2] = True
    without = divide(maps, blank, signed=False)
    assert min(reference.match_by_permutation(bank, without.concept_bank)) > 0.97
    np.testing.assert_allclose(without.coefficient_maps[:, 2], 0, atol=1e-3)
    with_paper = divide(maps, np.zeros_like(blank), signed=False)
    assert min(reference.match_by_permutation(bank, with_paper.concept_bank)) < 0.9


def test_crops_of_nothing_but_paper_are_fitted_all_the_same() -> None:
    maps, _, _ = plant(signed=False)
    everywhere = divide(maps, np.ones(maps.shape[:3], dtype=bool), signed=False)
    nowhere = divide(maps, np.zeros(maps.shape[:3], dtype=bool), signed=False)
    np.testing.assert_array_equal(everywhere.concept_bank, nowhere.concept_bank)


# --- importance within the parent ----------------------------------------------------------------------------

NOTHING = np.zeros((3, 3, 8))  # a baseline
FAMILY_BANK = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, 0.6]])  # of the layer at the split: the parent is the second


def make_linear_tail(weight: Floats, *, seen: list[int]) -> Callable[[int, Floats], Floats]:
    """Return the parent's coefficient of maps whose tail is linear and leads along the parent's own row."""

    def measure(crop: int, masked: Floats) -> Floats:
        assert masked.shape[0] == BATCH_SIZE, "one fixed shape meets the network"
        assert masked.dtype == np.float32
        seen.append(crop)
        cells = (masked @ weight)[..., None] * FAMILY_BANK[1]  # (n, rows, columns, 3)
        return encode(cells.reshape(-1, 3), FAMILY_BANK)[:, 1].reshape(len(masked), -1).mean(axis=1)

    return measure


def test_on_a_linear_tail_the_importances_are_those_of_the_closed_form() -> None:
    maps, bank, coefficients = plant(signed=False)
    maps = maps + 0.01 * np.abs(np.random.default_rng(1).random(maps.shape))  # what no part holds
    division = Division(bank.astype(np.float32), coefficients.astype(np.float32), 0.0)
    weight, seen = np.array([1.0, 0.5, 2.0, 1.0, 0.3, 4.0, 1.0, 0.5]), []
    groups = [f"leaf-{index // 2}" for index in range(12)]
    found = rank_subconcepts(maps, division, NOTHING, make_linear_tail(weight, seen=seen), groups, n_designs=8, seed=0)
    parts = coefficients.mean(axis=(1, 2)) * (bank @ weight)  # (n_crops, 3)
    rest = maps.mean(axis=(1, 2)) @ weight - parts.sum(axis=1)
    contributions = np.concatenate([parts, rest[:, None]], axis=1)
    exact = np.array([reference.exact_indices(list(each)) for each in contributions])  # (n_crops, 4)
    np.testing.assert_allclose(found.indices, exact.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.shares, exact.mean(axis=0) / exact.mean(axis=0).sum(), atol=1e-4)
    np.testing.assert_allclose(found.contributions, contributions.mean(axis=0), rtol=1e-4)
    assert found.shares.sum() == pytest.approx(1)
    assert found.n_silent == 0
    assert sorted(set(seen)) == list(range(12))
    for values, spans in (
        (found.indices, found.intervals),
        (found.shares, found.share_intervals),
        (found.contributions, found.contribution_intervals),
    ):
        assert all(low < value < high for value, (low, high) in zip(values, spans, strict=True))


def test_masks_lead_from_an_empty_picture_to_the_crop() -> None:
    """On a linear tail a part's effect is what it holds beyond what the empty picture holds of it."""
    maps, bank, coefficients = plant(signed=False)
    division = Division(bank.astype(np.float32), coefficients.astype(np.float32), 0.0)
    empty = np.array([0.5, 0.0, 0.25]) @ bank + np.eye(8)[7] * 0.2  # two of the parts, and something else
    weight, asked = np.array([1.0, 0.5, 2.0, 1.0, 0.3, 4.0, 1.0, 0.5]), []
    tail = make_linear_tail(weight, seen=[])

    def measure(crop: int, masked: Floats) -> Floats:
        asked.append(masked)
        return tail(crop, masked)

    found = rank_subconcepts(
        maps,
        division,
        np.broadcast_to(empty, (3, 3, 8)),
        measure,
        [f"leaf-{index}" for index in range(12)],
        n_designs=8,
        seed=0,
    )
    parts = (coefficients.mean(axis=(1, 2)) - [0.5, 0, 0.25]) * (bank @ weight)
    contributions = np.concatenate([parts, np.full((12, 1), -0.2 * weight[7])], axis=1)
    exact = np.array([reference.exact_indices(list(each)) for each in contributions])
    np.testing.assert_allclose(found.contributions, contributions.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.indices, exact.mean(axis=0), atol=1e-4)
    everything, nothing = asked[-1][3], asked[-1][4]  # the last crop's ablations: three parts, all, none
    np.testing.assert_allclose(everything, maps[-1], atol=1e-5)
    np.testing.assert_allclose(nothing, np.broadcast_to(empty, (3, 3, 8)), atol=1e-5)


def test_a_part_that_the_parent_does_not_see_has_no_importance_and_what_lowers_it_a_negative_contribution() -> None:
    maps, bank, coefficients = plant(signed=False)
    division = Division(bank.astype(np.float32), coefficients.astype(np.float32), 0.0)
    weight = np.array([1.0, 1.0, 0.0, 0.0, 0.0, -0.1, -0.1, 0.0])
    maps = maps + np.eye(8)[0] * 2  # the residual keeps the parent away from its kink at 0
    found = rank_subconcepts(
        maps, division, NOTHING, make_linear_tail(weight, seen=[]), ["one", "two"] * 6, n_designs=8, seed=0
    )
    assert found.indices[1] == pytest.approx(0, abs=1e-9)
    assert found.contributions[2] < 0 < found.contributions[0]
    assert found.contributions[2] == pytest.approx(coefficients[..., 2].mean() * float(bank[2] @ weight), rel=1e-3)


def test_a_parent_that_nothing_moves_leaves_everything_to_the_rest() -> None:
    maps, bank, coefficients = plant(signed=False)
    division = Division(bank.astype(np.float32), coefficients.astype(np.float32), 0.0)
    silent = make_linear_tail(np.zeros(8), seen=[])
    found = rank_subconcepts(maps, division, NOTHING, silent, ["leaf"] * 12, n_designs=4, seed=0)
    np.testing.assert_array_equal(found.indices, 0)
    np.testing.assert_array_equal(found.shares, [0, 0, 0, 1])
    np.testing.assert_array_equal(found.contributions, 0)
    assert found.n_silent == 12


def test_a_crop_that_nothing_moves_is_left_out_of_the_indices_and_counted() -> None:
    maps, bank, coefficients = plant(signed=False)
    maps[3], coefficients[3] = 0, 0
    division = Division(bank.astype(np.float32), coefficients.astype(np.float32), 0.0)
    tail = make_linear_tail(np.ones(8), seen=[])
    groups = [f"leaf-{index}" for index in range(12)]
    found = rank_subconcepts(maps, division, NOTHING, tail, groups, n_designs=4, seed=0)
    assert found.n_silent == 1
    assert found.indices.sum() == pytest.approx(1, abs=1e-3)


def test_the_first_crops_can_be_ranked_by_a_division_of_more() -> None:
    maps, bank, coefficients = plant(signed=False)
    division = Division(bank.astype(np.float32), coefficients.astype(np.float32), 0.0)
    tail = make_linear_tail(np.ones(8), seen=[])
    groups = [f"leaf-{index}" for index in range(5)]
    short = Division(division.concept_bank, division.coefficient_maps[:5], 0.0)
    some = rank_subconcepts(maps[:5], division, NOTHING, tail, groups, n_designs=4, seed=3)
    same = rank_subconcepts(maps[:5], short, NOTHING, tail, groups, n_designs=4, seed=3)
    np.testing.assert_array_equal(some.indices, same.indices)
    assert some.share_intervals == same.share_intervals
