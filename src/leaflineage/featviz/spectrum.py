"""The magnitude spectrum and the colours of a set of specimens: what MACO keeps fixed.

Colours are decorrelated with the specimens' own covariance C = V Λ Vᵀ: y = Λ^(-1/2) Vᵀ (x − μ). The magnitude
spectrum is the mean over specimens of |rfft2(window · y)|. The Hann window keeps the cut borders from leaving a
cross; its loss of energy is given back. Frequencies finer than the specimens hold are continued as 1/f, scaled to meet
the spectrum where it takes over; the spectrum of few specimens is shrunk towards 1/f.

Reference: Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization"
(arXiv:2306.06805), which takes the spectrum of a set of natural images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from leaflineage.errors import SpecimenError

Floats = NDArray[np.floating]
ENOUGH = 20  # specimens from which a spectrum is trusted as it is
CROSS_WIDTH = 2  # lines on either side of an axis that a seam reaches, and below, the lines that tell what lies beside
BESIDE = [4, 5, 6]
CROSS_FROM = 6  # cycles an image from which a seam is told from the shape of a leaf
WHOLE = (1 / 16, 0.8)  # of Nyquist's frequency: where 1/f is scaled to few specimens' spectrum,
SEAM = (0.7, 0.85)  # and where to one that it continues: just below where resizing has dimmed what was there
TAIL = 0.02  # of the specimens' pixels, beyond a channel's reach on either side
LEAST_REACH = 0.3  # standard deviations: of a channel in which the specimens hardly differ
WIDEST, N_BINS = 16.0, 3200  # standard deviations, and bins of a hundredth, in which pixels are counted
FLOOR = 1e-3  # least eigenvalue of the colour covariance, as a fraction of the largest


@dataclass(frozen=True)
class Palette:
    """The colours of a set of specimens.

    Attributes
    ----------
    mean
        (3,) in [0, 1].
    mixing
        (3, 3): decorrelated channels y → colours, x = mean + mixing @ y; the weakest channel first.
    reach
        (2, 2): below the first row and above the second lie a fiftieth each of the specimens' pixels, in the two
        weaker channels, which are hue rather than light. Leaves have greens of which no leaf has the opposite: violet.
        None: unbounded.
    """

    mean: Floats
    mixing: Floats
    reach: Floats | None = None

    def decorrelate(self, image: Floats) -> Floats:
        """Return (3, rows, columns) decorrelated channels of a (rows, columns, 3) image in [0, 1]."""
        unmixing = np.linalg.inv(self.mixing)
        channels: Floats = np.einsum("ij,rcj->irc", unmixing, image - self.mean)
        return channels


def estimate_palette(images: Iterable[NDArray[np.uint8]]) -> Palette:
    """Return mean colour and mixing matrix of images (rows, columns, 3) uint8, streamed.

    Eigenvalues are floored at a thousandth of the largest, so that sets of one grey channel stay invertible.
    """
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    for image in images:
        pixels = image.reshape(-1, 3).astype(np.float64) / 255
        count += len(pixels)
        total += pixels.sum(axis=0)
        products += pixels.T @ pixels
    mean = total / max(count, 1)
    covariance = products / max(count, 1) - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, max(FLOOR * float(values.max()), 1e-6))
    signs = np.sign(vectors.sum(axis=0))  # eigenvectors have no sign of their own
    return Palette(mean=mean, mixing=vectors * np.where(signs == 0, 1, signs) * np.sqrt(values))


def estimate_spectrum(images: Callable[[], Iterable[NDArray[np.uint8]]], *, size: int) -> tuple[Floats, Palette]:
    """Return the magnitude spectrum for pictures of ``size`` px, and the palette.

    Parameters
    ----------
    images
        Called twice; yields square images (side, side, 3) uint8, all of one side.
    size
        Side of the pictures to be made, pixels; a picture shows the field of view of a whole image.

    Returns
    -------
    magnitude_spectrum
        (3, size, size // 2 + 1) float32 ≥ 0, as ``irfft2`` takes it; the mean (zero frequency) is 0.
    palette
        Mean colour, mixing matrix and reach.

    Raises
    ------
    SpecimenError
        Where there is no image.
    """
    palette = estimate_palette(images())
    total, count, side = np.zeros(()), 0, 0
    pixels = np.zeros((2, N_BINS))
    for image in images():
        side = len(image)
        window = _make_window(side)
        channels = palette.decorrelate(image.astype(np.float64) / 255)
        for counted, channel in zip(pixels, channels[:2], strict=True):
            inside = np.clip(channel, -WIDEST, WIDEST)
            counted += np.histogram(inside, bins=N_BINS, range=(-WIDEST, WIDEST))[0]
        channels = (channels - channels.mean(axis=(1, 2), keepdims=True)) * window
        total = total + np.abs(np.fft.rfft2(channels))
        count += 1
    if count == 0:
        raise SpecimenError("A spectrum was wanted, and not one of the pictures could be read. Look at their files.")
    measured = _remove_cross(total / count)  # (3, side, side // 2 + 1)
    if count < ENOUGH:
        falling = _fall_with_frequency(_scale_to_meet(measured, side, *(each * side / 2 for each in WHOLE)), side, side)
        measured = measured ** (count / ENOUGH) * falling ** (1 - count / ENOUGH)
    spectrum = _extend(measured, side, size)
    spectrum[:, 0, 0] = 0
    return spectrum.astype(np.float32), replace(palette, reach=_find_reach(pixels))


def _find_reach(pixels: Floats) -> Floats:
    """Return (2, 2), as a palette has it, of pixels counted by value, (2, N_BINS)."""
    edges = np.linspace(-WIDEST, WIDEST, N_BINS + 1)
    share = np.cumsum(pixels, axis=1) / pixels.sum(axis=1, keepdims=True)
    low = edges[np.argmax(share >= TAIL, axis=1)]
    high = edges[np.argmax(share >= 1 - TAIL, axis=1) + 1]
    return np.stack([np.minimum(low, -LEAST_REACH), np.maximum(high, LEAST_REACH)])


def compute_frequencies(size: int) -> Floats:
    """Return (size, size // 2 + 1) frequencies in cycles a picture."""
    rows = np.fft.fftfreq(size) * size
    columns = np.fft.rfftfreq(size) * size
    frequencies: Floats = np.hypot(rows[:, None], columns[None])
    return frequencies


def _make_window(side: int) -> Floats:
    """Return a (side, side) Hann window whose mean square is 1."""
    line = np.hanning(side + 2)[1:-1]
    window = np.outer(line, line)
    scaled: Floats = window / np.sqrt((window**2).mean())
    return scaled


def _remove_cross(measured: Floats) -> Floats:
    """Return the spectrum with its two axes no stronger than what lies beside them.

    Seams run along rows and columns: where a picture was padded to the classifier's input, where a photograph was
    cut. They would weave through every picture; what a leaf adds just there, it adds beside as well.
    """
    n_rows, n_columns = measured.shape[1:]
    cleaned = measured.copy()
    if n_columns <= BESIDE[-1]:
        return cleaned
    fine_rows = np.flatnonzero(np.abs(np.fft.fftfreq(n_rows) * n_rows) >= CROSS_FROM)
    beside = measured[:, :, BESIDE].mean(axis=2)  # (3, rows)
    for column in range(CROSS_WIDTH + 1):
        cleaned[:, fine_rows, column] = np.minimum(measured[:, fine_rows, column], beside[:, fine_rows])
    fine_columns = np.arange(CROSS_FROM, n_columns)
    beside = measured[:, [*BESIDE, *(-each for each in BESIDE)]].mean(axis=1)  # (3, columns)
    for row in range(-CROSS_WIDTH, CROSS_WIDTH + 1):
        cleaned[:, row, fine_columns] = np.minimum(measured[:, row, fine_columns], beside[:, fine_columns])
    return cleaned


def _scale_to_meet(measured: Floats, side: int, low: float, high: float) -> Floats:
    """Return (3,) the c of c/f that has the mean magnitude, by logarithms, of a spectrum from ``low`` to ``high``."""
    frequencies = compute_frequencies(side)
    chosen = (frequencies >= max(low, 1.0)) & (frequencies <= max(high, 2.0))
    logarithms = np.log(np.maximum(measured[:, chosen], 1e-9)) + np.log(frequencies[chosen])
    scale: Floats = np.exp(logarithms.mean(axis=1))
    return scale


def _fall_with_frequency(scale: Floats, side: int, size: int) -> Floats:
    """Return (3, size, size // 2 + 1) magnitudes c/f, from images of ``side`` pixels brought to ``size``."""
    frequencies = np.maximum(compute_frequencies(size), 1.0)
    return scale[:, None, None] / frequencies * (size / side) ** 2


def _extend(measured: Floats, side: int, size: int) -> Floats:
    """Return the spectrum at another size: measured where both hold a frequency, 1/f beyond."""
    shared = min(side, size)
    seam = _scale_to_meet(measured, side, *(each * shared / 2 for each in SEAM))
    spectrum = _fall_with_frequency(seam, side, size)
    half = (shared - 1) // 2  # frequencies −half … half exist in both, whatever the parity
    rows = np.r_[0 : half + 1, -half:0] if half else np.array([0])
    columns = np.arange(half + 1)
    both = np.ix_(np.arange(3), rows, columns)
    frequencies = compute_frequencies(size)[np.ix_(rows, columns)]
    # Resizing has dimmed the finest frequencies: 1/f takes over from 0.8 to 1 of the shared Nyquist.
    keep = np.clip((half - frequencies) / max(0.2 * half, 1e-9), 0, 1)
    inner = measured[both] * (size / side) ** 2
    spectrum[both] = inner**keep * spectrum[both] ** (1 - keep)
    return spectrum
