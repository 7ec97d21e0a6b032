"""What happens to leaves, and what lies beside them: holes, tears, a ruler, a label."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from leaflineage.herbarium.curves import arc_lengths
from leaflineage.herbarium.placement import Box
from leaflineage.herbarium.plan import LeafPlan, Points
from leaflineage.herbarium.raster import Coverage, canvas_factor

LABEL_BOX: Box = (0.735, 0.865, 0.965, 0.965)
"""Where a ruler or label lies: x0, y0, x1, y1 in fractions of the sheet, in the lower right corner."""


def damage_outlines(plan: LeafPlan, random: Generator) -> list[Points]:
    """Return what is missing of a blade: outlines (n, 2) in leaf coordinates, often none."""
    missing = []
    if random.random() < 0.28:
        missing += [_hole(plan, random) for _ in range(int(random.integers(1, 4)))]
    if random.random() < 0.14:
        missing.append(_tear(plan, random))
    return missing


def _ragged_ring(centre: Points, radius: float, random: Generator) -> Points:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    waves = np.zeros_like(angle)
    for count in (2, 3, 4, 6):
        waves += random.uniform(0.0, 0.28 / count) * np.sin(count * angle + random.uniform(0, 2 * np.pi))
    stretch = random.uniform(0.7, 1.3)
    ring = radius * (1 + waves)[:, None] * np.stack([np.cos(angle) * stretch, np.sin(angle)], axis=1)
    return np.asarray(centre + ring)


def _hole(plan: LeafPlan, random: Generator) -> Points:
    # Between the midvein and the edge, away from both: insects leave the thick veins.
    far = plan.outline[np.hypot(plan.outline[:, 0], plan.outline[:, 1]) > 0.35]
    target = far[int(random.integers(len(far)))]
    foot = np.array([0.0, np.clip(target[1] * 0.8, 0.1, 0.8)])
    centre = foot + (target - foot) * random.uniform(0.35, 0.75)
    return _ragged_ring(centre, float(random.uniform(0.010, 0.026)), random)


def _tear(plan: LeafPlan, random: Generator) -> Points:
    """Return a bite out of the margin."""
    lengths = arc_lengths(plan.outline)
    at = random.uniform(0.12, 0.42) + (0.5 if random.random() < 0.5 else 0.0)
    k = int(np.searchsorted(lengths, at * lengths[-1]))
    far = np.hypot(plan.outline[:, 0], plan.outline[:, 1]) > 0.3
    k = k if far[k] else int(np.argmax(far))
    return _ragged_ring(plan.outline[k], float(random.uniform(0.025, 0.05)), random)


@dataclass(frozen=True)
class Card:
    """A ruler or label: colours (size, size, 3) in [0, 1] and coverage (size, size)."""

    picture: NDArray[np.float32]
    coverage: Coverage


def draw_ruler(size: int, random: Generator) -> Card:
    """Return a ruler in the lower right corner: a pale strip, ticks, and a black and white bar."""
    factor = canvas_factor(size)
    side = size * factor
    tone = np.array([238, 232, 214]) + random.integers(-10, 10, 3)
    image = Image.new("RGB", (side, side), tuple(int(v) for v in tone))
    draw = ImageDraw.Draw(image)
    x0, y0, x1, y1 = (v * side for v in LABEL_BOX)
    width, height = x1 - x0, y1 - y0
    ink = (38, 36, 34)
    draw.rectangle((x0, y0, x1, y0 + height * 0.06), fill=(150, 140, 118))
    n_ticks = 24
    for k in range(n_ticks + 1):
        x = x0 + width * (0.06 + 0.88 * k / n_ticks)
        long = 0.46 if k % 12 == 0 else 0.34 if k % 6 == 0 else 0.22
        draw.rectangle(
            (x - width * 0.004, y0 + height * 0.10, x + width * 0.004, y0 + height * (0.10 + long)), fill=ink
        )
    for k in range(6):
        left = x0 + width * (0.06 + 0.88 * k / 6)
        fill = ink if k % 2 == 0 else (250, 248, 240)
        draw.rectangle((left, y0 + height * 0.68, left + width * 0.88 / 6, y0 + height * 0.86), fill=fill)
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).rectangle((x0, y0, x1 - 1, y1 - 1), fill=255)
    return Card(
        np.asarray(image.reduce(factor), dtype=np.float32) / np.float32(255),
        np.asarray(mask.reduce(factor), dtype=np.float32) / np.float32(255),
    )
