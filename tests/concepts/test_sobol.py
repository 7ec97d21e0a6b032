"""Estimated Sobol indices: against known functions, against SALib, against a plain second version."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import controlled_indices, exact_indices

from leaflineage.concepts.sobol import (
    N_SCRAMBLINGS,
    DesignSums,
    draw_designs,
    draw_scrambled,
    estimate_total_indices,
    mix_designs,
)

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]


def salib_total_indices(function: Function, n_players: int, n: int) -> Floats:
    """Return SALib's total indices over masks in [0, 1]."""
    from SALib.analyze import sobol
    from SALib.sample import sobol as sample

    problem = {"num_vars": n_players, "names": [f"m{i}" for i in range(n_players)], "bounds": [[0, 1]] * n_players}
    points = sample.sample(problem, n, calc_second_order=False, seed=1)
    found = sobol.analyze(problem, function(points), calc_second_order=False, num_resamples=2, seed=1)
    return np.asarray(found["ST"])


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


def tally(function: Function, n_players: int, *, stops: list[int], seed: int) -> DesignSums:
    """Return the sums of designs that were added piece by piece, up to each stop in turn."""
    sums = None
    for start, stop in zip([0, *stops], stops, strict=False):
        first, second = draw_scrambled(n_players, start=start, stop=stop, seed=[seed])
        shape = (N_SCRAMBLINGS, stop - start, n_players + 2)
        answers = function(mix_designs(first, second).reshape(-1, n_players)).reshape(shape)
        if sums is None:
            sums = DesignSums(answers, first, second)
        else:
            sums.add(answers, first, second)
    assert sums is not None
    return sums


KNOWN: dict[str, tuple[Function, list[float]]] = {
    "product of two": (lambda m: m[:, 0] * m[:, 1], [4 / 7, 4 / 7, 0]),
    "linear": (lambda m: 1 * m[:, 0] - 2 * m[:, 1] + 3 * m[:, 2], [1 / 14, 4 / 14, 9 / 14]),
    "ishigami": (ishigami, ishigami_total_indices()),
}


# --- functions with known indices ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", KNOWN)
def test_estimates_reach_known_indices_to_a_hundredth(name: str) -> None:
    function, wanted = KNOWN[name]
    np.testing.assert_allclose(estimate_total_indices(function, 3, n_designs=4096, seed=0), wanted, atol=0.01)


@pytest.mark.parametrize("name", ["product of two", "ishigami"])
def test_estimates_agree_with_salib_on_interactions_to_a_hundredth(name: str) -> None:
    function, _ = KNOWN[name]
    wanted = salib_total_indices(function, 3, 2**12)
    np.testing.assert_allclose(estimate_total_indices(function, 3, n_designs=4096, seed=0), wanted, atol=0.01)


def test_estimates_agree_with_salib_on_a_linear_function_to_a_thousandth() -> None:
    function, _ = KNOWN["linear"]
    wanted = salib_total_indices(function, 3, 2**13)
    np.testing.assert_allclose(estimate_total_indices(function, 3, n_designs=64, seed=0), wanted, atol=1e-3)


@pytest.mark.parametrize("n_designs", [4, 16, 64])
def test_a_straight_function_has_no_error_however_few_designs(n_designs: int) -> None:
    slopes = np.random.default_rng(1).normal(size=26)
    found = estimate_total_indices(lambda m: 7 + m @ slopes, 26, n_designs=n_designs, seed=3)
    np.testing.assert_allclose(found, exact_indices(slopes.tolist()), atol=1e-9)


def test_what_is_taken_out_of_a_bent_function_makes_the_estimate_several_times_better() -> None:
    slopes = np.random.default_rng(1).normal(size=12)

    def bent(masks: Floats) -> Floats:
        straight = masks @ slopes
        return np.asarray(straight + 0.1 * straight**2)

    wanted = estimate_total_indices(bent, 12, n_designs=2**14, seed=99)
    seeds = range(20)
    controlled = np.stack([estimate_total_indices(bent, 12, n_designs=32, seed=seed) for seed in seeds])
    plain = np.stack([jansen(bent, 12, 32, seed) for seed in seeds])
    assert np.abs(controlled - wanted).mean() < 0.25 * np.abs(plain - wanted).mean()
    assert np.abs(controlled.mean(axis=0) - wanted).max() < 0.005  # and free of bias


def jansen(function: Function, n_players: int, n_designs: int, seed: int) -> Floats:
    """Return Jansen's estimate as it is in the books."""
    first, second = draw_designs(n_players, start=0, stop=n_designs, seed=seed)
    answers = function(mix_designs(first, second).reshape(-1, n_players)).reshape(n_designs, n_players + 2)
    return np.asarray(((answers[:, 2:] - answers[:, :1]) ** 2).mean(axis=0) / 2 / answers[:, :2].var())


def test_a_function_of_one_player_is_all_that_players() -> None:
    np.testing.assert_allclose(estimate_total_indices(lambda m: m[:, 0] ** 2, 1, n_designs=256, seed=0), [1], atol=0.01)


def test_a_function_is_asked_once_for_all_masks() -> None:
    asked: list[int] = []

    def function(masks: Floats) -> Floats:
        asked.append(len(masks))
        return masks @ np.array([1.0, 2.0, 3.0])

    estimate_total_indices(function, 3, n_designs=1024, seed=0)
    assert asked == [5 * 1024]


def test_a_function_that_never_moves_gives_zeros_not_nan() -> None:
    assert estimate_total_indices(lambda masks: np.full(len(masks), 5.0), 3, n_designs=32, seed=0).tolist() == [0, 0, 0]


def test_a_function_that_moves_by_rounding_alone_gives_zeros() -> None:
    generator = np.random.default_rng(0)
    found = estimate_total_indices(lambda masks: 1000 + 1e-7 * generator.random(len(masks)), 3, n_designs=32, seed=0)
    assert found.tolist() == [0, 0, 0]


def test_a_function_that_hardly_ever_moves_gives_numbers_between_zero_and_one() -> None:
    for seed in range(30):
        found = estimate_total_indices(lambda m: (m.min(axis=1) > 0.45).astype(float), 6, n_designs=16, seed=seed)
        assert ((found >= 0) & (found <= 1)).all()


# --- against the plain version -------------------------------------------------------------------------------


def test_estimate_and_pseudo_values_are_the_plain_ones() -> None:
    def single(mask: Floats) -> float:
        return float(mask[0] * mask[1] + math.sin(3 * mask[2]) + 2)

    first, second = draw_scrambled(3, start=0, stop=16, seed=[11])
    indices, pseudo = controlled_indices(single, list(zip(first, second, strict=True)))
    found = tally(lambda masks: np.array([single(mask) for mask in masks]), 3, stops=[16], seed=11).solve()
    np.testing.assert_allclose(found, pseudo, atol=1e-10)
    np.testing.assert_allclose(found.mean(axis=0), indices, atol=1e-10)


def test_designs_added_in_pieces_are_designs_added_at_once() -> None:
    pieces = tally(ishigami, 3, stops=[8, 16, 24, 32], seed=5)
    again = tally(ishigami, 3, stops=[8, 32], seed=5)
    np.testing.assert_allclose(pieces.solve(), again.solve(), atol=1e-12)
    assert pieces.n_designs == 32


# --- the points ----------------------------------------------------------------------------------------------


def test_designs_fill_the_cube_evenly_and_differ_from_one_another() -> None:
    first, second = draw_designs(4, start=0, stop=128, seed=0)
    assert first.shape == second.shape == (128, 4)
    for column in (*first.T, *second.T):  # a Sobol sequence: one point in each of 128 slots
        assert sorted(np.floor(column * 128).astype(int).tolist()) == list(range(128))
    assert np.abs(first - second).max() > 0.5
    assert not np.array_equal(first, draw_designs(4, start=0, stop=128, seed=1)[0])


def test_a_sequence_drawn_in_pieces_is_the_sequence() -> None:
    whole = draw_designs(5, start=0, stop=32, seed=[3, 1])
    pieces = [draw_designs(5, start=start, stop=start + 8, seed=[3, 1]) for start in (0, 8, 16, 24)]
    for index in range(2):
        assert np.array_equal(np.concatenate([piece[index] for piece in pieces]), whole[index])


def test_every_scrambling_has_points_of_its_own() -> None:
    first, _ = draw_scrambled(3, start=0, stop=8, seed=[0, 4])
    other, _ = draw_scrambled(3, start=0, stop=8, seed=[0, 5])
    points = np.concatenate([first, other]).round(9).reshape(2 * N_SCRAMBLINGS, -1)
    assert len(np.unique(points, axis=0)) == 2 * N_SCRAMBLINGS


def test_a_mixed_row_is_a_with_one_column_from_b() -> None:
    first, second = np.array([[0.1, 0.2]]), np.array([[0.8, 0.9]])
    assert mix_designs(first, second).tolist() == [[[0.1, 0.2], [0.8, 0.9], [0.8, 0.2], [0.1, 0.9]]]
