"""Small drawings of leaf terms for the glossary; what a term is about is in the accent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from leaflineage.website.leaf_strokes import (
    BASE,
    ELLIPTIC,
    FOOT,
    MIDDLE,
    OVATE,
    SECONDARIES,
    TOOTHED,
    Point,
    Stroke,
    acuminate,
    crenate,
    cut_teeth,
    doubly_serrate,
    draw_leaf,
    draw_midvein,
    draw_stalk,
    draw_veins,
    erose,
    find_ends,
    lobed,
    make_path,
    oblong,
    place,
    shape_blade,
    short,
    smooth,
    trace_dots,
    trace_fan,
    trace_ring,
    trace_secondary,
    trace_side,
    unevenly_serrate,
    up,
)

BAND = 0.86  # of the half-width: where the band of the margin begins


def draw_term(key: str) -> tuple[Stroke, ...]:
    """Return the drawing of a term of the glossary; empty where words say more than a drawing would."""
    drawn = DRAWINGS.get(key)
    return tuple(drawn()) if drawn else ()


def _shaded(path: str) -> list[Stroke]:
    return [Stroke("shade", path), *draw_leaf()]


def _band() -> list[Stroke]:
    outer, inner = (
        trace_ring(OVATE),
        make_path(
            [*trace_side(OVATE, smooth, 1, scale=BAND), *reversed(trace_side(OVATE, smooth, -1, scale=BAND))],
            closed=True,
        ),
    )
    return [Stroke("shade", outer + inner), *draw_leaf()]


def _intercostal() -> list[Stroke]:
    low, high = SECONDARIES[1], SECONDARIES[2]
    edge = trace_side(OVATE, smooth, 1, low + 0.17, high + 0.17, scale=0.93)
    field = f"{trace_secondary(OVATE, low, 1)}L" + "L".join(f"{place(x, y)}" for x, y in edge)
    x, y = MIDDLE + OVATE(high + 0.17) * 0.93 * 0.6, up(high + 0.075)
    return _shaded(f"{field}Q{place(x, y)} {place(MIDDLE, up(high))}Z")


def _toothed_leaf(margin: Callable[[float], float]) -> list[Stroke]:
    return draw_leaf(TOOTHED, margin)


def _marked_teeth(place: float, radius: float) -> list[Stroke]:
    """Return a toothed leaf with a mark at one place of each tooth: 0.8 the tips, 0 the notches."""
    width, margin = TOOTHED, cut_teeth(9, 6.5, 0.8)
    at = [(i + place) / 9 for i in range(1, 9)]
    at = [t for t in at if 0.06 < t < 0.95]
    marks = [(MIDDLE + sign * (width(t) + margin(t)), up(t)) for t in at for sign in (-1, 1)]
    return [*draw_leaf(width, margin), Stroke("accent-dot", trace_dots(marks, radius))]


def _flanks() -> list[Stroke]:
    width, margin = TOOTHED, cut_teeth(9, 6.5, 0.8)
    sides = []
    for i in range(1, 8):
        low, high = i / 9 + 0.004, (i + 0.8) / 9
        sides += [make_path(trace_side(width, margin, sign, low, high)) for sign in (-1, 1)]
    return [*draw_leaf(width, margin), Stroke("accent", "".join(sides))]


def _untoothed_stretch() -> list[Stroke]:
    def margin(t: float) -> float:
        return cut_teeth(11, 4.2, 0.8)(t) if t > 0.45 else 0.0

    width = TOOTHED
    stretch = "".join(make_path(trace_side(width, smooth, sign, 0.03, 0.45)) for sign in (-1, 1))
    return [*draw_leaf(width, margin), Stroke("accent", stretch)]


def _marked_lobe() -> list[Stroke]:
    lobe = make_path(
        [*trace_side(lobed, smooth, 1, 0.4, 0.6), (MIDDLE + 9, up(0.6)), (MIDDLE + 9, up(0.4))],
        closed=True,
    )
    return [Stroke("shade", lobe), *draw_leaf(lobed, veins=False), *_lobe_veins()]


def _lobe_veins() -> list[Stroke]:
    return [
        Stroke(
            "vein",
            f"M48 {short(up(t - 0.07))}L{place(MIDDLE + sign * lobed(t) * 0.9, up(t))}",
        )
        for t in (0.3, 0.5, 0.7)
        for sign in (-1, 1)
    ]


def _palmate(*, accent: bool = False) -> list[Stroke]:
    foot, tips = (48.0, 84.0), (-1.35, -0.7, 0.0, 0.7, 1.35)
    points: list[Point] = [foot]
    for number, angle in enumerate(tips):
        reach = (34.0, 52.0, 74.0, 52.0, 34.0)[number]
        for turn, share in ((-0.2, 0.72), (0.0, 1.0), (0.2, 0.72)):
            points.append(
                (foot[0] + reach * share * math.sin(angle + turn), foot[1] - reach * share * math.cos(angle + turn))
            )
        if number < len(tips) - 1:
            between = (angle + tips[number + 1]) / 2
            points.append((foot[0] + 24 * math.sin(between), foot[1] - 24 * math.cos(between)))
    veins = "".join(
        trace_fan((angle,), reach, foot) for angle, reach in zip(tips, (29.0, 46.0, 67.0, 46.0, 29.0), strict=True)
    )
    stalk = Stroke("stalk", f"M48 84Q48.5 97 51 {short(FOOT)}")
    return [Stroke("outline", make_path(points, closed=True)), stalk, Stroke("accent" if accent else "vein", veins)]


def _several_primaries() -> list[Stroke]:
    arcs = [
        f"M48 92Q{short(MIDDLE + sign * bend)} 60 {place(MIDDLE + sign * end, up(t))}"
        for sign in (-1, 1)
        for bend, end, t in ((34.0, 25.0, 0.4), (15.0, 17.0, 0.68))
    ]
    return [
        Stroke("outline", trace_ring(OVATE)),
        draw_stalk(),
        draw_midvein("accent", 0.97),
        Stroke("accent", "".join(arcs)),
    ]


def _acrodromous() -> list[Stroke]:
    arcs = [f"M48 {short(up(0.04))}C{short(48 + s * 26)} 74 {short(48 + s * 22)} 38 48 12" for s in (-1, 1)]
    return [
        Stroke("outline", trace_ring(OVATE)),
        draw_stalk(),
        draw_midvein("accent", 0.97),
        Stroke("accent", "".join(arcs)),
    ]


def _fanned() -> list[Stroke]:
    foot = (48.0, 90.0)
    edge = [(foot[0] + 62 * math.sin(a), foot[1] - 66 * math.cos(a)) for a in [-0.75 + 0.05 * i for i in range(31)]]
    angles = tuple(-0.66 + 0.165 * i for i in range(9))
    stalk = Stroke("stalk", f"M48 90Q48.5 101 51 {short(FOOT)}")
    return [
        Stroke("outline", make_path([foot, *edge], closed=True)),
        stalk,
        Stroke("accent", trace_fan(angles, 58, foot)),
    ]


def _looped() -> list[Stroke]:
    loops = []
    for sign in (-1, 1):
        for t in SECONDARIES:
            end, after = min(0.95, t + 0.15), min(0.96, t + 0.27)
            loops.append(
                f"M48 {short(up(t))}Q{place(48 + sign * OVATE(end), up(t + 0.09))} "
                f"{place(48 + sign * OVATE(after) * 0.66, up(after))}"
            )
    return [*draw_leaf(veins=False), Stroke("accent", "".join(loops))]


def _edge_vein() -> list[Stroke]:
    inner = "".join(make_path(trace_side(OVATE, smooth, sign, 0.05, 0.95, scale=0.84)) for sign in (-1, 1))
    return [*draw_leaf(veins=False), *draw_veins(OVATE, reach=0.84), Stroke("accent", inner)]


def _forked() -> list[Stroke]:
    forks = []
    for sign in (-1, 1):
        for t in SECONDARIES[:-1]:
            x, y = MIDDLE + sign * OVATE(t + 0.11) * 0.6, up(t + 0.1)
            out, loop = MIDDLE + sign * OVATE(t + 0.15), MIDDLE + sign * OVATE(t + 0.25) * 0.62
            forks.append(
                f"M48 {short(up(t))}L{place(x, y)}L{place(out, up(t + 0.15))}"
                f"M{place(x, y)}Q{place(out - sign * 4, up(t + 0.18))} {place(loop, up(t + 0.25))}"
            )
    return [*draw_leaf(veins=False), Stroke("accent", "".join(forks))]


def _rungs(*, net: bool = False) -> list[Stroke]:
    rungs = []
    for sign in (-1, 1):
        for low, high in itertools.pairwise(SECONDARIES):
            for share in (0.3, 0.5, 0.7):
                x = MIDDLE + sign * OVATE(low + 0.17 * share) * share
                first, second = up(low + 0.17 * share), up(high + 0.15 * share)
                rungs.append(f"M{place(x, first)}Q{place(x + sign * 3, (first + second) / 2)} {place(x, second)}")
                if net:
                    middle = (first + second) / 2
                    rungs.append(f"M{place(x - 3, middle - 1)}L{place(x + 3, middle + 1)}")
    return [*draw_leaf(), Stroke("accent-thin", "".join(rungs))]


def _meshes() -> list[Stroke]:
    """Return a hexagonal mesh with a vein that ends inside one: a view through a lens."""
    cells, side = [], 13.0
    for row in range(5):
        for column in range(5):
            x, y = 10 + column * side * 1.74 + (row % 2) * side * 0.87, 16 + row * side * 1.5
            corners = [(x + side * math.sin(math.pi / 3 * i), y + side * math.cos(math.pi / 3 * i)) for i in range(6)]
            if all(4 < px < 92 and 4 < py < 100 for px, py in corners):
                cells.append(make_path(corners, closed=True))
    return [Stroke("vein", "".join(cells)), Stroke("accent", "M43 42L48 51L46 58M48 51L54 53")]


def _compound() -> list[Stroke]:
    strokes = [Stroke("stalk", f"M48 16V{short(FOOT)}")]
    for y in (34.0, 58.0, 82.0):
        for sign in (-1, 1):
            tip, root = (48 + sign * 40, y - 12), (48.0, y)
            bend = (-6 * sign, -14)
            first = f"{place((root[0] + tip[0]) / 2 + bend[0], (root[1] + tip[1]) / 2 + bend[1])}"
            second = f"{place((root[0] + tip[0]) / 2 - bend[0], (root[1] + tip[1]) / 2 - bend[1])}"
            strokes.append(
                Stroke(
                    "outline",
                    f"M48 {short(y)}Q{first} {place(tip[0], tip[1])}Q{second} 48 {short(y)}Z",
                )
            )
    strokes.append(Stroke("shade", "M48 26Q36 14 48 2Q60 14 48 26Z"))
    strokes.append(Stroke("outline", "M48 26Q36 14 48 2Q60 14 48 26Z"))
    return strokes


def _heart() -> list[Stroke]:
    sides = []
    for s in (-1, 1):
        sides.append(f"M48 84C{48 + s * 6} 98 {48 + s * 40} 98 {48 + s * 36} 66C{48 + s * 32} 40 {48 + s * 8} 26 48 8")
    stalk = Stroke("stalk", f"M48 84Q48.5 99 51 {short(FOOT)}")
    return [
        *(Stroke("outline", side) for side in sides),
        stalk,
        Stroke("vein", "M48 84V12M48 76L70 62M48 76L26 62M48 60L68 44M48 60L28 44M48 42L60 30M48 42L36 30"),
    ]


def _with(base: list[Stroke], *more: Stroke) -> list[Stroke]:
    return [*base, *more]


def _lopsided() -> list[Stroke]:
    right, left = trace_side(OVATE, smooth, 1), trace_side(shape_blade(0.9, 0.9, 21), smooth, -1, 0.1)
    ring = make_path([*right, *reversed(left), (MIDDLE, up(0.1))], closed=True)
    return [
        Stroke("outline", ring),
        draw_stalk(),
        draw_midvein(),
        Stroke(
            "accent",
            f"M48 {short(up(0.1))}L30 {short(up(0.19))}M48 92L70 {short(up(0.12))}",
        ),
    ]


def _ruler() -> list[Stroke]:
    marks = "".join(f"M{short(58 + 4 * i)} 96v{5 if i % 4 else 8}" for i in range(9))
    small = [Stroke(each.kind, each.path) for each in draw_leaf()]
    return [*small, Stroke("shade", "M56 94H94V108H56Z"), Stroke("outline", "M56 94H94V108H56Z"), Stroke("vein", marks)]


def _ground() -> list[Stroke]:
    return [Stroke("shade", f"M3 3H93V109H3Z{trace_ring(OVATE)}"), Stroke("outline", "M3 3H93V109H3Z"), *draw_leaf()]


def _holed() -> list[Stroke]:
    holes = trace_dots([(40, 58), (60, 70), (52, 40)], 4.0)
    return [*draw_leaf(veins=False), Stroke("accent", holes)]


def _tone() -> list[Stroke]:
    return [Stroke("shade", "M3 3H93V109H3Z"), Stroke("outline", "M3 3H93V109H3Z"), *draw_leaf()]


DRAWINGS: dict[str, Callable[[], list[Stroke]]] = {
    "lamina": lambda: _shaded(trace_ring(OVATE)),
    "petiole": lambda: [*draw_leaf(), draw_stalk("accent")],
    "petiole-insertion": lambda: _with(draw_leaf(), Stroke("accent-dot", trace_dots([(MIDDLE, BASE)], 4.5))),
    "base": lambda: _shaded(trace_ring(OVATE, low=0.0, high=0.25)),
    "apex": lambda: _shaded(trace_ring(OVATE, low=0.75, high=1.0)),
    "margin": _band,
    "untoothed-margin": _untoothed_stretch,
    "tooth-apex": lambda: _marked_teeth(0.8, 2.2),
    "sinus": lambda: _marked_teeth(0.0, 2.2),
    "tooth-flank": _flanks,
    "lobe": _marked_lobe,
    "midvein": lambda: [*draw_leaf(), draw_midvein("accent", 0.97)],
    "major-secondary-veins": lambda: [*draw_leaf(veins=False), *draw_veins(OVATE, "accent")],
    "secondary-junction": lambda: _with(
        draw_leaf(), Stroke("accent-dot", trace_dots([(MIDDLE, up(t)) for t in SECONDARIES]))
    ),
    "secondary-termination": lambda: _with(draw_leaf(), Stroke("accent-dot", trace_dots(find_ends()))),
    "intercostal-area": _intercostal,
    "basal-veins": _several_primaries,
    "untoothed": draw_leaf,
    "toothed": lambda: _toothed_leaf(cut_teeth(13, 4.2, 0.7)),
    "serrate": lambda: _toothed_leaf(cut_teeth(11, 5.2, 0.9)),
    "dentate": lambda: _toothed_leaf(cut_teeth(10, 5.2, 0.5)),
    "crenate": lambda: _toothed_leaf(crenate),
    "erose": lambda: _toothed_leaf(erose),
    "two-orders-of-teeth": lambda: _toothed_leaf(doubly_serrate),
    "irregular-spacing": lambda: _toothed_leaf(unevenly_serrate),
    "close-teeth": lambda: _toothed_leaf(cut_teeth(22, 3.2, 0.8)),
    "sinus-rounded": lambda: _toothed_leaf(
        lambda t: 4.2 * (1 - abs(math.sin(math.pi * 9 * t))) ** 0.9 if 0.06 < t < 0.97 else 0.0
    ),
    "apex-straight": lambda: draw_leaf(shape_blade(0.62, 1.0, 27)),
    "acuminate": lambda: draw_leaf(acuminate, veins=False),
    "emarginate": lambda: _with(
        [
            Stroke("outline", "M48 92C24 80 16 44 26 18C32 6 44 6 48 18C52 6 64 6 70 18C80 44 72 80 48 92Z"),
            draw_stalk(),
        ],
        Stroke("vein", "M48 92V19M48 76L68 62M48 76L28 62M48 58L70 44M48 58L26 44M48 40L66 28M48 40L30 28"),
    ),
    "mucronate": lambda: _with(
        [
            Stroke("outline", "M48 92C22 82 14 46 28 24C36 14 46 14 48 14C50 14 60 14 68 24C82 46 74 82 48 92Z"),
            draw_stalk(),
        ],
        draw_midvein(),
        Stroke("accent", "M48 14V4"),
    ),
    "base-straight": lambda: draw_leaf(shape_blade(1.05, 0.7, 26)),
    "base-rounded": lambda: draw_leaf(shape_blade(0.42, 0.9, 29)),
    "cordate": _heart,
    "decurrent": lambda: _with(
        draw_leaf(shape_blade(0.9, 0.75, 26)), Stroke("accent", "M44 88Q47 98 49.500 106M52 88Q50 98 51 106")
    ),
    "base-asymmetrical": _lopsided,
    "peltate": lambda: [
        Stroke("outline", trace_dots([(48, 52)], 38.0)),
        Stroke("vein", trace_fan(tuple(math.pi * i / 4 for i in range(8)), 34, (48, 58))),
        Stroke("accent", f"M48 58Q52 84 51 {short(FOOT)}"),
    ],
    "elliptic": lambda: draw_leaf(ELLIPTIC),
    "ovate": lambda: draw_leaf(OVATE),
    "obovate": lambda: draw_leaf(shape_blade(0.95, 0.6, 30)),
    "oblong": lambda: draw_leaf(oblong),
    "linear": lambda: draw_leaf(shape_blade(0.5, 0.5, 4.2), veins=False),
    "unlobed": lambda: draw_leaf(shape_blade(0.7, 0.75, 27)),
    "pinnately-lobed": lambda: [*draw_leaf(lobed, veins=False), *_lobe_veins()],
    "palmately-lobed": _palmate,
    "compound": _compound,
    "pinnate": lambda: [*draw_leaf(), draw_midvein("accent", 0.97)],
    "actinodromous": lambda: _palmate(accent=True),
    "acrodromous": _acrodromous,
    "flabellate": _fanned,
    "craspedodromous": lambda: [*draw_leaf(veins=False), *draw_veins(OVATE, "accent", reach=1.0)],
    "semicraspedodromous": _forked,
    "eucamptodromous": lambda: [*draw_leaf(veins=False), *draw_veins(OVATE, "accent", reach=0.8, curl=0.07)],
    "brochidodromous": _looped,
    "intramarginal-vein": _edge_vein,
    "secondary-spacing": lambda: [*draw_leaf(veins=False), *draw_veins(OVATE, "accent")],
    "percurrent": _rungs,
    "reticulate": lambda: _rungs(net=True),
    "areoles": _meshes,
    "ruler": _ruler,
    "background": _ground,
    "tear": _holed,
    "whole-image-tone": _tone,
}
