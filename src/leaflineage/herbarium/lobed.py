"""Pinnately lobed leaves with rounded lobes (oaks).

The edge is drawn along rays that leave the midvein at the lobes' own angle, so lobes lean forward
and each secondary runs down the middle of its lobe.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from leaflineage.herbarium.curves import Floats, direction, smoothstep, sway, taper
from leaflineage.herbarium.pinnate import box_of, midvein_stroke, petiole_stroke
from leaflineage.herbarium.plan import LeafPlan, Points, Strokes, join_strokes
from leaflineage.herbarium.streams import Streams
from leaflineage.herbarium.venation import N_SECONDARY, net, run_to, rungs_between

N_SIDE = 700


@dataclass(frozen=True)
class Lobed:
    """What makes one lobed leaf: lobes a side, half width and sinus depth, angles in radians."""

    n_lobes: int
    width: float
    depth: float
    angle: float
    widest: float
    petiole: float = 0.07
    petiole_sway: float = 0.01
    midvein_width: float = 0.017
    secondary_width: float = 0.0085
    cell: float = 0.02


def plan_lobed(leaf: Lobed, streams: Streams) -> LeafPlan:
    """Return the plan of a pinnately lobed leaf."""
    random = streams.generator("veins")
    midvein = midvein_stroke(leaf.midvein_width, random.uniform(0.0, 0.005), random)
    shift = float(random.uniform(-0.35, 0.35))
    sides = [_plan_side(leaf, streams.generator(f"{name} side"), by) for name, by in (("right", 0.0), ("left", shift))]
    flip = np.array([-1.0, 1.0])
    (right, secondaries, rungs), (left, left_secondaries, left_rungs) = sides
    outline = np.concatenate([right, (left * flip)[::-1]])
    box = box_of(outline)
    mesh_random = streams.generator("mesh")
    return LeafPlan(
        outline=outline,
        petiole=petiole_stroke(leaf.petiole, leaf.petiole_sway, leaf.midvein_width),
        primaries=midvein,
        secondaries=join_strokes(secondaries, Strokes(left_secondaries.points * flip, left_secondaries.widths)),
        tertiaries=join_strokes(rungs, Strokes(left_rungs.points * flip, left_rungs.widths)),
        mesh=(
            net(box, cell=leaf.cell * 2.1, width=0.0021, gaps=0.06, along=leaf.angle, random=mesh_random),
            net(box, cell=leaf.cell, width=0.0013, gaps=0.14, along=leaf.angle, random=mesh_random),
        ),
    )


def _plan_side(leaf: Lobed, random: Generator, shift: float) -> tuple[Points, Strokes, Strokes]:
    n = leaf.n_lobes
    depths = leaf.depth * random.uniform(0.75, 1.15, n + 2)
    sizes = random.uniform(0.90, 1.08, n + 2)
    uneven = random.uniform(-0.12, 0.12, n + 2)

    def count_lobes(t: Floats) -> Floats:
        """Lobes passed at each t; whole numbers are sinuses. The terminal lobe takes the last fifth."""
        lobe = np.interp(t, [0.0, 0.80, 1.0], [0.0, n, n + 0.5]) + shift * np.sin(np.pi * np.minimum(t / 0.8, 1.0))
        return np.asarray(lobe + np.interp(lobe, np.arange(n + 2), uneven))

    def reach(t: Floats) -> Floats:
        """The edge's distance from the midvein along its ray, at each t in [0, 1]."""
        lobe = count_lobes(t)
        sinus = (0.5 + 0.5 * np.cos(2 * np.pi * lobe)) ** 2.4
        # A sinus stands at whole numbers: none at the base itself, none in the terminal lobe.
        cut = np.interp(lobe, np.arange(n + 2), depths) * sinus * smoothstep(lobe / 0.8)
        size = np.interp(lobe - 0.5, np.arange(n + 2), sizes)
        below, above = np.clip(1 - t / leaf.widest, 0, 1), np.clip((t - leaf.widest) / (1 - leaf.widest), 0, 1)
        envelope = np.where(t < leaf.widest, (1 - below**2) ** 0.95, 0.40 + 0.60 * (1 - above**2) ** 1.4)
        return np.asarray(leaf.width * envelope * (1 - cut) * size / np.sin(leaf.angle))

    def lean(t: Floats) -> Floats:
        return np.asarray(leaf.angle * (1 - np.clip((t - 0.3) / 0.7, 0, 1) ** 1.8))

    t = np.linspace(0.0, 1.0, N_SIDE)
    top = float(reach(np.array([1.0]))[0])
    foot = t * (1 - top)
    edge = np.stack([np.zeros(N_SIDE), foot], axis=1) + reach(t)[:, None] * direction(lean(t))
    edge[:, 0] = np.maximum(edge[:, 0], 0.0)
    edge[0], edge[-1] = (0.0, 0.0), (0.0, 1.0)
    grid = count_lobes(t)
    middle = np.interp(np.arange(n) + 0.5, grid, t)
    ends = np.stack([np.interp(middle, t, edge[:, k]) for k in (0, 1)], axis=1)
    rise = middle * (1 - top)
    origins = np.maximum(rise - 0.02, 0.02)
    starts = np.stack([np.zeros(n), origins], axis=1)
    ends = starts + (ends - starts) * 0.975
    angles = np.arctan2(ends[:, 0], ends[:, 1] - origins) + 0.12
    veins = sway(run_to(starts, ends, angles, bow=0.12), 0.005, random.uniform(0, 6.28, n))
    share = np.linspace(0.0, 1.0, n)
    size = np.hypot(*(ends - starts).T)
    # The lowest lobe may be a mere shoulder; a vein into it would curl up.
    kept = size > 0.12
    veins, size, share = veins[kept], size[kept], share[kept]
    strokes = Strokes(
        veins, taper(N_SECONDARY, leaf.secondary_width * (0.55 + 0.45 * size / size.max()) * (1 - 0.2 * share), 0.002)
    )
    extra = _intersecondaries(veins, edge, t, grid, int(np.argmax(kept)), random)
    inner = veins[:, : int(N_SECONDARY * 0.62)]
    rungs = rungs_between(inner, spacing=0.035, slant=0.0, sag=0.06, unrest=1.1, width=0.0031, random=random)
    return edge, join_strokes(strokes, extra), rungs


def _intersecondaries(veins: Points, edge: Points, t: Floats, grid: Floats, first: int, random: Generator) -> Strokes:
    """Return weaker veins that run towards the sinuses and fade."""
    starts = (veins[:-1, 0] + veins[1:, 0]) / 2
    wholes = first + np.arange(1, len(veins))  # one sinus above each lobe but the last
    at = np.interp(wholes, grid, t)
    sinuses = np.stack([np.interp(at, t, edge[:, k]) for k in (0, 1)], axis=1)
    ends = starts + (sinuses - starts) * random.uniform(0.45, 0.8, len(starts))[:, None]
    angles = np.arctan2(ends[:, 0], ends[:, 1] - starts[:, 1])
    lines = run_to(starts, ends, angles, bow=0.1)
    return Strokes(lines, taper(N_SECONDARY, np.full(len(lines), 0.0042), 0.0012))
