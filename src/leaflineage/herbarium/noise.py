"""Smooth noise for paper, mottling and light: drawn coarse, enlarged by bicubic interpolation."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]


def smooth_noise(size: int, cells: int, random: Generator) -> Field:
    """Return noise (size, size), about in [-1, 1], with features of 1 / cells of the sheet."""
    coarse = random.uniform(-1.0, 1.0, (cells + 3, cells + 3)).astype(np.float32)
    edge = 1.0 * (cells + 3) / (cells + 2)
    image = Image.fromarray(coarse).resize(
        (size, size), Image.Resampling.BICUBIC, box=(edge, edge, cells + 1, cells + 1)
    )
    return np.asarray(image)


def cloudy_noise(size: int, cells: int, octaves: int, random: Generator) -> Field:
    """Return the sum of octaves of noise (size, size), each twice as fine and half as strong."""
    total = np.zeros((size, size), dtype=np.float32)
    strength = 1.0
    for octave in range(octaves):
        # Drawn even where too fine to show, so that a smaller sheet does not change what follows.
        layer = smooth_noise(size, cells * 2**octave, random)
        total += np.float32(strength) * layer
        strength *= 0.5
    return total
