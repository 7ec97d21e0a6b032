"""What is climbed: dot times cosine, and distance from earlier views that leaves the concept alone."""

from __future__ import annotations

import pytest
import torch

from leaflineage.featviz.objective import COSINE_POWER, DIVERSITY, measure_likeness, repel, score_crops

# --- the objective -------------------------------------------------------------------------------------------


def test_the_objective_is_dot_times_cosine_to_the_power() -> None:
    pooled = torch.tensor([[3.0, 4.0], [2.0, 0.0]])
    directions = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    for power in (1, 2, 2.5):
        found = score_crops(pooled, directions, cosine_power=power)
        assert found.tolist() == pytest.approx([3 * 0.6**power, 2.0], rel=1e-5)


def test_without_a_cosine_the_objective_is_the_dot_product_on_either_side_of_zero() -> None:
    pooled = torch.tensor([[3.0, 4.0], [-2.0, 1.0]], requires_grad=True)
    objective = score_crops(pooled, torch.tensor([[1.0, 0.0]]).expand(2, -1), cosine_power=0)
    assert objective.tolist() == [3.0, -2.0]
    (gradient,) = torch.autograd.grad(objective.sum(), pooled)
    assert gradient.tolist() == [[1.0, 0.0], [1.0, 0.0]]  # as steep where the logit is negative


def test_a_picture_that_starts_dark_has_an_objective_and_a_gradient() -> None:
    pooled = torch.zeros(1, 4, requires_grad=True)
    objective = score_crops(pooled, torch.tensor([[0.0, 1.0, 0.0, 0.0]]), cosine_power=COSINE_POWER)
    objective.sum().backward()
    assert objective.tolist() == [0.0]
    assert pooled.grad is not None
    assert torch.isfinite(pooled.grad).all()
    assert pooled.grad[0, 1] > 0


def test_no_crop_moves_the_objective_of_another() -> None:
    pooled = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    directions = torch.rand(3, 5, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(score_crops(pooled, directions, cosine_power=COSINE_POWER)[1], pooled)
    assert gradient[0].tolist() == gradient[2].tolist() == [0] * 5
    assert gradient[1].abs().min() > 0


# --- earlier views -------------------------------------------------------------------------------------------


def test_likeness_is_the_mean_positive_cosine_of_what_is_orthogonal_to_the_concept() -> None:
    direction = torch.tensor([2.0, 0.0, 0.0])
    pooled = torch.tensor([[9.0, 1.0, 0.0], [1.0, 0.6, 0.8], [5.0, -1.0, 0.0]])
    previous = torch.tensor([[3.0, 4.0, 0.0], [7.0, 0.0, 2.0]])  # beside the concept: (1, 0) and (0, 1)
    found = measure_likeness(pooled, direction, previous)
    assert found.tolist() == pytest.approx([0.5, 0.7, 0.0])


def test_views_that_are_not_there_count_for_nothing() -> None:
    direction, pooled = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([[1.0, 2.0, 0.0]])
    one = torch.tensor([[1.0, 1.0, 0.0]])
    filled = torch.cat([one, torch.zeros(2, 3)])
    assert measure_likeness(pooled, direction, one).tolist() == pytest.approx([1.0])
    assert measure_likeness(pooled, direction, filled).tolist() == pytest.approx([1.0])
    assert measure_likeness(pooled, direction, torch.zeros(2, 3)).tolist() == [0.0]


def test_likeness_pulls_neither_along_the_concept_nor_along_its_company() -> None:
    generator = torch.Generator().manual_seed(0)
    direction, previous = torch.rand(6, generator=generator), torch.rand(2, 6, generator=generator)
    pooled = torch.rand(1, 6, generator=generator).requires_grad_()
    (gradient,) = torch.autograd.grad(measure_likeness(pooled, direction, previous).sum(), pooled)
    pooled = pooled.detach()
    company = pooled - (pooled @ direction) / (direction @ direction) * direction
    assert float(gradient.norm()) > 1e-2
    assert float(gradient @ direction) == pytest.approx(0, abs=1e-6)
    assert float((gradient * company).sum()) == pytest.approx(0, abs=1e-6)


def test_likeness_of_a_dark_picture_has_a_finite_gradient() -> None:
    pooled = torch.zeros(1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(measure_likeness(pooled, torch.ones(4), torch.eye(4)[:1]).sum(), pooled)
    assert torch.isfinite(gradient).all()


def test_strength_is_not_gained_by_likeness() -> None:
    objective = torch.tensor([4.0, 4.0], requires_grad=True)
    climbed = repel(objective, torch.tensor([0.0, 1.0]))
    assert climbed.tolist() == pytest.approx([4.0, 4.0 * (1 - DIVERSITY)])
    (gradient,) = torch.autograd.grad(climbed.sum(), objective)
    assert gradient.tolist() == [1.0, 1.0]
