"""MACO: the magnitude stays, the objective rises, concepts do not see each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import leaflineage
from leaflineage.featviz.maco import FeatureVisualization, has_converged, visualize_concepts
from leaflineage.featviz.objective import COSINE_POWER
from leaflineage.featviz.spectrum import Palette, compute_frequencies
from leaflineage.model.load import Classifier, load_classifier

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


@pytest.fixture(scope="module")
def herbarium_classifier() -> Classifier:
    """Return the classifier of the drawn leaves, as it ships."""
    return load_classifier(
        str(Path(leaflineage.__file__).parent / "herbarium" / "classifier"),
        architecture=None,
        label_names=None,
        catalogue_families=[],
        input_size=None,
        mean=None,
        std=None,
        interpolation=None,
        fit="pad",
        pad_colour=(255, 255, 255),
        trust_names=True,
    )


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
        "directions": directions,
        "magnitude_spectrum": make_spectrum(size),
        "palette": PALETTE,
        "input_size": (32, 32),
        "steps": steps,
        "n_crops": 3,
        "n_slots": len(seeds),
        "patience": None,
        "seeds": seeds,
        "repelled_from": [None] * len(seeds),
        "cosine_power": COSINE_POWER,
        "device": "cpu",
        **changes,
    }
    return visualize_concepts(features, **arguments)  # type: ignore[arg-type]


# --- shapes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [48, 49])
def test_a_picture_has_the_size_of_its_spectrum(features: Callable[[Tensor], Tensor], size: int) -> None:
    picture = visualize(features, [0], size=size, steps=2)[0]
    assert picture.image.shape == (size, size, 3)
    assert picture.image.dtype == np.uint8
    assert picture.opacity.shape == (size, size)
    assert picture.opacity.dtype == np.float32
    assert picture.objectives.shape == (2,)


def assert_equal(one: FeatureVisualization, other: FeatureVisualization) -> None:
    """Byte for byte."""
    for name in ("image", "opacity", "objectives", "pooled"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.n_steps == other.n_steps


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
        assert_equal(one, other)


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


@pytest.mark.parametrize("n_slots", [1, 2, 3, 7, 40])
def test_a_picture_depends_neither_on_its_neighbours_nor_on_the_number_of_slots(
    features: Callable[[Tensor], Tensor], n_slots: int
) -> None:
    alone = visualize(features, [4])[0]
    assert_equal(visualize(features, [7, 4, 2, 9, 5], n_slots=n_slots)[1], alone)
    assert_equal(visualize(features, [7, 1, 2, 9, 4], n_slots=n_slots)[4], alone)


def test_a_real_network_answers_a_row_alike_whatever_the_other_rows_are(herbarium_classifier: Classifier) -> None:
    """What the independence of pictures rests on."""
    height, width = herbarium_classifier.record.preprocessing.input_size
    n = 6
    crops = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    answers = []
    for batch in (crops, crops[order], torch.cat([crops[:1], torch.zeros_like(crops[1:])])):
        rows = batch.contiguous(memory_format=torch.channels_last).requires_grad_()
        pooled = herbarium_classifier.features_differentiable(rows).mean(dim=(1, 2))
        (gradient,) = torch.autograd.grad(pooled.square().sum(), rows)
        answers.append((pooled.detach(), gradient))
    for found, turned, first in zip(*answers, strict=True):
        assert torch.equal(found[order], turned)
        assert torch.equal(found[0], first[0])


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
        n_slots=2,
        patience=None,
        seeds=[0, 1],
        repelled_from=[None, None],
        cosine_power=COSINE_POWER,
        device="cpu",
    )
    assert seen == [(3, 3, 24, 40)] * 2


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
        n_slots=1,
        patience=None,
        seeds=[0],
        repelled_from=[None],
        cosine_power=COSINE_POWER,
        device="cpu",
    )[0]
    assert picture.opacity.max() == 0
    assert picture.objectives.tolist() == [0, 0, 0]
    assert picture.image.std() > 0  # the phase was left as it was drawn


# --- slots ---------------------------------------------------------------------------------------------------


def test_every_call_of_the_network_has_one_shape(features: Callable[[Tensor], Tensor]) -> None:
    seen: list[tuple[int, ...]] = []

    def spy(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape))
        return features(images)

    visualize(spy, [0, 1, 2], n_slots=2, steps=2)
    assert seen == [(3, 3, 32, 32)] * 6  # a picture's crops together, and no other's


def test_a_waiting_picture_takes_the_slot_of_one_that_is_done(features: Callable[[Tensor], Tensor]) -> None:
    events: list[str] = []
    pictures = visualize(
        features,
        [0, 1, 2],
        n_slots=2,
        steps=2,
        on_step=lambda step: events.append(f"step {step}"),
        on_finished=lambda index, picture: events.append(f"done {index} after {picture.n_steps}"),
    )
    assert events == ["step 0", "step 1", "done 0 after 2", "done 1 after 2", "step 2", "step 3", "done 2 after 2"]
    assert [picture.n_steps for picture in pictures] == [2, 2, 2]


def test_what_is_told_as_done_is_what_is_returned(features: Callable[[Tensor], Tensor]) -> None:
    told: dict[int, FeatureVisualization] = {}
    pictures = visualize(features, [3, 1, 2], n_slots=1, on_finished=told.__setitem__)
    assert list(told) == [0, 1, 2]
    assert all(told[index] is picture for index, picture in enumerate(pictures))


def test_a_picture_that_gains_no_more_is_done_and_the_others_go_on(features: Callable[[Tensor], Tensor]) -> None:
    """Channel 11 is silenced: its picture has converged before it began."""

    def half_dead(images: Tensor) -> Tensor:
        maps = features(images)
        return maps * (torch.arange(N_CHANNELS) < 11)

    frozen, other = visualize(half_dead, [11, 5], steps=30, patience=3)
    assert frozen.n_steps == len(frozen.objectives) == 6
    assert other.n_steps > 6
    assert_equal(frozen, visualize(half_dead, [11], steps=6)[0])
    assert_equal(other, visualize(half_dead, [5], steps=30, patience=3)[0])


def test_an_objective_has_converged_when_a_window_gains_less_than_a_hundredth() -> None:
    assert has_converged([1.0, 1.0, 1.005, 1.005], patience=2)
    assert not has_converged([1.0, 1.0, 1.02, 1.02], patience=2)
    assert has_converged([5.0, 9.0, 2.0, 2.0, 1.0, 1.0], patience=2)  # falling is no gain
    assert has_converged([0.0] * 4, patience=2)
    assert not has_converged([1.0] * 3, patience=2)  # two windows are needed
    assert not has_converged([1.0] * 100, patience=None)


# --- several views -------------------------------------------------------------------------------------------


def test_pooled_activations_are_the_mean_of_the_last_crops(features: Callable[[Tensor], Tensor]) -> None:
    seen: list[Tensor] = []

    def spy(images: Tensor) -> Tensor:
        maps = features(images)
        seen.append(maps.detach().mean(dim=(1, 2)))
        return maps

    picture = visualize(spy, [3])[0]
    np.testing.assert_allclose(picture.pooled, seen[-1].mean(dim=0).numpy(), rtol=1e-5)


def see_contrast_and_hue(images: Tensor) -> Tensor:
    """Return (n, 1, 1, 3): contrast, how much of a crop is red, how much is green."""
    contrast = images.mean(dim=1).diff(dim=2).abs().mean(dim=(1, 2))
    hue = images[:, 0] - images[:, 1] - (PALETTE.mean[0] - PALETTE.mean[1])
    parts = torch.stack([contrast, hue.clamp_min(0).mean(dim=(1, 2)), (-hue).clamp_min(0).mean(dim=(1, 2))], dim=1)
    return parts[:, None, None]


def test_another_view_differs_from_the_first_beside_the_concept_and_is_as_strong() -> None:
    """The concept is contrast; a view beside which a red one lies turns green, and the other way round."""

    def draw(previous: NDArray[np.float32] | None) -> FeatureVisualization:
        changes = {"repelled_from": [previous], "directions": np.eye(1, 3, dtype=np.float32)}
        return visualize(see_contrast_and_hue, [0], steps=80, **changes)[0]

    free = draw(None)
    for other, own in ((1, 2), (2, 1)):
        repelled = draw(np.array([[0.3, *np.eye(2)[other - 1]]], dtype=np.float32))
        assert repelled.pooled[own] > 1.5 * repelled.pooled[other]
        assert repelled.pooled[other] < free.pooled[other]
        assert repelled.objectives[-20:].mean() > 0.85 * free.objectives[-20:].mean()


def test_earlier_views_of_a_neighbour_play_no_part(features: Callable[[Tensor], Tensor]) -> None:
    previous = np.random.default_rng(0).random((2, N_CHANNELS)).astype(np.float32)
    alone = visualize(features, [4])[0]
    among = visualize(features, [7, 4, 2], repelled_from=[previous, None, previous[:1]])
    assert_equal(among[1], alone)
    assert_equal(among[2], visualize(features, [2], repelled_from=[previous[:1]])[0])
    assert among[0].image.tobytes() != visualize(features, [7])[0].image.tobytes()
