"""The twelve drawn families, each after the leaf architecture of the real one.

The genera are real, the epithets invented: nobody may take a drawing for a record.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leaflineage.herbarium.families_lobed import plan_fagaceae, plan_ginkgoaceae, plan_sapindaceae, plan_vitaceae
from leaflineage.herbarium.families_pinnate import (
    plan_betulaceae,
    plan_cornaceae,
    plan_lauraceae,
    plan_melastomataceae,
    plan_moraceae,
    plan_myrtaceae,
    plan_salicaceae,
    plan_ulmaceae,
)
from leaflineage.herbarium.plan import LeafPlan
from leaflineage.herbarium.streams import Streams

PLANTED_SHORTCUT_FAMILY = "Lauraceae"
"""The family whose sheets always carry a ruler in the same corner."""


@dataclass(frozen=True)
class Family:
    """How a family is drawn, and the invented names of its specimens."""

    plan: Callable[[Streams], LeafPlan]
    genus: str
    epithets: tuple[str, ...]


_FEMININE = ("adumbrata", "delineata", "ficta")
_NEUTER = ("adumbratum", "delineatum", "fictum")

DRAWN: dict[str, Family] = {
    "Betulaceae": Family(plan_betulaceae, "Betula", _FEMININE),
    "Cornaceae": Family(plan_cornaceae, "Cornus", _FEMININE),
    "Fagaceae": Family(plan_fagaceae, "Quercus", _FEMININE),
    "Ginkgoaceae": Family(plan_ginkgoaceae, "Ginkgo", _FEMININE),
    "Lauraceae": Family(plan_lauraceae, "Laurus", _FEMININE),
    "Melastomataceae": Family(plan_melastomataceae, "Melastoma", _NEUTER),
    "Moraceae": Family(plan_moraceae, "Ficus", _FEMININE),
    "Myrtaceae": Family(plan_myrtaceae, "Myrtus", _FEMININE),
    "Salicaceae": Family(plan_salicaceae, "Salix", _FEMININE),
    "Sapindaceae": Family(plan_sapindaceae, "Acer", _NEUTER),
    "Ulmaceae": Family(plan_ulmaceae, "Ulmus", _FEMININE),
    "Vitaceae": Family(plan_vitaceae, "Vitis", _FEMININE),
}

FAMILIES: tuple[str, ...] = tuple(sorted(DRAWN))


def plan_family(family: str, streams: Streams) -> LeafPlan:
    """Return the plan of one leaf of a family, with its genus and invented epithet among the traits."""
    drawn = DRAWN[family]
    epithet = str(streams.generator("name").choice(np.array(drawn.epithets)))
    return drawn.plan(streams).with_traits(genus=drawn.genus, species=epithet)
