"""The labels of zones are one contract: what is found on a picture and what is drawn mean the same by a number."""

from __future__ import annotations

from leaflineage.anatomy import labels
from leaflineage.herbarium import zones

NAMES = ("BACKGROUND", "PETIOLE", "MIDVEIN", "SECONDARY", "MARGIN", "BASE", "APEX", "BLADE", "FOREIGN", "PADDING")


def test_a_zone_that_is_found_and_one_that_is_drawn_carry_the_same_number() -> None:
    found = {name: getattr(labels, name) for name in NAMES}
    assert found == {name: getattr(zones, name) for name in NAMES}
    assert sorted(found.values()) == list(range(labels.N_ZONES))
    assert len(labels.ZONE_NAMES) == labels.N_ZONES
