"""Paint: a blade with light on it, veins that stand up, paper with grain, a soft shadow.

The relief is a height field: the blade swells between its veins (quilting), and veins are ridges.
Its slope towards the light brightens, away from it darkens; nothing here looks farther than a
fraction of L, so what changes in one zone leaves the rest of the drawing as it is.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from leaflineage.herbarium.noise import Field, cloudy_noise, smooth_noise
from leaflineage.herbarium.palette import Colour, Palette
from leaflineage.herbarium.placement import Placement
from leaflineage.herbarium.raster import Coverages
from leaflineage.herbarium.streams import Streams

Picture = NDArray[np.float32]
LeafGrid = tuple[NDArray[np.float64], NDArray[np.float64]]


def blur(field: Field, sigma: float) -> Field:
    """Return a field (rows, columns) blurred by sigma pixels."""
    return np.asarray(gaussian_filter(field, sigma, mode="nearest", truncate=3.0), dtype=np.float32)


def mix(picture: Picture, colour: Picture | Colour, share: Field) -> Picture:
    """Return the picture (rows, columns, 3) with a share (rows, columns) of another colour."""
    return picture + (colour - picture) * share[..., None]


def paint_paper(palette: Palette, size: int, random: Generator) -> Picture:
    """Return bare paper (size, size, 3): light that falls off, faint clouds, fine grain."""
    angle = random.uniform(0, 2 * np.pi)
    fall = random.uniform(0.01, 0.05)
    axis = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    light = 1 + np.float32(fall) * (
        np.float32(np.cos(angle)) * axis[None, :] + np.float32(np.sin(angle)) * axis[:, None]
    )
    vignette = 1 - np.float32(random.uniform(0.0, 0.04)) * (axis[None, :] ** 2 + axis[:, None] ** 2) / 2
    clouds = 0.006 * cloudy_noise(size, 5, 3, random)
    grain = random.standard_normal((size, size), dtype=np.float32)
    grain = 0.010 * (grain + np.roll(grain, 1, axis=1) + np.roll(grain, (1, 1), axis=(0, 1))) / np.float32(1.7)
    tone = (light * vignette + clouds + grain * np.float32(random.uniform(0.5, 1.0))).astype(np.float32)
    warm = np.array([1.0, 0.985, 0.95], dtype=np.float32)
    blotch = np.clip(cloudy_noise(size, 3, 2, random) - 0.35, 0.0, 1.0) * np.float32(0.05)
    paper = palette.paper * tone[..., None]
    return mix(paper, paper * warm, blotch * 4)


def cast_shadow(
    paper: Picture, coverage: Field, placement: Placement, light: NDArray[np.float64], strength: float
) -> Picture:
    """Return the paper darkened where the leaf (its coverage, (size, size)) stands in the light."""
    length = placement.length * coverage.shape[0]
    near, far = 0.006 * length, 0.02 * length
    shadow = np.zeros_like(coverage)
    for reach, share in ((near, 0.55), (far, 0.45)):
        soft = blur(coverage, max(reach, 0.6))
        step = np.rint(-light * reach * 0.9).astype(int)
        shadow += np.float32(share) * _moved(soft, int(step[0]), int(step[1]))
    tint = np.array([1.0, 0.95, 0.86], dtype=np.float32)
    return paper * (1 - np.float32(strength) * shadow[..., None] * tint)


def _moved(field: Field, right: int, down: int) -> Field:
    """Return a field moved by whole pixels, its border repeated."""
    padded = np.pad(field, 24, mode="edge")
    right, down = (max(-24, min(24, step)) for step in (right, down))
    rows, columns = field.shape
    return padded[24 - down : 24 - down + rows, 24 - right : 24 - right + columns]


def paint_blade(
    coverages: Coverages,
    placement: Placement,
    where: LeafGrid,
    depth: Field,
    palette: Palette,
    light: NDArray[np.float64],
    streams: Streams,
) -> Picture:
    """Return the colours (size, size, 3) of blade and petiole, to be laid on the paper by coverage.

    where: leaf coordinates x and y of each pixel. depth: distance to the outline in L.
    light: unit vector (right, down) towards the light.
    """
    size = depth.shape[0]
    length = np.float32(placement.length * size)
    random = streams.generator("blade")
    across, height = where
    cleared = palette.treatment == "cleared"
    major = np.maximum(coverages.primary, coverages.secondary)
    near_major = blur(major, 0.016 * float(length))
    near_minor = blur(coverages.tertiary, 0.007 * float(length))

    clouds = cloudy_noise(size, 4, 4, random)
    speckle = smooth_noise(size, 90, random)
    share = 0.42 + 0.20 * clouds + 0.05 * speckle
    # Fresh blades are paler along their veins, dried and cleared ones darker.
    share += np.float32(0.9 if palette.treatment == "fresh" else -0.6) * near_major
    share += np.float32(random.uniform(-0.10, 0.10)) * np.tanh(across / 0.2).astype(np.float32)
    blade = palette.dark + (palette.light - palette.dark) * np.clip(share, 0.0, 1.0)[..., None]
    drift = np.array([0.05, 0.0, -0.05], dtype=np.float32) * np.float32(random.uniform(-0.8, 0.8))
    blade = blade + drift * smooth_noise(size, 3, random)[..., None]
    blade = _age(blade, palette, depth, random)

    lost = coverages.whole_blade - coverages.blade
    if lost.any():
        scar = np.clip(blur(lost, max(0.005 * float(length), 0.7)) * np.float32(2.2), 0.0, 0.75)
        blade = mix(blade, palette.dark * np.array([0.62, 0.45, 0.34], dtype=np.float32), scar)

    fine = _vein_colours(palette, random)
    blade = mix(blade, fine, coverages.areoles * np.float32(0.34 if cleared else 0.26))
    blade = mix(blade, fine, coverages.quaternary * np.float32(0.42 if cleared else 0.34))
    blade = mix(blade, fine, coverages.tertiary * np.float32(0.74 if cleared else 0.66))
    relief = _relief(coverages, near_major, near_minor, length, random)
    lit = _lighting(
        relief, across, np.where(height > 0, depth, np.float32(1.0)), light, random, strength=0.30 if cleared else 1.0
    )
    blade = blade * (1 + lit)[..., None]
    blade = mix(blade, palette.vein * (1 + 0.5 * lit)[..., None], coverages.secondary * np.float32(0.86))
    blade = mix(blade, palette.vein * (1.02 + 0.5 * lit)[..., None], coverages.primary * np.float32(0.94))
    rim = np.exp(-depth / np.float32(0.005)) * np.float32(0.22 if cleared else 0.20) * (1 - coverages.primary)
    blade = blade * (1 - rim)[..., None]
    # Seamless where the midvein becomes the stalk, a little darker towards the stalk's foot.
    darker = 1.02 - np.float32(0.14) * np.clip(-height / 0.25, 0.0, 1.0).astype(np.float32)
    stalk = palette.vein * (darker * (1 + 0.5 * lit))[..., None]
    return mix(blade, stalk, np.where(coverages.blade > 0.5, coverages.primary, 1.0) * coverages.petiole)


def _vein_colours(palette: Palette, random: Generator) -> Colour:
    """Return the colour of the fine veins: the blade's own, towards that of the veins."""
    towards = np.float32(random.uniform(0.55, 0.85))
    middle = (palette.dark + palette.light) / 2
    return np.asarray(middle + (palette.vein - middle) * towards, dtype=np.float32)


def _age(blade: Picture, palette: Palette, depth: Field, random: Generator) -> Picture:
    """Return the blade with the browning and specks of its age, strongest on dried leaves."""
    size = depth.shape[0]
    amount = {"fresh": 0.25, "dried": 1.0, "cleared": 0.12}[palette.treatment] * random.uniform(0.0, 1.0)
    brown = np.array([0.44, 0.29, 0.16], dtype=np.float32)
    edge = np.exp(-depth / np.float32(0.05)) * np.clip(0.25 + cloudy_noise(size, 6, 2, random), 0.0, 1.0)
    blade = mix(blade, brown, edge * np.float32(0.45 * amount))
    blotches = np.clip(cloudy_noise(size, 9, 3, random) - 0.95, 0.0, 0.4) * 2
    return mix(blade, brown * np.float32(0.8), blotches * np.float32(0.6 * amount))


def _relief(coverages: Coverages, near_major: Field, near_minor: Field, length: np.float32, random: Generator) -> Field:
    """Return heights (size, size) in L: hollows along the veins, veins as ridges in them."""
    quilt, ridge = random.uniform(0.5, 1.1), random.uniform(0.5, 1.0)
    thin = max(0.0035 * float(length), 0.55)
    ridges = blur(np.maximum(coverages.primary, coverages.petiole) * np.float32(1.3) + coverages.secondary, thin)
    minor_ridges = blur(coverages.tertiary + np.float32(0.5) * coverages.quaternary, max(0.002 * float(length), 0.45))
    heights = (
        -np.float32(0.017 * quilt) * near_major
        - np.float32(0.0045 * quilt) * near_minor
        + np.float32(0.0032 * ridge) * ridges
        + np.float32(0.0009 * ridge) * minor_ridges
    )
    return np.asarray(heights, dtype=np.float32)


def _lighting(
    relief: Field,
    across: NDArray[np.float64],
    depth: Field,
    light: NDArray[np.float64],
    random: Generator,
    *,
    strength: float,
) -> Field:
    """Return by how much each pixel (size, size) is brighter (> 0) or darker than unlit."""
    size = relief.shape[0]
    swell = 0.012 * cloudy_noise(size, 3, 2, random)
    down, right = np.gradient(relief)
    down2, right2 = np.gradient(swell)
    # Slopes are heights over lengths in L; a pixel is 1 / size of the sheet.
    slope = (right * np.float32(light[0]) + down * np.float32(light[1])) * np.float32(size)
    slow = (right2 * np.float32(light[0]) + down2 * np.float32(light[1])) * np.float32(size)
    fold = np.float32(random.uniform(0.03, 0.09) * random.choice([-1.0, 1.0]))
    sides = fold * np.tanh(across / 0.03).astype(np.float32) * np.exp(-np.abs(across) / 0.5).astype(np.float32)
    droop = -np.float32(0.05) * np.exp(-depth / np.float32(0.03))
    lit = 0.32 * np.tanh(-slope * np.float32(0.9)) + 0.10 * np.tanh(-slow * np.float32(4.0)) + sides + droop
    gloss = np.clip(np.tanh(-slow * np.float32(6.0)) - 0.25, 0.0, 1.0) * np.float32(random.uniform(0.0, 0.16))
    return np.asarray(np.float32(strength) * (lit + gloss), dtype=np.float32)
