"""Cutting crops: one antialiased resampling in bands, and its adjoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference import resample_plainly
from torch.nn import functional

from leaflineage.featviz.resampling import Place, add_adjoint, cut_crop, make_weights

SIZE = 60
PLACES = [Place(3, 7, 50), Place(0, 0, 60), Place(20, 31, 13), Place(58, 1, 2), Place(9, 9, 24)]


def draw_picture() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((SIZE, 3, SIZE), dtype=np.float32)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("input_size", [(24, 24), (17, 40)])
def test_a_crop_is_what_plain_loops_make_of_it(place: Place, input_size: tuple[int, int]) -> None:
    picture = draw_picture()
    found = cut_crop(picture, place, input_size)  # (height, 3, width)
    assert found.shape == (input_size[0], 3, input_size[1])
    window = picture[place.y : place.y + place.side, :, place.x : place.x + place.side].transpose(1, 0, 2)
    np.testing.assert_allclose(found.transpose(1, 0, 2), resample_plainly(window, *input_size), atol=1e-5)


@pytest.mark.parametrize("place", [Place(3, 7, 48), Place(0, 0, 60), Place(10, 20, 24), Place(10, 20, 10)])
def test_a_crop_is_what_torch_makes_of_it_away_from_its_border(place: Place) -> None:
    picture = draw_picture()
    found = torch.from_numpy(cut_crop(picture, place, (24, 24))).permute(1, 0, 2)
    whole = torch.from_numpy(picture).permute(1, 0, 2)
    window = whole[:, place.y : place.y + place.side, place.x : place.x + place.side]
    wanted = functional.interpolate(window[None], (24, 24), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(found[:, 3:-3, 3:-3], wanted[:, 3:-3, 3:-3], rtol=1e-4, atol=1e-4)


def test_one_colour_stays_that_colour_up_to_the_border() -> None:
    picture = np.full((SIZE, 3, SIZE), 0.25, dtype=np.float32)
    np.testing.assert_allclose(cut_crop(picture, PLACES[0], (24, 24)), 0.25, rtol=1e-5)


def test_an_image_of_its_own_size_is_itself() -> None:
    np.testing.assert_allclose(make_weights(12, 12), np.eye(12), atol=1e-12)


@pytest.mark.parametrize("place", PLACES)
def test_the_way_back_is_the_adjoint_of_the_way_there(place: Place) -> None:
    generator = np.random.default_rng(1)
    picture = draw_picture()
    gradient = generator.normal(size=(17, 3, 40)).astype(np.float32)
    back = np.zeros_like(picture)
    add_adjoint(gradient, place, back)
    there = float((cut_crop(picture, place, (17, 40)).astype(np.float64) * gradient).sum())
    assert float((picture.astype(np.float64) * back).sum()) == pytest.approx(there, rel=1e-4, abs=1e-3)


def test_gradients_of_several_crops_add_up_and_stay_inside_their_squares() -> None:
    gradient = np.ones((24, 3, 24), dtype=np.float32)
    both, one, other = (np.zeros((SIZE, 3, SIZE), dtype=np.float32) for _ in range(3))
    add_adjoint(gradient, PLACES[0], both)
    add_adjoint(gradient, PLACES[2], both)
    add_adjoint(gradient, PLACES[0], one)
    add_adjoint(gradient, PLACES[2], other)
    np.testing.assert_allclose(both, one + other, rtol=1e-5)
    inside = np.zeros((SIZE, SIZE), dtype=bool)
    inside[20:33, 31:44] = True
    assert (other.any(axis=1) == inside).all()
