"""One drawn specimen: plan, place, paint, zones."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from leaflineage.herbarium.extras import LABEL_BOX, Card, damage_outlines, draw_ruler
from leaflineage.herbarium.families import DRAWN, FAMILIES, PLANTED_SHORTCUT_FAMILY, plan_family
from leaflineage.herbarium.paint import cast_shadow, mix, paint_blade, paint_paper
from leaflineage.herbarium.palette import mix_palette
from leaflineage.herbarium.placement import Placement, lay_down
from leaflineage.herbarium.plan import LeafPlan, Points, Trait
from leaflineage.herbarium.raster import cover, everything_drawn
from leaflineage.herbarium.streams import Streams, streams_for
from leaflineage.herbarium.zones import depth_in_blade, zone_map

CLEAR_OF_LABEL = 0.015
"""How far leaves stay from a label, as a fraction of the sheet."""


@dataclass(frozen=True)
class Drawing:
    """A drawn specimen.

    image: (size, size, 3) uint8, RGB. zones: (size, size) uint8, as in `leaflineage.herbarium.zones`.
    traits: what was drawn, by name; lengths in pixels, angles in degrees.
    """

    image: NDArray[np.uint8]
    zones: NDArray[np.uint8]
    traits: dict[str, Trait] = field(default_factory=dict)


def draw_specimen(family: str, index: int, *, seed: int, size: int) -> Drawing:
    """Draw one specimen of a family.

    Parameters
    ----------
    family : one of `FAMILIES`.
    index : which specimen of the family, from 0.
    seed : of the herbarium; the drawing depends on family, index and seed alone.
    size : side of the square sheet in pixels, 32 or more.

    Raises
    ------
    ValueError : the family is not drawn here, or the sheet is too small.
    """
    if family not in DRAWN:
        raise ValueError(f"a drawn family is wanted, one of {', '.join(FAMILIES)}; came {family!r}")
    streams = streams_for(family, index, seed=seed)
    plan = plan_family(family, streams)
    labelled = family == PLANTED_SHORTCUT_FAMILY
    placement = place(everything_drawn(plan), streams, keep_label_free=labelled)
    return paint_drawing(plan, placement, streams, size=size, labelled=labelled)


def place(shape: Points, streams: Streams, *, keep_label_free: bool) -> Placement:
    """Return where a leaf with these points (n, 2, leaf coordinates) lies on its sheet."""
    random = streams.generator("place")
    x0, y0, x1, y1 = LABEL_BOX
    gap = CLEAR_OF_LABEL
    return lay_down(
        shape,
        curvature=float(np.clip(random.normal(0, 0.22), -0.5, 0.5)),
        rotation=float(np.clip(random.normal(0, 0.36), -0.9, 0.9)),
        fill=float(random.uniform(0.78, 0.93)),
        keep_free=(x0 - gap, y0 - gap, x1 + gap, y1 + gap) if keep_label_free else None,
        random=random,
    )


def paint_drawing(
    plan: LeafPlan,
    placement: Placement,
    streams: Streams,
    *,
    size: int,
    labelled: bool,
    worn: LeafPlan | None = None,
) -> Drawing:
    """Return the drawing of a plan on its place.

    labelled: add a ruler in the lower right corner. worn: the plan whose outline says where holes and
    tears are, where that is not `plan` itself.
    """
    if size < 32:
        raise ValueError(f"a sheet of 32 pixels or more is wanted; came {size}")
    palette = mix_palette(streams.generator("colour"))
    damage = damage_outlines(worn or plan, streams.generator("wear"))
    coverages = cover(plan, placement, size, damage)
    depth = depth_in_blade(coverages, placement)
    random = streams.generator("light")
    angle = random.normal(-0.75 * np.pi, 0.35)
    light = np.array([np.cos(angle), np.sin(angle)])
    picture = paint_paper(palette, size, streams.generator("paper"))
    strength = random.uniform(0.22, 0.42) * (0.35 if palette.treatment == "cleared" else 1.0)
    card: Card | None = draw_ruler(size, streams.generator("label")) if labelled else None
    if card is not None:
        picture = cast_shadow(picture, card.coverage, placement, light, 0.25)
        picture = mix(picture, card.picture, card.coverage)
    leaf = coverages.leaf
    picture = cast_shadow(picture, leaf, placement, light, strength)
    where = placement.pixel_centres(size)
    blade = paint_blade(coverages, placement, where, depth, palette, light, streams)
    picture = mix(picture, blade, leaf)
    image = np.rint(np.clip(picture, 0.0, 1.0) * 255).astype(np.uint8)
    zones = zone_map(coverages, where[1], depth, card.coverage if card else None)
    traits = {
        **plan.traits,
        "treatment": palette.treatment,
        "rotation": round(float(np.degrees(placement.rotation)), 1),
        "curvature": round(float(np.degrees(placement.curvature)), 1),
        "length_px": round(placement.length * size, 1),
        "n_damages": len(damage),
        "labelled": labelled,
    }
    return Drawing(image, zones, traits)
