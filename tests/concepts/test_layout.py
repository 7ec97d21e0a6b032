"""Where images stand: near one another where the same concepts matter."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import hellinger_distance, share_of_kept_neighbours, stress

from leaflineage.concepts.layout import (
    GAP,
    MARGIN,
    _find_components,
    _pull_in,
    _take_roots,
    measure_distances,
    place_directions,
    place_images,
)

Floats = NDArray[np.float64]


def draw_importances(n: int, seed: int = 0, n_players: int = 5) -> Floats:
    return np.random.default_rng(seed).dirichlet(np.full(n_players, 0.5), size=n)


def test_images_of_one_concept_stand_together_and_apart_from_those_of_another() -> None:
    dice = np.random.default_rng(1)
    corners = np.repeat(np.eye(3), 20, axis=0) + 0.02 * dice.random((60, 3))
    places = place_images(corners)
    centres = np.stack([places[start : start + 20].mean(axis=0) for start in (0, 20, 40)])
    own = max(np.linalg.norm(places[i * 20 : i * 20 + 20] - centres[i], axis=1).max() for i in range(3))
    apart = min(np.linalg.norm(centres[i] - centres[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert apart > 4 * own


def test_three_pure_images_stand_in_an_equilateral_triangle() -> None:
    distances = measure_distances(place_images(np.eye(3)))
    np.testing.assert_allclose(distances[[0, 0, 1], [1, 2, 2]], distances[0, 1], rtol=1e-6)


def test_distances_are_hellingers() -> None:
    values = draw_importances(6)
    found = measure_distances(_take_roots(values))
    wanted = [[hellinger_distance(list(p), list(q)) for q in values] for p in values]
    np.testing.assert_allclose(found, wanted, atol=1e-7)


def test_scaling_brings_distances_nearer_than_the_principal_components_do() -> None:
    values = draw_importances(40)
    vectors = _take_roots(values)
    start = _find_components(vectors - vectors.mean(axis=0))
    scaled = place_images(values)
    wanted = measure_distances(vectors)
    scale = np.sum(wanted * measure_distances(scaled)) / np.sum(measure_distances(scaled) ** 2)
    assert stress(scaled * scale, wanted) < 0.8 * stress(start, wanted)


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_places_lie_inside_the_square_around_its_middle(n: int) -> None:
    places = place_images(draw_importances(n))
    assert places.shape == (n, 2)
    assert places.min() >= MARGIN - 1e-9
    assert places.max() <= 1 - MARGIN + 1e-9
    np.testing.assert_allclose((places.min(axis=0) + places.max(axis=0)) / 2, 0.5, atol=1e-9)


def test_equal_images_share_a_place_and_a_family_of_them_stands_in_the_middle() -> None:
    values = np.concatenate([draw_importances(4), draw_importances(4)])
    places = place_images(values)
    np.testing.assert_allclose(places[:4], places[4:], atol=1e-6)
    assert place_images(np.tile([[0.2, 0.8]], (5, 1))).tolist() == [[0.5, 0.5]] * 5


def test_an_image_that_nothing_moves_has_a_place_too() -> None:
    values = draw_importances(5)
    values[2] = 0
    assert np.isfinite(place_images(values)).all()
    assert place_images(np.zeros((0, 3))).shape == (0, 2)
    assert place_images(np.zeros((3, 3))).tolist() == [[0.5, 0.5]] * 3


def test_one_concept_alone_spreads_images_along_a_line_at_most() -> None:
    places = place_images(np.array([[1.0], [1.0], [0.0]]))
    assert np.isfinite(places).all()
    assert places[:, 1].tolist() == [0.5, 0.5, 0.5]


def test_the_same_importances_give_the_same_places() -> None:
    values = draw_importances(30, seed=3)
    assert np.array_equal(place_images(values), place_images(values.copy()))


def test_more_images_than_can_be_scaled_are_placed_by_their_principal_components(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("leaflineage.concepts.layout.MOST_SCALED", 10)
    values = draw_importances(20)
    vectors = _take_roots(values)
    components = _find_components(vectors - vectors.mean(axis=0))
    places = place_images(values)
    widest = float((components.max(axis=0) - components.min(axis=0)).max())
    np.testing.assert_allclose(
        measure_distances(places) * widest / (1 - 2 * MARGIN), measure_distances(components), atol=1e-9
    )


# --- directions --------------------------------------------------------------------------------------------------


def draw_directions(n_bundles: int, n_each: int, seed: int = 0) -> Floats:
    """Return bundles of rows that point nearly the same way, of any length."""
    dice = np.random.default_rng(seed)
    bundles = np.repeat(dice.normal(size=(n_bundles, 40)), n_each, axis=0)
    rows = bundles + 0.4 * dice.normal(size=bundles.shape)
    return np.asarray(rows * dice.uniform(0.1, 10, size=(len(rows), 1)))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 11, 12, 40])
def test_places_of_directions_lie_in_the_square_and_no_two_on_one_spot(n: int) -> None:
    places = place_directions(draw_directions(n, 1))
    assert places.shape == (n, 2)
    if n:
        assert places.min() >= MARGIN - 1e-9
        assert places.max() <= 1 - MARGIN + 1e-9
    if n > 1:
        nearest = (measure_distances(places) + 9 * np.eye(n)).min()
        assert nearest > 0.8 * GAP / np.sqrt(n)


@pytest.mark.parametrize(("n_bundles", "n_each"), [(2, 4), (8, 9)])  # few are scaled, more are embedded
def test_directions_that_point_the_same_way_stand_together(n_bundles: int, n_each: int) -> None:
    rows = draw_directions(n_bundles, n_each)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    kept = share_of_kept_neighbours(unit, place_directions(rows), n_each - 1)
    by_chance = share_of_kept_neighbours(unit, np.random.default_rng(1).random((len(rows), 2)), n_each - 1)
    assert kept > 0.9
    assert by_chance < 0.6


def test_two_that_stand_far_out_leave_the_others_room() -> None:
    dice = np.random.default_rng(3)
    places = np.concatenate([dice.normal(size=(28, 2)), [[60.0, 10.0], [-40.0, 70.0]]])
    pulled = _pull_in(places)
    assert np.ptp(pulled[:28], axis=0).min() > 0.25 * np.ptp(pulled, axis=0).max()
    assert np.ptp(places[:28], axis=0).min() < 0.06 * np.ptp(places, axis=0).max()
    middle = np.median(places, axis=0)
    turned = np.arctan2(*(places - middle).T) - np.arctan2(*pulled.T)
    np.testing.assert_allclose(turned, 0, atol=1e-9, err_msg="in the same direction as before")


def test_equal_directions_are_pushed_apart_a_little() -> None:
    rows = np.repeat(np.eye(3), 5, axis=0)
    places = place_directions(rows)
    distances = measure_distances(places) + 9 * np.eye(15)
    assert distances.min() > 0.8 * GAP / np.sqrt(15)
    assert (distances.argmin(axis=1) // 5).tolist() == [i // 5 for i in range(15)], "and stay beside one another"
    np.testing.assert_array_equal(place_directions(np.ones((1, 4))), 0.5)


def test_directions_find_the_same_places_again_whatever_their_lengths() -> None:
    rows = draw_directions(5, 6)
    places = place_directions(rows)
    np.testing.assert_array_equal(places, place_directions(rows.copy()))
    np.testing.assert_allclose(places, place_directions(4 * rows), atol=1e-9)
