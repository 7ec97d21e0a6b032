"""From phase to picture and back: the magnitude stays, and both ways agree with plain sums and with autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference import paint_plainly

from leaflineage.featviz.spectrum import Palette
from leaflineage.featviz.synthesis import (
    MAX_DEVIATION,
    Colouring,
    bound_hues,
    colour,
    find_phase_gradient,
    make_colouring,
    paint,
    synthesize,
)

Floats = NDArray[np.floating]
MIXING = np.array([[0.9, 0.1, -0.2], [0.8, -0.1, 0.1], [0.7, 0.0, 0.2]], dtype=np.float32)
COLOURING = Colouring(centre=np.array([0.3, 0.5, -0.4], dtype=np.float32), mixing=MIXING)
REACH = np.array([[-0.5, -0.2], [0.1, 0.3]], dtype=np.float32)  # within what `draw` gives
BOUNDED = bound_hues(COLOURING.centre, COLOURING.mixing, REACH)
BOTH = pytest.mark.parametrize(("colouring", "reach"), [(COLOURING, None), (BOUNDED, REACH)])


def draw(size: int) -> tuple[Floats, Floats, NDArray[np.complex64]]:
    """Return a magnitude, a phase, and room for their spectrum."""
    generator = np.random.default_rng(size)
    shape = (3, size, size // 2 + 1)
    magnitude = (generator.random(shape) * size).astype(np.float32)
    phase = generator.uniform(-np.pi, np.pi, shape).astype(np.float32)
    return magnitude, phase, np.zeros(shape, dtype=np.complex64)


# --- magnitude and phase -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 17, 48, 49])
def test_the_magnitude_of_what_is_painted_is_the_spectrum_in_the_interior_columns(size: int) -> None:
    magnitude, phase, spectrum = draw(size)
    picture = paint(magnitude, phase, COLOURING, spectrum).astype(np.float64)  # (size, 3, size)
    logits = np.log(picture / (1 - picture)) - COLOURING.centre[:, None]
    channels = np.einsum("ij,rjc->irc", np.linalg.inv(COLOURING.mixing.astype(np.float64)), logits)
    interior = slice(1, (size - 1) // 2 + 1)
    found = np.abs(np.fft.rfft2(channels))[..., interior]
    np.testing.assert_allclose(found, magnitude[..., interior], rtol=2e-3, atol=0.02)


@pytest.mark.parametrize("size", [16, 17, 48, 49])
def test_the_magnitude_of_what_is_synthesized_is_the_spectrum_in_the_interior_columns(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    magnitude = torch.rand(3, size, size // 2 + 1, generator=generator) + 0.1
    phase = (torch.rand(2, 3, size, size // 2 + 1, generator=generator) * 2 - 1) * torch.pi
    channels = synthesize(magnitude, phase)
    assert channels.shape == (2, 3, size, size)
    interior = slice(1, (size - 1) // 2 + 1)
    found = torch.fft.rfft2(channels).abs()[..., interior]
    wanted = magnitude.expand(2, -1, -1, -1)[..., interior]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_phase_of_what_is_synthesized_is_the_phase_in_the_interior_columns() -> None:
    generator = torch.Generator().manual_seed(1)
    magnitude = torch.rand(3, 16, 9, generator=generator) + 0.1
    phase = (torch.rand(1, 3, 16, 9, generator=generator) * 2 - 1) * 3
    found = torch.fft.rfft2(synthesize(magnitude, phase)).angle()[..., 1:8]
    torch.testing.assert_close(found, phase[..., 1:8], rtol=1e-3, atol=1e-4)


# --- painting, and the way back ------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("size", [6, 7])
def test_a_picture_is_the_plain_sum_of_its_waves(size: int, colouring: Colouring, reach: Floats | None) -> None:
    magnitude, phase, spectrum = draw(size)
    found = paint(colouring.steepen(magnitude), phase, colouring, spectrum)
    wanted = paint_plainly(magnitude, phase, COLOURING.centre, COLOURING.mixing, reach)
    assert found.shape == (size, 3, size)
    np.testing.assert_allclose(found, wanted.transpose(1, 0, 2), atol=1e-5)


@BOTH
@pytest.mark.parametrize("size", [6, 7])
def test_the_gradient_on_a_phase_is_what_a_small_turn_of_it_does(
    size: int, colouring: Colouring, reach: Floats | None
) -> None:
    magnitude, phase, spectrum = draw(size)
    weights = np.random.default_rng(1).normal(size=(size, 3, size))
    slope = np.zeros((2, size, size), dtype=np.float32)
    picture = paint(colouring.steepen(magnitude), phase, colouring, spectrum, slope)
    found = find_phase_gradient(weights.astype(np.float32), picture, colouring, spectrum, slope)
    wanted = np.zeros(phase.shape)
    for index in np.ndindex(*phase.shape):
        sides = []
        for turn in (1e-4, -1e-4):
            turned = phase.astype(np.float64)
            turned[index] += turn
            painted = paint_plainly(magnitude, turned, COLOURING.centre, COLOURING.mixing, reach)
            sides.append(float((weights.transpose(1, 0, 2) * painted).sum()))
        wanted[index] = (sides[0] - sides[1]) / 2e-4
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


@BOTH
@pytest.mark.parametrize("size", [32, 33])
def test_arrays_and_tensors_paint_alike_and_have_the_same_gradient(
    size: int, colouring: Colouring, reach: Floats | None
) -> None:
    magnitude, phase, spectrum = draw(size)
    weights = np.random.default_rng(1).normal(size=(size, 3, size)).astype(np.float32)
    slope = np.zeros((2, size, size), dtype=np.float32)
    picture = paint(colouring.steepen(magnitude), phase, colouring, spectrum, slope)
    phases = torch.from_numpy(phase)[None].requires_grad_()
    channels = synthesize(torch.from_numpy(magnitude), phases)
    bounds = None
    if colouring.steepness is not None and colouring.shift is not None:
        bounds = torch.from_numpy(colouring.steepness), torch.from_numpy(colouring.shift)
    painted = colour(channels, torch.from_numpy(colouring.centre), torch.from_numpy(colouring.mixing), bounds)
    np.testing.assert_allclose(picture, painted.detach().numpy()[0].transpose(1, 0, 2), atol=1e-5)
    (painted[0] * torch.from_numpy(weights).permute(1, 0, 2)).sum().backward()
    found = find_phase_gradient(weights, picture, colouring, spectrum, slope)
    assert phases.grad is not None
    wanted = phases.grad.numpy()[0]
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


# --- colours -------------------------------------------------------------------------------------------------


def test_no_channels_give_the_mean_colour() -> None:
    palette = Palette(np.array([0.55, 0.6, 0.4]), np.diag([0.15, 0.1, 0.05]))
    colouring = make_colouring(palette)
    found = 1 / (1 + np.exp(-colouring.centre))
    np.testing.assert_allclose(found, palette.mean, rtol=1e-5)


def test_bounded_hues_never_leave_the_specimens_reach_and_light_does() -> None:
    magnitude, phase, spectrum = draw(32)
    bounded = bound_hues(np.zeros(3), np.eye(3), REACH)
    painted = paint(bounded.steepen(magnitude * 3), phase, bounded, spectrum)
    channels = np.log(painted / (1 - painted)).transpose(1, 0, 2).reshape(3, -1)
    assert (channels[:2].min(axis=1) >= REACH[0] - 1e-3).all()
    assert (channels[:2].max(axis=1) <= REACH[1] + 1e-3).all()
    np.testing.assert_allclose(channels[:2].min(axis=1), REACH[0], rtol=0.02)  # and they come to it
    assert np.abs(channels[2]).max() > 3


def test_contrast_at_the_mean_colour_is_the_specimens_own() -> None:
    palette = Palette(np.array([0.55, 0.6, 0.4]), np.diag([0.15, 0.1, 0.05]))
    colouring = make_colouring(palette)
    slope = palette.mean * (1 - palette.mean)
    np.testing.assert_allclose(slope[:, None] * colouring.mixing, palette.mixing, atol=1e-6)


def test_white_paper_does_not_make_pictures_black_and_white() -> None:
    palette = Palette(np.array([0.97, 0.98, 0.96]), np.eye(3) * 0.3)
    deviations = np.linalg.norm(make_colouring(palette).mixing, axis=1)
    assert deviations.max() == pytest.approx(MAX_DEVIATION, rel=1e-5)
