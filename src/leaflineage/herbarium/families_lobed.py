"""The drawn families whose blade is lobed, pinnately or palmately, or a fan.

Every number that varies within a family is drawn here, so this is where a family is read off.
Terms: Ellis et al., Manual of Leaf Architecture (2009).
"""

from leaflineage.herbarium.fan import Fan, plan_fan
from leaflineage.herbarium.lobed import Lobed, plan_lobed
from leaflineage.herbarium.palmate import Lobe, Palmate, plan_palmate
from leaflineage.herbarium.pinnate import petiole_size
from leaflineage.herbarium.plan import LeafPlan
from leaflineage.herbarium.streams import Streams


def plan_fagaceae(streams: Streams) -> LeafPlan:
    """Obovate, cut into rounded lobes, a secondary down each."""
    random = streams.generator("shape")
    petiole, sway_by = petiole_size(random, 0.04, 0.10)
    leaf = Lobed(
        n_lobes=int(random.integers(4, 6)),
        width=random.uniform(0.31, 0.39),
        depth=random.uniform(0.40, 0.58),
        angle=random.uniform(0.85, 1.05),
        widest=random.uniform(0.58, 0.68),
        petiole=petiole,
        petiole_sway=sway_by,
    )
    return plan_lobed(leaf, streams).with_traits(teeth="none, lobed", secondaries="craspedodromous")


def plan_sapindaceae(streams: Streams) -> LeafPlan:
    """Palmately lobed as a maple: five pointed lobes, few large teeth."""
    random = streams.generator("shape")
    deep, spread = random.uniform(-0.05, 0.05), random.uniform(-0.05, 0.05)
    side, foot = random.uniform(0.82, 0.95), random.uniform(0.48, 0.62)

    def half() -> tuple[Lobe, ...]:
        wobble = random.normal(0, 0.02, 6)
        return (
            Lobe(0.0, 1.0, (0.43 + spread * 0.5, 0.46 + deep + wobble[0]), 2, 2),
            Lobe(0.86 + spread + wobble[1], side + wobble[2], (1.38 + spread, 0.36 + deep + wobble[3]), 2, 2),
            Lobe(1.80 + spread + wobble[4], foot + wobble[5], (2.55, 0.13), 1, 2),
        )

    petiole, sway_by = petiole_size(random, 0.30, 0.55)
    leaf = Palmate(
        right=half(),
        left=half(),
        tooth=random.uniform(0.30, 0.44),
        hollow=random.uniform(0.08, 0.14),
        bulge=random.uniform(0.03, 0.07),
        petiole=petiole,
        petiole_sway=sway_by,
    )
    return plan_palmate(leaf, streams).with_traits(teeth="few, large", secondaries="craspedodromous", lobes="palmate")


def plan_vitaceae(streams: Streams) -> LeafPlan:
    """Palmate, heart-shaped base, shallow lobes, coarse rounded teeth."""
    random = streams.generator("shape")
    deep, spread = random.uniform(-0.04, 0.05), random.uniform(-0.05, 0.05)
    side, foot, back = random.uniform(0.84, 0.94), random.uniform(0.66, 0.76), random.uniform(0.42, 0.50)

    def half() -> tuple[Lobe, ...]:
        wobble = random.normal(0, 0.02, 8)
        return (
            Lobe(0.0, 1.0, (0.50 + spread * 0.4, 0.71 + deep + wobble[0]), 4, 4),
            Lobe(0.84 + spread + wobble[1], side + wobble[2], (1.24 + spread, 0.62 + deep + wobble[3]), 4, 3),
            Lobe(1.66 + spread + wobble[4], foot + wobble[5], (2.20 + spread, 0.50 + wobble[6]), 3, 3),
            Lobe(2.68 + spread * 0.5, back + wobble[7], (3.02, 0.20), 3, 1),
        )

    petiole, sway_by = petiole_size(random, 0.30, 0.55)
    leaf = Palmate(
        right=half(),
        left=half(),
        tooth=random.uniform(0.26, 0.34),
        hollow=0.0,
        bulge=random.uniform(0.06, 0.10),
        round_tooth=random.uniform(0.08, 0.14),
        petiole=petiole,
        petiole_sway=sway_by,
    )
    return plan_palmate(leaf, streams).with_traits(teeth="coarse", secondaries="craspedodromous", base="cordate")


def plan_ginkgoaceae(streams: Streams) -> LeafPlan:
    """A fan: no midvein, veins that fork and fork again, a wavy edge, often a notch."""
    random = streams.generator("shape")
    petiole, sway_by = petiole_size(random, 0.35, 0.65)
    notched = random.random() < 0.75
    leaf = Fan(
        half_angle=random.uniform(0.85, 1.30),
        notch=random.uniform(0.12, 0.48) if notched else 0.0,
        notch_width=random.uniform(0.035, 0.08),
        waves=random.uniform(0.012, 0.03),
        petiole=petiole,
        petiole_sway=sway_by,
    )
    return plan_fan(leaf, streams).with_traits(teeth="none", secondaries="dichotomous", notched=bool(notched))
