"""What is random in drawing one picture: its first phase, where crops are cut, and noise, from its own seed alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leaflineage.featviz.resampling import Place

Floats = NDArray[np.floating]
# Of the picture's side, spread evenly over scales; a step cuts one crop of each scale. Cut from 0.35 to 0.75 at random,
# a concept filled the middle third, and most of the drawn leaves' pictures that failed did so when looked at whole.
CROP_SIDES = (0.35, 1.0)
LEAST_SIDE = 0.15  # of the picture's side, however large it is
CENTRE_DEVIATION = 0.11  # of the picture's side
NOISE = 0.02
POOLED_CROPS = 4  # whose noise is drawn at once; each crop takes a run of it from a place of its own


class Chance:
    """The random part of one picture; two of one seed agree, whatever else is drawn.

    Attributes
    ----------
    noise
        (POOLED_CROPS · n_numbers,) float32, normal, of deviation NOISE. Drawing normal numbers for every crop of every
        step would cost more than the transforms.
    """

    def __init__(self, seed: int, *, input_size: tuple[int, int]) -> None:
        self._generator = np.random.default_rng(seed)
        self._input_side = max(input_size)
        self._n_numbers = 3 * input_size[0] * input_size[1]
        self.noise = self._generator.standard_normal(POOLED_CROPS * self._n_numbers, dtype=np.float32)
        self.noise *= np.float32(NOISE)

    def draw_phase(self, size: int) -> NDArray[np.float32]:
        """Return (3, size, size // 2 + 1) phases, uniform in [−π, π)."""
        drawn = self._generator.random((3, size, size // 2 + 1), dtype=np.float32)
        drawn -= np.float32(0.5)
        drawn *= np.float32(2 * np.pi)
        return drawn

    def draw_places(self, size: int, n_crops: int) -> list[Place]:
        """Return the squares of a step's crops in a picture of ``size`` pixels, from the smallest to the largest."""
        low, high = find_sides(size, self._input_side)
        parts = (np.arange(n_crops) + self._generator.random(n_crops)) / n_crops
        sides = low * (high / low) ** parts
        centres = self._generator.normal(0.5, CENTRE_DEVIATION, size=(n_crops, 2))
        places = []
        for fraction, centre in zip(sides.tolist(), centres.tolist(), strict=True):
            side = min(max(2, round(fraction * size)), size)
            y, x = (min(max(round(each * size - side / 2), 0), size - side) for each in centre)
            places.append(Place(y, x, side))
        return places

    def draw_offsets(self, n_crops: int) -> list[int]:
        """Return where in ``noise`` the run of each crop begins."""
        drawn = self._generator.integers((POOLED_CROPS - 1) * self._n_numbers + 1, size=n_crops)
        return [int(each) for each in drawn]


def find_sides(size: int, input_side: int) -> tuple[float, float]:
    """Return the least and the largest side of a crop, as fractions of a picture of ``size`` pixels.

    A large picture is cut smaller, down to where a crop has a pixel for each of the input's: what is finer is not seen
    in larger crops, and stays noise.
    """
    return max(LEAST_SIDE, min(CROP_SIDES[0], input_side / size)), CROP_SIDES[1]
