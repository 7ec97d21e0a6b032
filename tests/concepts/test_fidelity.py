"""Fidelity: curves, µFidelity and errors against plain versions, and what must hold on affine heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from reference import mu_fidelity, switching_curves

from leaflineage.concepts.fidelity import (
    correlate_subsets,
    draw_orders,
    draw_subsets,
    make_affine_game,
    measure_errors,
    measure_falls,
    order_concepts,
    trace_curves,
)

Floats = NDArray[np.float64]
contributions = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 7)), elements=st.floats(-9, 9))


def play_products(specimen: int, masks: Floats) -> Floats:
    """A game that is not affine: products of neighbours, with a residual that matters."""
    answers: Floats = (masks * np.roll(masks, 1, axis=1)) @ np.arange(1.0, masks.shape[1] + 1) - specimen * masks[:, -1]
    return answers


# --- curves --------------------------------------------------------------------------------------------------


def test_curves_are_those_of_switching_one_concept_after_the_other() -> None:
    orders = {"one": draw_orders(3, 5, n_orders=1, seed=0), "many": draw_orders(3, 5, n_orders=4, seed=1)}
    for name, found in trace_curves(play_products, orders).items():
        for specimen in range(3):
            plain = [
                switching_curves(
                    lambda mask, which=specimen: float(play_products(which, mask[None])[0]), order.tolist()
                )
                for order in orders[name][specimen]
            ]
            np.testing.assert_allclose(found.deletion[specimen], np.mean([each[0] for each in plain], axis=0))
            np.testing.assert_allclose(found.insertion[specimen], np.mean([each[1] for each in plain], axis=0))


def test_curves_can_be_worked_out_by_hand() -> None:
    game = make_affine_game(np.array([[1.0, -5.0, 3.0, 0.5]]), bias=10.0)
    found = trace_curves(game, {"contribution": order_concepts(np.array([[1.0, -5.0, 3.0]]))})["contribution"]
    assert found.deletion.tolist() == [[9.5, 6.5, 5.5, 10.5]]
    assert found.insertion.tolist() == [[10.0, 13.0, 14.0, 9.0]]


@settings(max_examples=60, deadline=None)
@given(contributions, st.integers(0, 99))
def test_on_an_affine_head_no_order_deletes_or_inserts_faster_than_falling_contribution(phi: Floats, seed: int) -> None:
    game = make_affine_game(phi, bias=1.0)
    orders = {
        "contribution": order_concepts(phi[:, :-1]),
        "importance": order_concepts(phi[:, :-1] ** 2),
        "random": draw_orders(len(phi), phi.shape[1] - 1, n_orders=1, seed=seed),
    }
    curves = trace_curves(game, orders)
    best = curves.pop("contribution")
    for other in curves.values():
        assert (best.deletion <= other.deletion + 1e-9).all()
        assert (best.insertion >= other.insertion - 1e-9).all()


def test_importance_switches_off_early_what_speaks_against_the_family() -> None:
    phi = np.array([[1.0, -5.0, 3.0, 0.0]])
    found = trace_curves(make_affine_game(phi, bias=0.0), {"importance": order_concepts(phi[:, :-1] ** 2)})[
        "importance"
    ]
    assert found.deletion[0, 1] > found.deletion[0, 0]


def test_curves_begin_and_end_where_all_is_on_and_off_whatever_the_order() -> None:
    phi = np.arange(12.0).reshape(2, 6)
    found = trace_curves(make_affine_game(phi, bias=2.0), {"random": draw_orders(2, 5, n_orders=16, seed=0)})["random"]
    np.testing.assert_allclose(found.deletion[:, 0], phi.sum(axis=1) + 2)
    np.testing.assert_allclose(found.deletion[:, -1], phi[:, -1] + 2)  # the residual stays
    np.testing.assert_allclose(found.insertion[:, 0], 2)
    np.testing.assert_allclose(found.insertion[:, -1], phi[:, :-1].sum(axis=1) + 2)  # and stays away


def test_each_mask_is_asked_for_once() -> None:
    asked: list[int] = []

    def play(specimen: int, masks: Floats) -> Floats:
        asked.append(len(masks))
        assert len(np.unique(masks, axis=0)) == len(masks)
        return masks.sum(axis=1)

    trace_curves(play, {"random": draw_orders(1, 2, n_orders=50, seed=0)})
    assert asked == [8]  # four subsets of two concepts, with and without the residual


def test_ties_go_by_index() -> None:
    assert order_concepts(np.array([[1.0, 2.0, 1.0, 2.0]])).tolist() == [[[1, 3, 0, 2]]]


def test_random_orders_hold_every_concept_once_and_follow_their_seed() -> None:
    orders = draw_orders(3, 6, n_orders=4, seed=5)
    assert (np.sort(orders, axis=2) == np.arange(6)).all()
    assert len({tuple(each) for each in orders.reshape(-1, 6)}) > 1
    assert (draw_orders(3, 6, n_orders=4, seed=5) == orders).all()
    assert (draw_orders(3, 6, n_orders=4, seed=6) != orders).any()


# --- µFidelity -----------------------------------------------------------------------------------------------


def test_mu_fidelity_is_the_plain_correlation() -> None:
    attributions = np.random.default_rng(0).normal(size=(3, 5))
    subsets = draw_subsets(5, n_subsets=20, seed=0)
    found = correlate_subsets(attributions, measure_falls(play_products, subsets, n_specimens=3), subsets)
    listed = [np.flatnonzero(subset).tolist() for subset in subsets]
    for specimen in range(3):
        wanted = mu_fidelity(
            lambda mask, which=specimen: float(play_products(which, mask[None])[0]),
            attributions[specimen].tolist(),
            listed,
        )
        assert found[specimen] == pytest.approx(wanted)
        assert abs(wanted) < 0.99


@settings(max_examples=60, deadline=None)
@given(contributions)
def test_on_an_affine_head_contributions_reach_exactly_one(phi: Floats) -> None:
    subsets = draw_subsets(phi.shape[1] - 1, n_subsets=64, seed=0)
    falls = measure_falls(make_affine_game(phi, bias=-3.0), subsets, n_specimens=len(phi))
    found = correlate_subsets(phi[:, :-1], falls, subsets)
    spread = np.ptp(phi[:, :-1], axis=1)
    assert np.isnan(found[spread == 0]).all()
    np.testing.assert_allclose(found[spread > 1e-3], 1, atol=1e-9)


@pytest.mark.parametrize(("n_concepts", "size"), [(1, 1), (2, 1), (3, 1), (4, 2), (10, 5)])
def test_subsets_hold_half_of_the_concepts_and_one_at_least(n_concepts: int, size: int) -> None:
    subsets = draw_subsets(n_concepts, n_subsets=64, seed=0)
    assert subsets.shape == (64, n_concepts)
    assert set(subsets.sum(axis=1).tolist()) == {size}
    assert subsets.any(axis=0).all()


@pytest.mark.parametrize(
    ("attributions", "phi"),
    [([[0.0, 0.0, 0.0]], [[1.0, 2.0, 3.0, 0.0]]), ([[1.0, 2.0, 3.0]], [[0.1, 0.1, 0.1, 5.0]]), ([[1.0]], [[2.0, 1.0]])],
    ids=["attributions of zero", "a logit that falls alike", "one concept"],
)
def test_a_correlation_of_what_does_not_vary_is_not_defined(attributions: Any, phi: Any) -> None:
    subsets = draw_subsets(len(attributions[0]), n_subsets=16, seed=0)
    falls = measure_falls(make_affine_game(np.array(phi), bias=1e4), subsets, n_specimens=1)
    assert np.isnan(correlate_subsets(np.array(attributions), falls, subsets)).all()


# --- errors --------------------------------------------------------------------------------------------------


def test_errors_and_energies_are_sums_of_squares_a_specimen() -> None:
    generator = np.random.default_rng(0)
    cells, maps, bank = generator.normal(size=(3, 2, 2, 5)), generator.random((3, 2, 2, 4)), generator.random((4, 5))
    errors, energies = measure_errors(cells, maps, bank)
    for specimen in range(3):
        difference = [
            float(cells[specimen, row, column, channel] - maps[specimen, row, column] @ bank[:, channel])
            for row in range(2)
            for column in range(2)
            for channel in range(5)
        ]
        assert errors[specimen] == pytest.approx(sum(each**2 for each in difference), rel=1e-5)
        assert energies[specimen] == pytest.approx((cells[specimen] ** 2).sum(), rel=1e-5)
