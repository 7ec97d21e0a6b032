"""Lay the concepts of the family they were taken for over specimens that the classifier gets wrong.

A mistake has two sides: why the specimen's own family was not seen, which its own concepts tell, and why another one
was, which that family's concepts tell. A mistake for a family that is not built has the first side alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.images import Frame
from leaflineage.stages.context import Context
from leaflineage.stages.laying import compute_maps, lay_concepts
from leaflineage.stages.pictures import describe_heatmaps
from leaflineage.stages.reading import read_specimens, run_in_batches


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write, a mistaken specimen that is shown each: contributions, importances, heat maps of the other family."""
    crops = context.store.read_json(f"families/{context.slug}/crops.json", "crops", stage="illustrate")
    built = {each.name: each for each in context.families if each.missing is None}
    taken_for = {each["specimen"]: built[each["family"]] for each in crops["mistakes"] if each["family"] in built}
    listed = [each for each in context.specimens if each.id in taken_for]
    if not listed:
        return {"specimens": {}}, {}
    read: list[tuple[str, Frame]] = []

    def fitted() -> Iterator[NDArray[np.uint8]]:
        for index, _, each, frame in read_specimens(context, listed, {}):
            read.append((listed[index].id, frame))
            yield each

    specimens = {}
    for position, (maps, pooled, _, *prefix) in enumerate(run_in_batches(fitted(), compute_maps(context))):
        identifier, frame = read[position]
        laid = lay_concepts(context, taken_for[identifier], maps, pooled, prefix[0] if prefix else None)
        size = (frame.width, frame.height)
        specimens[identifier] = {
            "contributions": laid.contributions,
            "importances": laid.importances,
            "heatmaps": describe_heatmaps(laid.concepts, laid.coefficient_map, laid.maxima, frame, size),
        }
    return {"specimens": specimens}, {}
