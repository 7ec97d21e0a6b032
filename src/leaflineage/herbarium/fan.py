"""The gymnosperm's leaf: a fan whose veins fork and fork again (Ginkgo)."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from leaflineage.herbarium.curves import Floats, smoothstep
from leaflineage.herbarium.pinnate import petiole_stroke
from leaflineage.herbarium.plan import LeafPlan, Points, Strokes, no_strokes
from leaflineage.herbarium.streams import Streams

N_POINTS = 48


@dataclass(frozen=True)
class Fan:
    """What makes one fan leaf: half its angle in radians, its notch, waves of its edge, forks of a vein."""

    half_angle: float
    notch: float
    notch_width: float
    waves: float
    n_forks: int = 5
    petiole: float = 0.5
    petiole_sway: float = 0.08
    vein_width: float = 0.0044


def plan_fan(leaf: Fan, streams: Streams) -> LeafPlan:
    """Return the plan of a fan leaf. It has no midvein: all its veins are of one order, kept as secondaries."""
    random = streams.generator("outline")
    angles = np.linspace(-1.0, 1.0, 700)
    radii = _edge_radius(angles, leaf, random)
    edge = _polar(angles * leaf.half_angle, radii)
    sides = [_flank(edge[-1]), _flank(edge[0])]
    outline = np.concatenate([edge, sides[0], sides[1][::-1]])
    veins = _forking_veins(leaf, angles, radii, edge[-1], streams.generator("veins"))
    return LeafPlan(
        outline=outline,
        petiole=petiole_stroke(leaf.petiole, leaf.petiole_sway, 0.020),
        primaries=no_strokes(N_POINTS),
        secondaries=veins,
        tertiaries=no_strokes(),
        mesh=(),
    )


def _edge_radius(share: Floats, leaf: Fan, random: Generator) -> Floats:
    """Return the edge's distance from the insertion at each share in [-1, 1] of the half angle."""
    phases = random.uniform(0, 2 * np.pi, 5)
    wave = sum(
        leaf.waves * weight * np.sin(count * np.pi * share + phase)
        for count, weight, phase in zip((2.1, 3.7, 6.3, 11.0, 19.0), (0.7, 0.8, 0.6, 0.35, 0.22), phases, strict=True)
    )
    centre = random.uniform(-0.06, 0.06)
    cut = leaf.notch * np.exp(-(np.abs((share - centre) / leaf.notch_width) ** 1.4))
    shoulder = 1 - 0.10 * smoothstep((np.abs(share) - 0.72) / 0.28)
    rounded = np.sqrt(np.clip((1 - np.abs(share)) / 0.05, 0.0, 1.0)) * 0.10 + 0.90
    return np.asarray((1 + wave - cut) * shoulder * rounded)


def _polar(angle: Floats, radius: Floats) -> Points:
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1)


def _flank(corner: Points) -> Points:
    """Return the side of the fan (40, 2) from its corner to the insertion, hollow as a wedge's."""
    u = np.linspace(0.0, 1.0, 40)[:, None]
    side = np.sign(corner[0])
    hollow = np.array([side * 0.05, 0.20])
    line = (1 - u) ** 2 * corner + 2 * (1 - u) * u * (hollow + corner * 0.25) + u**2 * np.array([side * 0.012, 0.0])
    return np.asarray(line[1:])


def _forking_veins(leaf: Fan, share: Floats, radii: Floats, corner: Points, random: Generator) -> Strokes:
    """Return veins that each fork about `n_forks` times between insertion and edge.

    A vein's course is the mean of the final veins that pass through it, so forks part smoothly.
    """
    n_final = 2**leaf.n_forks * 2
    spread = np.linspace(-0.97, 0.97, n_final) + random.uniform(-0.25, 0.25, n_final) / n_final
    # The radius at which each fork opens; later forks lie farther out, each fork in its own place.
    u = np.linspace(0.0, 1.0, N_POINTS)
    mean = np.zeros((N_POINTS, n_final))
    for level in range(leaf.n_forks + 1):
        group = n_final // (2 * 2**level)
        means = spread.reshape(-1, group).mean(axis=1).repeat(group)
        opens = np.linspace(0.0, 0.72, leaf.n_forks + 1)[level]
        at = opens + random.uniform(-0.07, 0.07, n_final // group).repeat(group) * (level > 0)
        weight = smoothstep((u[:, None] - at) / 0.16) if level else np.ones((N_POINTS, 1))
        mean = mean * (1 - weight) + means * weight
    end = np.interp(spread, share, radii) * 0.995
    radius = 0.004 + u[:, None] * end
    # Near the insertion the wedge is narrower than the fan's angle: the veins keep within its flanks.
    flank = np.concatenate([corner[None], _flank(corner)])[::-1]
    widest = np.interp(radius, np.hypot(*flank.T), np.arctan2(flank[:, 0], np.maximum(flank[:, 1], 1e-6)))
    angle = mean * np.minimum(leaf.half_angle, widest) * 0.99
    points = np.swapaxes(_polar(angle, radius), 0, 1)
    widths = leaf.vein_width * np.interp(u, [0.0, 0.2, 1.0], [1.0, 0.8, 0.5])
    return Strokes(points, np.repeat(widths[None], n_final, axis=0))
