"""Write what the site needs: family.json a family, atlas.json, index.json, specimens.csv, the manifest, the schema."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage import __version__
from leaflineage.records import (
    AtlasConcept,
    AtlasFamily,
    AtlasRecord,
    AtlasSpecimen,
    FamilyRecord,
    Index,
    Specimen,
)
from leaflineage.specimens import load_taxonomy
from leaflineage.stages.context import Context
from leaflineage.stages.gathering import (
    FamilyArrays,
    count_confusions,
    describe_specimens,
    find_neighbours,
    find_similar_concepts,
    measure_accuracy,
)
from leaflineage.stages.selection import SelectedFamily, list_specimens
from leaflineage.store import encode_json, hash_json

VERSIONED = ("torch", "torchvision", "timm", "scikit-learn", "scipy", "numpy", "pillow", "safetensors")
CSV_COLUMNS = (
    "id", "file", "group", "role", "family", "genus", "species", "source", "catalogue_number", "split",
    "in_training", "licence", "credit", "px_per_mm", "width", "height", "sha256", "set_aside",
)  # fmt: skip
INDEX_OMITS = {"crops", "image_importances"}


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write every record of the atlas; the manifest, last, lists them."""
    store = context.store
    specimens = list_specimens(context.catalogue)
    built = context.list_built()
    arrays = {slug: _read_arrays(context.of(slug)) for slug in built}
    neighbours, similar = find_neighbours(arrays) if built else {}, find_similar_concepts(arrays)
    taxonomy = load_taxonomy(context.config.atlas.taxonomy) if context.config.atlas.taxonomy else {}
    held_out = any(each.split == "held-out" for each in context.list_used())
    files: dict[str, str] = {}
    families: list[dict[str, Any]] = []
    predicted: list[NDArray[np.integer]] = []
    outputs: list[int] = []
    for selected in context.families:
        if selected.output_index is None:
            continue
        other = context.of(selected.slug)
        order = taxonomy.get(selected.name, {})
        facts: dict[str, Any] = {
            "slug": selected.slug,
            "name": selected.name,
            "order": order.get("order"),
            "clade": order.get("clade"),
            "output_index": selected.output_index,
            "missing": selected.missing,
            **describe_specimens(specimens.get(selected.name, [])),
        }
        shown: list[dict[str, Any]] = []
        if selected.missing is None:
            more, shown, ranked, right = _describe_family(other, selected, neighbours, similar, held_out=held_out)
            facts.update(more)
            predicted += ranked
            outputs += [selected.output_index] * len(ranked)
            assert right <= len(ranked)
        family = AtlasFamily.model_validate(facts)
        record = FamilyRecord(
            family=family, specimens=[AtlasSpecimen.model_validate(each) for each in shown]
        ).model_dump(mode="json")
        name = f"families/{selected.slug}/family.json"
        files[name] = store.write_json(name, "family", record)
        families.append(record["family"])
    header = _make_header(context, predicted, outputs, held_out=held_out)
    queries = _describe_queries(context)
    files["index.json"] = store.write_json("index.json", "index", _make_index(context, header, families, queries))
    files["atlas.json"] = _write_atlas(context, header, [each["slug"] for each in families], queries)
    files["specimens.csv"] = store.write_bytes("specimens.csv", _encode_csv(context.catalogue.specimens))
    for name, model in (("atlas", AtlasRecord), ("family", FamilyRecord), ("index", Index)):
        text = json.dumps(model.model_json_schema(by_alias=True), indent=1, sort_keys=True) + "\n"
        files[f"schema/{name}.json"] = store.write_bytes(f"schema/{name}.json", text.encode())
    manifest = {
        "classifier_sha256": context.model.sha256,
        "catalogue_sha256": store.hash_file("catalogue.json"),
        "versions": find_versions(),
        "seed": context.config.run.seed,
        "n_families": len(built),
    }
    return manifest, files


def find_versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on."""
    found = {"leaflineage": __version__}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _read_arrays(context: Context) -> FamilyArrays:
    folder = f"families/{context.slug}"
    pooled = context.store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")["pooled"]
    bank = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")["concept_bank"]
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    shown = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")["shown"]
    return FamilyArrays(pooled.mean(axis=0), list(shown), bank[[ids.index(each) for each in shown]])


def _describe_family(
    context: Context,
    selected: SelectedFamily,
    neighbours: dict[str, list[dict[str, Any]]],
    similar: dict[str, list[dict[str, Any]]],
    *,
    held_out: bool,
) -> tuple[dict[str, Any], list[dict[str, Any]], list[NDArray[np.integer]], int]:
    """Return a family's facts, its shown specimens, and the ranked outputs of the specimens that accuracy counts."""
    store, folder, output = context.store, f"families/{selected.slug}", selected.output_index
    record = store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    concepts = store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")
    importance = store.read_json(f"{folder}/importance.json", "importance", stage="rank")
    crops = store.read_json(f"{folder}/crops.json", "crops", stage="illustrate")
    pictures = store.read_json(f"{folder}/visualizations.json", "visualizations", stage="visualize")
    ranks = store.read_arrays(f"{folder}/importance.safetensors", stage="rank")
    logits = store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")["logits"].astype(np.float64)
    assert output is not None, "families without an output are not built"
    by_id = {each.id: each for each in context.specimens}
    listed = [by_id[each] for each in record["specimens"]]
    order = np.argsort(-logits, axis=1, kind="stable")
    counted = [i for i, each in enumerate(listed) if each.split == "held-out" or not held_out]
    trained = [i for i, each in enumerate(listed) if each.in_training] if held_out else []
    slug_of = {f.output_index: f.slug for f in context.families if f.output_index is not None}
    chance = 1 / context.model.n_outputs
    split = "held-out" if held_out else "training leaves included"
    all_concepts = {each["id"]: each for each in importance["concepts"]}
    shown = importance["shown"]
    hidden = [each for name, each in all_concepts.items() if name not in shown]
    near = [output, *(_find_output(context, each["slug"]) for each in neighbours[selected.slug])]
    mean_contributions = ranks["mean_contributions"]  # (n_players, n_outputs)
    described = [
        _describe_concept(
            selected,
            name,
            concepts,
            all_concepts[name],
            importance["exact"],
            crops["crops"][name],
            pictures["visualizations"][name],
            {slug_of[i]: float(mean_contributions[concepts["ids"].index(name), i]) for i in near},
            ranks["indices"][:, concepts["ids"].index(name)],
            similar.get(f"{selected.slug}/{name}", []),
        )
        for name in shown
    ]
    residual = importance["residual"]
    facts = {
        "accuracy": measure_accuracy([order[i] for i in counted], [output] * len(counted), chance=chance, split=split),
        "training_accuracy": measure_accuracy(
            [order[i] for i in trained], [output] * len(trained), chance=chance, split="training"
        )
        if trained
        else None,
        "explained_share": 1 - residual["share"],
        "relative_error": concepts["relative_error"],
        "bias": importance["bias"],
        "rest": {
            "share": residual["share"] + sum(each["share"] for each in hidden),
            "residual_share": residual["share"],
            "contribution": residual["contribution"] + sum(each["contribution"] for each in hidden),
            "concepts": [concepts["ids"].index(each["id"]) for each in hidden],
        },
        "neighbours": neighbours[selected.slug],
        "confused_with": count_confusions([int(order[i][0]) for i in counted], output, slug_of),
        "representative": crops["representative"],
        "concepts": described,
    }
    specimens = _describe_specimens(context, listed, crops["specimens"], logits, order, ranks, concepts, shown)
    right = sum(int(order[i][0] == output) for i in counted)
    return facts, specimens, [order[i] for i in counted], right


def _describe_concept(
    selected: SelectedFamily,
    name: str,
    concepts: dict[str, Any],
    ranked: dict[str, Any],
    exact: bool,
    crops: list[dict[str, Any]],
    pictures: list[dict[str, Any]],
    contributions: dict[str, float],
    image_importances: NDArray[np.floating],
    similar: list[dict[str, Any]],
) -> dict[str, Any]:
    index = concepts["ids"].index(name)
    stability = concepts["stability"]
    return {
        "id": f"{selected.slug}/{name}",
        "uid": concepts["uids"][index],
        "concept_index": index,
        "rank": ranked["rank"],
        "importance": {
            "total_sobol_index": ranked["total_sobol_index"],
            "interval": ranked["interval"],
            "exact": exact,
            "share": ranked["share"],
            "contribution": ranked["contribution"],
        },
        "contributions": contributions,
        "prevalence": ranked["prevalence"],
        "reliability": ranked["reliability"],
        "stability": {
            "cosine": stability["cosine"][index],
            "found_in": stability["found_in"][index],
            "n_refits": stability["n_refits"],
        }
        if stability
        else None,
        "visualizations": pictures,
        "crops": crops,
        "image_importances": image_importances.tolist(),
        "similar": similar,
    }


def _describe_specimens(
    context: Context,
    listed: list[Specimen],
    pictures: dict[str, dict[str, Any]],
    logits: NDArray[np.float64],
    order: NDArray[np.integer],
    ranks: dict[str, NDArray[Any]],
    concepts: dict[str, Any],
    shown: list[str],
) -> list[dict[str, Any]]:
    """Return what the atlas says of each specimen that some page of the family shows, in order of id."""
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    names, slug = context.model.label_names, context.slug
    columns = {name: concepts["ids"].index(name) for name in shown}
    found = []
    for index, specimen in enumerate(listed):
        if specimen.id not in pictures:
            continue
        own = ranks["contributions"][index]
        indices = ranks["indices"][index]
        contributions = {f"{slug}/{name}": float(own[column]) for name, column in columns.items()}
        importances = {f"{slug}/{name}": float(indices[column]) for name, column in columns.items()}
        contributions["rest"] = float(own.sum()) - sum(contributions.values())
        importances["rest"] = float(indices.sum()) - sum(importances.values())
        leading = int(indices[:-1].argmax())
        found.append(
            {
                **describe_label(specimen),
                **pictures[specimen.id],
                "predicted": [
                    {"family": names[int(i)] or f"output {int(i)}", "score": float(scores[index, i])}
                    for i in order[index][:5]
                ],
                "dominant": f"{slug}/{concepts['ids'][leading]}" if indices.sum() > 0 else None,
                "contributions": contributions,
                "importances": importances,
            }
        )
    return sorted(found, key=lambda each: str(each["id"]))


def describe_label(specimen: Specimen) -> dict[str, Any]:
    """Return what a specimen's label says, as the atlas carries it."""
    fields = (
        "id", "group", "role", "family", "genus", "species", "split", "in_training", "source", "catalogue_number",
        "licence", "credit", "px_per_mm",
    )  # fmt: skip
    return {field: getattr(specimen, field) for field in fields}


def _describe_queries(context: Context) -> list[dict[str, Any]]:
    by_id = {each.id: each for each in context.list_queries()}
    queries = context.store.read_json("queries/queries.json", "queries", stage="explain")["queries"]
    return [
        AtlasSpecimen.model_validate({**describe_label(by_id[each["id"]]), **each}).model_dump(mode="json")
        for each in queries
    ]


def _find_output(context: Context, slug: str) -> int:
    return next(f.output_index for f in context.families if f.slug == slug and f.output_index is not None)


def _make_header(
    context: Context, predicted: list[NDArray[np.integer]], outputs: list[int], *, held_out: bool
) -> dict[str, Any]:
    config, model = context.config, context.model
    split = "held-out" if held_out else "training leaves included"
    chance = 1 / model.n_outputs
    accuracy = measure_accuracy(predicted, outputs, chance=chance, split=split) if outputs else None
    drawn = config.specimens.draw is not None
    licences = config.atlas.licences.model_dump()
    if drawn:
        licences = {"code": "MIT", "text": "MIT", "data": "MIT", "images": "MIT", **_given(licences)}
    settings = config.settings(
        ("concepts", "importance", "visualize", "specimens.split", "specimens.min_specimens", "specimens.draw",
         "classifier.fit", "atlas.n_shown")
    )  # fmt: skip
    return {
        "title": config.atlas.title,
        "rank": config.atlas.rank,
        "version": config.atlas.version,
        "doi": config.atlas.doi,
        "date": _read_date(),
        "authors": config.atlas.authors,
        "licences": licences,
        "drawn": drawn,
        "generator": {"name": "LeafLineage", "version": __version__},
        "classifier": {
            "name": model.name,
            "architecture": model.architecture,
            "layer": model.layer,
            "affine_head": model.affine_head,
            "pools_first": model.pools_first,
            "input_size": list(model.preprocessing.input_size),
            "map_size": list(model.map_shape[:2]),
            "n_outputs": model.n_outputs,
            "n_families": sum(name is not None for name in model.label_names),
            "unnamed_outputs": [i for i, name in enumerate(model.label_names) if name is None],
            "sha256": model.sha256,
            "accuracy": accuracy,
            "notes": model.notes,
        },
        "run": {
            "config_fingerprint": hash_json(settings),
            "seed": config.run.seed,
            "versions": find_versions(),
            "fit_on": config.concepts.fit_on,
            "logit": "centred",
            "settings": settings,
        },
        "unlisted_families": [
            {"name": each.name, "reason": each.missing or ""} for each in context.families if each.output_index is None
        ],
    }


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _read_date() -> str | None:
    """Return the atlas's date from SOURCE_DATE_EPOCH; no clock enters what is compared."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return time.strftime("%Y-%m-%d", time.gmtime(int(epoch))) if epoch.isdigit() else None


def _make_index(
    context: Context, header: dict[str, Any], families: list[dict[str, Any]], queries: list[dict[str, Any]]
) -> dict[str, Any]:
    slim = [
        {
            **family,
            "concepts": [
                AtlasConcept.model_validate(
                    {key: value for key, value in concept.items() if key not in INDEX_OMITS}
                ).model_dump(mode="json")
                for concept in family["concepts"]
            ],
        }
        for family in families
    ]
    catalogue = context.catalogue.specimens
    reasons: dict[str, int] = {}
    for each in catalogue:
        if each.set_aside:
            reasons[each.set_aside] = reasons.get(each.set_aside, 0) + 1
    return {
        **header,
        "families": slim,
        "queries": queries,
        "n_specimens": sum(each.set_aside is None for each in catalogue),
        "n_set_aside": sum(each.set_aside is not None for each in catalogue),
        "set_aside_reasons": reasons,
    }


def _write_atlas(context: Context, header: dict[str, Any], slugs: list[str], queries: list[dict[str, Any]]) -> str:
    families, specimens = [], list(queries)
    for slug in slugs:
        record = context.store.read_json(f"families/{slug}/family.json", "family", stage="collect")
        families.append(record["family"])
        specimens += record["specimens"]
    content = {**header, "families": families, "specimens": sorted(specimens, key=lambda each: each["id"])}
    return context.store.write_bytes("atlas.json", encode_json("atlas", content))


def _encode_csv(specimens: list[Specimen]) -> bytes:
    """Return all specimens as CSV; a cell that a spreadsheet would run as a formula gets an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for each in specimens:
        row = each.model_dump(mode="json")
        cells = ["" if row[column] is None else str(row[column]) for column in CSV_COLUMNS]
        writer.writerow([f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell for cell in cells])
    return buffer.getvalue().encode()
