"""What banks make of leaves they were not fitted on: against plain loops, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import bootstrap_ratio_interval, predicted_error, unseen_error, unseen_explained

from leaflineage.concepts.stability import Refit
from leaflineage.concepts.unseen import estimate_ratio, measure_predicted_error, measure_unseen

Floats = NDArray[np.float64]


def draw(n_specimens: int = 6) -> tuple[Floats, Floats, Floats]:
    """Return (cells, bank, direction): two concepts, and something in every cell that neither holds."""
    generator = np.random.default_rng(0)
    cells = generator.random((n_specimens, 4, 8)).astype(np.float32).astype(np.float64)
    bank = generator.random((2, 8))
    return cells, bank / np.linalg.norm(bank, axis=1, keepdims=True), generator.normal(size=8)


@pytest.mark.parametrize("signed", [False, True])
def test_only_leaves_that_were_not_drawn_are_measured(signed: bool) -> None:
    cells, bank, direction = draw()
    if signed:
        cells, bank = cells - 0.5, bank * np.where(np.arange(8) % 2, 1, -1)
    groups = ["a", "a", "b", "c", "d", "d"]
    refits = [Refit(bank, frozenset("bd")), Refit(bank, frozenset("ab"))]
    found = measure_unseen(cells, groups, refits, direction=direction, seed=0)
    assert found.relative_error is not None
    assert found.explained is not None
    errors = [unseen_error(cells, left_out, bank) for left_out in ([0, 1, 3], [3, 4, 5])]
    explained = [unseen_explained(cells, left_out, bank, direction) for left_out in ([0, 1, 3], [3, 4, 5])]
    assert found.relative_error.value == pytest.approx(np.mean(errors), rel=1e-5)
    assert found.explained.value == pytest.approx(np.mean(explained), rel=1e-5)
    for estimate in (found.relative_error, found.explained):
        assert estimate.interval[0] <= estimate.value <= estimate.interval[1]


def test_cells_that_the_bank_holds_are_rebuilt_and_explained() -> None:
    _, bank, direction = draw()
    cells = np.random.default_rng(1).random((4, 5, 2)) @ bank
    found = measure_unseen(cells, list("abcd"), [Refit(bank, frozenset("a"))], direction=direction, seed=0)
    assert found.relative_error is not None
    assert found.explained is not None
    assert found.relative_error.value < 1e-6
    assert found.explained.value == pytest.approx(1, abs=1e-9)


def test_a_refit_without_a_concept_rebuilds_and_explains_nothing() -> None:
    cells, _, direction = draw()
    found = measure_unseen(
        cells, list("abcdef"), [Refit(np.zeros((0, 8)), frozenset("a"))], direction=direction, seed=0
    )
    assert found.relative_error is not None
    assert found.explained is not None
    assert found.relative_error.value == pytest.approx(1, abs=1e-9)
    assert found.explained.value == 0


def test_without_a_direction_nothing_is_said_of_what_is_explained() -> None:
    cells, bank, _ = draw()
    found = measure_unseen(cells, list("abcdef"), [Refit(bank, frozenset("a"))], direction=None, seed=0)
    assert found.relative_error is not None
    assert found.explained is None


def test_where_every_leaf_was_drawn_nothing_is_said() -> None:
    cells, bank, direction = draw()
    found = measure_unseen(cells, ["a"] * 6, [Refit(bank, frozenset("a"))], direction=direction, seed=0)
    assert found.relative_error is None
    assert found.explained is None


def test_leaves_without_activation_say_nothing() -> None:
    cells, bank, direction = draw()
    cells[:3] = 0
    refits = [Refit(bank, frozenset("def")), Refit(bank, frozenset("abc"))]  # the first leaves out dark leaves alone
    found = measure_unseen(cells, list("abcdef"), refits, direction=direction, seed=0)
    assert found.relative_error is not None
    assert found.explained is not None
    assert found.relative_error.value == pytest.approx(unseen_error(cells, [3, 4, 5], bank), rel=1e-5)
    assert found.explained.value == pytest.approx(unseen_explained(cells, [3, 4, 5], bank, direction), rel=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_each_half_of_the_channels_is_predicted_from_the_other(seed: int) -> None:
    cells, bank, _ = draw()
    refits = [Refit(bank, frozenset("bd")), Refit(bank[:1], frozenset("abd"))]
    found = measure_predicted_error(cells, ["a", "a", "b", "c", "d", "d"], refits, seed=seed)
    order = np.random.default_rng(seed).permutation(8)
    halves = order[:4].tolist(), order[4:].tolist()
    plain = [predicted_error(cells, [0, 1, 3], bank, halves), predicted_error(cells, [3], bank[:1], halves)]
    assert found is not None
    assert found.value == pytest.approx(np.mean(plain), rel=1e-5)


def test_concepts_that_hold_noise_alone_rebuild_more_and_predict_less() -> None:
    generator = np.random.default_rng(0)
    bank = generator.random((2, 60))
    cells = generator.random((20, 9, 2)) @ bank + 0.1 * generator.normal(size=(20, 9, 60))
    wider = np.concatenate([bank, generator.random((6, 60))])
    groups = [str(index) for index in range(20)]
    refits = [[Refit(each, frozenset(groups[:10]))] for each in (bank, wider)]
    rebuilt = [measure_unseen(cells, groups, each, direction=None, seed=0).relative_error for each in refits]
    predicted = [measure_predicted_error(cells, groups, each, seed=0) for each in refits]
    assert rebuilt[0] is not None
    assert rebuilt[1] is not None
    assert predicted[0] is not None
    assert predicted[1] is not None
    assert rebuilt[1].value < rebuilt[0].value
    assert predicted[1].value > predicted[0].value


def test_where_every_leaf_was_drawn_nothing_is_predicted() -> None:
    cells, bank, _ = draw()
    assert measure_predicted_error(cells, ["a"] * 6, [Refit(bank, frozenset("a"))], seed=0) is None


def test_the_interval_is_a_bootstrap_over_groups() -> None:
    generator = np.random.default_rng(0)
    above, below = generator.random(30), 1 + generator.random(30)
    groups = [str(index // 2) for index in range(30)]
    found = estimate_ratio(above[None], below[None], groups, root=False, seed=0)
    assert found is not None
    assert found.value == pytest.approx(above.sum() / below.sum())
    plain = bootstrap_ratio_interval(above.tolist(), below.tolist(), groups, n_draws=2000, seed=0)
    np.testing.assert_allclose(found.interval, plain, atol=0.02)
    assert found.standard_error == pytest.approx((plain[1] - plain[0]) / (2 * 1.96), rel=0.15)


def test_a_root_is_taken_of_each_refit_s_ratio() -> None:
    found = estimate_ratio(np.array([[1.0], [9.0]]), np.array([[4.0], [4.0]]), ["a"], root=True, seed=0)
    assert found is not None
    assert found.value == 1.0  # (0.5 + 1.5) / 2


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    cells, bank, direction = draw()
    first, again, other = (
        measure_unseen(cells, list("abcdef"), [Refit(bank, frozenset("a"))], direction=direction, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
