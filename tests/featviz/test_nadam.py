"""NAdam, written out, against torch's own."""

from __future__ import annotations

import numpy as np
import torch

from leaflineage.featviz.nadam import compute_rates, step_nadam


def draw_gradients(n: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 5, generator=generator) * 10 ** -(step % 4) for step in range(n)]


def test_forty_steps_go_where_torchs_go() -> None:
    start = torch.rand(3, 5, generator=torch.Generator().manual_seed(1))
    wanted, values = start.clone().requires_grad_(), start.clone()
    optimizer = torch.optim.NAdam([wanted], lr=0.2)
    first, second, scratch = (torch.zeros_like(values) for _ in range(3))
    rates = torch.from_numpy(compute_rates(40, learning_rates=(0.2, 0.2)))
    for step, gradient in enumerate(draw_gradients(40)):
        wanted.grad = gradient.clone()
        optimizer.step()
        step_nadam(values, gradient.clone(), first, second, scratch, tuple(rates[step]))
        torch.testing.assert_close(values, wanted.detach(), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(values, start, atol=0.1)


def test_slots_at_different_steps_go_as_they_would_alone() -> None:
    """The second row began three steps later: it has rates of its own."""
    gradients = draw_gradients(6)
    rates = torch.from_numpy(compute_rates(6, learning_rates=(0.2, 0.2)))

    def run_alone(row: int, own: list[torch.Tensor]) -> torch.Tensor:
        values, first, second, scratch = (torch.zeros(5) for _ in range(4))
        for step, gradient in enumerate(own):
            step_nadam(values, gradient[row].clone(), first, second, scratch, tuple(rates[step]))
        return values

    values, first, second, scratch = (torch.zeros(2, 5) for _ in range(4))
    for step, gradient in enumerate(gradients):
        if step == 3:
            for each in (values, first, second):
                each[1] = 0
        own = rates[[step, step - 3 if step >= 3 else step]].T.unsqueeze(-1)  # (3, 2 rows, 1)
        step_nadam(values, gradient[:2].clone(), first, second, scratch, tuple(own))
    torch.testing.assert_close(values[0], run_alone(0, gradients))
    torch.testing.assert_close(values[1], run_alone(1, gradients[3:]))


def test_no_gradient_moves_nothing() -> None:
    values, gradient, first, second, scratch = (torch.zeros(4) for _ in range(5))
    step_nadam(
        values,
        gradient,
        first,
        second,
        scratch,
        tuple(torch.from_numpy(compute_rates(1, learning_rates=(1.0, 0.1))[0])),
    )
    assert values.tolist() == [0] * 4
    assert np.isfinite(compute_rates(1000, learning_rates=(1.0, 0.1))).all()


def test_rates_fall_along_half_a_cosine_and_what_scales_the_root_does_not() -> None:
    falling, steady = (compute_rates(5, learning_rates=(0.4, last)) for last in (0.2, 0.4))
    ratios = falling / steady
    wanted = [1, 0.5 + 0.25 * (1 + 0.5**0.5), 0.75, 0.5 + 0.25 * (1 - 0.5**0.5), 0.5]  # of 0.4, at 0, 45 … 180 degrees
    np.testing.assert_allclose(ratios[:, 0], wanted, rtol=1e-5)
    np.testing.assert_allclose(ratios[:, 1], wanted, rtol=1e-5)
    np.testing.assert_allclose(ratios[:, 2], 1)
