"""Leaves with one midvein: from a handful of numbers to outline and veins."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator

from leaflineage.herbarium.curves import Floats, bezier, point_at, resample, sway, taper
from leaflineage.herbarium.outline import Side, Teeth, close_outline, cut_teeth
from leaflineage.herbarium.plan import LeafPlan, Points, Strokes, join_strokes
from leaflineage.herbarium.streams import Streams
from leaflineage.herbarium.venation import (
    N_SECONDARY,
    close_loops,
    meet_edge,
    net,
    outer_arches,
    run_to,
    rungs_between,
    taper_secondaries,
    vein_origins,
)

Secondaries = Literal["craspedodromous", "brochidodromous", "eucamptodromous", "intramarginal", "acrodromous"]
N_MIDVEIN = 60


@dataclass(frozen=True)
class Pinnate:
    """What makes one pinnate leaf. Lengths in L, angles in radians from the midvein.

    basal_angle: where not None, the lowest secondary leaves at the very base, at this angle. tooth_fade: share of
    the edge over which teeth grow from the base. For twins: `veins_of` is the leaf whose veins
    this one has, cut off at its own edge; mesh_box is the box of the areoles' net, else the outline's.
    """

    right: Side
    left: Side
    secondaries: Secondaries
    n_secondaries: int
    angle: float
    angle_apex: float
    bow: float
    first: float = 0.06
    last: float = 0.86
    crowding: float = 1.7
    offset: float = 0.3
    teeth: Teeth | None = None
    petiole: float = 0.2
    petiole_sway: float = 0.05
    midvein_width: float = 0.017
    secondary_width: float = 0.0075
    rung_spacing: float = 0.035
    rung_slant: float = 0.08
    rung_unrest: float = 1.0
    rung_width: float = 0.0032
    cell: float = 0.02
    basal_angle: float | None = None
    veins_of: "Pinnate | None" = None
    tooth_fade: float = 0.12
    mesh_box: tuple[tuple[float, float], tuple[float, float]] | None = None


def box_of(outline: Points) -> Points:
    """Return the lowest and highest corner (2, 2) of a box round an outline (n_points, 2)."""
    return np.stack([outline.min(axis=0), outline.max(axis=0)])


def petiole_size(random: Generator, low: float, high: float) -> tuple[float, float]:
    """Return a petiole's length between two bounds and how far its foot sways aside, in L."""
    length = float(random.uniform(low, high))
    return length, float(random.normal(0, 0.22)) * length


def petiole_stroke(length: float, sway_by: float, width: float) -> Strokes:
    """Return the petiole from its foot to (0, 0), in the midvein's direction where they meet."""
    u = np.linspace(0.0, 1.0, 24)
    points = np.stack([sway_by * (1 - u) ** 2, -length * (1 - u)], axis=1)
    widths = width * (1.05 + 0.4 * (1 - u) ** 8 + 0.15 * u**8)
    return Strokes(points[None], widths[None])


def midvein_stroke(width: float, waver: float, random: Generator, *, top: float = 1.0) -> Strokes:
    """Return the midvein from (0, 0) to the apex, thinning, and a little unsteady."""
    y = np.linspace(0.0, top, N_MIDVEIN)
    x = waver * np.sin(np.pi * y) ** 2 * np.sin(2 * np.pi * 1.3 * y + random.uniform(0, 2 * np.pi))
    widths = width * (0.10 + 1.08 * (1 - y / top) ** 0.85)
    return Strokes(np.stack([x, y], axis=1)[None], widths[None])


def plan_pinnate(leaf: Pinnate, streams: Streams) -> LeafPlan:
    """Return the plan of a pinnate leaf; the same streams and one changed number give its twin."""
    random = streams.generator("veins")
    midvein = midvein_stroke(leaf.midvein_width, random.uniform(0.0, 0.004), random)
    sides = []
    for name, side in (("right", leaf.right), ("left", leaf.left)):
        sides.append(_plan_side(leaf, side, streams.generator(f"{name} side"), late=name == "left"))
    right, left = sides
    outline = close_outline(right.edge, left.edge)
    if leaf.veins_of is not None:
        plan = plan_pinnate(leaf.veins_of, streams)
        if leaf.teeth is None:
            outline = _take_upper_part(outline, plan.outline, leaf.right.widest)
        return replace(
            plan, outline=outline, petiole=petiole_stroke(leaf.petiole, leaf.petiole_sway, leaf.midvein_width)
        )
    box = box_of(outline) if leaf.mesh_box is None else np.asarray(leaf.mesh_box)
    mesh_random = streams.generator("mesh")
    mesh = (
        net(box, cell=leaf.cell * 2.1, width=0.0021, gaps=0.06, along=leaf.angle, random=mesh_random),
        net(box, cell=leaf.cell, width=0.0013, gaps=0.14, along=leaf.angle, random=mesh_random),
    )
    return LeafPlan(
        outline=outline,
        petiole=petiole_stroke(leaf.petiole, leaf.petiole_sway, leaf.midvein_width),
        primaries=join_strokes(midvein, right.primaries, _mirror(left.primaries)),
        secondaries=join_strokes(right.secondaries, _mirror(left.secondaries)),
        tertiaries=join_strokes(right.tertiaries, _mirror(left.tertiaries)),
        mesh=mesh,
    )


def _take_upper_part(outline: Points, other: Points, height: float) -> Points:
    """Return an outline whose part above a height is another's, point by point.

    Two outlines that coincide there are still cut to pixels differently where their points differ.
    """
    parts = []
    for line, above in ((outline, False), (other, True)):
        top = int(np.argmax(line[:, 1]))
        for half in (line[: top + 1], line[top + 1 :]):
            parts.append(half[(half[:, 1] >= height) == above])
    right_low, left_low, right_high, left_high = parts
    return np.concatenate([right_low, right_high, left_high, left_low])


@dataclass(frozen=True)
class _SidePlan:
    edge: Points
    primaries: Strokes
    secondaries: Strokes
    tertiaries: Strokes


def _mirror(strokes: Strokes) -> Strokes:
    return Strokes(strokes.points * [-1.0, 1.0], strokes.widths)


def _plan_side(leaf: Pinnate, side: Side, random: Generator, *, late: bool) -> _SidePlan:
    edge = side.edge()
    if leaf.secondaries == "acrodromous":
        return _acrodromous_side(leaf, side, edge, random)
    n = leaf.n_secondaries
    first = max(leaf.first, side.start + 0.01)
    origins = vein_origins(
        n - (leaf.basal_angle is not None),
        first=first,
        last=leaf.last,
        crowding=leaf.crowding,
        jitter=0.12,
        random=random,
    )
    if late:
        origins = origins + leaf.offset * np.gradient(origins) * 0.5
    if leaf.basal_angle is not None:
        origins = np.concatenate([[side.start + 0.006], origins])
    share = np.linspace(0.0, 1.0, n)
    angles = leaf.angle + (leaf.angle_apex - leaf.angle) * share + random.normal(0, 0.025, n)
    if leaf.basal_angle is not None:
        angles[0] = leaf.basal_angle
    ends = meet_edge(edge, origins, angles - leaf.bow * 0.35)
    if leaf.secondaries == "eucamptodromous":
        # They run on towards the apex, along the margin, and fade.
        ends = ends + (0.94 - ends) * 0.42
    sharp = edge
    if leaf.teeth is not None:
        sharp, tips = cut_teeth(edge, ends, leaf.teeth, fade_base=leaf.tooth_fade, fade_apex=0.10)
    else:
        tips = point_at(edge, ends)
    starts = np.stack([np.zeros(n), origins], axis=1)
    widths = leaf.secondary_width * (1 - 0.45 * share)
    if leaf.basal_angle is not None:
        widths[0] *= 0.6
    builders = {
        "craspedodromous": _straight_veins,
        "brochidodromous": _looped_veins,
        "eucamptodromous": _arching_veins,
        "intramarginal": _parallel_veins,
    }
    secondaries, tertiaries = builders[leaf.secondaries](leaf, side, edge, starts, ends, tips, angles, widths, random)
    nothing = Strokes(np.zeros((0, N_MIDVEIN, 2)), np.zeros((0, N_MIDVEIN)))
    return _SidePlan(sharp, nothing, secondaries, tertiaries)


def _same_length(groups: list[tuple[Points, float, float]]) -> Strokes:
    """Return veins given as (points, start width, end width) as strokes of one number of points."""
    strokes = [
        taper_secondaries(resample(points, N_SECONDARY)[None], start=start, end=end) for points, start, end in groups
    ]
    return join_strokes(*strokes)


def _rungs(leaf: Pinnate, veins: Points, random: Generator, *, sag: float = 0.06) -> Strokes:
    return rungs_between(
        veins,
        spacing=leaf.rung_spacing,
        slant=leaf.rung_slant,
        sag=sag,
        unrest=leaf.rung_unrest,
        width=leaf.rung_width,
        random=random,
    )


def _straight_veins(
    leaf: Pinnate,
    side: Side,
    edge: Points,
    starts: Points,
    ends: Floats,
    tips: Points,
    angles: Floats,
    widths: Floats,
    random: Generator,
) -> tuple[Strokes, Strokes]:
    veins = sway(run_to(starts, tips, angles, bow=leaf.bow), 0.004, random.uniform(0, 6.28, len(starts)))
    secondaries = taper_secondaries(veins, start=widths, end=0.0022, power=0.8)
    return secondaries, _rungs(leaf, veins, random)


def _looped_veins(
    leaf: Pinnate,
    side: Side,
    edge: Points,
    starts: Points,
    ends: Floats,
    tips: Points,
    angles: Floats,
    widths: Floats,
    random: Generator,
) -> tuple[Strokes, Strokes]:
    share = random.uniform(0.80, 0.86, len(starts))[:, None]
    turned = starts + (tips - starts) * share
    veins = sway(run_to(starts, turned, angles, bow=leaf.bow), 0.005, random.uniform(0, 6.28, len(starts)))
    looped = close_loops(veins, at=0.86, reach=0.35)
    groups: list[tuple[Points, float, float]] = [
        (line, float(width), 0.0024) for line, width in zip(looped, widths, strict=False)
    ]
    groups.append((veins[-1], float(widths[-1]), 0.0018))
    secondaries = _same_length(groups)
    inset = float(np.median(np.hypot(*(tips - turned).T))) * 0.55
    arches = outer_arches(veins, edge, ends, width=leaf.rung_width * 0.8, inset=inset)
    return secondaries, join_strokes(_rungs(leaf, veins, random), arches)


def _arching_veins(
    leaf: Pinnate,
    side: Side,
    edge: Points,
    starts: Points,
    ends: Floats,
    tips: Points,
    angles: Floats,
    widths: Floats,
    random: Generator,
) -> tuple[Strokes, Strokes]:
    n = len(starts)
    share = random.uniform(0.80, 0.88, n)[:, None]
    goal = tips * np.concatenate([share, np.ones((n, 1))], axis=1)
    chord = np.hypot(*(goal - starts).T)[:, None]
    leave = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    ahead = point_at(edge, np.minimum(ends + 0.02, 1.0)) - tips
    ahead /= np.maximum(np.hypot(*ahead.T), 1e-9)[:, None]
    veins = bezier(starts, starts + leave * chord * 0.50, goal - ahead * chord * 0.42, goal, N_SECONDARY)
    veins = sway(veins, 0.003, random.uniform(0, 6.28, n))
    return taper_secondaries(veins, start=widths, end=0.0012, power=0.9), _rungs(leaf, veins, random)


def _parallel_veins(
    leaf: Pinnate,
    side: Side,
    edge: Points,
    starts: Points,
    ends: Floats,
    tips: Points,
    angles: Floats,
    widths: Floats,
    random: Generator,
) -> tuple[Strokes, Strokes]:
    goal = starts + (tips - starts) * 0.91
    veins = sway(run_to(starts, goal, angles, bow=leaf.bow), 0.004, random.uniform(0, 6.28, len(starts)))
    rim = np.concatenate([[[0.004, leaf.first * 0.4]], goal, [[0.004, 0.985]]])
    rim = resample(_smooth_line(rim), N_SECONDARY)
    rim_widths = np.full((1, N_SECONDARY), leaf.secondary_width * 0.62)
    secondaries = taper_secondaries(veins, start=widths, end=float(leaf.secondary_width * 0.5))
    between = (veins[:-1] + veins[1:]) / 2
    between = between[:, : int(N_SECONDARY * 0.8)]
    fine = np.stack([resample(line, 12) for line in between])
    intersecondaries = Strokes(fine, taper(12, np.full(len(fine), leaf.rung_width), 0.0012))
    return (
        join_strokes(secondaries, Strokes(rim[None], rim_widths)),
        join_strokes(_rungs(leaf, veins, random), intersecondaries),
    )


def _smooth_line(points: Points) -> Points:
    """Return a line through about the same points without corners (two rounds of corner cutting)."""
    for _ in range(2):
        a, b = points[:-1], points[1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def _acrodromous_side(leaf: Pinnate, side: Side, edge: Points, random: Generator) -> _SidePlan:
    """Lateral primaries that arch from base to apex, a marginal pair, and rungs across all of them."""
    share = 0.5 + random.uniform(-0.04, 0.04)
    inner = _arching_line(side, share, 0.012 + side.start, 0.985, N_MIDVEIN)
    outer = _arching_line(side, 0.86, 0.006 + side.start, 0.96, N_SECONDARY)
    midline = np.stack([np.zeros(N_MIDVEIN), np.linspace(0.03, 0.97, N_MIDVEIN)], axis=1)
    grow = np.sin(np.pi * np.linspace(0.12, 0.97, N_MIDVEIN)) ** 0.5
    primaries = Strokes(inner[None], (leaf.midvein_width * 0.62 * grow)[None])
    secondaries = taper_secondaries(outer[None], start=leaf.secondary_width * 0.75, end=0.0018)
    n_rungs = max(6, round(0.95 / leaf.rung_spacing))
    rows = np.stack([midline, resample(inner, N_MIDVEIN), resample(outer, N_MIDVEIN)])
    rows = rows[:, 2:-2]
    crossings = rungs_between(
        rows,
        spacing=0.95 / n_rungs,
        slant=0.035,
        sag=-0.10,
        unrest=leaf.rung_unrest,
        width=leaf.rung_width * 1.25,
        random=random,
    )
    return _SidePlan(edge, primaries, secondaries, crossings)


def _arching_line(side: Side, share: float, start: float, end: float, n_points: int) -> Points:
    y = np.linspace(start, end, n_points)
    return np.stack([share * side.half_width(y) * np.clip((y - start) / 0.02, 0, 1) ** 0.5, y], axis=1)


def with_side(leaf: Pinnate, **changes: float) -> Pinnate:
    """Return the leaf with both halves changed alike."""
    return replace(leaf, right=replace(leaf.right, **changes), left=replace(leaf.left, **changes))
