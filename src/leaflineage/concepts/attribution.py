"""Which pixels a concept's coefficient depends on: its gradient, through non-negative least squares, on the image.

A cell's coefficients u solve

    minimise ‖a − u W‖²   with u ≥ 0

a: the cell's activations; W: the concept bank. On the free set F = {i: u_i > 0} the solution is that of plain least
squares, and it stays free under a small change of a. So by the implicit function theorem, without a solver,

    ∂u_F / ∂a = (W_F W_Fᵀ)⁻¹ W_F,    ∂u_i / ∂a = 0 elsewhere,

and one pass back through the features brings the gradient of a concept's coefficient, summed over cells, to the
pixels. Where rows of W_F are parallel, the inverse is the pseudo-inverse: the smallest change that answers.

What is shown is Σ |gradient| over the channels, averaged over a few noisy copies of the image (SmoothGrad) and
blurred. Chosen by eye on drawn and on real leaves: without copies the map is as strong on paper as on the leaf; with
four it outlines teeth, sinuses and the blade's base, and more copies cost time and change little. Half the blur leaves
specks that mean nothing. Weighting the gradient by the picture's difference from blank paper draws where the leaf is
dark, and hides a concept that looks for a gap between two lobes. One cell's coefficient in place of the sum over
cells gives a spot as round as the network's field of view.

References: Fel et al., CRAFT (arXiv:2211.10154), its third ingredient; Smilkov et al., SmoothGrad
(arXiv:1706.03825).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaflineage.concepts.encoding import encode

Floats = NDArray[np.floating]
BATCH_SIZE = 4  # copies that meet the features at once; always full, and few: a backward pass holds every layer's maps
N_COPIES = 4
NOISE = 0.05  # standard deviation of the copies' noise, of the range of a pixel
BLUR = 1 / 48  # standard deviation of the blur, of the image's shorter side
PARALLEL = 1e-6  # eigenvalues of W_F W_Fᵀ under this fraction of the largest count as none


def encode_differentiable(activations: Tensor, concept_bank: Floats) -> Tensor:
    """Return the coefficients of activations under a bank, as `encode`, with a gradient.

    Parameters
    ----------
    activations : tensor (n_cells, n_channels)
    concept_bank
        (n_concepts, n_channels), of either sign.

    Returns
    -------
    tensor (n_cells, n_concepts) ≥ 0
        Of the activations' type and device; its gradient on them is the implicit one, formed in float64.
    """
    coefficients: Tensor = _Encode.apply(activations, concept_bank)
    return coefficients


def attribute_concepts(
    features: Callable[[Tensor], Tensor],
    images: Tensor,
    concept_bank: Floats,
    concept_indices: Sequence[int],
    *,
    n_copies: int,
    noise: float,
    blur: float,
    seeds: Sequence[int],
) -> Floats:
    """Return how strongly each pixel moves one concept's coefficient, an image each.

    Parameters
    ----------
    features
        (BATCH_SIZE, 3, height, width) in [0, 1] → (BATCH_SIZE, rows, columns, n_channels), differentiable.
    images : tensor (n, 3, height, width), float32 in [0, 1]
    concept_bank
        (n_concepts, n_channels).
    concept_indices
        Row of the bank, one an image.
    n_copies
        Noisy copies a map is averaged over; with ``noise`` 0, one is enough.
    noise
        Standard deviation of the noise, in units of the pixels.
    blur
        Standard deviation of the blur, as a fraction of the image's shorter side.
    seeds
        One an image; its map depends on its own alone.

    Returns
    -------
    attributions
        (n, height, width) float32 ≥ 0: the coefficient, summed over cells, a unit of pixel value; zeros where the
        concept is absent.
    """
    n, _, height, width = images.shape
    images = images.detach().float().cpu()
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    attributions = np.zeros((n, height, width), dtype=np.float64)
    order = [index for index in range(n) for _ in range(n_copies)]
    for start in range(0, len(order), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        copies = [
            images[index] + noise * torch.randn(images[index].shape, generator=generators[index]) for index in batch
        ]
        filled = torch.stack(copies + [copies[-1]] * (BATCH_SIZE - len(batch)))
        which = [concept_indices[index] for index in batch]
        gradients = _differentiate(features, filled, concept_bank, which + [which[-1]] * (BATCH_SIZE - len(batch)))
        for index, gradient in zip(batch, gradients, strict=False):
            attributions[index] += np.abs(gradient).sum(axis=0) / n_copies
    return _blur(attributions, blur * min(height, width)).astype(np.float32)


def _differentiate(
    features: Callable[[Tensor], Tensor], images: Tensor, concept_bank: Floats, which: Sequence[int]
) -> Floats:
    """Return the gradients (n, 3, height, width) of each image's own concept, summed over its cells."""
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    maps = features(images)  # (n, rows, columns, n_channels)
    coefficients = encode_differentiable(maps.flatten(0, 2), concept_bank).view(len(images), -1, len(concept_bank))
    chosen = coefficients[torch.arange(len(images)), :, list(which)]  # (n, n_cells)
    (gradients,) = torch.autograd.grad(chosen.sum(), images)
    found: Floats = gradients.detach().cpu().numpy().astype(np.float64)
    return found


def _blur(maps: Floats, deviation: float) -> Floats:
    from scipy.ndimage import gaussian_filter

    blurred: Floats = gaussian_filter(maps, (0, deviation, deviation)) if deviation > 0 else maps
    return blurred


class _Encode(torch.autograd.Function):
    """Non-negative least squares; its backward pass is the derivative on the free set."""

    @staticmethod
    def forward(ctx: Any, activations: Tensor, concept_bank: Floats) -> Tensor:
        coefficients = encode(activations.detach().cpu().double().numpy(), concept_bank)
        ctx.free, ctx.concept_bank = coefficients > 0, concept_bank
        return torch.from_numpy(coefficients).to(activations)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        outer = gradient.detach().cpu().double().numpy()  # (n_cells, n_concepts)
        bank = np.asarray(ctx.concept_bank, dtype=np.float64)
        gram = bank @ bank.T
        solved = np.zeros_like(outer)
        sets, of_cell = np.unique(ctx.free, axis=0, return_inverse=True)
        for number, free in enumerate(sets):
            cells = np.flatnonzero(of_cell.ravel() == number)
            members = np.flatnonzero(free)
            if len(members):
                inverse = np.linalg.pinv(gram[np.ix_(members, members)], rcond=PARALLEL, hermitian=True)
                solved[np.ix_(cells, members)] = outer[np.ix_(cells, members)] @ inverse
        return torch.from_numpy(solved @ bank).to(gradient), None
