"""Scores of sub-concepts' pictures: against the squares that the concept was divided on, within the sub-bank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from leaflineage.records import Preprocessing
from leaflineage.stages.judging import judge_subconcepts

SIZE = 8


def see_colours(images: Tensor) -> Tensor:
    """Return maps of one cell whose channels are red, green and blue, (n, 1, 1, 3)."""
    return images.mean(dim=(2, 3))[:, None, None]


def paint(red: int, green: int) -> NDArray[np.uint8]:
    return np.full((SIZE, SIZE, 3), (red, green, 0), dtype=np.uint8)


def test_a_subconcepts_picture_is_held_against_the_squares_of_its_parent_and_its_sisters() -> None:
    preprocessing = Preprocessing(
        input_size=(SIZE, SIZE),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        interpolation="bilinear",
        fit="pad",
        pad_colour=(255, 255, 255),
    )
    pictures = [
        [paint(255, 0), paint(153, 0)],  # red 1.0 and 0.6
        [paint(204, 102), paint(204, 102)],  # green 0.4 of a picture that is twice as red
    ]
    real = np.array([[0.2, 0.3], [0.8, 0.9]])  # two squares: red, green
    first, second = judge_subconcepts(see_colours, preprocessing, pictures, np.eye(3)[:2], real)
    assert first == {"percentile": 75.0, "own_rank": 1}  # 1.0 beats both, 0.6 one of two
    assert second == {"percentile": 50.0, "own_rank": 2}  # 0.4 beats one of two, but red is more
