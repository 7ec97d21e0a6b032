"""From phases to a picture, and a picture's gradient back to the phases.

    F = r · exp(i φ)        y = irfft2(F)        z = h (tanh(a y + k) − tanh k)        picture = σ(M z + c)

r: magnitude spectrum, fixed; φ: phase; M: mixing of decorrelated channels; c: logit of the mean colour. In the two
channels that are hue, z stays within what the specimens reach on either side of their mean, [−h (1 + tanh k),
h (1 − tanh k)], and a = 1 / (h (1 − tanh² k)) makes it y for small y; light, the third, is as it is: z = y. Scales and
shifts cost nothing: a is multiplied into r, k is the zero frequency, h and tanh k go into M and c. Back:

    g_y = a h (1 − tanh²(a y + k)) · Mᵀ (g · picture · (1 − picture))        G = w · rfft2(g_y) / size²
    g_φ = Im(G) Re(F) − Re(G) Im(F)

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
        (3, 3) float32: of decorrelated channels, in logits; of bounded ones, of their tanh.
    steepness, shift
        (2,) float32: a and k of the hues; None where they are unbounded.
    """

    centre: Floats
    mixing: Floats
    steepness: Floats | None = None
    shift: Floats | None = None

    def steepen(self, magnitude: Floats) -> Floats:
        """Return the magnitude spectrum (3, size, size // 2 + 1) that `paint` takes, a multiplied into it."""
        if self.steepness is None:
            return magnitude
        return np.concatenate([magnitude[:2] * self.steepness[:, None, None], magnitude[2:]])


def make_colouring(palette: Palette) -> Colouring:
    """Return how channels become colours: at the mean colour the contrast is the specimens' own."""
    mean = np.clip(palette.mean, 0.08, 0.92)
    slope = mean * (1 - mean)  # of the sigmoid at the mean: contrast there stays the specimens' own,
    deviation = float((np.linalg.norm(palette.mixing, axis=1) / slope).max())
    slope = slope * max(1.0, deviation / MAX_DEVIATION)  # unless white paper would make it black and white
    return bound_hues(np.log(mean / (1 - mean)), palette.mixing / slope[:, None], palette.reach)


def bound_hues(centre: Floats, mixing: Floats, reach: Floats | None) -> Colouring:
    """Return the colouring of a centre (3,), a mixing (3, 3) and a reach (2, 2), or None for unbounded hues."""
    if reach is None:
        return Colouring(centre.astype(np.float32), np.ascontiguousarray(mixing, dtype=np.float32))
    low, high = reach.astype(np.float64)
    half, tilt = (high - low) / 2, -(high + low) / (high - low)  # h and tanh k
    folded = mixing.astype(np.float64) * np.append(half, 1)
    return Colouring(
        centre=(centre - folded[:, :2] @ tilt).astype(np.float32),
        mixing=np.ascontiguousarray(folded, dtype=np.float32),
        steepness=(1 / (half * (1 - tilt**2))).astype(np.float32),
        shift=np.arctanh(tilt).astype(np.float32),
    )


# --- on arrays, in place -------------------------------------------------------------------------------------


def paint(
    magnitude: Floats, phase: Floats, colouring: Colouring, spectrum: NDArray[np.complex64], slope: Floats | None = None
) -> Floats:
    """Return the picture of a phase.

    Parameters
    ----------
    magnitude, phase
        (3, size, size // 2 + 1) float32; the magnitude as the colouring steepens it.
    colouring
        Of the specimens.
    spectrum
        (3, size, size // 2 + 1): r · exp(i φ) is written there, for ``find_phase_gradient``.
    slope
        (2, size, size) float32: 1 − tanh² of bounded hues is written there, for the same.

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
    if colouring.shift is not None:
        spectrum[:2, 0, 0] += colouring.shift * np.float32(size**2)
    channels = torch.fft.irfft2(torch.from_numpy(spectrum), s=(size, size)).numpy()
    if colouring.shift is not None:
        hues = torch.from_numpy(channels[:2]).tanh_()
        if slope is not None:
            torch.addcmul(torch.ones(()), hues, hues, value=-1, out=torch.from_numpy(slope))
    picture: Floats = np.matmul(colouring.mixing, channels.transpose(1, 0, 2))  # (size, 3, size)
    picture += colouring.centre[:, None]
    torch.from_numpy(picture).sigmoid_()
    return picture


def find_phase_gradient(
    gradient: Floats,
    picture: Floats,
    colouring: Colouring,
    spectrum: NDArray[np.complex64],
    slope: Floats | None = None,
) -> Floats:
    """Return the gradient on the phase (3, size, size // 2 + 1) of a gradient on the picture; both are spent.

    Parameters
    ----------
    gradient, picture
        (size, 3, size) float32.
    colouring, spectrum, slope
        As ``paint`` took and left them.
    """
    size = len(picture)
    gradient *= picture
    np.subtract(1, picture, out=picture)
    gradient *= picture
    channels = np.empty((3, size, size), dtype=np.float32)
    np.matmul(colouring.mixing.T, gradient, out=channels.transpose(1, 0, 2))
    if colouring.shift is not None:
        assert slope is not None, "bounded hues leave their slope for the way back"
        channels[:2] *= slope
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


def colour(channels: Tensor, centre: Tensor, mixing: Tensor, bounds: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Return (n, 3, size, size) colours in [0, 1] of decorrelated channels; bounds: steepness and shift of hues."""
    if bounds is not None:
        steepness, shift = (each.view(2, 1, 1) for each in bounds)
        channels = torch.cat([torch.tanh(channels[:, :2] * steepness + shift), channels[:, 2:]], dim=1)
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
