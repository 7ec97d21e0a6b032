"""Leaves whose primaries part at the petiole: maples, vines."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from leaflineage.herbarium.curves import Floats, bezier, direction, point_at, sway, taper
from leaflineage.herbarium.pinnate import box_of, petiole_stroke
from leaflineage.herbarium.plan import LeafPlan, Points, Strokes, join_strokes, no_strokes
from leaflineage.herbarium.streams import Streams
from leaflineage.herbarium.venation import N_SECONDARY, net, rungs_between

N_PRIMARY = 60


@dataclass(frozen=True)
class Lobe:
    """One lobe of the right half: its axis (radians from the midvein), length in L.

    `sinus`: (angle, radius) of the notch below it, towards the base. `n_upper`, `n_lower`: teeth
    on its flanks. The central lobe has angle 0, and its upper flank is the other half's.
    """

    angle: float
    length: float
    sinus: tuple[float, float]
    n_upper: int
    n_lower: int


@dataclass(frozen=True)
class Palmate:
    """What makes one palmate leaf: lobes from the centre to the base, and the teeth's form."""

    right: tuple[Lobe, ...]
    left: tuple[Lobe, ...]
    tooth: float
    hollow: float
    bulge: float
    round_tooth: float = 0.0
    petiole: float = 0.5
    petiole_sway: float = 0.08
    primary_width: float = 0.013
    cell: float = 0.022


@dataclass(frozen=True)
class _Flank:
    """Points from a sinus to a lobe's tip, and the teeth's tips in that order."""

    line: Points
    tips: Points


def plan_palmate(leaf: Palmate, streams: Streams) -> LeafPlan:
    """Return the plan of a palmate leaf; every primary is one of `primaries`, the midvein first."""
    halves = [
        _plan_half(leaf, lobes, streams.generator(f"{name} side"))
        for name, lobes in (("right", leaf.right), ("left", leaf.left))
    ]
    flip = np.array([-1.0, 1.0])
    right, left = halves
    outline = np.concatenate([right.line, (left.line * flip)[::-1]])
    midvein = _primary(np.array([0.0, 1.0]), leaf.primary_width, 0.0)
    box = box_of(outline)
    mesh_random = streams.generator("mesh")
    mesh = (
        net(box, cell=leaf.cell * 2.2, width=0.0021, gaps=0.05, along=0.5, random=mesh_random),
        net(box, cell=leaf.cell, width=0.0013, gaps=0.14, along=0.5, random=mesh_random),
    )

    def both(name: str) -> Strokes:
        a, b = getattr(right, name), getattr(left, name)
        return join_strokes(a, Strokes(b.points * flip, b.widths))

    return LeafPlan(
        outline=outline,
        petiole=petiole_stroke(leaf.petiole, leaf.petiole_sway, leaf.primary_width * 1.25),
        primaries=join_strokes(midvein, both("primaries")),
        secondaries=both("secondaries"),
        tertiaries=both("tertiaries"),
        mesh=mesh,
    )


@dataclass(frozen=True)
class _Half:
    line: Points
    primaries: Strokes
    secondaries: Strokes
    tertiaries: Strokes


def _primary(tip: Points, width: float, bow: float) -> Strokes:
    end = tip * 0.992
    across = np.array([end[1], -end[0]])
    line = bezier(np.zeros(2), end * 0.33 + across * bow, end * 0.67 + across * bow, end, N_PRIMARY)
    return Strokes(line[None], taper(N_PRIMARY, np.array([width]), 0.0022, 0.9))


def _plan_half(leaf: Palmate, lobes: tuple[Lobe, ...], random: Generator) -> _Half:
    flanks: list[_Flank] = []
    primaries: list[Strokes] = []
    veins: list[Strokes] = []
    width = 0.48 * leaf.primary_width
    for k, lobe in enumerate(lobes):
        tip = direction(lobe.angle) * lobe.length
        bow = float(random.normal(0.0, 0.02)) if k else 0.0
        primary = _primary(tip, leaf.primary_width * (0.92 if lobe.length > 0.5 else 0.7), bow - 0.015 * (k > 0))
        below = direction(lobe.sinus[0]) * lobe.sinus[1]
        lower = _flank(below, tip, lobe.n_lower, leaf, random, outward=1.0)
        flanks.append(lower)
        veins.append(_secondaries_of(primary.points[0], lower, 1.0, width, random))
        if k:
            primaries.append(primary)
            above = direction(lobes[k - 1].sinus[0]) * lobes[k - 1].sinus[1]
            upper = _flank(above, tip, lobe.n_upper, leaf, random, outward=-1.0)
            flanks.append(_Flank(upper.line[::-1], upper.tips))
            veins.append(_secondaries_of(primary.points[0], upper, -1.0, width, random))
    # From the insertion round the base, lobe by lobe, up to the apex.
    order = [np.zeros((1, 2))]
    for k in range(len(lobes) - 1, 0, -1):
        order += [flanks[2 * k - 1].line, flanks[2 * k].line]
    order.append(flanks[0].line)
    line = np.concatenate(order)
    rungs = [
        rungs_between(group.points, spacing=0.05, slant=0.1, sag=0.05, unrest=1.0, width=0.0030, random=random)
        for group in veins
    ]
    return _Half(
        line=line,
        primaries=join_strokes(*primaries) if primaries else no_strokes(N_PRIMARY),
        secondaries=join_strokes(*veins),
        tertiaries=join_strokes(*rungs),
    )


def _flank(sinus: Points, tip: Points, n_teeth: int, leaf: Palmate, random: Generator, *, outward: float) -> _Flank:
    """Return one side of a lobe, from the sinus to the tip, with its teeth pointing to the tip."""
    chord = tip - sinus
    length = float(np.hypot(*chord))
    along = chord / length
    out = np.array([along[1], -along[0]]) * outward
    base_out = leaf.bulge * length

    def base(u: Floats | float) -> Points:
        u = np.asarray(u)[..., None]
        return sinus + chord * u + out * base_out * 4 * u * (1 - u) * (1.15 - 0.3 * u)

    if n_teeth == 0:
        return _Flank(base(np.linspace(0, 1, 60)), np.zeros((0, 2)))
    stops = (np.arange(n_teeth) + 0.75 + random.uniform(-0.10, 0.10, n_teeth)) / (n_teeth + 0.55)
    heights = leaf.tooth * length / (n_teeth + 1) * random.uniform(0.8, 1.2, n_teeth)
    heights *= 1.25 - 0.6 * stops
    tips = base(stops) + heights[:, None] * (out + 0.55 * along)
    notches = base(np.minimum(stops + 0.30 / (n_teeth + 1), 0.98)) - heights[:, None] * 0.30 * out
    pieces, start = [], sinus
    for tooth, notch in zip(tips, notches, strict=True):
        pieces += [_bowed(start, tooth, out, leaf), _bowed(tooth, notch, out, leaf, steep=True)]
        start = notch
    pieces.append(_bowed(start, tip, out, leaf))
    return _Flank(np.concatenate([sinus[None], *pieces]), tips)


def _bowed(a: Points, b: Points, out: Points, leaf: Palmate, *, steep: bool = False) -> Points:
    """Return the line from a to b without a, hollow between teeth or round, as the leaf is."""
    length = float(np.hypot(*(b - a)))
    depth = (-leaf.hollow + leaf.round_tooth) * length * (0.5 if steep else 1.0)
    middle = (a + b) / 2 + out * depth
    return bezier(a, a + (middle - a) * 0.8, b + (middle - b) * 0.8, b, 14)[1:]


def _secondaries_of(primary: Points, flank: _Flank, side: float, width: float, random: Generator) -> Strokes:
    """Return secondaries from a primary to the teeth of one flank, and two towards the sinus.

    Those meet their like from the next lobe.
    """
    sinus = flank.line[0]
    tip = primary[-1]
    length = float(np.hypot(*tip))
    axis = tip / length
    # Where along the primary the sinus stands; below it the blade is shared with the next lobe.
    foot = float(np.clip(sinus @ axis / length, 0.12, 0.7))
    targets = [sinus * 0.95]
    if foot > 0.3:
        targets.insert(0, sinus * 0.64)
    n_towards_sinus = len(targets)
    targets += list(flank.tips)
    n = len(targets)
    ends = np.stack(targets)
    reach = ends @ axis / length
    across = np.abs(ends @ np.array([axis[1], -axis[0]])) / length
    origins = np.maximum.accumulate(np.clip(reach - across * 0.85, 0.06, 0.95) + 0.01 * np.arange(n))
    lines = []
    for k, (origin, end) in enumerate(zip(origins, ends, strict=True)):
        start = point_at(primary, origin)
        chord = end - start
        distance = float(np.hypot(*chord))
        outwards = np.array([axis[1], -axis[0]]) * side
        leave = 0.5 * (axis * np.cos(0.95) + outwards * np.sin(0.95)) + 0.5 * chord / max(distance, 1e-9)
        arrive = sinus / np.hypot(*sinus) * distance if k < n_towards_sinus else chord
        line = bezier(start, start + leave * distance * 0.35, end - arrive * 0.3, end, N_SECONDARY)
        lines.append(sway(line, 0.003, float(random.uniform(0, 6.28))))
    widths = np.where(np.arange(n) < n_towards_sinus, 0.65, 1.0) * width
    return Strokes(np.stack(lines), taper(N_SECONDARY, widths, 0.0016))
