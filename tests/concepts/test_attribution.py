"""Attribution maps: the derivative of non-negative least squares is the true one, and leads to the right pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import reference
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaflineage.concepts.attribution import BATCH_SIZE, attribute_concepts, encode_differentiable
from leaflineage.concepts.encoding import encode

Floats = NDArray[np.float64]


def differentiate(activations: Floats, bank: Floats, concept: int) -> Floats:
    """Return the implicit gradient of one concept's coefficients, a cell each."""
    cells = torch.from_numpy(activations).requires_grad_()
    encode_differentiable(cells, bank)[:, concept].sum().backward()
    assert cells.grad is not None
    return np.asarray(cells.grad.numpy())


def make_problem(*, signed: bool, n_concepts: int = 4, n_channels: int = 7, n_cells: int = 60) -> tuple[Floats, Floats]:
    """Return cells and a bank whose coefficients stay clear of kinks: each is 0 by a margin, or 0.05 and more."""
    generator = np.random.default_rng(3)
    bank = generator.normal(size=(n_concepts, n_channels))
    bank = bank if signed else np.abs(bank)
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    cells = generator.normal(size=(n_cells, n_channels)) + 0.5
    coefficients = reference.encode_rows(cells, bank)
    pull = cells @ bank.T - coefficients @ bank @ bank.T  # how much a concept that is absent wants to come
    clear = np.where(coefficients > 0, coefficients > 0.05, pull < -0.05).all(axis=1)
    return cells[clear], bank


@pytest.mark.parametrize("signed", [False, True], ids=["non-negative bank", "signed bank"])
@pytest.mark.parametrize("concept", [0, 3])
def test_the_implicit_gradient_is_that_of_finite_differences_away_from_kinks(signed: bool, concept: int) -> None:
    cells, bank = make_problem(signed=signed)
    free = encode(cells, bank) > 0
    assert len(cells) >= 20
    assert len(np.unique(free, axis=0)) >= 5, "many free sets"
    expected = reference.coefficient_gradients(cells, bank, concept)
    assert np.abs(expected[free[:, concept]]).max() > 0.5
    np.testing.assert_allclose(differentiate(cells, bank, concept), expected, atol=1e-6)


def test_a_hand_made_case_of_two_orthogonal_concepts() -> None:
    bank = np.array([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
    cells = np.array([[2.0, 3.0, 4.0], [2.0, -3.0, -4.0]])
    np.testing.assert_allclose(differentiate(cells, bank, 0), [[1, 0, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(differentiate(cells, bank, 1), [[0, 0.6, 0.8], [0, 0, 0]], atol=1e-12)


def test_a_concept_shared_with_another_answers_only_to_what_is_its_own() -> None:
    """(W Wᵀ)⁻¹ W by hand: w = (1, 0) and (0.6, 0.8) give u = (a₁ − 0.75 a₂, 1.25 a₂)."""
    bank, cells = np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([[3.0, 1.0]])
    np.testing.assert_allclose(differentiate(cells, bank, 0), [[1, -0.75]], atol=1e-12)
    np.testing.assert_allclose(differentiate(cells, bank, 1), [[0, 1.25]], atol=1e-12)


def test_a_dead_concept_has_no_gradient_and_spoils_no_other() -> None:
    cells, bank = make_problem(signed=False)
    dead = np.concatenate([bank, np.zeros((1, bank.shape[1]))])
    np.testing.assert_array_equal(differentiate(cells, dead, 4), 0)
    np.testing.assert_allclose(differentiate(cells, dead, 1), differentiate(cells, bank, 1), atol=1e-9)


def test_rows_that_are_parallel_share_the_gradient_instead_of_giving_infinity() -> None:
    row = np.array([0.6, 0.8, 0.0])
    cells = np.array([[3.0, 4.0, 1e-6]])
    for bank in (np.stack([row, row]), np.stack([row, row + np.array([0, 0, 1e-6])])):
        assert (encode(cells, bank) > 0).all()
        for concept in (0, 1):
            np.testing.assert_allclose(differentiate(cells, bank, concept)[0], row / 2, atol=1e-5)


def test_the_forward_pass_is_encode_itself_in_the_activations_own_type() -> None:
    cells, bank = make_problem(signed=True)
    found = encode_differentiable(torch.from_numpy(cells.astype(np.float32)), bank)
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.numpy(), encode(cells.astype(np.float32), bank))


# --- maps ----------------------------------------------------------------------------------------------------

BANK = np.eye(3)[:2]


def see_colours(images: Tensor) -> Tensor:
    """Features of 4 × 4 cells: how much red and how much green there is, and a third channel of nothing."""
    assert images.shape == (BATCH_SIZE, 3, 32, 32), "one fixed shape meets the features"
    pooled = torch.nn.functional.avg_pool2d(images, 8)  # (n, 3, 4, 4)
    return torch.stack([pooled[:, 0], pooled[:, 1], pooled[:, 2] * 0], dim=-1)


def attribute(images: Tensor, indices: Sequence[int], *, seeds: Sequence[int] | None = None, blur: float = 0) -> Floats:
    maps = attribute_concepts(
        see_colours,
        images,
        BANK,
        indices,
        n_copies=3,
        noise=0.01,
        blur=blur,
        seeds=seeds or list(range(len(images))),
    )
    return maps.astype(np.float64)


def make_images() -> Tensor:
    """Return two images: red on the left half and green on the right, and nothing but green above."""
    images = torch.full((2, 3, 32, 32), -1.0)  # where a colour is negative its concept is absent, noise or not
    images[0, 0, :, :16] = 1
    images[0, 1, :, 16:] = 1
    images[1, 1, :16] = 1
    return images


def test_a_map_shows_the_pixels_that_the_concept_depends_on_and_no_others() -> None:
    maps = attribute(make_images(), [0, 1])
    assert maps.shape == (2, 32, 32)
    np.testing.assert_allclose(maps[0, :, :16], 1 / 64, rtol=1e-6)  # a cell is the mean over 64 pixels
    np.testing.assert_array_equal(maps[0, :, 16:], 0)
    np.testing.assert_allclose(maps[1, :16], 1 / 64, rtol=1e-6)
    np.testing.assert_array_equal(maps[1, 16:], 0)


def test_a_concept_that_is_absent_gives_an_empty_map() -> None:
    np.testing.assert_array_equal(attribute(make_images(), [0, 0])[1], 0)


def test_a_map_depends_on_its_own_image_and_seed_alone() -> None:
    images = torch.rand(9, 3, 32, 32, generator=torch.Generator().manual_seed(5)) - 0.5
    seeds = [7 * index for index in range(9)]

    def curve(batch: Tensor) -> Tensor:
        return see_colours(batch.square() * batch.sign() + batch)

    def make(chosen: list[int]) -> Floats:
        maps = attribute_concepts(
            curve,
            images[chosen],
            BANK,
            [0] * len(chosen),
            n_copies=3,
            noise=0.1,
            blur=1 / 16,
            seeds=[seeds[index] for index in chosen],
        )
        return maps.astype(np.float64)

    together = make(list(range(9)))  # 27 copies: two batches, the second filled up
    np.testing.assert_array_equal(make([8])[0], together[8])
    np.testing.assert_array_equal(make(list(range(9))), together)
    assert not np.array_equal(together[0], together[1])


def test_the_blur_moves_heat_and_makes_none() -> None:
    sharp, soft = attribute(make_images(), [0, 1]), attribute(make_images(), [0, 1], blur=1 / 16)
    np.testing.assert_allclose(soft.sum(), sharp.sum(), rtol=1e-5)
    assert 0 < soft[0, 0, 16] < sharp[0, 0, 0]
