"""Lower precision serves where it reaches as much in the first steps, and not where it does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leaflineage.featviz.objective import COSINE_POWER
from leaflineage.featviz.precision import can_reduce, is_enough, reduce_precision
from leaflineage.featviz.spectrum import Palette, compute_frequencies

N_CHANNELS, SIZE = 12, 48
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]
Features = Callable[[Tensor], Tensor]


def make_features(device: str) -> Features:
    """Return a tiny fixed network: (n, 3, height, width) → (n, rows, columns, n_channels)."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, N_CHANNELS, 3, stride=2), nn.ReLU()
    ).requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.6 if parameter.ndim > 1 else 0.05))
    network.to(device)
    return lambda images: network(2 * images - 1).permute(0, 2, 3, 1)


def compare(plain: Features, reduced: Features, device: str) -> bool:
    magnitude = np.stack([SIZE * 3 / np.maximum(compute_frequencies(SIZE), 1)] * 3).astype(np.float32)
    magnitude[:, 0, 0] = 0
    return is_enough(
        plain,
        reduced,
        np.eye(N_CHANNELS, dtype=np.float32)[[1, 5, 7]],
        magnitude,
        Palette(np.array([0.55, 0.6, 0.4]), np.diag([0.15, 0.1, 0.05])),
        input_size=(32, 32),
        n_crops=3,
        seeds=[1, 5, 7],
        cosine_power=COSINE_POWER,
        device=device,
    )


@pytest.mark.parametrize("device", DEVICES)
def test_bfloat16_that_reaches_as_much_is_chosen(device: str) -> None:
    plain = make_features(device)
    reduced = reduce_precision(plain, device)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(device)
    assert reduced(images).dtype == torch.float32
    assert not torch.equal(reduced(images), plain(images))  # it is another precision
    assert (reduced(images) - plain(images)).norm() < 0.05 * plain(images).norm()
    assert compare(plain, reduced, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("factor", [0.8, 1.2, 0.0])
def test_features_that_reach_less_or_more_or_nothing_are_not_chosen(device: str, factor: float) -> None:
    plain = make_features(device)
    assert not compare(plain, lambda images: factor * plain(images), device)


def test_a_cpu_keeps_float32() -> None:
    assert not can_reduce("cpu")
