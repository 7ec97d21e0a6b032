"""Importances of a family's specimens: exact against the definition, sampled against exact."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import centred_logit, exact_indices, grid_indices

from leaflineage.concepts.importance import (
    FIRST_DESIGNS,
    SpecimenImportances,
    compute_exact_importances,
    compute_sampled_importances,
    measure_half_width,
)
from leaflineage.concepts.sobol import N_SCRAMBLINGS, estimate_total_indices

Floats = NDArray[np.float64]


class Family:
    """Random specimens of a family, a bank that does not quite explain them, and an affine head."""

    def __init__(self, seed: int, *, n_specimens: int = 6, n_concepts: int = 4, n_channels: int = 9) -> None:
        generator = np.random.default_rng(seed)
        self.bank = generator.random((n_concepts, n_channels)).astype(np.float32)
        self.coefficients = generator.random((n_specimens, n_concepts)).astype(np.float32)
        noise = generator.normal(size=(n_specimens, n_channels)) * 0.2
        self.pooled = (self.coefficients @ self.bank + noise).astype(np.float32)
        self.weight = generator.normal(size=(5, n_channels)).astype(np.float32)
        self.bias = generator.normal(size=5).astype(np.float32)
        self.output = 3

    def players(self, index: int) -> Floats:
        each = self.coefficients[index, :, None].astype(np.float64) * self.bank.astype(np.float64)
        return np.concatenate([each, (self.pooled[index] - each.sum(axis=0))[None]])

    def head(self, masks: Floats, players: Floats) -> Floats:
        logits: Floats = (masks @ players) @ self.weight.T.astype(np.float64) + self.bias
        return logits


def compute_exact(family: Family):
    return compute_exact_importances(
        family.coefficients,
        family.pooled,
        family.bank,
        head_weight=family.weight,
        head_bias=family.bias,
        output=family.output,
    )


# --- affine heads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_exact_importance_is_each_squared_contribution_over_the_sum_of_all(seed: int) -> None:
    family = Family(seed)
    found = compute_exact(family)
    centred = (family.weight - family.weight.mean(axis=0)).astype(np.float64)[family.output]
    for index in range(len(family.pooled)):
        phi = [float(player @ centred) for player in family.players(index)]
        np.testing.assert_allclose(found.contributions[index, :, family.output], phi, atol=1e-5)
        np.testing.assert_allclose(found.indices[0, index], exact_indices(phi), atol=1e-5)
    assert found.exact
    assert found.n_evaluations == 0


def test_exact_importance_is_the_definition_over_a_dense_grid_of_masks() -> None:
    family = Family(7, n_specimens=2, n_concepts=2)
    found = compute_exact(family)
    for index in range(2):
        players = family.players(index)

        def answer(masks: Floats, players: Floats = players) -> float:
            return centred_logit(masks @ players, family.weight, family.bias, family.output)

        wanted = grid_indices(answer, 3, n_levels=6)  # a linear function has the same indices on any symmetric grid
        np.testing.assert_allclose(found.indices[0, index], wanted, atol=1e-5)


def test_exact_importance_is_what_masks_say() -> None:
    family = Family(3, n_specimens=1, n_concepts=3)

    def answer(masks: Floats) -> Floats:
        logits = family.head(masks, family.players(0))
        return logits[:, family.output] - logits.mean(axis=1)

    wanted = estimate_total_indices(answer, 4, n_designs=64, seed=0)
    np.testing.assert_allclose(compute_exact(family).indices[0, 0], wanted, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_contributions_and_bias_sum_to_the_centred_logit_of_every_output(seed: int) -> None:
    family = Family(seed)
    found = compute_exact(family)
    for index, pooled in enumerate(family.pooled):
        for output in range(len(family.bias)):
            wanted = centred_logit(pooled.astype(np.float64), family.weight, family.bias, output)
            assert found.contributions[index, :, output].sum() + found.biases[output] == pytest.approx(wanted, abs=1e-9)


def test_indices_of_a_specimen_sum_to_one_on_an_affine_head() -> None:
    np.testing.assert_allclose(compute_exact(Family(2)).indices.sum(axis=2), 1, atol=1e-12)


def test_a_shift_of_all_rows_of_the_head_changes_nothing() -> None:
    family, shifted = Family(4), Family(4)
    shifted.weight = shifted.weight + np.float32(2)
    shifted.bias = shifted.bias + np.float32(2)
    np.testing.assert_allclose(compute_exact(shifted).indices, compute_exact(family).indices, atol=1e-5)
    np.testing.assert_allclose(compute_exact(shifted).biases, compute_exact(family).biases, atol=1e-6)


def test_a_head_that_never_moves_gives_zeros_not_nan() -> None:
    family = Family(0)
    family.weight = np.zeros_like(family.weight)
    assert compute_exact(family).indices.tolist() == np.zeros((1, 6, 5)).tolist()


def test_a_specimen_without_activation_gives_zeros() -> None:
    family = Family(0)
    family.coefficients[2], family.pooled[2] = 0, 0
    assert compute_exact(family).indices[0, 2].tolist() == [0] * 5


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(0, 2),
)
def test_indices_lie_between_zero_and_one_and_sum_to_one_or_none(rows: list[list[float]], output: int) -> None:
    coefficients = np.abs(np.array(rows, dtype=np.float32))
    bank, weight = np.eye(3, dtype=np.float32), np.array([[1, -2, 3], [0, 1, 0], [4, 0, -1]], dtype=np.float32)
    found = compute_exact_importances(
        coefficients,
        coefficients,
        bank,
        head_weight=weight,
        head_bias=np.zeros(3, dtype=np.float32),
        output=output,
    ).indices[0]
    assert (found >= 0).all()
    for total in found.sum(axis=1):
        assert total == pytest.approx(1) or total == 0


# --- sampled heads -------------------------------------------------------------------------------------------

Answer = Callable[[Floats, Floats], Floats]


def sample(family: Family, head: Answer | None = None, **changes: object) -> SpecimenImportances:
    """Return importances of a head of (masks, players), the family's own unless given."""
    answer = head or family.head
    arguments = {
        "n_specimens": len(family.pooled),
        "n_players": len(family.bank) + 1,
        "output": family.output,
        "batch_size": 64,
        "half_width": 0.005,
        "max_evaluations": 400_000,
        "seed": 0,
        **changes,
    }
    return compute_sampled_importances(lambda index, masks: answer(masks, family.players(index)), **arguments)  # type: ignore[arg-type]


def bend(family: Family, bend: float = 1.0) -> Answer:
    """Return a head whose logits are far from straight in the masks."""
    return lambda masks, players: np.tanh(bend * family.head(masks, players))


@pytest.mark.parametrize("n_concepts", [1, 4, 25])
def test_sampled_importances_of_an_affine_head_are_the_exact_ones(n_concepts: int) -> None:
    family = Family(5, n_specimens=3, n_concepts=n_concepts)
    found, wanted = sample(family), compute_exact(family)
    np.testing.assert_allclose(found.indices.mean(axis=0), wanted.indices[0], atol=1e-6)
    np.testing.assert_allclose(found.contributions, wanted.contributions, atol=1e-5)
    np.testing.assert_allclose(found.biases, np.broadcast_to(wanted.biases, (3, 5)), atol=1e-9)
    assert not found.exact
    assert found.n_evaluations == 3 * (n_concepts + 2 + N_SCRAMBLINGS * FIRST_DESIGNS * (n_concepts + 3))


def test_sampled_importances_of_a_curved_head_are_those_of_many_more_designs() -> None:
    family = Family(5, n_specimens=8)
    head = bend(family)
    found = sample(family, head, half_width=0.9)

    def answer(masks: Floats, index: int) -> Floats:
        logits = head(masks, family.players(index))
        return logits[:, family.output] - logits.mean(axis=1)

    wanted = np.stack(
        [estimate_total_indices(lambda m, i=i: answer(m, i), 5, n_designs=2**14, seed=77) for i in range(8)]
    )
    np.testing.assert_allclose(found.indices.mean(axis=(0, 1)), wanted.mean(axis=0), atol=0.03)


def test_sampled_contributions_and_bias_sum_to_the_centred_logit_of_a_curved_head() -> None:
    family = Family(6, n_specimens=2)
    curved = bend(family)
    found = sample(family, curved, output=1, half_width=0.5, max_evaluations=64)
    for index in range(2):
        logits = curved(np.ones((1, 5)), family.players(index))[0]
        whole = found.contributions[index].sum(axis=0) + found.biases[index]
        np.testing.assert_allclose(whole, logits - logits.mean(), atol=1e-6)


def test_a_contribution_is_what_leaving_the_concept_out_takes_away() -> None:
    family = Family(6, n_specimens=1)

    def curved(masks: Floats, players: Floats) -> Floats:
        return family.head(masks, players) ** 2

    found = sample(family, curved, output=1, half_width=0.5, max_evaluations=64)
    masks = np.ones((2, 5))
    masks[1, 2] = 0
    everything, without = curved(masks, family.players(0))
    wanted = (everything[1] - everything.mean()) - (without[1] - without.mean())
    assert found.contributions[0, 2, 1] == pytest.approx(wanted, abs=1e-5)


def test_designs_are_doubled_until_the_mean_is_known_well_enough() -> None:
    family = Family(5, n_specimens=2)
    head = bend(family, 3.0)
    coarse, fine = sample(family, head, half_width=0.9), sample(family, head, half_width=0.01)
    contributions, first_round = 2 * (5 + 1), N_SCRAMBLINGS * 2 * FIRST_DESIGNS * (5 + 2)  # of 2 specimens, 5 players
    assert coarse.n_evaluations == contributions + first_round
    assert fine.n_evaluations - contributions in [first_round * 2**rounds for rounds in range(1, 10)]
    assert measure_half_width(fine.indices) <= 0.01 < measure_half_width(coarse.indices)


def test_earlier_designs_are_kept_when_their_number_doubles() -> None:
    family = Family(5, n_specimens=1)
    seen: list[bytes] = []

    def head(masks: Floats, players: Floats) -> Floats:
        seen.extend(mask.tobytes() for mask in masks)
        return bend(family, 3.0)(masks, players)

    found = sample(family, head, half_width=1e-9, max_evaluations=5_000, batch_size=1)
    assert len(seen) == len(set(seen)) == found.n_evaluations > 2_000


@pytest.mark.parametrize(("n_specimens", "bound"), [(2, 5_000), (2, 30_000), (20, 64)])
def test_the_head_is_evaluated_no_more_often_than_allowed_but_once_whatever_is(n_specimens: int, bound: int) -> None:
    family = Family(5, n_specimens=n_specimens)
    count = 0

    def head(masks: Floats, players: Floats) -> Floats:
        nonlocal count
        count += len(masks)
        return bend(family)(masks, players)

    found = sample(family, head, half_width=1e-9, max_evaluations=bound, batch_size=1)
    assert found.n_evaluations == count
    assert bound / 3 < count <= max(bound, n_specimens * (6 + 7 * N_SCRAMBLINGS * FIRST_DESIGNS))


def test_the_head_meets_full_batches_only_and_their_size_changes_nothing() -> None:
    family = Family(5, n_specimens=2)
    sizes: set[int] = set()

    def head(masks: Floats, players: Floats) -> Floats:
        sizes.add(len(masks))
        return bend(family)(masks, players)

    found = sample(family, head, batch_size=37, half_width=0.9)
    assert sizes == {37}
    np.testing.assert_allclose(found.indices, sample(family, head, batch_size=5, half_width=0.9).indices, atol=1e-9)


def test_mean_indices_lie_between_zero_and_one_though_single_scramblings_may_not() -> None:
    family = Family(5, n_specimens=8, n_concepts=2)
    found = sample(family, lambda masks, players: np.maximum(family.head(masks, players), 1.5) ** 3, half_width=0.9)
    assert ((found.mean_indices >= 0) & (found.mean_indices <= 1)).all()
    np.testing.assert_allclose(found.mean_indices, found.indices.mean(axis=0), atol=1e-12)
    assert found.indices.max() > 1 or found.indices.min() < 0


def test_every_specimen_is_asked_with_masks_of_its_own() -> None:
    family = Family(5, n_specimens=2)
    family.coefficients[1], family.pooled[1] = family.coefficients[0], family.pooled[0]
    found = sample(family, bend(family, 3.0), half_width=0.9).indices
    assert np.abs(found[:, 0] - found[:, 1]).max() > 1e-3
    assert np.array_equal(found, sample(family, bend(family, 3.0), half_width=0.9).indices)


def test_a_specimen_whose_logit_never_moves_gets_zeros_and_does_not_ask_for_more_designs() -> None:
    family = Family(5, n_specimens=2)
    family.coefficients[1], family.pooled[1] = 0, 0
    found = sample(family, half_width=1e-6)
    assert not found.indices[:, 1].any()
    assert not found.contributions[1].any()
    family.weight[:] = 0
    silent = sample(family, half_width=1e-6)
    assert not silent.indices.any()
    assert silent.n_evaluations == 2 * (6 + 7 * N_SCRAMBLINGS * FIRST_DESIGNS)


def test_the_half_width_says_how_far_the_familys_mean_is_off() -> None:
    family = Family(5, n_specimens=10)
    head = bend(family, 2.0)
    runs = [sample(family, head, half_width=0.9, seed=seed).indices for seed in range(30)]
    means = np.stack([each.mean(axis=(0, 1)) for each in runs])
    spread = 1.96 * means.std(axis=0, ddof=1).max()
    assert np.mean([measure_half_width(each) for each in runs]) == pytest.approx(spread, rel=0.5)


def test_what_is_held_grows_neither_with_the_designs_nor_with_the_number_of_players() -> None:
    family = Family(5, n_specimens=3, n_concepts=99)
    tracemalloc.start()
    found = sample(family, bend(family), half_width=1e-9, max_evaluations=300_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.n_evaluations > 100_000
    assert peak < 32 * 2**20
