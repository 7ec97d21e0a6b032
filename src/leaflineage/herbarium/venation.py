"""Veins: what leaves the midvein, what joins the secondaries, and the net between.

Terms: Ellis et al., Manual of Leaf Architecture (2009). Craspedodromous: secondaries end at the
margin; brochidodromous: they join in loops; eucamptodromous: they curve up and fade; percurrent
tertiaries: rungs from one secondary to the next.
"""

from itertools import pairwise

import numpy as np
from numpy.random import Generator

from leaflineage.herbarium.curves import Floats, bezier, direction, normals, point_at, sway, taper
from leaflineage.herbarium.plan import Points, Strokes

N_SECONDARY = 40
N_TERTIARY = 12


def vein_origins(
    n_veins: int, *, first: float, last: float, crowding: float, jitter: float, random: Generator
) -> Floats:
    """Return rising heights (n_veins,) on the midvein; spacing falls towards the apex by `crowding` > 1."""
    steps = np.linspace(1.0, 1.0 / crowding, n_veins)
    steps = steps * random.uniform(1 - jitter, 1 + jitter, n_veins)
    rise = np.cumsum(steps)
    return np.asarray(first + (last - first) * (rise - rise[0]) / (rise[-1] - rise[0]))


def meet_edge(edge: Points, origins: Floats, angles: Floats) -> Floats:
    """Return where straight veins from (0, origin) meet an edge, as fractions (n_veins,) of its length.

    edge: (n_points, 2) with evenly spaced points; angles: (n_veins,) radians from the midvein.
    """
    # Above the ray: y - origin > x / tan(angle). The first crossing from the apex down is the end.
    above = (edge[None, :, 1] - origins[:, None]) * np.sin(angles)[:, None] - edge[None, :, 0] * np.cos(angles)[:, None]
    below = above < 0
    last_below = edge.shape[0] - 1 - np.argmax(below[:, ::-1], axis=1)
    rows = np.arange(len(origins))
    here = above[rows, last_below]
    there = above[rows, np.minimum(last_below + 1, edge.shape[0] - 1)]
    part = np.clip(here / np.where(here == there, -1.0, here - there), 0.0, 1.0)
    fractions = np.where(below.any(axis=1), last_below + part, 0.0) / (edge.shape[0] - 1)
    # Veins never cross: their ends keep the order of their origins.
    least = 1e-4 * rows
    return np.asarray(np.maximum.accumulate(fractions - least) + least)


def run_to(origins: Points, ends: Points, angles: Floats, *, bow: float) -> Points:
    """Return secondaries (n_veins, N_SECONDARY, 2) that leave at `angles` and arrive at `ends`.

    bow: how much they curve up near the end; 0 keeps them straight after leaving.
    """
    chord = ends - origins
    length = np.hypot(chord[:, 0], chord[:, 1])[:, None]
    unit = chord / np.maximum(length, 1e-9)
    side = np.where(chord[:, :1] < 0, -1.0, 1.0)
    leave = direction(angles) * np.concatenate([side, np.ones_like(side)], axis=1)
    up = np.array([0.0, 1.0])
    first = origins + 0.38 * length * leave
    second = ends - 0.33 * length * ((1 - bow) * unit + bow * up)
    return bezier(origins, first, second, ends, N_SECONDARY)


def close_loops(veins: Points, *, at: float, reach: float) -> Points:
    """Lengthen each secondary of one side into a loop that meets the next one (brochidodromous).

    veins: (n_veins, n_points, 2) in order from the base; the last is left as it is.
    at: where on the next vein the loop arrives, as a fraction; reach: how far the loop bulges out.
    """
    ends, nexts = veins[:-1, -1], veins[1:]
    joins = np.stack([point_at(vein, at) for vein in nexts])
    heading = veins[:-1, -1] - veins[:-1, -4]
    heading /= np.maximum(np.hypot(*heading.T), 1e-9)[:, None]
    gap = np.hypot(*(joins - ends).T)[:, None]
    along = np.stack([point_at(vein, min(at + 0.08, 1.0)) for vein in nexts]) - joins
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    loop = bezier(ends, ends + heading * gap * 0.45, joins + along * gap * reach, joins, 17)
    return np.concatenate([veins[:-1], loop[:, 1:]], axis=1)


def rungs(
    lower: Points, upper: Points, *, n_rungs: int, slant: float, sag: float, unrest: float, random: Generator
) -> Points:
    """Return percurrent tertiaries (n_rungs, N_TERTIARY, 2) from one line (n, 2) to the next.

    They stand square to the lines; `slant` is how much farther out they arrive, as a fraction of the line.
    sag: their bow, as a fraction of their length; unrest: how unevenly they run.
    """
    u = (np.arange(n_rungs) + 0.5 + random.uniform(-0.28, 0.28, n_rungs)) / n_rungs
    from_ = point_at(lower, u)
    reach = lower[-1] - lower[0]
    square = float((upper - lower).mean(axis=0) @ reach) / max(float(reach @ reach), 1e-12)
    arrive = u - square + slant * u + random.uniform(-0.3, 0.3, n_rungs) * unrest / n_rungs
    to = point_at(upper, np.clip(arrive, 0.0, 1.0))
    # Rungs nearest to the midvein end on it, below the upper vein's origin.
    short = np.clip(-arrive / max(square, 1e-9), 0.0, 1.0)[:, None] * (arrive < 0)[:, None]
    to = to + short * (lower[0] - upper[0])
    chord = to - from_
    across = np.stack([chord[:, 1], -chord[:, 0]], axis=1)
    bend = (sag + unrest * random.normal(0, 0.06, n_rungs))[:, None] * across
    lines = bezier(from_, from_ + chord * 0.33 + bend, from_ + chord * 0.67 + bend, to, N_TERTIARY)
    length = np.hypot(chord[:, 0], chord[:, 1])
    return sway(lines, 0.05 * unrest * length, random.uniform(0, 2 * np.pi, n_rungs), waves=1.1)


def rungs_between(
    veins: Points, *, spacing: float, slant: float, sag: float, unrest: float, width: float, random: Generator
) -> Strokes:
    """Return the tertiaries between neighbours among secondaries (n_veins, n_points, 2) of one side.

    spacing: distance between two rungs in L. Each field has numbers of its own, so that what changes
    in one field leaves the others as they are.
    """
    seeds = random.integers(0, 2**63, 64)
    fields = []
    for k in range(len(veins) - 1):
        lower, upper = veins[k], veins[k + 1]
        length = float(np.hypot(*(lower[-1] - lower[0])))
        n_rungs = max(2, round(length / spacing))
        numbers = np.random.default_rng(int(seeds[k % len(seeds)]))
        fields.append(rungs(lower, upper, n_rungs=n_rungs, slant=slant, sag=sag, unrest=unrest, random=numbers))
    if not fields:
        return Strokes(np.zeros((0, N_TERTIARY, 2)), np.zeros((0, N_TERTIARY)))
    points = np.concatenate(fields)
    middle = 1 - 0.35 * np.sin(np.pi * np.linspace(0, 1, N_TERTIARY))
    return Strokes(points, np.broadcast_to(width * middle, points.shape[:2]).copy())


def outer_arches(veins: Points, edge: Points, ends: Floats, *, width: float, inset: float) -> Strokes:
    """Return small arches between the loops and the margin, one a field (exterior looped tertiaries).

    edge: (n_points, 2) evenly spaced; ends: fractions of it opposite each vein's end.
    """
    inner = edge - normals(edge) * inset
    n_points = len(edge)
    arches = []
    for k in range(len(ends) - 1):
        stops = np.linspace(ends[k], ends[k + 1], 4)
        for low, high in pairwise(stops):
            a, b = inner[int(low * (n_points - 1))], inner[int(high * (n_points - 1))]
            out = edge[int((low + high) / 2 * (n_points - 1))] - inner[int((low + high) / 2 * (n_points - 1))]
            arches.append(bezier(a, a + 0.5 * out, b + 0.5 * out, b, N_TERTIARY))
    if not arches:
        return Strokes(np.zeros((0, N_TERTIARY, 2)), np.zeros((0, N_TERTIARY)))
    points = np.stack(arches)
    return Strokes(points, np.full(points.shape[:2], width))


def taper_secondaries(points: Points, *, start: Floats | float, end: float, power: float = 1.0) -> Strokes:
    """Return secondaries (n_veins, n_points, 2) as strokes that thin out from `start` to `end` L."""
    starts = np.broadcast_to(np.asarray(start, dtype=np.float64), (len(points),))
    return Strokes(points, taper(points.shape[1], starts, end, power))


def net(box: Points, *, cell: float, width: float, gaps: float, along: float, random: Generator) -> Strokes:
    """Return a net of areoles over a box (2, 2), its low and high corner: strokes of two points, about 3 a cell.

    It is a honeycomb with its corners moved, stretched and swayed, and a share of its walls left out,
    which leaves freely ending veinlets. cell: its size in L; gaps: share of walls left out;
    along: angle in radians by which the rows lean from the midvein.
    """
    low, high = box
    centre, reach = (low + high) / 2, float(np.hypot(*(high - low))) / 2 + cell
    n_columns = int(np.ceil(2 * reach / (cell * 0.5)))
    n_rows = int(np.ceil(2 * reach / (cell * 0.87)))
    column, row = np.meshgrid(np.arange(n_columns), np.arange(n_rows))
    # A brick wall: each brick's corners, joined along the row, and up at every second corner.
    x = column * 0.5 * cell
    y = row * cell * 0.87 + np.where((column + row) % 2 == 0, 0.14, -0.14) * cell
    jitter = random.uniform(-0.34, 0.34, (2, n_rows, n_columns)) * cell
    x, y = x + jitter[0] * 0.8, y + jitter[1]
    phases = random.uniform(0, 2 * np.pi, 6)
    scale = 2 * np.pi / (cell * random.uniform(7, 12, 6))
    x, y = (
        x + cell * (0.8 * np.sin(scale[0] * y + phases[0]) + 0.5 * np.sin(scale[1] * (x + y) + phases[1])),
        y + cell * (0.8 * np.sin(scale[2] * x + phases[2]) + 0.5 * np.sin(scale[3] * (x - y) + phases[3])),
    )
    turn = np.array([[np.cos(along), np.sin(along)], [-np.sin(along), np.cos(along)]])
    corners = np.stack([x - x.mean(), y - y.mean()], axis=-1) @ turn + centre
    rise = (column + row)[:-1] % 2 == 0
    walls = np.concatenate(
        [
            np.stack([corners[:, :-1], corners[:, 1:]], axis=2).reshape(-1, 2, 2),
            np.stack([corners[:-1][rise], corners[1:][rise]], axis=1),
        ]
    )
    walls = walls[random.random(len(walls)) > gaps]
    middle = walls.mean(axis=1)
    walls = walls[((middle > low) & (middle < high)).all(axis=1)]
    return Strokes(walls, np.full(walls.shape[:2], width))
