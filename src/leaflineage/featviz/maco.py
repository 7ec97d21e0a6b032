"""Feature visualization by MACO: only the phase of a picture's Fourier spectrum is optimised.

    picture = colour(irfft2(r · exp(i φ)))        r: magnitude spectrum, fixed; φ: phase, optimised

A step cuts random squares from the picture, adds noise, and climbs the concept's objective on their pooled
activations a:

    (a · v) · cos(a, v)^p                          v: the concept's row of the bank

Opacity is the magnitude of the objective's gradient on the picture, accumulated over all steps: where the concept
never cared, the picture is transparent. Several concepts share a batch; each has its own phase, crops, noise and
random generator, and no sum leaks from one into another.

Reference: Fel et al. (arXiv:2306.06805).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from leaflineage.featviz.spectrum import Palette

Floats = NDArray[np.floating]
COSINE_POWER = 2
CROP_SIDES = (0.35, 0.75)  # of the picture's side
CENTRE_DEVIATION = 0.11  # of the picture's side
NOISE = 0.02
LEARNING_RATE = 0.2  # radians a step, about; at 1.0 fine phases walk at random and 70 steps reach a tenth of this
MAX_DEVIATION = 1.6  # of the pictures before the sigmoid
OPACITY_BLUR = 1 / 30  # standard deviation, of the picture's side
OPACITY_CUT = 80  # percentile of the blurred gradients from which the picture is opaque


@dataclass(frozen=True)
class FeatureVisualization:
    """One concept, optimised.

    Attributes
    ----------
    image
        (size, size, 3) uint8.
    opacity
        (size, size) float32 in [0, 1].
    objectives
        One a step: mean objective over the step's crops.
    """

    image: NDArray[np.uint8]
    opacity: Floats
    objectives: Floats


def visualize_concepts(
    features: Callable[[Tensor], Tensor],
    directions: Floats,
    magnitude_spectrum: Floats,
    palette: Palette,
    *,
    input_size: tuple[int, int],
    steps: int,
    n_crops: int,
    seeds: Sequence[int],
    device: str,
    on_step: Callable[[int], None] | None = None,
) -> list[FeatureVisualization]:
    """Optimise one picture a direction, all in one batch.

    Parameters
    ----------
    features
        (n, 3, height, width) in [0, 1] → (n, rows, columns, n_channels), differentiable.
    directions
        (n_concepts, n_channels): rows of the bank.
    magnitude_spectrum
        (3, size, size // 2 + 1) ≥ 0.
    palette
        Colours of the specimens.
    input_size
        The classifier's (height, width).
    seeds
        One a direction; phase, crops and noise of a concept depend on its seed alone.

    Returns
    -------
    visualizations
        One a direction, in order.
    """
    size = magnitude_spectrum.shape[1]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    magnitude = torch.from_numpy(np.ascontiguousarray(magnitude_spectrum)).to(device)
    rows = torch.from_numpy(np.ascontiguousarray(directions, dtype=np.float32)).to(device)
    phase = torch.stack([(torch.rand(magnitude.shape, generator=each) * 2 - 1) * torch.pi for each in generators])
    phase = phase.to(device).requires_grad_()
    optimizer = torch.optim.NAdam([phase], lr=LEARNING_RATE)
    colour = _Colour(palette, device)
    gradients = torch.zeros(len(seeds), size, size, device=device)
    objectives = np.zeros((steps, len(seeds)), dtype=np.float32)
    for step in range(steps):
        pictures = colour(synthesize(magnitude, phase))  # (n_concepts, 3, size, size)
        pictures.retain_grad()
        crops = _Resample.apply(pictures, _draw_places(size, n_crops, generators), input_size)
        noise = [torch.randn(n_crops, *crops.shape[1:], generator=each) for each in generators]
        crops = crops + NOISE * torch.cat(noise).to(device)  # (n_concepts · n_crops, 3, height, width)
        pooled = features(crops).mean(dim=(1, 2))  # (n_concepts · n_crops, n_channels)
        objective = score_crops(pooled, rows.repeat_interleave(n_crops, dim=0)).view(len(seeds), n_crops).mean(dim=1)
        optimizer.zero_grad(set_to_none=True)
        (-objective.sum()).backward()
        optimizer.step()
        if pictures.grad is not None:
            gradients += pictures.grad.abs().mean(dim=1)
        objectives[step] = objective.detach().cpu().numpy()
        if on_step:
            on_step(step)
    with torch.no_grad():
        final = colour(synthesize(magnitude, phase)).permute(0, 2, 3, 1).cpu().numpy()  # (n, size, size, 3)
    return [
        FeatureVisualization(
            image=np.round(final[index] * 255).astype(np.uint8),
            opacity=compute_opacity(gradients[index].cpu().numpy()),
            objectives=objectives[:, index],
        )
        for index in range(len(seeds))
    ]


def synthesize(magnitude: Tensor, phase: Tensor) -> Tensor:
    """Return (n, 3, size, size) decorrelated channels: the inverse transform of magnitude and phase."""
    size = magnitude.shape[-2]
    channels: Tensor = torch.fft.irfft2(_Synthesize.apply(magnitude, phase), s=(size, size))
    return channels


def score_crops(pooled: Tensor, directions: Tensor) -> Tensor:
    """Return (n,) objectives: dot × cosine^p, of pooled activations (n, n_channels) with their directions.

    The cosine is cut at 0.05 from below, so that a picture that starts at right angles to its concept can climb.
    """
    dot = (pooled * directions).sum(dim=1)
    cosine = functional.cosine_similarity(pooled, directions, dim=1, eps=1e-6)
    return dot * cosine.clamp_min(0.05) ** COSINE_POWER


def compute_opacity(gradients: Floats) -> Floats:
    """Return opacity in [0, 1] from accumulated gradient magnitudes (size, size); zeros where there was none."""
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(np.nan_to_num(gradients.astype(np.float64)), len(gradients) * OPACITY_BLUR)
    low, top = float(np.percentile(blurred, 10)), float(np.percentile(blurred, OPACITY_CUT))
    if top <= 0:  # less than a fifth of the picture ever mattered
        top = float(blurred.max())
    if top - low <= 1e-9 * top:  # all of it alike: all of it opaque, or nothing where there was no gradient
        return np.full(gradients.shape, float(top > 0), dtype=np.float32)
    return np.clip((blurred - low) / (top - low), 0, 1).astype(np.float32)


class _Colour:
    """Decorrelated channels → colours in [0, 1], around the specimens' mean colour."""

    def __init__(self, palette: Palette, device: str) -> None:
        mean = np.clip(palette.mean, 0.08, 0.92)
        slope = mean * (1 - mean)  # of the sigmoid at the mean: contrast there stays the specimens' own,
        deviation = float((np.linalg.norm(palette.mixing, axis=1) / slope).max())
        slope = slope * max(1.0, deviation / MAX_DEVIATION)  # unless white paper would make it black and white
        self._centre = torch.tensor(np.log(mean / (1 - mean)), dtype=torch.float32, device=device).view(1, 3, 1, 1)
        self._mixing = torch.tensor(palette.mixing / slope[:, None], dtype=torch.float32, device=device)

    def __call__(self, channels: Tensor) -> Tensor:
        mixed = torch.matmul(self._mixing, channels.flatten(2)).view_as(channels)
        return torch.sigmoid(mixed + self._centre)


@dataclass(frozen=True)
class _Place:
    """Where a crop is cut: which picture, and its square in pixels."""

    picture: int
    y: int
    x: int
    side: int


def _draw_places(size: int, n_crops: int, generators: Sequence[torch.Generator]) -> list[_Place]:
    """Return ``n_crops`` random squares a picture, each picture's from its own generator."""
    places = []
    for picture, generator in enumerate(generators):
        draws = torch.rand(n_crops, generator=generator).tolist()
        centres = (torch.randn(n_crops, 2, generator=generator) * CENTRE_DEVIATION + 0.5).tolist()
        for draw, centre in zip(draws, centres, strict=True):
            side = max(2, round((CROP_SIDES[0] + draw * (CROP_SIDES[1] - CROP_SIDES[0])) * size))
            y, x = (min(max(round(c * size - side / 2), 0), size - side) for c in centre)
            places.append(_Place(picture, y, x, side))
    return places


class _Resample(torch.autograd.Function):
    """Cut squares out of pictures and bring them to the classifier's input, by one antialiased resampling.

    A triangle as wide as the scale, applied along each axis as a small dense matrix: on a CPU a third of the time
    of a general resampling, and one gradient picture for all crops of it.
    """

    @staticmethod
    def forward(ctx: Any, pictures: Tensor, places: list[_Place], input_size: tuple[int, int]) -> Tensor:
        crops = []
        for place in places:
            rows, columns = (_make_weights(place.side, length, pictures.device) for length in input_size)
            crops.append(rows @ _find_window(pictures, place) @ columns.T)
        ctx.places, ctx.input_size, ctx.shape = places, input_size, pictures.shape
        return torch.stack(crops)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        pictures = gradient.new_zeros(ctx.shape)
        for place, each in zip(ctx.places, gradient, strict=True):
            rows, columns = (_make_weights(place.side, length, gradient.device) for length in ctx.input_size)
            _find_window(pictures, place).add_(rows.T @ each.contiguous() @ columns)
        return pictures, None, None


class _Synthesize(torch.autograd.Function):
    """r · exp(i φ), with the gradient on φ alone: −Re(g) Im(F) + Im(g) Re(F)."""

    @staticmethod
    def forward(ctx: Any, magnitude: Tensor, phase: Tensor) -> Tensor:
        spectrum = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())
        ctx.save_for_backward(spectrum)
        return spectrum

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (gradient,), (spectrum,) = gradients, ctx.saved_tensors
        return None, gradient.imag * spectrum.real - gradient.real * spectrum.imag


def _find_window(pictures: Tensor, place: _Place) -> Tensor:
    """Return a view of one square, (3, side, side)."""
    return pictures[place.picture, :, place.y : place.y + place.side, place.x : place.x + place.side]


@cache
def _make_weights(side: int, length: int, device: torch.device) -> Tensor:
    """Return (length, side) weights of an antialiased linear resampling, rows of sum 1."""
    scale = side / length
    centres = (torch.arange(length, dtype=torch.float64) + 0.5) * scale - 0.5
    distance = (torch.arange(side, dtype=torch.float64)[None] - centres[:, None]).abs() / max(scale, 1.0)
    weights = (1 - distance).clamp_min(0)
    return (weights / weights.sum(dim=1, keepdim=True)).float().to(device)
