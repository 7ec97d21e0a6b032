"""Explain the queries: specimens without a family, which enter no statistic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.encoding import encode
from leaflineage.images import Frame
from leaflineage.records import Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.pictures import write_heatmap, write_specimen
from leaflineage.stages.rank import compute_importances
from leaflineage.stages.reading import read_specimens, run_in_batches

N_CANDIDATES = 3  # families whose concepts are laid over a query
N_PREDICTED = 5
N_NEIGHBOURS = 6
ONE_ROUND = float("inf")  # half-width that one round of designs meets: the config's is of a whole family's mean
Floats = NDArray[np.floating]


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write, a query each: what the classifier says, which concepts speak for and against it, where they lie."""
    listed = context.list_queries()
    files: dict[str, str] = {}
    if not listed:
        return {"queries": [], "set_aside": {}}, files
    classifier = context.load_classifier()
    set_aside: dict[str, str] = {}
    read: list[tuple[Specimen, NDArray[np.uint8], Frame]] = []

    def fitted() -> Any:
        for index, image, each, frame in read_specimens(context, listed, set_aside):
            read.append((listed[index], image, frame))
            yield each

    def compute(images: Any) -> Any:
        maps, prefix = classifier.features_with_prefix(images)
        results = (maps, maps.mean(dim=(1, 2)), classifier.head(maps, prefix))
        return results if prefix is None else (*results, prefix)

    references = _read_references(context)
    queries = []
    for position, (maps, pooled, logits, *prefix) in enumerate(run_in_batches(fitted(), compute)):
        specimen, image, frame = read[position]
        own = prefix[0] if context.model.prefix_matters else None
        facts, files_of_query = _explain_one(context, specimen, image, frame, maps, pooled, logits, own, references)
        queries.append(facts)
        files.update(files_of_query)
        read[position] = (specimen, image[:0], frame)  # the picture is written; let it go
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
    references: list[tuple[str, str, Floats]],
) -> tuple[dict[str, Any], dict[str, str]]:
    facts, sha256 = write_specimen(context.store, "queries", specimen, image)
    files = {facts["image"]: sha256}
    scores = np.exp(logits.astype(np.float64) - float(logits.max()))
    scores /= scores.sum()
    order = np.argsort(-scores, kind="stable")
    built = {family.output_index: family for family in context.families if family.missing is None}
    candidates = [built[int(index)] for index in order if int(index) in built][:N_CANDIDATES]
    contributions: dict[str, float] = {}
    importances: dict[str, float] = {}
    heatmaps = []
    for family in candidates:
        other = context.of(family.slug)
        folder = f"families/{family.slug}"
        arrays = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
        ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
        shown = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")["shown"]
        rows, columns, n_channels = maps.shape
        encoded = encode(maps.reshape(-1, n_channels), arrays["concept_bank"]).reshape(rows, columns, -1)
        own = {
            "concept_bank": arrays["concept_bank"],
            "coefficients": encoded.mean(axis=(0, 1))[None],
            "maps": encoded[None],
        }
        assert family.output_index is not None, "families without an output are not built"
        found = compute_importances(
            other,
            own,
            pooled[None],
            family.output_index,
            prefix=None if prefix is None else prefix[None],
            cells=maps[None],
            half_width=ONE_ROUND,
        )
        each = found.contributions[0, :, family.output_index]
        index_of = found.mean_indices[0]
        maxima = arrays["maps"].astype(np.float32).max(axis=(0, 1, 2))
        for name in shown:
            index = ids.index(name)
            concept = f"{family.slug}/{name}"
            contributions[concept], importances[concept] = float(each[index]), float(index_of[index])
            path = f"queries/heatmaps/{specimen.id}/{family.slug}-{name}.webp"
            size, maximum = (image.shape[1], image.shape[0]), float(maxima[index])
            files[path] = write_heatmap(context.store, path, encoded[..., index], frame, size, maximum=maximum)
            heatmaps.append(
                {
                    "concept": concept,
                    "coefficient": float(encoded[..., index].max()),
                    "heatmap": path,
                    "heatmap_max": maximum,
                }
            )
        contributions[f"{family.slug}/rest"] = float(each.sum()) - sum(
            contributions[f"{family.slug}/{name}"] for name in shown
        )
        contributions[f"{family.slug}/bias"] = float(np.ravel(found.biases)[family.output_index])
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
        "neighbours": _find_neighbours(specimen, pooled, references),
    }, files


def _read_references(context: Context) -> list[tuple[str, str, Floats]]:
    """Return (id, group, pooled activation) of all reference specimens."""
    group_of = {each.id: each.group for each in context.list_used()}
    found = []
    for slug in context.list_built():
        ids = context.store.read_json(f"families/{slug}/activations.json", "activations", stage="extract")["specimens"]
        arrays = context.store.read_arrays(f"families/{slug}/pooled.safetensors", stage="extract")
        found += [(each, group_of[each], row) for each, row in zip(ids, arrays["pooled"], strict=True)]
    return found


def _find_neighbours(
    specimen: Specimen, pooled: Floats, references: list[tuple[str, str, Floats]]
) -> list[dict[str, Any]]:
    """Return the reference specimens nearest by cosine of pooled activations."""
    rows = np.stack([row for _, _, row in references]).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1) * max(float(np.linalg.norm(pooled)), 1e-12)
    cosines = rows @ pooled.astype(np.float64) / np.maximum(norms, 1e-12)
    order = np.argsort(-cosines, kind="stable")[:N_NEIGHBOURS]
    return [
        {
            "id": references[i][0],
            "similarity": float(cosines[i]),
            "same_group": references[i][1] == specimen.group,
        }
        for i in order
    ]
