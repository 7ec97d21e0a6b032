"""Accentuated crops: nearer to the concept, and still the crop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leaflineage.featviz.accentuation import Accentuation, accentuate
from leaflineage.featviz.spectrum import Palette, compute_frequencies

SIZE = 48
PALETTE = Palette(np.array([0.55, 0.6, 0.4]), np.diag([0.15, 0.1, 0.05]))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def features() -> Callable[[Tensor], Tensor]:
    """Return a tiny fixed network: (n, 3, height, width) → (n, rows, columns, 6)."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU()).requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return lambda images: network(2 * images - 1).permute(0, 2, 3, 1)


def make_crop() -> NDArray[np.uint8]:
    """Return a picture with an edge, dark to the left and pale to the right."""
    ramp = np.clip((np.arange(SIZE) - SIZE / 2) / 6, -1, 1) * 80 + 120
    return np.repeat(np.repeat(ramp[None, :, None], SIZE, axis=0), 3, axis=2).astype(np.uint8)


def run(features: Callable[[Tensor], Tensor], crop: NDArray[np.uint8], **changes: object) -> Accentuation:
    spectrum = np.stack([SIZE * 3 / np.maximum(compute_frequencies(SIZE), 1)] * 3).astype(np.float32)
    spectrum[:, 0, 0] = 0
    arguments = {"input_size": (32, 32), "steps": 40, "n_crops": 3, "seed": 0, "device": "cpu", **changes}
    direction = np.eye(6, dtype=np.float32)[0]
    return accentuate(features, direction, crop, spectrum, PALETTE, **arguments)  # type: ignore[arg-type]


def test_the_objective_rises_and_the_picture_stays_the_crop(features: Callable[[Tensor], Tensor]) -> None:
    crop = make_crop()
    found = run(features, crop)
    assert found.objectives[-5:].mean() > 1.2 * found.objectives[:2].mean()
    assert found.image.shape == crop.shape
    assert np.corrcoef(found.image.ravel(), crop.ravel())[0, 1] > 0.9
    assert not np.array_equal(found.image, crop)


def test_without_steps_the_picture_is_the_crop(features: Callable[[Tensor], Tensor]) -> None:
    crop = make_crop()
    found = run(features, crop, steps=0)
    assert np.abs(found.image.astype(int) - crop).max() <= 1
    assert found.objectives.shape == (0,)


def test_the_same_seed_gives_the_same_picture_and_another_one_another(features: Callable[[Tensor], Tensor]) -> None:
    crop = make_crop()
    first, again, other = run(features, crop), run(features, crop), run(features, crop, seed=1)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.objectives, again.objectives)
    assert not np.array_equal(first.image, other.image)


def test_a_crop_of_one_colour_and_a_silent_network_give_a_finite_picture() -> None:
    white = np.full((SIZE, SIZE, 3), 255, dtype=np.uint8)
    found = run(lambda images: images.permute(0, 2, 3, 1).repeat(1, 1, 1, 2) * 0, white, steps=3)
    assert np.isfinite(found.objectives).all()
    assert (found.image > 240).all()
