"""The magnitude spectrum and the palette: known spectra come out, poor sets stay finite, borders leave no cross."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import mean_spectrum, without_cross

from leaflineage.featviz.spectrum import ENOUGH, compute_frequencies, estimate_palette, estimate_spectrum

Floats = NDArray[np.floating]
Images = list[NDArray[np.uint8]]


def make_noise(slope: float, n: int, side: int, *, seed: int = 0) -> Images:
    """Return colour images whose magnitude falls as frequency to the power ``slope``."""
    generator = np.random.default_rng(seed)
    frequencies = np.maximum(compute_frequencies(side), 1)
    images = []
    for _ in range(n):
        white = np.fft.rfft2(generator.normal(size=(3, side, side)))
        shaped = np.fft.irfft2(white * frequencies**slope, s=(side, side))
        shaped /= shaped.std()
        images.append(np.clip(127 + 35 * shaped.transpose(1, 2, 0), 0, 255).astype(np.uint8))
    return images


def estimate(images: Images, size: int) -> Floats:
    return estimate_spectrum(lambda: iter(images), size=size)[0]


def measure_bands(spectrum: Floats, size: int) -> Floats:
    """Return (3, 4): mean magnitude in rings from coarse to fine."""
    frequencies = compute_frequencies(size)
    edges = np.array([0.05, 0.1, 0.17, 0.25, 0.35]) * size
    rings = [(frequencies >= low) & (frequencies < high) for low, high in itertools.pairwise(edges)]
    return np.stack([spectrum[:, ring].mean(axis=1) for ring in rings], axis=1)


def measure_slope(spectrum: Floats, size: int) -> float:
    frequencies = compute_frequencies(size)
    band = (frequencies >= 0.05 * size) & (frequencies < 0.38 * size)
    return float(np.polyfit(np.log(frequencies[band]), np.log(spectrum[:, band].mean(axis=0)), 1)[0])


# --- known spectra -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [48, 49])
def test_the_spectrum_is_the_plain_mean_of_magnitudes_where_the_images_hold_it(side: int) -> None:
    images = make_noise(-1, ENOUGH, side)
    spectrum, palette = estimate_spectrum(lambda: iter(images), size=side)
    wanted = without_cross(mean_spectrum(images, palette.mixing.astype(np.float64), palette.mean.astype(np.float64)))
    half = (side - 1) // 2
    frequencies = compute_frequencies(side)
    held = (frequencies > 0) & (frequencies <= 0.8 * half)  # beyond, the law takes over little by little
    np.testing.assert_allclose(spectrum[:, held], wanted[:, held], rtol=1e-4)


def test_white_noise_has_a_flat_spectrum() -> None:
    bands = measure_bands(estimate(make_noise(0, 24, 64), 64), 64)
    assert (bands.max(axis=1) / bands.min(axis=1) < 1.15).all()


@pytest.mark.parametrize("slope", [-1.0, -1.5])
def test_noise_that_falls_with_frequency_has_a_spectrum_that_falls_as_much(slope: float) -> None:
    assert measure_slope(estimate(make_noise(slope, 24, 64), 64), 64) == pytest.approx(slope, abs=0.15)


def test_the_mean_colour_is_no_part_of_the_spectrum() -> None:
    assert estimate(make_noise(-1, 4, 32), 32)[:, 0, 0].tolist() == [0, 0, 0]


def test_pictures_of_the_spectrum_vary_as_much_as_the_specimens() -> None:
    spectrum = estimate(make_noise(-1, 24, 64), 64)
    phase = np.random.default_rng(0).uniform(-np.pi, np.pi, size=spectrum.shape)
    channels = np.fft.irfft2(spectrum * np.exp(1j * phase), s=(64, 64))
    # Decorrelated channels have variance 1; a mean magnitude is a little under the root mean square.
    np.testing.assert_allclose(channels.std(axis=(1, 2)), 1, atol=0.25)


# --- sizes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "size"), [(32, 32), (33, 33), (32, 33), (33, 32), (32, 80), (33, 81), (80, 32)])
def test_every_size_has_its_shape_and_is_finite(side: int, size: int) -> None:
    spectrum = estimate(make_noise(-1, 5, side), size)
    assert spectrum.shape == (3, size, size // 2 + 1)
    assert spectrum.dtype == np.float32
    assert np.isfinite(spectrum).all()
    assert (spectrum >= 0).all()
    assert (spectrum.reshape(3, -1)[:, 1:] > 0).all()


@pytest.mark.parametrize("slope", [-0.6, -1, -1.8])
def test_a_size_beyond_the_specimens_is_continued_as_one_over_the_frequency(slope: float) -> None:
    spectrum = estimate(make_noise(slope, 24, 48), 144)
    frequencies = compute_frequencies(144)
    beyond = (frequencies > 24) & (frequencies < 70)  # the specimens hold 24 cycles
    products = spectrum[:, beyond] * frequencies[beyond]
    np.testing.assert_allclose(products, products[:, :1].repeat(products.shape[1], axis=1), rtol=1e-5)
    # No step at the seam: 1/f begins where the specimens end, however steeply they fell to there.
    ring = (frequencies > 15.5) & (frequencies < 17.5)  # about 0.7 of 24
    wanted = (spectrum[:, ring] * frequencies[ring]).mean(axis=1)
    np.testing.assert_allclose(products[:, 0], wanted, rtol=0.25)


def test_a_size_below_the_specimens_is_theirs_up_to_its_own_finest_frequencies() -> None:
    images = make_noise(-1.8, 24, 96)
    small, whole = estimate(images, 48), estimate(images, 96)
    coarse = (slice(None), slice(1, 12), slice(1, 12))
    np.testing.assert_allclose(small[coarse] * 4, whole[coarse], rtol=1e-4)
    assert 0.5 < float(small[:, 22, 2].mean() * 4 / whole[:, 22, 2].mean()) < 2  # where 1/f takes over


def test_a_larger_picture_shows_the_same_field_of_view() -> None:
    images = make_noise(-1, 24, 48)
    small, large = estimate(images, 48), estimate(images, 96)
    coarse = (slice(None), slice(1, 12), slice(1, 12))  # the same cycles a picture, four times the pixels
    np.testing.assert_allclose(large[coarse], small[coarse] * 4, rtol=1e-4)


# --- poor sets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("one grey", np.full((32, 32, 3), 128)),
        ("white", np.full((32, 32, 3), 255)),
        ("black", np.zeros((32, 32, 3))),
        ("grey noise", np.repeat(np.random.default_rng(0).integers(0, 256, (32, 32, 1)), 3, axis=2)),
        ("one channel", np.random.default_rng(0).integers(0, 256, (32, 32, 3)) * np.array([1, 0, 0])),
        (
            "near grey",
            np.repeat(np.random.default_rng(1).integers(0, 255, (32, 32, 1)), 3, axis=2) + np.array([0, 0, 1]),
        ),
    ],
)
def test_sets_without_colour_stay_finite(name: str, image: NDArray[np.integer]) -> None:
    spectrum, palette = estimate_spectrum(lambda: iter([image.astype(np.uint8)] * 3), size=40)
    assert np.isfinite(spectrum).all(), name
    assert np.isfinite(palette.mean).all()
    assert np.isfinite(palette.mixing).all()
    assert np.isfinite(np.linalg.inv(palette.mixing)).all()


def test_few_specimens_are_drawn_towards_one_over_the_frequency_by_how_many_are_missing() -> None:
    image = make_noise(-1.8, 1, 64)
    slopes = [measure_slope(estimate(image * n, 64), 64) for n in (1, ENOUGH // 2, ENOUGH)]
    assert slopes[2] == pytest.approx(-1.8, abs=0.2)
    assert slopes[1] == pytest.approx((slopes[2] - 1) / 2, abs=0.1)
    assert slopes[0] == pytest.approx(-1, abs=0.1)


def test_a_peak_of_a_single_specimen_is_flattened() -> None:
    image = make_noise(-1, 1, 64)
    places = np.add.outer(np.arange(64), np.arange(64))
    image[0][places % 4 == 0] = 255  # slanting stripes: a sharp peak at one frequency, off the axes
    alone = estimate(image, 64)
    trusted = estimate(image * ENOUGH, 64)

    def measure_peak(spectrum: Floats) -> float:
        diagonal = np.array([spectrum[:, place, place].max() for place in range(20)])
        return float(diagonal[16] / diagonal[9:14].mean())

    assert measure_peak(trusted) > 10
    assert measure_peak(alone) < 2


def test_enough_specimens_are_trusted_as_they_are() -> None:
    images = make_noise(-1, ENOUGH, 32)
    np.testing.assert_allclose(estimate(images, 32), estimate(images * 3, 32), rtol=1e-5)


def test_images_are_read_twice_and_never_held() -> None:
    reads = 0

    def stream() -> Iterator[NDArray[np.uint8]]:
        nonlocal reads
        reads += 1
        yield from make_noise(-1, 3, 32)

    estimate_spectrum(stream, size=32)
    assert reads == 2


# --- colours -------------------------------------------------------------------------------------------------


def test_decorrelated_channels_have_no_correlation_and_unit_variance() -> None:
    generator = np.random.default_rng(0)
    mixed = generator.normal(size=(64 * 64, 3)) @ np.array([[20, 5, 0], [0, 30, 10], [5, 0, 25]]) + 120
    image = np.clip(mixed, 0, 255).astype(np.uint8).reshape(64, 64, 3)
    palette = estimate_palette([image])
    channels = palette.decorrelate(image.astype(np.float64) / 255).reshape(3, -1)
    np.testing.assert_allclose(np.cov(channels), np.eye(3), atol=5e-3)
    np.testing.assert_allclose(palette.mean, image.reshape(-1, 3).mean(axis=0) / 255, atol=1e-9)


def test_mixing_brings_decorrelated_channels_back_to_the_image() -> None:
    image = make_noise(-1, 1, 32)[0] / 255
    palette = estimate_palette([(image * 255).astype(np.uint8)])
    channels = palette.decorrelate(image)
    np.testing.assert_allclose(palette.mean + np.einsum("ij,jrc->rci", palette.mixing, channels), image, atol=1e-9)


def test_a_fiftieth_of_the_pixels_lies_beyond_each_end_of_the_reach() -> None:
    generator = np.random.default_rng(2)
    light = generator.normal(size=(ENOUGH, 48, 48, 1)) * 30
    skewed = light + generator.gamma(2.0, size=(ENOUGH, 48, 48, 3)) * [9, 2, 4]  # a long tail on one side
    images = list(np.clip(skewed + 100, 0, 255).astype(np.uint8))
    _, palette = estimate_spectrum(lambda: iter(images), size=48)
    hues = np.concatenate([palette.decorrelate(image / 255)[:2].reshape(2, -1) for image in images], axis=1)
    assert palette.reach is not None
    np.testing.assert_allclose((hues < palette.reach[0][:, None]).mean(axis=1), 0.02, atol=0.004)
    np.testing.assert_allclose((hues > palette.reach[1][:, None]).mean(axis=1), 0.02, atol=0.004)
    assert (-palette.reach[0] / palette.reach[1]).max() > 1.3  # skewed as they are


def test_grey_specimens_leave_hues_hardly_any_reach() -> None:
    grey = np.random.default_rng(0).integers(0, 255, size=(ENOUGH, 32, 32, 1)).repeat(3, axis=3).astype(np.uint8)
    _, palette = estimate_spectrum(lambda: iter(list(grey)), size=32)
    np.testing.assert_allclose(palette.reach, [[-0.3, -0.3], [0.3, 0.3]])


# --- borders -------------------------------------------------------------------------------------------------


def test_images_with_hard_borders_leave_no_cross() -> None:
    """A slope of light across every picture: its ends do not meet, and an unwindowed transform rings along the axes."""
    side = 64
    ramp = np.linspace(0, 120, side)
    light = (ramp[:, None] + ramp[None])[..., None]
    images = [np.clip(image * 0.3 + light, 0, 255).astype(np.uint8) for image in make_noise(-1, ENOUGH, side)]
    spectrum, palette = estimate_spectrum(lambda: iter(images), size=side)
    plain = np.zeros_like(spectrum)
    for image in images:
        channels = palette.decorrelate(image / 255)
        plain += np.abs(np.fft.rfft2(channels - channels.mean(axis=(1, 2), keepdims=True))) / len(images)

    def measure_cross(magnitudes: Floats) -> float:
        """Return the mean magnitude on both axes over that of their neighbours, at middle frequencies."""
        light = magnitudes[2]  # the channel of largest variance
        on = (light[8:24, 0].mean() + light[0, 8:24].mean()) / 2
        beside = (light[8:24, 4:6].mean() + light[4:6, 8:24].mean()) / 2
        return float(on / beside)

    assert measure_cross(plain) > 10
    assert measure_cross(spectrum) < 1.2


def test_the_seam_of_a_padded_picture_leaves_no_cross() -> None:
    padded = []
    for image in make_noise(-1.5, ENOUGH, 64):
        canvas = np.full_like(image, 255)
        canvas[:, 16:48] = image[:, 16:48] // 2  # a narrow grey photograph on white: seams along two columns
        padded.append(canvas)
    spectrum = estimate(padded, 64)
    along, beside = spectrum[:, 0, 10:24].mean(), spectrum[:, [5, 6, -5, -6], 10:24].mean()
    assert along < 1.3 * beside
