"""From phases to a picture, and a picture's gradient back to the phases.

    F = r · exp(i φ)        y = irfft2(F)        picture = σ(M y + c)

r: magnitude spectrum, fixed; φ: phase; M: mixing of decorrelated channels; c: logit of the mean colour. Back:

    g_y = Mᵀ (g · picture · (1 − picture))        G = w · rfft2(g_y) / size²        g_φ = Im(G) Re(F) − Re(G) Im(F)

w is 2 in the interior columns, 1 to (size − 1) // 2, each of which stands for two frequencies of the whole transform.
``synthesize`` and ``colour`` do this on tensors of any device; the functions on arrays do it in place, for a CPU, where
the passes over memory are what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaflineage.featviz.spectrum import Palette

Floats = NDArray[np.floating]
MAX_DEVIATION = 1.6  # of the pictures before the sigmoid


@dataclass(frozen=True)
class Colouring:
    """Decorrelated channels → colours in [0, 1], around the specimens' mean colour.

    Attributes
    ----------
    centre
        (3,) float32: logit of the mean colour.
    mixing
        (3, 3) float32: of decorrelated channels, in logits.
    """

    centre: Floats
    mixing: Floats


def make_colouring(palette: Palette) -> Colouring:
    """Return how channels become colours: at the mean colour the contrast is the specimens' own."""
    mean = np.clip(palette.mean, 0.08, 0.92)
    slope = mean * (1 - mean)  # of the sigmoid at the mean: contrast there stays the specimens' own,
    deviation = float((np.linalg.norm(palette.mixing, axis=1) / slope).max())
    slope = slope * max(1.0, deviation / MAX_DEVIATION)  # unless white paper would make it black and white
    return Colouring(
        centre=np.log(mean / (1 - mean)).astype(np.float32),
        mixing=np.ascontiguousarray(palette.mixing / slope[:, None], dtype=np.float32),
    )


# --- on arrays, in place -------------------------------------------------------------------------------------


def paint(magnitude: Floats, phase: Floats, colouring: Colouring, spectrum: NDArray[np.complex64]) -> Floats:
    """Return the picture of a phase.

    Parameters
    ----------
    magnitude, phase
        (3, size, size // 2 + 1) float32.
    colouring
        Of the specimens.
    spectrum
        (3, size, size // 2 + 1): r · exp(i φ) is written there, for ``find_phase_gradient``.

    Returns
    -------
    picture
        (size, 3, size) float32 in [0, 1]: rows, channels, columns, as crops are cut from it.
    """
    size = magnitude.shape[1]
    phases = torch.from_numpy(phase)
    part = torch.cos(phases).numpy()  # torch's cosine of an array is twice as quick as numpy's
    np.multiply(part, magnitude, out=spectrum.real)
    torch.sin(phases, out=torch.from_numpy(part))
    np.multiply(part, magnitude, out=spectrum.imag)
    channels = torch.fft.irfft2(torch.from_numpy(spectrum), s=(size, size)).numpy()
    picture: Floats = np.matmul(colouring.mixing, channels.transpose(1, 0, 2))  # (size, 3, size)
    picture += colouring.centre[:, None]
    torch.from_numpy(picture).sigmoid_()
    return picture


def find_phase_gradient(
    gradient: Floats, picture: Floats, colouring: Colouring, spectrum: NDArray[np.complex64]
) -> Floats:
    """Return the gradient on the phase (3, size, size // 2 + 1) of a gradient on the picture; both are spent.

    Parameters
    ----------
    gradient, picture
        (size, 3, size) float32.
    colouring, spectrum
        As ``paint`` took and left them.
    """
    size = len(picture)
    gradient *= picture
    np.subtract(1, picture, out=picture)
    gradient *= picture
    channels = np.empty((3, size, size), dtype=np.float32)
    np.matmul(colouring.mixing.T, gradient, out=channels.transpose(1, 0, 2))
    transformed = torch.fft.rfft2(torch.from_numpy(channels), norm="forward")  # (3, size, size // 2 + 1)
    product = torch.mul(transformed, torch.from_numpy(spectrum).conj())
    found: Floats = np.ascontiguousarray(product.numpy().imag)
    found[:, :, 1 : (size - 1) // 2 + 1] *= 2
    return found


# --- on tensors ----------------------------------------------------------------------------------------------


def synthesize(magnitude: Tensor, phase: Tensor) -> Tensor:
    """Return (n, 3, size, size) decorrelated channels: the inverse transform of magnitude and phase."""
    size = magnitude.shape[-2]
    channels: Tensor = torch.fft.irfft2(_Synthesize.apply(magnitude, phase), s=(size, size))
    return channels


def colour(channels: Tensor, centre: Tensor, mixing: Tensor) -> Tensor:
    """Return (n, 3, size, size) colours in [0, 1] of decorrelated channels."""
    mixed = torch.matmul(mixing, channels.flatten(2)).view_as(channels)
    return torch.sigmoid(mixed + centre.view(1, 3, 1, 1))


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
