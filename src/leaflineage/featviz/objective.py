"""What a feature visualization climbs: the concept's objective on pooled activations, and distance from earlier views.

    objective(a) = (a · v) · cos(a, v)^p                    v: the concept's row of the bank
    likeness(a)  = mean over earlier views b of max(0, cos(a⊥, b⊥)),      x⊥ = x − (x · v) v / |v|²

The likeness lives in what is orthogonal to v, and its gradient is orthogonal to v and to a⊥: another view turns what
accompanies the concept, and the concept itself stays as strong.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

COSINE_POWER = 2  # of concepts; at 4 pictures stayed weak, and fewer passed their score
LEAST_COSINE = 0.05
DIVERSITY = 0.7  # of the objective; from 1 on, views of drawn leaves lose strength


def score_crops(pooled: Tensor, directions: Tensor, *, cosine_power: float) -> Tensor:
    """Return (n,) objectives: dot × cosine^p, of pooled activations (n, n_channels) with their directions.

    The cosine is cut at 0.05 from below, so that a picture that starts at right angles to its concept can climb. With a
    power of 0 it plays no part: the dot product alone is what raises one logit among others.
    """
    dot = (pooled * directions).sum(dim=1)
    if cosine_power == 0:
        return dot
    cosine = functional.cosine_similarity(pooled, directions, dim=1, eps=1e-6)
    return dot * cosine.clamp_min(LEAST_COSINE) ** cosine_power


def measure_likeness(pooled: Tensor, direction: Tensor, previous: Tensor) -> Tensor:
    """Return how alike pooled activations are to those of earlier views, beside the concept itself.

    Parameters
    ----------
    pooled
        (..., n_crops, n_channels).
    direction
        (..., n_channels), the concept's.
    previous
        (..., n_previous, n_channels): mean pooled activations of earlier views; a row of zeros is like nothing.

    Returns
    -------
    likeness
        (..., n_crops) in [0, 1].
    """
    unit = functional.normalize(direction, dim=-1).unsqueeze(-2)  # (..., 1, n_channels)
    own, others = (each - (each * unit).sum(dim=-1, keepdim=True) * unit for each in (pooled, previous))
    own, others = (functional.normalize(each, dim=-1, eps=1e-6) for each in (own, others))
    cosines = (own.unsqueeze(-2) * others.unsqueeze(-3)).sum(dim=-1)  # (..., n_crops, n_previous)
    n_previous = previous.abs().sum(dim=-1).gt(0).sum(dim=-1, keepdim=True).clamp_min(1)
    return cosines.clamp_min(0).sum(dim=-1) / n_previous


def repel(objective: Tensor, likeness: Tensor) -> Tensor:
    """Return what is climbed by a view that others went before: the objective (n,), less its likeness's part of it.

    The objective's own size scales the likeness and is held constant there: the gradient on strength stays as it was.
    """
    return objective - DIVERSITY * objective.detach().abs() * likeness


def pool(maps: Tensor) -> Tensor:
    """Return the mean over cells of feature maps (n, rows, columns, n_channels), (n, n_channels)."""
    return torch.mean(maps, dim=(1, 2))
