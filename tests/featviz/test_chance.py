"""What is random of a picture: from its own seed alone, crops inside it, noise of the deviation that is said."""

from __future__ import annotations

import numpy as np
import pytest

from leaflineage.featviz.chance import CROP_SIDES, LEAST_SIDE, NOISE, Chance, find_sides


@pytest.mark.parametrize("size", [32, 33, 384])
def test_crops_lie_inside_the_picture_and_have_the_sides_that_are_said(size: int) -> None:
    low, high = find_sides(size, 24)
    for place in Chance(0, input_size=(24, 24)).draw_places(size, 400):
        assert 0 <= place.y <= size - place.side
        assert 0 <= place.x <= size - place.side
        assert low * size - 1 <= place.side <= high * size


@pytest.mark.parametrize(
    ("size", "least"), [(64, CROP_SIDES[0]), (100, 0.32), (128, 0.25), (4096, LEAST_SIDE)], ids=str
)
def test_large_pictures_are_cut_down_to_a_pixel_for_each_of_the_inputs(size: int, least: float) -> None:
    assert find_sides(size, 32) == (pytest.approx(least), 1.0)


def test_a_step_cuts_one_crop_of_each_scale() -> None:
    chance, (low, high) = Chance(0, input_size=(350, 350)), find_sides(1000, 350)
    drawn = [[place.side for place in chance.draw_places(1000, 3)] for _ in range(200)]
    edges = [1000 * low * (high / low) ** (part / 3) for part in range(4)]
    for part, sides in enumerate(zip(*drawn, strict=True)):
        assert edges[part] - 1 <= min(sides) <= edges[part] * 1.03  # from one end of its scale
        assert edges[part + 1] * 0.97 <= max(sides) <= edges[part + 1] + 1  # to the other


def test_small_crops_reach_the_middle_more_than_the_border() -> None:
    chance = Chance(0, input_size=(35, 35))
    places = [chance.draw_places(100, 3)[0] for _ in range(400)]  # the smallest of each step
    centres = np.array([(each.y + each.side / 2, each.x + each.side / 2) for each in places])
    np.testing.assert_allclose(centres.mean(axis=0), 50, atol=2)
    assert 5 < centres.std() < 15


def test_noise_is_normal_of_the_deviation_that_is_said_and_every_run_fits() -> None:
    chance = Chance(0, input_size=(24, 40))
    assert chance.noise.dtype == np.float32
    assert float(chance.noise.std()) == pytest.approx(NOISE, rel=0.03)
    assert float((np.abs(chance.noise) < NOISE).mean()) == pytest.approx(0.683, abs=0.02)
    offsets = chance.draw_offsets(500)
    assert min(offsets) >= 0
    assert max(offsets) + 3 * 24 * 40 <= len(chance.noise)
    assert len(set(offsets)) > 400


def test_one_seed_draws_the_same_and_another_does_not() -> None:
    def draw_all(seed: int) -> tuple[object, ...]:
        chance = Chance(seed, input_size=(24, 24))
        return (
            chance.draw_phase(33).tobytes(),
            chance.draw_places(33, 3),
            chance.draw_offsets(3),
            chance.noise.tobytes(),
        )

    assert draw_all(7) == draw_all(7)
    assert all(one != other for one, other in zip(draw_all(7), draw_all(8), strict=True))


def test_phases_are_drawn_around_the_circle() -> None:
    phase = Chance(0, input_size=(24, 24)).draw_phase(64)
    assert phase.shape == (3, 64, 33)
    assert phase.min() >= -np.float32(np.pi)
    assert phase.max() <= np.float32(np.pi)
    assert float(phase.std()) == pytest.approx(np.pi / np.sqrt(3), rel=0.02)
