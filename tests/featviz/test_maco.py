"""MACO: the magnitude stays, the objective rises, concepts do not see each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leaflineage.featviz.maco import (
    FeatureVisualization,
    compute_opacity,
    score_crops,
    synthesize,
    visualize_concepts,
)
from leaflineage.featviz.spectrum import Palette, compute_frequencies

SIZE = 48
N_CHANNELS = 12


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def features() -> Callable[[Tensor], Tensor]:
    """Return a tiny fixed network: (n, 3, height, width) → (n, rows, columns, n_channels)."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, N_CHANNELS, 3, stride=2), nn.ReLU()
    ).requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.6 if parameter.ndim > 1 else 0.05))
    network[2].bias -= 0.5  # silent until something is there
    return lambda images: network(2 * images - 1).permute(0, 2, 3, 1)


def make_spectrum(size: int) -> NDArray[np.float32]:
    frequencies = np.maximum(compute_frequencies(size), 1)
    spectrum = np.stack([size * 3 / frequencies] * 3).astype(np.float32)
    spectrum[:, 0, 0] = 0
    return spectrum


PALETTE = Palette(np.array([0.55, 0.6, 0.4]), np.diag([0.15, 0.1, 0.05]))


def visualize(
    features: Callable[[Tensor], Tensor], seeds: list[int], *, size: int = SIZE, steps: int = 4, **changes: object
) -> list[FeatureVisualization]:
    directions = np.stack([np.eye(N_CHANNELS, dtype=np.float32)[seed % N_CHANNELS] for seed in seeds])
    arguments = {
        "input_size": (32, 32),
        "steps": steps,
        "n_crops": 3,
        "seeds": seeds,
        "device": "cpu",
        **changes,
    }
    return visualize_concepts(features, directions, make_spectrum(size), PALETTE, **arguments)  # type: ignore[arg-type]


# --- magnitude and phase -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 17, 48, 49])
def test_the_magnitude_of_what_is_synthesized_is_the_spectrum_in_the_interior_columns(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    magnitude = torch.rand(3, size, size // 2 + 1, generator=generator) + 0.1
    phase = (torch.rand(2, 3, size, size // 2 + 1, generator=generator) * 2 - 1) * torch.pi
    channels = synthesize(magnitude, phase)
    assert channels.shape == (2, 3, size, size)
    interior = slice(1, (size - 1) // 2 + 1)
    found = torch.fft.rfft2(channels).abs()[..., interior]
    wanted = magnitude.expand(2, -1, -1, -1)[..., interior]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_phase_of_what_is_synthesized_is_the_phase_in_the_interior_columns() -> None:
    generator = torch.Generator().manual_seed(1)
    magnitude = torch.rand(3, 16, 9, generator=generator) + 0.1
    phase = (torch.rand(1, 3, 16, 9, generator=generator) * 2 - 1) * 3
    found = torch.fft.rfft2(synthesize(magnitude, phase)).angle()[..., 1:8]
    torch.testing.assert_close(found, phase[..., 1:8], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [48, 49])
def test_a_picture_has_the_size_of_its_spectrum(features: Callable[[Tensor], Tensor], size: int) -> None:
    picture = visualize(features, [0], size=size, steps=2)[0]
    assert picture.image.shape == (size, size, 3)
    assert picture.image.dtype == np.uint8
    assert picture.opacity.shape == (size, size)
    assert picture.opacity.dtype == np.float32
    assert picture.objectives.shape == (2,)


# --- optimisation --------------------------------------------------------------------------------------------


def test_the_objective_rises(features: Callable[[Tensor], Tensor]) -> None:
    for picture in visualize(features, [0, 5], steps=60):
        assert np.isfinite(picture.objectives).all()
        assert picture.objectives[-15:].mean() > 1.5 * picture.objectives[:5].mean() + 1e-4


def test_the_picture_activates_its_own_direction_more_than_another_picture_does(
    features: Callable[[Tensor], Tensor],
) -> None:
    seeds = [0, 5]
    pooled = []
    for picture in visualize(features, seeds, steps=60):
        image = torch.from_numpy(picture.image).permute(2, 0, 1)[None].float() / 255
        pooled.append(features(image).mean(dim=(1, 2))[0])
    own = np.array([[float(row[seed] / row.norm()) for seed in seeds] for row in pooled])
    assert own[0, 0] > own[1, 0]
    assert own[1, 1] > own[0, 1]


def test_two_runs_are_equal(features: Callable[[Tensor], Tensor]) -> None:
    first, again = visualize(features, [1, 2]), visualize(features, [1, 2])
    for one, other in zip(first, again, strict=True):
        assert one.image.tobytes() == other.image.tobytes()
        assert one.opacity.tobytes() == other.opacity.tobytes()
        assert one.objectives.tobytes() == other.objectives.tobytes()


def test_global_random_state_plays_no_part(features: Callable[[Tensor], Tensor]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = visualize(features, [3])
        torch.manual_seed(2)
        again = visualize(features, [3])
    assert first[0].image.tobytes() == again[0].image.tobytes()


def test_another_seed_draws_another_picture(features: Callable[[Tensor], Tensor]) -> None:
    first, other = visualize(features, [1])[0], visualize(features, [1 + N_CHANNELS])[0]
    assert not np.array_equal(first.image, other.image)


def test_a_picture_does_not_depend_on_its_neighbours_in_the_batch(features: Callable[[Tensor], Tensor]) -> None:
    alone = visualize(features, [4])[0]
    among = visualize(features, [7, 4, 2])[1]
    np.testing.assert_allclose(among.image.astype(int), alone.image.astype(int), atol=1)
    np.testing.assert_allclose(among.objectives, alone.objectives, rtol=1e-3)
    np.testing.assert_allclose(among.opacity, alone.opacity, atol=0.01)


def test_every_step_is_told(features: Callable[[Tensor], Tensor]) -> None:
    told: list[int] = []
    visualize(features, [0], steps=3, on_step=told.append)
    assert told == [0, 1, 2]


def test_inputs_that_are_not_square_are_cut_to_their_shape() -> None:
    seen: list[tuple[int, ...]] = []

    def spy(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape))
        return images.permute(0, 2, 3, 1)

    visualize_concepts(
        spy,
        np.eye(2, 3, dtype=np.float32),
        make_spectrum(SIZE),
        PALETTE,
        input_size=(24, 40),
        steps=1,
        n_crops=3,
        seeds=[0, 1],
        device="cpu",
    )
    assert seen == [(6, 3, 24, 40)]


# --- the objective -------------------------------------------------------------------------------------------


def test_the_objective_is_dot_times_cosine_to_the_power() -> None:
    from leaflineage.featviz.maco import COSINE_POWER

    pooled = torch.tensor([[3.0, 4.0], [2.0, 0.0]])
    directions = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    wanted = [3 * 0.6**COSINE_POWER, 2.0]
    assert score_crops(pooled, directions).tolist() == pytest.approx(wanted, rel=1e-5)


def test_a_picture_that_starts_dark_has_an_objective_and_a_gradient() -> None:
    pooled = torch.zeros(1, 4, requires_grad=True)
    objective = score_crops(pooled, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
    objective.sum().backward()
    assert objective.tolist() == [0.0]
    assert pooled.grad is not None
    assert torch.isfinite(pooled.grad).all()
    assert pooled.grad[0, 1] > 0


# --- opacity -------------------------------------------------------------------------------------------------


def test_opacity_is_finite_and_clear_where_there_was_no_gradient() -> None:
    assert compute_opacity(np.zeros((32, 32), dtype=np.float32)).tolist() == np.zeros((32, 32)).tolist()


def test_opacity_is_finite_where_a_gradient_overflowed() -> None:
    gradients = np.random.default_rng(0).random((32, 32))
    gradients[3, 4], gradients[5, 6] = np.nan, np.inf
    found = compute_opacity(gradients)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_opacity_is_whole_where_the_gradient_was_and_none_far_from_it() -> None:
    gradients = np.zeros((60, 60), dtype=np.float32)
    gradients[10:30, 10:30] = 1e-6
    found = compute_opacity(gradients)
    assert found[20, 20] == 1
    assert found[50, 50] == 0
    np.testing.assert_allclose(compute_opacity(gradients * 1e4), found, atol=1e-5)  # its scale does not matter


def test_a_network_that_never_answers_gives_a_clear_picture_not_nan() -> None:
    def dead(images: Tensor) -> Tensor:
        return (images * 0).permute(0, 2, 3, 1)

    picture = visualize_concepts(
        dead,
        np.eye(1, 3, dtype=np.float32),
        make_spectrum(SIZE),
        PALETTE,
        input_size=(16, 16),
        steps=3,
        n_crops=2,
        seeds=[0],
        device="cpu",
    )[0]
    assert picture.opacity.max() == 0
    assert picture.objectives.tolist() == [0, 0, 0]
    assert picture.image.std() > 0  # the phase was left as it was drawn
