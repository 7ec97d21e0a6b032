"""Outlines and veins of a drawn leaf as SVG paths, computed, so that all drawings are of one hand.

A leaf stands upright in a field of 96 by 112. ``t`` runs along its axis from the base (0) to the apex (1); an outline
is a half-width w(t), and a margin pushes it outwards by m(t). A drawing is a list of strokes: a kind, which the style
sheet knows, and a path.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Curve = Callable[[float], float]
Point = tuple[float, float]

WIDTH, HEIGHT = 96, 112
MIDDLE, BASE, APEX, FOOT = 48.0, 92.0, 8.0, 109.0
STEPS, FINE_STEPS = 28, 120  # points of a side; of one with a margin, or lobes
SECONDARIES = (0.12, 0.26, 0.40, 0.54, 0.67)


@dataclass(frozen=True)
class Stroke:
    """One path of a drawing; ``kind`` is "outline", "vein", "stalk", "shade", "accent" or "faint"."""

    kind: str
    path: str


# --- curves --------------------------------------------------------------------------------------------------


def shape_blade(low: float, high: float, width: float) -> Curve:
    """Half-width t^low (1 − t)^high, its greatest value ``width``: widest at low / (low + high)."""
    top = low / (low + high)
    most = float(top**low * (1 - top) ** high)
    return lambda t: float(width * max(t, 0.0) ** low * max(1 - t, 0.0) ** high / most)


OVATE = shape_blade(0.6, 0.95, 30)
ELLIPTIC = shape_blade(0.8, 0.8, 24)
TOOTHED = shape_blade(0.62, 0.9, 26)


def oblong(t: float) -> float:
    """Half-width with sides that run side by side."""
    return float(19 * (1 - abs(2 * t - 1) ** 5) ** 0.6)


def smooth(t: float) -> float:
    """No margin of its own."""
    return 0.0


def cut_teeth(n: int, size: float, rise: float) -> Curve:
    """Teeth whose tips stand at ``rise`` of each tooth's length: 1 leans to the apex, one half points out."""

    def push(t: float) -> float:
        if not 0.06 < t < 0.97:
            return 0.0
        place = (t * n) % 1
        return size * (place / rise if place < rise else (1 - place) / max(1 - rise, 1e-6))

    return push


def crenate(t: float) -> float:
    """Round teeth."""
    return 3.6 * abs(math.sin(math.pi * 11 * t)) ** 0.7 if 0.05 < t < 0.97 else 0.0


def doubly_serrate(t: float) -> float:
    """Small teeth on large ones."""
    return cut_teeth(6, 6.0, 0.86)(t) + cut_teeth(24, 1.8, 0.8)(t)


def unevenly_serrate(t: float) -> float:
    """Teeth at uneven distances."""
    warped = t + 0.05 * math.sin(9 * t)
    return cut_teeth(11, 4.2, 0.8)(min(0.96, max(0.07, warped))) if 0.06 < t < 0.97 else 0.0


def erose(t: float) -> float:
    """As if chewed."""
    return (
        1.5 * (math.sin(41 * t) + math.sin(67 * t + 1) * 0.8 + math.sin(97 * t + 2) * 0.5) if 0.04 < t < 0.97 else 0.0
    )


def acuminate(t: float) -> float:
    """Half-width drawn out to a point."""
    return OVATE(t / 0.8) if t < 0.62 else OVATE(0.775) * ((1 - t) / 0.38) ** 1.9


def lobed(t: float) -> float:
    """Half-width with lobes along the axis."""
    return ELLIPTIC(t) * (0.62 + 0.5 * math.sin(math.pi * 5 * t) ** 2) * 1.15


# --- paths ---------------------------------------------------------------------------------------------------


def short(value: float) -> str:
    """Return a number with one decimal, or none."""
    return f"{value:.1f}".removesuffix(".0")


def place(x: float, y: float) -> str:
    """Return a point of a path."""
    return f"{short(x)} {short(y)}"


def make_path(points: list[Point], *, closed: bool = False) -> str:
    """Return a path through points."""
    return "M" + "L".join(place(x, y) for x, y in points) + ("Z" if closed else "")


def up(t: float) -> float:
    """Return the height of t in the field."""
    return BASE + (APEX - BASE) * t


def trace_side(
    width: Curve, margin: Curve, sign: int, low: float = 0.0, high: float = 1.0, scale: float = 1.0
) -> list[Point]:
    """Return the points of one side of an outline."""
    n = STEPS if margin is smooth and width is not lobed else FINE_STEPS
    n = max(4, round(n * (high - low)))
    # Denser towards the ends, where an outline turns.
    steps = [low + (high - low) * (0.5 - 0.5 * math.cos(math.pi * i / n)) for i in range(n + 1)]
    return [(MIDDLE + sign * (width(t) * scale + margin(t)), up(t)) for t in steps]


def trace_ring(width: Curve, margin: Curve = smooth, low: float = 0.0, high: float = 1.0) -> str:
    """Return the path of an outline, or of a slice of it."""
    return make_path(
        [*trace_side(width, margin, 1, low, high), *reversed(trace_side(width, margin, -1, low, high))], closed=True
    )


def trace_secondary(width: Curve, t: float, sign: int, reach: float = 0.93, curl: float = 0.0) -> str:
    """Return a side vein from the midvein at t towards the margin, steeper by ``curl`` at its end."""
    end = min(0.97, t + 0.17)
    x, y = MIDDLE + sign * width(end) * reach, up(end + curl)
    bend = MIDDLE + sign * width(end) * reach * 0.6
    return f"M{place(MIDDLE, up(t))}Q{place(bend, up(t + 0.075))} {place(x, y)}"


def draw_veins(width: Curve, kind: str = "vein", reach: float = 0.93, curl: float = 0.0) -> list[Stroke]:
    """Return side veins to either side."""
    paths = [trace_secondary(width, t, sign, reach, curl) for t in SECONDARIES for sign in (-1, 1)]
    return [Stroke(kind, "".join(paths))]


def trace_dots(places: list[Point], radius: float = 2.6) -> str:
    """Return discs."""
    return "".join(
        f"M{place(x - radius, y)}a{radius} {radius} 0 1 0 {2 * radius} 0a{radius} {radius} 0 1 0 {-2 * radius} 0Z"
        for x, y in places
    )


def draw_midvein(kind: str = "vein", top: float = 1.0) -> Stroke:
    """Return the midvein."""
    return Stroke(kind, f"M{place(MIDDLE, BASE)}V{short(up(top) + 1)}")


def draw_stalk(kind: str = "stalk") -> Stroke:
    """Return the stalk."""
    return Stroke(kind, f"M{place(MIDDLE, BASE)}Q48.5 101 51 {short(FOOT)}")


def draw_leaf(width: Curve = OVATE, margin: Curve = smooth, *, veins: bool = True) -> list[Stroke]:
    """Return a whole leaf: outline, stalk, midvein and, unless told otherwise, side veins."""
    return [
        Stroke("outline", trace_ring(width, margin)),
        draw_stalk(),
        draw_midvein(),
        *(draw_veins(width) if veins else []),
    ]


def find_ends(reach: float = 0.93) -> list[Point]:
    """Return where side veins end."""
    return [
        (MIDDLE + sign * OVATE(min(0.97, t + 0.17)) * reach, up(min(0.97, t + 0.17)))
        for t in SECONDARIES
        for sign in (-1, 1)
    ]


def trace_fan(angles: tuple[float, ...], length: float, foot: Point) -> str:
    """Return straight veins from one point."""
    return "".join(
        f"M{place(*foot)}L{place(foot[0] + length * math.sin(a), foot[1] - length * math.cos(a))}" for a in angles
    )
