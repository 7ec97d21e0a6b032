"""The blade's edge: half a blade's width along the midvein, its base and apex, its teeth.

The half width of a blade of unit length, widest at m, is

    w(t) = a (1 - (1 - t / m)^2)^b          below m
    w(t) = a (1 - ((t - m) / (1 - m))^2)^p  above m

b (base) and p (apex) run from 0.45, rounded, through 1, straight, to 1.6 and more, drawn out.
Terms: Ellis et al., Manual of Leaf Architecture (2009).
"""

from dataclasses import dataclass

import numpy as np

from leaflineage.herbarium.curves import Floats, arc_lengths, normals, smoothstep
from leaflineage.herbarium.plan import Points

N_SIDE = 900
BARE = 0.0095
"""Half the breadth in L of a midvein that runs outside the blade, at an asymmetrical base."""


@dataclass(frozen=True)
class Side:
    """One half of a blade: half width a, widest at m, powers of base and apex, in L.

    `start`: where on the midvein the half begins (an asymmetrical base). `lobe`: how far a cordate
    base hangs below the petiole's insertion. `tip`: breadth kept near the apex, so that it ends round.
    """

    width: float
    widest: float
    base: float
    apex: float
    start: float = 0.0
    lobe: float = 0.0
    tip: float = 0.008

    def half_width(self, y: Floats | float) -> Floats:
        """Return the half width at heights y on the midvein; 0 outside the half."""
        t = np.clip((np.asarray(y, dtype=np.float64) - self.start) / (1 - self.start), 0.0, 1.0)
        below = np.clip(1 - t / self.widest, 0.0, 1.0)
        above = np.clip((t - self.widest) / (1 - self.widest), 0.0, 1.0)
        shape = np.where(t < self.widest, (1 - below**2) ** self.base, (1 - above**2) ** self.apex)
        return np.asarray(self.width * shape + self.tip * above * np.sqrt(1 - above**2))

    def edge(self, n_points: int = N_SIDE) -> Points:
        """Return the untoothed edge (n_points, 2) from base to apex, x >= 0, spaced evenly."""
        # Closer together at both ends, where a rounded edge turns fastest.
        y = self.start + (1 - self.start) * (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 4 * n_points)))
        line = np.stack([self.half_width(y), y], axis=1)
        if self.lobe:
            s = np.clip(line[:, 0] / self.width, 0.0, 1.0)
            low = line[:, 1] < self.start + self.widest * (1 - self.start)
            line[:, 1] -= np.where(
                low, self.lobe * np.sin(np.pi * s) ** 1.3 * (1 - smoothstep((line[:, 1] - 0.05) / 0.2)), 0
            )
        if self.start:
            # Below the higher half the midvein still has its own breadth of blade.
            strip = np.array([[0.0, 0.0], [BARE, 0.002], [BARE, self.start]])
            line = np.concatenate([strip, line[1:]])
            line[2:, 0] = np.where(line[2:, 1] < 0.5, np.maximum(line[2:, 0], BARE), line[2:, 0])
        lengths = arc_lengths(line)
        at = np.linspace(0, lengths[-1], n_points)
        return np.stack([np.interp(at, lengths, line[:, k]) for k in (0, 1)], axis=1)


@dataclass(frozen=True)
class Teeth:
    """Teeth of one side. Heights in L; `per_vein` teeth from one secondary vein's end to the next.

    `flank`: share of a tooth taken by its distal flank (small: serrate, 0.5: dentate). `lean`: how far
    the tip is pulled towards the apex, as a share of the height. `second`: height of the smaller teeth
    on each tooth, as a share, and `second_count` of them.
    """

    height: float
    per_vein: int = 1
    flank: float = 0.2
    lean: float = 0.3
    second: float = 0.0
    second_count: int = 3
    convex: float = 1.0


def tooth_profile(phase: Floats, flank: float, convex: float) -> Floats:
    """Return a tooth's height in [0, 1] at each phase; the tip stands at whole phases."""
    p = phase - np.floor(phase)
    distal = np.clip(1 - p / flank, 0.0, 1.0)
    proximal = np.clip((p - flank) / (1 - flank), 0.0, 1.0) ** convex
    return np.where(p < flank, distal, proximal)


def cut_teeth(edge: Points, ends: Floats, teeth: Teeth, *, fade_base: float, fade_apex: float) -> tuple[Points, Points]:
    """Cut teeth into an edge, a tip at each vein's end.

    Parameters
    ----------
    edge : (n_points, 2), from base to apex, x >= 0.
    ends : (n_veins,), rising; where veins meet the edge, as a fraction of its length.
    teeth : what the teeth are like.
    fade_base, fade_apex : fractions of the length over which teeth grow and vanish.

    Returns
    -------
    the toothed edge, and the tips (n_veins, 2) that the veins run to.
    """
    s = arc_lengths(edge)
    total = s[-1]
    u = s / total
    knots, phases = _tooth_phases(ends)
    phase = np.interp(u, knots, phases) * teeth.per_vein
    # A tip and its sinus exactly on sample points: else the tips are blunted unevenly.
    whole = np.arange(np.ceil(phase[0]), np.floor(phase[-1]) + 1)
    sharp = np.concatenate([whole, whole + teeth.flank])
    sharp = np.interp(sharp[(sharp > phase[0]) & (sharp < phase[-1])] / teeth.per_vein, phases, knots)
    u = np.unique(np.concatenate([u, sharp, ends]))
    base = np.stack([np.interp(u, s / total, edge[:, k]) for k in (0, 1)], axis=1)
    smooth_normals = np.stack([np.interp(u, s / total, column) for column in _steady_normals(edge).T], axis=1)
    tangents = np.stack([-smooth_normals[:, 1], smooth_normals[:, 0]], axis=1)
    at = np.interp(u, knots, phases) * teeth.per_vein
    # Interpolating there and back may put a tip an ulp before its whole number, where the sinus is.
    at = np.where(np.abs(at - np.rint(at)) < 1e-9, np.rint(at), at)
    rise = tooth_profile(at, teeth.flank, teeth.convex)
    if teeth.second:
        small = tooth_profile(at * teeth.second_count, 0.3, 1.0)
        rise = (1 - teeth.second) * rise + teeth.second * small
    # Where veins end closer together, teeth are smaller.
    spacing = np.diff(knots) / np.diff(phases)
    spacing = np.interp(u, (knots[1:] + knots[:-1]) / 2, np.clip(spacing / np.median(spacing), 0.45, 1.1))
    fade = spacing * smoothstep(u / fade_base) * smoothstep((1 - u) / fade_apex)
    rise = (rise - 0.35) * teeth.height * fade
    toothed = base + rise[:, None] * (smooth_normals + teeth.lean * tangents)
    toothed[:, 0] = np.maximum(toothed[:, 0], 0.0)
    toothed[[0, -1]] = edge[[0, -1]]
    tips = np.stack([np.interp(ends, u, toothed[:, k]) for k in (0, 1)], axis=1)
    return toothed, tips


def _tooth_phases(ends: Floats) -> tuple[Floats, Floats]:
    """Return knots on [0, 1] and the tooth count there: whole at each end, going on beyond them.

    Where two ends lie far apart, more than one tooth stands between them.
    """
    if len(ends) == 1:
        return np.array([0.0, ends[0], 1.0]), np.array([-1.0, 0.0, 1.0])
    gaps = np.diff(ends)
    usual = float(np.median(gaps))
    between = np.maximum(1, np.rint(gaps / usual))
    n_before = max(1, round(ends[0] / usual))
    n_after = max(1, round((1 - ends[-1]) / usual))
    whole = np.concatenate([[0.0], np.cumsum(between)])
    phases = np.concatenate([[-n_before], whole, [whole[-1] + n_after]])
    return np.concatenate([[0.0], ends, [1.0]]), phases.astype(np.float64)


def _steady_normals(edge: Points) -> Points:
    """Return outward normals (n_points, 2) that do not jump where the edge is drawn closely."""
    out = normals(edge)
    width = 15
    padded = np.pad(out, ((width, width), (0, 0)), mode="edge")
    running = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    mean = running[2 * width + 1 :] - running[: -(2 * width + 1)]
    return np.asarray(mean / np.maximum(np.hypot(mean[:, 0], mean[:, 1]), 1e-12)[:, None])


def close_outline(right: Points, left: Points) -> Points:
    """Return the closed outline (n_points, 2) of two halves, each from base to apex with x >= 0."""
    return np.concatenate([right, (left * [-1.0, 1.0])[::-1]])
