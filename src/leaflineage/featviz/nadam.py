"""NAdam, written out: each slot of a batch has its own count of steps, and everything happens in place.

    m ← β₁ m + (1 − β₁) g          v ← β₂ v + (1 − β₂) g²
    φ ← φ − η (a_t g + b_t m) / (√(v / (1 − β₂ᵗ)) + ε)

with a_t and b_t of Nesterov's momentum, whose decay warms up: μ_t = β₁ (1 − 0.96^(0.004 t) / 2).

Reference: Dozat, "Incorporating Nesterov Momentum into Adam" (2016); constants as in torch.optim.NAdam.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BETA_1, BETA_2 = 0.9, 0.999
EPSILON = 1e-8
MOMENTUM_DECAY = 0.004


def compute_rates(n_steps: int, *, learning_rates: tuple[float, float]) -> NDArray[np.float32]:
    """Return (n_steps, 3): how far a step goes with the gradient, with its mean, and what scales √v.

    η falls from the first learning rate to the second along half a cosine.
    """
    steps = np.arange(1, n_steps + 2, dtype=np.float64)
    momenta = BETA_1 * (1 - 0.5 * 0.96 ** (steps * MOMENTUM_DECAY))
    products = np.cumprod(momenta)
    first, last = learning_rates
    rates = last + (first - last) * (1 + np.cos(np.linspace(0, np.pi, n_steps))) / 2  # (n_steps,)
    with_gradient = rates * (1 - momenta[:-1]) / (1 - products[:-1])
    with_mean = rates * momenta[1:] / (1 - products[1:])
    scale = 1 / np.sqrt(1 - BETA_2 ** steps[:-1])
    return np.stack([with_gradient, with_mean, scale], axis=1).astype(np.float32)


def step_nadam(
    values: Tensor, gradient: Tensor, first: Tensor, second: Tensor, scratch: Tensor, rates: Sequence[Tensor]
) -> None:
    """Descend one step in place; ``gradient`` and ``scratch`` are spent.

    Parameters
    ----------
    values, gradient, first, second, scratch
        Of one shape; ``first`` and ``second`` are the means of the gradient and of its square.
    rates
        A row of ``compute_rates``, as three tensors that broadcast.
    """
    with_gradient, with_mean, scale = rates
    first.lerp_(gradient, 1 - BETA_1)
    second.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
    torch.mul(first, with_mean, out=scratch)
    gradient.mul_(with_gradient).add_(scratch)
    torch.sqrt(second, out=scratch)
    scratch.mul_(scale).add_(EPSILON)
    values.addcdiv_(gradient, scratch, value=-1)
