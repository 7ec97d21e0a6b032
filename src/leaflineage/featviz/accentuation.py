"""Feature accentuation: a real crop, changed a little where that makes a concept clearer.

    picture = σ(logit(crop) + M · irfft2(r · z))        z: complex, starts at 0

    climbs   log objective(picture) − λ · mean (picture − crop)² / variance of the crop

r and M: the specimens' own magnitude spectrum and colours, so that what is added has the scale and the hues of leaves;
the objective is MACO's, on slightly smaller random squares of the picture. The logarithm makes λ mean the same for
concepts of every strength. What a phase alone could move would have no detail finer than the crop's own pixels, and
each colour's phase apart paints rainbows.

Reference: Hamblin, Fel, Saha, Konkle and Alvarez, "Feature Accentuation: Revealing 'What' Features Respond to in
Natural Images" (arXiv:2402.10039).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from leaflineage.featviz.objective import COSINE_POWER, pool, score_crops
from leaflineage.featviz.spectrum import Palette
from leaflineage.featviz.synthesis import make_colouring

Floats = NDArray[np.floating]
NEARNESS = 10.0  # λ; from 1 to 10 the objective reached is the same, and ever less of the crop is painted over
LEARNING_RATE = 0.01  # of z, in units of the specimens' spectrum
LEAST_SIDE = 0.8  # of the picture: crops of a step are 0.8 to 1 as wide
NOISE = 0.02
MARGIN = 0.02  # from black and white, where a logit has no end
LEAST_OBJECTIVE = 1e-6


@dataclass(frozen=True)
class Accentuation:
    """A real crop in which a concept was made clearer.

    Attributes
    ----------
    image
        (size, size, 3) uint8.
    objectives
        (steps,) float32: mean objective over each step's crops; the first is the real crop's.
    """

    image: NDArray[np.uint8]
    objectives: Floats


def accentuate(
    features: Callable[[Tensor], Tensor],
    direction: Floats,
    crop: NDArray[np.uint8],
    magnitude_spectrum: Floats,
    palette: Palette,
    *,
    input_size: tuple[int, int],
    steps: int,
    n_crops: int,
    seed: int,
    device: str,
) -> Accentuation:
    """Change a real crop towards a concept, and keep it near.

    Parameters
    ----------
    features
        (n, 3, height, width) in [0, 1] → (n, rows, columns, n_channels), differentiable.
    direction
        (n_channels,): the concept's row of the bank.
    crop
        (size, size, 3) uint8: a square of a specimen, enlarged to the picture's size.
    magnitude_spectrum
        (3, size, size // 2 + 1) ≥ 0.
    palette
        Colours of the specimens.
    input_size
        The classifier's (height, width).
    seed
        Of the squares and the noise.

    Returns
    -------
    Accentuation
    """
    size = len(crop)
    generator = torch.Generator().manual_seed(seed)
    magnitude = torch.from_numpy(np.ascontiguousarray(magnitude_spectrum)).to(device)
    # Unbounded: what is painted over a crop starts from the crop's own colours, not from the mean.
    mixing = torch.from_numpy(make_colouring(replace(palette, reach=None)).mixing).to(device)
    start = torch.from_numpy(crop).to(device).permute(2, 0, 1).float() / 255  # (3, size, size)
    logits = torch.logit(start.clamp(MARGIN, 1 - MARGIN))
    variance = max(float(start.var(dim=(1, 2)).mean()), 1e-4)
    rows = torch.from_numpy(np.array(direction, dtype=np.float32)).to(device).expand(n_crops, -1)
    added = torch.zeros(*magnitude.shape, 2, device=device, requires_grad=True)
    optimizer = torch.optim.NAdam([added], lr=LEARNING_RATE)
    objectives = np.zeros(steps, dtype=np.float32)

    def paint() -> Tensor:
        channels = torch.fft.irfft2(magnitude * torch.view_as_complex(added), s=(size, size))
        mixed = (mixing @ channels.flatten(1)).view_as(logits)
        return torch.sigmoid(logits + mixed)

    for step in range(steps):
        picture = paint()
        crops = _cut_crops(picture, n_crops, input_size, generator)
        crops = crops + NOISE * torch.randn(crops.shape, generator=generator).to(device)
        objective = score_crops(pool(features(crops)), rows, cosine_power=COSINE_POWER).mean()
        distance = ((picture - start) ** 2).mean() / variance
        optimizer.zero_grad(set_to_none=True)
        relative = objective / objective.detach().abs().clamp_min(LEAST_OBJECTIVE)  # has the logarithm's gradient
        (NEARNESS * distance - relative).backward()
        optimizer.step()
        objectives[step] = float(objective.detach())
    with torch.no_grad():
        final = paint().permute(1, 2, 0).cpu().numpy()  # (size, size, 3)
    return Accentuation(image=np.round(final * 255).astype(np.uint8), objectives=objectives)


def _cut_crops(picture: Tensor, n_crops: int, input_size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return (n_crops, 3, height, width): random squares of a picture (3, size, size), at the input's size."""
    size = picture.shape[-1]
    crops = []
    for width, down, across in torch.rand(n_crops, 3, generator=generator).tolist():
        side = max(2, round((LEAST_SIDE + width * (1 - LEAST_SIDE)) * size))
        y, x = round(down * (size - side)), round(across * (size - side))
        square = picture[None, :, y : y + side, x : x + side]
        crops.append(functional.interpolate(square, size=input_size, mode="bilinear", antialias=True))
    return torch.cat(crops)
