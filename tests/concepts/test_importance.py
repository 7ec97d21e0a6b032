"""Total Sobol indices: against the definition, against SALib, against a plain second version."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import centred_logit, exact_indices, grid_indices, jansen_indices

from leaflineage.concepts.importance import (
    bootstrap_mean,
    compute_exact_importances,
    compute_sampled_importances,
    draw_designs,
    estimate_total_indices,
)

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


def salib_total_indices(function: Callable[[Floats], Floats], n_players: int, n: int) -> Floats:
    """Return SALib's total indices over masks in [0, 1]."""
    from SALib.analyze import sobol
    from SALib.sample import sobol as sample

    problem = {"num_vars": n_players, "names": [f"m{i}" for i in range(n_players)], "bounds": [[0, 1]] * n_players}
    points = sample.sample(problem, n, calc_second_order=False, seed=1)
    found = sobol.analyze(problem, function(points), calc_second_order=False, num_resamples=2, seed=1)
    return np.asarray(found["ST"])


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


def test_exact_importance_agrees_with_salib_to_a_thousandth() -> None:
    family = Family(3, n_specimens=1, n_concepts=3)
    players = family.players(0)

    def answer(masks: Floats) -> Floats:
        logits = family.head(masks, players)
        return logits[:, family.output] - logits.mean(axis=1)

    wanted = salib_total_indices(answer, 4, 2**13)
    np.testing.assert_allclose(compute_exact(family).indices[0, 0], wanted, atol=1e-3)


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


def test_a_head_is_asked_once_for_all_masks_of_a_specimen() -> None:
    asked: list[int] = []

    def function(masks: np.ndarray) -> np.ndarray:
        asked.append(len(masks))
        return masks @ np.array([1.0, 2.0, 3.0])

    found = estimate_total_indices(function, 3, n_designs=1024, seed=0)
    assert asked == [5 * 1024]
    np.testing.assert_allclose(found, np.array([1, 4, 9]) / 14, atol=0.01)


def test_a_head_that_never_moves_gives_zeros_not_nan() -> None:
    family = Family(0)
    family.weight = np.zeros_like(family.weight)
    assert compute_exact(family).indices.tolist() == np.zeros((1, 6, 5)).tolist()
    assert estimate_total_indices(lambda masks: np.full(len(masks), 5.0), 3, n_designs=32, seed=0).tolist() == [0, 0, 0]


def test_a_head_that_moves_by_rounding_alone_gives_zeros() -> None:
    generator = np.random.default_rng(0)
    found = estimate_total_indices(lambda masks: 1000 + 1e-7 * generator.random(len(masks)), 3, n_designs=32, seed=0)
    assert found.tolist() == [0, 0, 0]


def test_a_specimen_without_activation_gives_zeros() -> None:
    family = Family(0)
    family.coefficients[2], family.pooled[2] = 0, 0
    assert compute_exact(family).indices[0, 2].tolist() == [0] * 5


# --- sampled heads -------------------------------------------------------------------------------------------


def sample(family: Family, **changes: object):
    arguments = {
        "n_specimens": len(family.pooled),
        "output": family.output,
        "half_width": 0.005,
        "max_evaluations": 400_000,
        "seed": 0,
        **changes,
    }
    return compute_sampled_importances(family.players, family.head, **arguments)  # type: ignore[arg-type]


def test_sampled_importances_of_an_affine_head_are_the_exact_ones() -> None:
    family = Family(5, n_specimens=3)
    found, wanted = sample(family), compute_exact(family)
    np.testing.assert_allclose(found.indices.mean(axis=0), wanted.indices[0], atol=0.01)
    np.testing.assert_allclose(found.contributions, wanted.contributions, atol=1e-6)
    np.testing.assert_allclose(found.biases, np.broadcast_to(wanted.biases, (3, 5)), atol=1e-9)
    assert not found.exact


def test_sampled_contributions_and_bias_sum_to_the_centred_logit_of_a_curved_head() -> None:
    family = Family(6, n_specimens=2)
    straight = family.head

    def curved(masks: Floats, players: Floats) -> Floats:
        return np.tanh(straight(masks, players))

    found = compute_sampled_importances(
        family.players, curved, n_specimens=2, output=1, half_width=0.5, max_evaluations=64, seed=0
    )
    for index in range(2):
        logits = curved(np.ones((1, 5)), family.players(index))[0]
        whole = found.contributions[index].sum(axis=0) + found.biases[index]
        np.testing.assert_allclose(whole, logits - logits.mean(), atol=1e-12)


def test_a_contribution_is_what_leaving_the_concept_out_takes_away() -> None:
    family = Family(6, n_specimens=1)

    def curved(masks: Floats, players: Floats) -> Floats:
        return family.head(masks, players) ** 2

    found = compute_sampled_importances(
        family.players, curved, n_specimens=1, output=1, half_width=0.5, max_evaluations=64, seed=0
    )
    masks = np.ones((2, 5))
    masks[1, 2] = 0
    everything, without = curved(masks, family.players(0))
    wanted = (everything[1] - everything.mean()) - (without[1] - without.mean())
    assert found.contributions[0, 2, 1] == pytest.approx(wanted, abs=1e-12)


def test_designs_are_doubled_until_the_mean_is_known_well_enough() -> None:
    family = Family(5, n_specimens=2)
    coarse, fine = sample(family, half_width=0.9), sample(family, half_width=0.003)
    contributions, first_round = 2 * (5 + 2), 4 * 2 * 32 * (5 + 2)  # 4 scramblings, 2 specimens, 32 designs, 5 players
    assert coarse.n_evaluations == contributions + first_round
    assert fine.n_evaluations - contributions in [first_round * (2**rounds - 1) for rounds in range(2, 12)]
    spread = fine.indices.mean(axis=1).std(axis=0, ddof=1).max() / 2
    assert 1.96 * spread <= 0.003


@pytest.mark.parametrize(("n_specimens", "bound"), [(2, 5_000), (2, 30_000), (20, 100)])
def test_the_head_is_evaluated_no_more_often_than_allowed_but_once_whatever_is(n_specimens: int, bound: int) -> None:
    family = Family(5, n_specimens=n_specimens)
    count = 0

    def head(masks: Floats, players: Floats) -> Floats:
        nonlocal count
        count += len(masks)
        return family.head(masks, players)

    found = compute_sampled_importances(
        family.players,
        head,
        n_specimens=n_specimens,
        output=0,
        half_width=1e-9,
        max_evaluations=bound,
        seed=0,
    )
    assert found.n_evaluations == count
    assert count <= max(bound, n_specimens * 7 * (1 + 4 * 32))


# --- functions with known indices ----------------------------------------------------------------------------


def ishigami(masks: Floats) -> Floats:
    x, y, z = (math.pi * (2 * masks[:, i] - 1) for i in range(3))
    return np.asarray(np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x))


def ishigami_total_indices() -> list[float]:
    """Return the analytic total indices of Ishigami's function with a = 7, b = 0.1."""
    a, b, pi = 7.0, 0.1, math.pi
    first = (1 + b * pi**4 / 5) ** 2 / 2
    second = a**2 / 8
    both = b**2 * pi**8 * (1 / 18 - 1 / 50)
    whole = first + second + both
    return [(first + both) / whole, second / whole, both / whole]


KNOWN = {
    "product of two": (lambda m: m[:, 0] * m[:, 1], [4 / 7, 4 / 7, 0]),
    "linear": (lambda m: 1 * m[:, 0] - 2 * m[:, 1] + 3 * m[:, 2], [1 / 14, 4 / 14, 9 / 14]),
    "ishigami": (ishigami, ishigami_total_indices()),
}


@pytest.mark.parametrize("name", KNOWN)
def test_estimates_reach_known_indices_to_a_hundredth(name: str) -> None:
    function, wanted = KNOWN[name]
    np.testing.assert_allclose(estimate_total_indices(function, 3, n_designs=4096, seed=0), wanted, atol=0.01)


@pytest.mark.parametrize("name", ["product of two", "ishigami"])
def test_estimates_agree_with_salib_on_interactions_to_a_hundredth(name: str) -> None:
    function, _ = KNOWN[name]
    wanted = salib_total_indices(function, 3, 2**12)
    np.testing.assert_allclose(estimate_total_indices(function, 3, n_designs=4096, seed=0), wanted, atol=0.01)


def test_a_linear_estimate_agrees_with_salib_to_a_thousandth() -> None:
    function, _ = KNOWN["linear"]
    wanted = salib_total_indices(function, 3, 2**13)
    np.testing.assert_allclose(estimate_total_indices(function, 3, n_designs=2**13, seed=0), wanted, atol=1e-3)


def test_the_estimate_is_the_plain_one() -> None:
    def single(mask: Floats) -> float:
        return float(mask[0] * mask[1] + math.sin(3 * mask[2]))

    first, second = draw_designs(3, 64, 11)
    found = estimate_total_indices(lambda masks: np.array([single(mask) for mask in masks]), 3, n_designs=64, seed=11)
    np.testing.assert_allclose(found, jansen_indices(single, first, second), atol=1e-12)


def test_designs_fill_the_cube_evenly_and_differ_from_one_another() -> None:
    first, second = draw_designs(4, 128, 0)
    assert first.shape == second.shape == (128, 4)
    for column in (*first.T, *second.T):  # a Sobol sequence: one point in each of 128 slots
        assert sorted(np.floor(column * 128).astype(int).tolist()) == list(range(128))
    assert np.abs(first - second).max() > 0.5
    assert not np.array_equal(first, draw_designs(4, 128, 1)[0])
    assert np.array_equal(first, draw_designs(4, 128, 0)[0])


# --- intervals -----------------------------------------------------------------------------------------------


def test_the_interval_holds_the_mean_of_every_player() -> None:
    found = compute_exact(Family(1, n_specimens=30)).indices
    low, high = bootstrap_mean(found, [f"leaf-{i}" for i in range(30)], seed=0)
    mean = found.mean(axis=(0, 1))
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


def test_scramblings_widen_the_interval() -> None:
    values = np.stack([np.full((5, 1), value) for value in (0.2, 0.4, 0.6, 0.8)])  # specimens alike, scramblings not
    low, high = bootstrap_mean(values, list("abcde"), seed=0)
    np.testing.assert_allclose([low[0], high[0]], [0.2, 0.8], atol=1e-12)


def test_the_same_seed_draws_the_same_interval() -> None:
    values = np.random.default_rng(0).random((1, 12, 3))
    groups = [f"leaf-{i // 2}" for i in range(12)]
    first, again = bootstrap_mean(values, groups, seed=4), bootstrap_mean(values, groups, seed=4)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, bootstrap_mean(values, groups, seed=5))


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
