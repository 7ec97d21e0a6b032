"""The drawn families with one midvein and an unlobed blade.

Every number that varies within a family is drawn here, so this is where a family is read off.
Terms: Ellis et al., Manual of Leaf Architecture (2009).
"""

from numpy.random import Generator

from leaflineage.herbarium.outline import Side, Teeth
from leaflineage.herbarium.pinnate import Pinnate, petiole_size, plan_pinnate
from leaflineage.herbarium.plan import LeafPlan
from leaflineage.herbarium.streams import Streams


def _halves(
    random: Generator,
    *,
    width: float,
    widest: float,
    base: float,
    apex: float,
    lobe: float = 0.0,
    tip: float = 0.008,
    uneven: float = 0.03,
) -> tuple[Side, Side]:
    """Return right and left halves that differ a little, as the halves of real leaves do."""
    scale = 1 + random.normal(0, uneven, 2)
    shift = random.normal(0, 0.008, 2)
    right, left = (
        Side(width=width * float(scale[k]), widest=widest + float(shift[k]), base=base, apex=apex, lobe=lobe, tip=tip)
        for k in (0, 1)
    )
    return right, left


def plan_betulaceae(streams: Streams) -> LeafPlan:
    """Ovate, two orders of teeth, straight secondaries that end in the larger teeth."""
    random = streams.generator("shape")
    width = random.uniform(0.31, 0.40)
    right, left = _halves(
        random,
        width=width,
        widest=random.uniform(0.30, 0.38),
        base=random.uniform(0.50, 0.75),
        apex=random.uniform(1.05, 1.35),
        lobe=random.choice([0.0, 0.02, 0.04]),
    )
    petiole, sway_by = petiole_size(random, 0.16, 0.30)
    leaf = Pinnate(
        right=right,
        left=left,
        secondaries="craspedodromous",
        n_secondaries=int(random.integers(6, 10)),
        angle=random.uniform(0.82, 0.98),
        angle_apex=random.uniform(0.5, 0.62),
        bow=random.uniform(0.0, 0.2),
        first=0.04,
        last=0.82,
        basal_angle=random.uniform(1.22, 1.35),
        crowding=1.6,
        teeth=Teeth(
            height=width * random.uniform(0.14, 0.18),
            per_vein=1,
            flank=0.3,
            lean=random.uniform(0.2, 0.45),
            second=random.uniform(0.36, 0.44),
            second_count=int(random.integers(3, 5)),
        ),
        petiole=petiole,
        petiole_sway=sway_by,
    )
    return plan_pinnate(leaf, streams).with_traits(teeth="two orders", secondaries="craspedodromous")


def plan_salicaceae(streams: Streams) -> LeafPlan:
    """Lanceolate, finely toothed, many secondaries that curve up before the margin."""
    random = streams.generator("shape")
    right, left = _halves(
        random,
        width=random.uniform(0.10, 0.155),
        widest=random.uniform(0.34, 0.48),
        base=random.uniform(0.8, 1.1),
        apex=random.uniform(1.2, 1.6),
        uneven=0.05,
    )
    petiole, sway_by = petiole_size(random, 0.05, 0.12)
    n = int(random.integers(13, 19))
    leaf = Pinnate(
        right=right,
        left=left,
        secondaries="eucamptodromous",
        n_secondaries=n,
        angle=random.uniform(0.80, 1.0),
        angle_apex=0.55,
        bow=0.6,
        first=0.05,
        last=0.84,
        crowding=1.3,
        teeth=Teeth(height=random.uniform(0.008, 0.011), per_vein=int(random.integers(3, 5)), flank=0.35, lean=0.4),
        petiole=petiole,
        petiole_sway=sway_by,
        midvein_width=0.015,
        secondary_width=0.0045,
        rung_spacing=0.028,
        rung_width=0.0022,
        cell=0.014,
    )
    return plan_pinnate(leaf, streams).with_traits(teeth="fine", secondaries="eucamptodromous")


def plan_lauraceae(streams: Streams) -> LeafPlan:
    """Elliptic, untoothed, secondaries that join in loops."""
    random = streams.generator("shape")
    right, left = _halves(
        random,
        width=random.uniform(0.19, 0.27),
        widest=random.uniform(0.44, 0.54),
        base=random.uniform(0.75, 1.05),
        apex=random.uniform(0.85, 1.2),
    )
    petiole, sway_by = petiole_size(random, 0.06, 0.13)
    leaf = Pinnate(
        right=right,
        left=left,
        secondaries="brochidodromous",
        n_secondaries=int(random.integers(7, 10)),
        angle=random.uniform(0.85, 1.02),
        angle_apex=random.uniform(0.75, 0.9),
        bow=random.uniform(0.3, 0.5),
        first=0.07,
        last=0.86,
        crowding=1.3,
        petiole=petiole,
        petiole_sway=sway_by,
        rung_unrest=1.6,
        cell=0.018,
    )
    return plan_pinnate(leaf, streams).with_traits(teeth="none", secondaries="brochidodromous")


def plan_melastomataceae(streams: Streams) -> LeafPlan:
    """Ovate to elliptic, untoothed; lateral primaries arch from base to apex, rungs across."""
    random = streams.generator("shape")
    right, left = _halves(
        random,
        width=random.uniform(0.25, 0.35),
        widest=random.uniform(0.42, 0.52),
        base=random.uniform(0.55, 0.8),
        apex=random.uniform(0.95, 1.25),
    )
    petiole, sway_by = petiole_size(random, 0.08, 0.18)
    leaf = Pinnate(
        right=right,
        left=left,
        secondaries="acrodromous",
        n_secondaries=2,
        angle=1.2,
        angle_apex=1.2,
        bow=0.0,
        petiole=petiole,
        petiole_sway=sway_by,
        rung_spacing=random.uniform(0.032, 0.042),
        rung_unrest=0.8,
        rung_width=0.0034,
        cell=0.018,
    )
    return plan_pinnate(leaf, streams).with_traits(teeth="none", secondaries="acrodromous primaries")


def plan_ulmaceae(streams: Streams) -> LeafPlan:
    """Elliptic, serrate, one half of the base lower than the other, close straight secondaries."""
    random = streams.generator("shape")
    width = random.uniform(0.23, 0.29)
    low = Side(
        width=width * 1.08, widest=random.uniform(0.42, 0.5), base=0.5, apex=random.uniform(1.0, 1.3), lobe=0.015
    )
    high = Side(
        width=width * 0.9,
        widest=low.widest,
        base=random.uniform(0.75, 0.95),
        apex=low.apex,
        start=random.uniform(0.045, 0.075),
    )
    right, left = (low, high) if random.random() < 0.5 else (high, low)
    petiole, sway_by = petiole_size(random, 0.05, 0.10)
    leaf = Pinnate(
        right=right,
        left=left,
        secondaries="craspedodromous",
        n_secondaries=int(random.integers(11, 15)),
        angle=random.uniform(0.82, 0.95),
        angle_apex=random.uniform(0.5, 0.6),
        bow=random.uniform(0.1, 0.3),
        first=0.06,
        last=0.86,
        crowding=1.7,
        basal_angle=1.35,
        teeth=Teeth(
            height=random.uniform(0.032, 0.044),
            per_vein=1,
            flank=0.16,
            lean=random.uniform(0.5, 0.9),
            second=0.25,
            second_count=2,
            convex=0.85,
        ),
        petiole=petiole,
        petiole_sway=sway_by,
        secondary_width=0.0068,
        rung_spacing=0.03,
        tooth_fade=0.25,
    )
    return plan_pinnate(leaf, streams).with_traits(teeth="serrate", secondaries="craspedodromous", base="asymmetrical")


def plan_cornaceae(streams: Streams) -> LeafPlan:
    """Ovate, untoothed; few secondaries that arch strongly towards the apex and fade."""
    random = streams.generator("shape")
    right, left = _halves(
        random,
        width=random.uniform(0.27, 0.36),
        widest=random.uniform(0.40, 0.50),
        base=random.uniform(0.6, 0.85),
        apex=random.uniform(1.1, 1.45),
    )
    petiole, sway_by = petiole_size(random, 0.07, 0.15)
    leaf = Pinnate(
        right=right,
        left=left,
        secondaries="eucamptodromous",
        n_secondaries=int(random.integers(5, 7)),
        angle=random.uniform(0.80, 0.95),
        angle_apex=0.5,
        bow=0.9,
        first=0.05,
        last=0.60,
        crowding=1.0,
        petiole=petiole,
        petiole_sway=sway_by,
        secondary_width=0.0085,
        rung_spacing=0.04,
        rung_unrest=1.2,
    )
    return plan_pinnate(leaf, streams).with_traits(teeth="none", secondaries="eucamptodromous")


def plan_myrtaceae(streams: Streams) -> LeafPlan:
    """Lanceolate to elliptic, untoothed; many fine secondaries end in a vein along the margin."""
    random = streams.generator("shape")
    right, left = _halves(
        random,
        width=random.uniform(0.15, 0.23),
        widest=random.uniform(0.42, 0.52),
        base=random.uniform(0.7, 1.0),
        apex=random.uniform(0.9, 1.4),
    )
    petiole, sway_by = petiole_size(random, 0.04, 0.09)
    leaf = Pinnate(
        right=right,
        left=left,
        secondaries="intramarginal",
        n_secondaries=int(random.integers(17, 25)),
        angle=random.uniform(1.0, 1.15),
        angle_apex=random.uniform(0.9, 1.0),
        bow=0.1,
        first=0.035,
        last=0.93,
        crowding=1.2,
        petiole=petiole,
        petiole_sway=sway_by,
        secondary_width=0.0046,
        rung_spacing=0.045,
        rung_width=0.0022,
        rung_unrest=1.6,
        cell=0.016,
    )
    return plan_pinnate(leaf, streams).with_traits(teeth="none", secondaries="intramarginal")


def plan_moraceae(streams: Streams) -> LeafPlan:
    """Ovate, untoothed, drawn out into a long tip; a strong basal pair, loops."""
    random = streams.generator("shape")
    lobe = float(random.choice([0.0, 0.03, 0.06]))
    right, left = _halves(
        random,
        width=random.uniform(0.26, 0.34),
        widest=random.uniform(0.26, 0.33),
        base=random.uniform(0.45, 0.6),
        apex=random.uniform(2.1, 2.9),
        lobe=lobe,
        tip=0.024,
    )
    petiole, sway_by = petiole_size(random, 0.22, 0.42)
    leaf = Pinnate(
        right=right,
        left=left,
        secondaries="brochidodromous",
        n_secondaries=int(random.integers(6, 8)),
        angle=random.uniform(0.85, 1.0),
        angle_apex=random.uniform(0.72, 0.85),
        bow=random.uniform(0.25, 0.45),
        first=0.012,
        last=0.70,
        crowding=1.2,
        offset=0.1,
        basal_angle=1.5 if lobe else 1.3,
        petiole=petiole,
        petiole_sway=sway_by,
        rung_unrest=1.2,
    )
    return plan_pinnate(leaf, streams).with_traits(teeth="none", secondaries="brochidodromous", apex="acuminate")
