"""Explain the queries: specimens without a family, which enter no statistic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.images import Frame
from leaflineage.records import Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.laying import compute_maps, lay_concepts, score_outputs
from leaflineage.stages.nearest import find_nearest_references
from leaflineage.stages.pictures import write_heatmap, write_specimen
from leaflineage.stages.reading import read_specimens, run_in_batches

N_CANDIDATES = 3  # families whose concepts are laid over a query
N_PREDICTED = 5
Floats = NDArray[np.floating]


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write, a query each: what the classifier says, which concepts speak for and against it, where they lie."""
    listed = context.list_queries()
    files: dict[str, str] = {}
    if not listed:
        return {"queries": [], "set_aside": {}}, files
    set_aside: dict[str, str] = {}
    read: list[tuple[Specimen, NDArray[np.uint8], Frame]] = []

    def fitted() -> Any:
        for index, image, each, frame in read_specimens(context, listed, set_aside):
            read.append((listed[index], image, frame))
            yield each

    queries, activations = [], []
    for position, (maps, pooled, logits, *prefix) in enumerate(run_in_batches(fitted(), compute_maps(context))):
        specimen, image, frame = read[position]
        facts, files_of_query = _explain_one(
            context, specimen, image, frame, maps, pooled, logits, prefix[0] if prefix else None
        )
        queries.append(facts)
        activations.append(pooled)
        files.update(files_of_query)
        read[position] = (specimen, image[:0], frame)  # the picture is written; let it go
    groups = [specimen.group for specimen, _, _ in read]
    if queries:
        for facts, near in zip(queries, find_nearest_references(context, np.stack(activations), groups), strict=True):
            facts["neighbours"] = near
    context.store.remove_strays("queries/specimens", files)
    context.store.remove_strays("queries/heatmaps", files)
    return {"queries": queries, "set_aside": set_aside}, files


def _explain_one(
    context: Context,
    specimen: Specimen,
    image: NDArray[np.uint8],
    frame: Frame,
    maps: Floats,
    pooled: Floats,
    logits: Floats,
    prefix: Floats | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    facts, files = write_specimen(context.store, "queries", specimen, image)
    order, scores = score_outputs(logits)
    built = {family.output_index: family for family in context.families if family.missing is None}
    candidates = [built[int(index)] for index in order if int(index) in built][:N_CANDIDATES]
    contributions: dict[str, float] = {}
    importances: dict[str, float] = {}
    heatmaps = []
    for family in candidates:
        laid = lay_concepts(context, family, maps, pooled, prefix)
        contributions.update(laid.contributions)
        importances.update(laid.importances)
        for concept, index in laid.concepts.items():
            path = f"queries/heatmaps/{specimen.id}/{concept.replace('/', '-')}.webp"
            size, maximum = (image.shape[1], image.shape[0]), float(laid.maxima[index])
            files[path] = write_heatmap(
                context.store, path, laid.coefficient_map[..., index], frame, size, maximum=maximum
            )
            heatmaps.append(
                {
                    "concept": concept,
                    "coefficient": float(laid.coefficient_map[..., index].max()),
                    "heatmap": path,
                    "heatmap_max": maximum,
                }
            )
    return {
        **facts,
        "id": specimen.id,
        "predicted": [
            {"family": context.model.label_names[int(i)] or f"output {int(i)}", "score": float(scores[i])}
            for i in order[:N_PREDICTED]
        ],
        "contributions": contributions,
        "importances": importances,
        "heatmaps": heatmaps,
    }, files
