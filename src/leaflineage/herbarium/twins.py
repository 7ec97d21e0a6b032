"""Twins: two drawings with the same random draws that differ in one trait of one zone.

Where they differ, the truth is known by construction: the margin for teeth, the base for its shape,
the secondary veins for their spacing, the petiole for its length, the foreign zone for a label.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from leaflineage.herbarium.drawing import Drawing, paint_drawing, place
from leaflineage.herbarium.outline import Side, Teeth
from leaflineage.herbarium.pinnate import Pinnate, plan_pinnate, with_side
from leaflineage.herbarium.raster import everything_drawn
from leaflineage.herbarium.streams import Streams, streams_for


@dataclass(frozen=True)
class Pair:
    """How the twin without and the twin with a trait come from one leaf, and the zones that differ."""

    without: Callable[[Pinnate], Pinnate]
    with_trait: Callable[[Pinnate], Pinnate]
    zones: tuple[str, ...]
    labelled: bool = False


def _same(leaf: Pinnate) -> Pinnate:
    return leaf


def _heart_shaped(leaf: Pinnate) -> Pinnate:
    return with_side(leaf, base=0.46, lobe=0.07)


PAIRS: dict[str, Pair] = {
    "base-shape": Pair(
        lambda leaf: replace(with_side(leaf, base=1.15, lobe=0.0), veins_of=_heart_shaped(leaf)),
        _heart_shaped,
        ("base",),
    ),
    "corner-label": Pair(_same, _same, ("foreign",), labelled=True),
    "petiole-length": Pair(
        lambda leaf: replace(leaf, petiole=0.06, petiole_sway=0.0),
        lambda leaf: replace(leaf, petiole=0.32, petiole_sway=0.0),
        ("petiole",),
    ),
    "secondary-spacing": Pair(
        lambda leaf: replace(leaf, n_secondaries=6), lambda leaf: replace(leaf, n_secondaries=13), ("secondary veins",)
    ),
    "teeth": Pair(
        _same,
        lambda leaf: replace(leaf, teeth=Teeth(height=0.045, per_vein=2, flank=0.25, lean=0.4), veins_of=leaf),
        ("margin",),
    ),
}

TWINS: tuple[str, ...] = tuple(PAIRS)
"""The traits that a pair of twins may differ in."""


def twin_streams(trait: str, index: int, *, seed: int) -> Streams:
    """Return the streams that both twins of a pair draw from."""
    return streams_for(f"twins/{trait}", index, seed=seed)


def draw_twins(trait: str, index: int, *, seed: int, size: int) -> tuple[Drawing, Drawing]:
    """Draw two leaves equal in everything but one trait: first without it, then with it.

    Parameters
    ----------
    trait : one of `TWINS`.
    index, seed : which pair; the pair depends on trait, index and seed alone.
    size : side of the square sheets in pixels, 32 or more.

    Raises
    ------
    ValueError : there are no twins of this trait.
    """
    if trait not in PAIRS:
        raise ValueError(f"a trait of twins is wanted, one of {', '.join(TWINS)}; came {trait!r}")
    pair = PAIRS[trait]
    streams = twin_streams(trait, index, seed=seed)
    leaf = _common_leaf(streams)
    plans = [plan_pinnate(change(leaf), streams) for change in (pair.without, pair.with_trait)]
    # One place for both, with room for whatever either of them has.
    shape = np.concatenate([everything_drawn(plan) for plan in plans])
    placement = place(shape, streams, keep_label_free=pair.labelled)
    # One set of holes as well: where they are depends on the outline.
    first, second = (
        paint_drawing(
            plan.with_traits(trait=trait, has_trait=has),
            placement,
            streams,
            size=size,
            labelled=pair.labelled and has,
            worn=plans[0],
        )
        for plan, has in zip(plans, (False, True), strict=True)
    )
    return first, second


def _common_leaf(streams: Streams) -> Pinnate:
    """Return the leaf that both twins start from: ovate, untoothed, secondaries to the margin."""
    random = streams.generator("shape")
    width, widest = float(random.uniform(0.26, 0.34)), float(random.uniform(0.42, 0.5))
    half = Side(
        width=width, widest=widest, base=float(random.uniform(0.55, 0.75)), apex=float(random.uniform(1.0, 1.3))
    )
    return Pinnate(
        right=half,
        left=replace(half, width=width * float(random.uniform(0.94, 1.06))),
        secondaries="craspedodromous",
        n_secondaries=int(random.integers(7, 10)),
        angle=float(random.uniform(0.85, 1.0)),
        angle_apex=float(random.uniform(0.6, 0.7)),
        bow=float(random.uniform(0.1, 0.4)),
        petiole=float(random.uniform(0.12, 0.2)),
        petiole_sway=float(random.normal(0, 0.02)),
        mesh_box=((-0.42, -0.1), (0.42, 1.02)),
    )
