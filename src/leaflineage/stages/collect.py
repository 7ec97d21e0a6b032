"""Write what the site needs: family.json a family, atlas.json, index.json, specimens.csv, the manifest, the schema."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage import __version__
from leaflineage.expert_names import Concept, locate_in_repository, match_names, read_directions, read_names
from leaflineage.machine import describe_maker, find_versions
from leaflineage.records import (
    AtlasConcept,
    AtlasFamily,
    AtlasRecord,
    AtlasSpecimen,
    FamilyRecord,
    Index,
)
from leaflineage.specimens import load_taxonomy
from leaflineage.stages.context import Context
from leaflineage.stages.describing import (
    FamilyArtifacts,
    Surroundings,
    compare_families,
    describe_family,
    describe_label,
    describe_specimens,
    list_counted,
    list_pictured,
)
from leaflineage.stages.gathering import (
    FamilyArrays,
    count_specimens,
    find_neighbours,
    find_similar_concepts,
    flag_composition,
    measure_accuracy,
    place_on_maps,
)
from leaflineage.stages.nearest import find_nearest_references
from leaflineage.stages.publishing import SETTINGS, describe_artifacts, encode_catalogue, publish_family
from leaflineage.stages.selection import list_specimens
from leaflineage.store import encode_json, hash_json

Floats = NDArray[np.floating]
INDEX_OMITS = {"crops", "image_importances", "recursion"}  # of concepts
FAMILY_OMITS = {"image_specimens", "image_dominants", "layout", "mistakes"}
BLOCK_BYTES = 64 * 2**20  # of the activations whose nearest are sought in one pass over all families


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write every record of the atlas; the manifest, last, lists them."""
    store = context.store
    specimens = list_specimens(context.catalogue)
    built = context.list_built()
    arrays = {slug: _summarize(_open_family(context, slug)) for slug in built}
    around = Surroundings(
        neighbours=find_neighbours(arrays) if built else {},
        similar=find_similar_concepts(arrays),
        places=place_on_maps(arrays),
        near_specimens=_find_near_specimens(context),
        held_out=any(each.split == "held-out" for each in context.list_used()),
        names=(matched := _match_names(context, arrays))[0],
    )
    outputs_of = {each.slug: each.output_index for each in context.families if each.output_index is not None}
    taxonomy = load_taxonomy(context.config.atlas.taxonomy) if context.config.atlas.taxonomy else {}
    n_sources = len({each.source for each in context.list_used() if each.source})
    files: dict[str, str] = {}
    families: list[dict[str, Any]] = []
    predicted: list[NDArray[np.integer]] = []
    outputs: list[int] = []
    groups: list[str] = []
    for selected in context.families:
        if selected.output_index is None:
            continue
        order = taxonomy.get(selected.name, {})
        counts = count_specimens(specimens.get(selected.name, []))
        facts: dict[str, Any] = {
            "slug": selected.slug,
            "name": selected.name,
            "order": order.get("order"),
            "clade": order.get("clade"),
            "output_index": selected.output_index,
            "missing": selected.missing,
            **counts,
            "flags": flag_composition(counts, n_sources=n_sources),
        }
        shown: list[dict[str, Any]] = []
        compared: dict[str, list[float]] = {}
        if selected.missing is None:
            found = _open_family(context, selected.slug)
            facts.update(describe_family(found, around))
            shown = describe_specimens(found, around)
            compared = compare_families(found, [outputs_of[slug] for slug in built])
            counted = list_counted(found, around)
            predicted += [found.order[i] for i in counted]
            outputs += [selected.output_index] * len(counted)
            groups += [found.specimens[i].group for i in counted]
            files.update(publish_family(store, found))
        family = AtlasFamily.model_validate(facts)
        record = FamilyRecord(
            family=family,
            specimens=[AtlasSpecimen.model_validate(each) for each in shown],
            compared=built if compared else [],
            contributions=compared,
        ).model_dump(mode="json")
        name = f"families/{selected.slug}/family.json"
        files[name] = store.write_json(name, "family", record)
        families.append(record["family"])
    header = _make_header(context, predicted, outputs, groups, held_out=around.held_out)
    queries = _describe_queries(context)
    files["index.json"] = store.write_json("index.json", "index", _make_index(context, header, families, queries))
    files["atlas.json"] = _write_atlas(context, header, [each["slug"] for each in families], queries)
    files["specimens.csv"] = store.write_bytes("specimens.csv", encode_catalogue(context.catalogue.specimens))
    for name, model in (("atlas", AtlasRecord), ("family", FamilyRecord), ("index", Index)):
        text = json.dumps(model.model_json_schema(by_alias=True), indent=1, sort_keys=True) + "\n"
        files[f"schema/{name}.json"] = store.write_bytes(f"schema/{name}.json", text.encode())
    makers = context.count_makers()
    manifest = {
        "classifier_sha256": context.model.sha256,
        "catalogue_sha256": store.hash_file("catalogue.json"),
        "versions": find_versions(),
        **({"mixed": makers} if len({*makers, describe_maker()}) > 1 else {}),
        "seed": context.config.run.seed,
        "settings": context.config.settings(SETTINGS),
        **describe_artifacts(context),
        "n_families": len(built),
        "names": matched[1],
    }
    return manifest, files


def _match_names(
    context: Context, arrays: Mapping[str, FamilyArrays]
) -> tuple[dict[str, dict[str, Any]], dict[str, list[list[Any]]]]:
    """Return the experts' names by concept, and which of their lines moved to another concept or found none."""
    path = context.config.anatomy.names
    if path is None:
        return {}, {"moved": [], "lost": []}
    file = locate_in_repository(path)
    matches = match_names(read_names(path), list_concepts(context, arrays), read_directions(path))
    named = {
        concept_id: {
            "text": name.name,
            "terms": list(name.terms),
            "author": name.author,
            "date": name.date,
            "note": name.note,
            "agree": list(name.agree),
            "disagree": list(name.disagree),
            "file": file,
            "line": name.line or None,
        }
        for concept_id, name in matches.named.items()
    }
    moved = [[name.id, now, name.name, cosine] for name, now, cosine in matches.moved]
    return named, {"moved": moved, "lost": [[name.id, name.name] for name in matches.lost]}


def list_concepts(context: Context, arrays: Mapping[str, FamilyArrays]) -> list[Concept]:
    """Return every shown concept of a run with its uid and its direction."""
    found = []
    for slug, each in sorted(arrays.items()):
        record = context.store.read_json(f"families/{slug}/concepts.json", "concepts", stage="factorize")
        uids = dict(zip(record["ids"], record["uids"], strict=True))
        found += [Concept(f"{slug}/{name}", uids[name], row) for name, row in zip(each.ids, each.bank, strict=True)]
    return found


def _open_family(context: Context, slug: str) -> FamilyArtifacts:
    own = context.of(slug)
    return FamilyArtifacts(own, own.family)


def _summarize(found: FamilyArtifacts) -> FamilyArrays:
    columns = found.columns_of_shown()
    return FamilyArrays(found.pooled["pooled"].mean(axis=0), found.shown, found.bank["concept_bank"][columns])


def _find_near_specimens(context: Context) -> dict[str, list[dict[str, Any]]]:
    """Return the reference specimens nearest to each that some page shows, by id; all are compared, block by block."""
    near: dict[str, list[dict[str, Any]]] = {}
    waiting: list[tuple[str, str, int, Floats]] = []  # id, group, place among the references, pooled activation

    def search() -> None:
        if waiting:
            names, groups, own, rows = zip(*waiting, strict=True)
            found = find_nearest_references(context, np.stack(rows), groups, own=np.array(own))
            near.update(zip(names, found, strict=True))
            waiting.clear()

    n_most = max(1, BLOCK_BYTES // (4 * context.model.map_shape[2]))
    start = 0
    for slug in context.list_built():
        family = _open_family(context, slug)
        pictured, pooled = list_pictured(family), family.pooled["pooled"]
        visible = [index for index, each in enumerate(family.specimens) if not each.withheld]
        for place, index in enumerate(visible):
            each = family.specimens[index]
            if each.id in pictured:
                waiting.append((each.id, each.group, start + place, pooled[index]))
        start += len(visible)
        if len(waiting) >= n_most:
            search()
    search()
    return near


def _describe_queries(context: Context) -> list[dict[str, Any]]:
    by_id = {each.id: each for each in context.list_queries()}
    queries = context.store.read_json("queries/queries.json", "queries", stage="explain")["queries"]
    return [
        AtlasSpecimen.model_validate({**describe_label(by_id[each["id"]]), **each}).model_dump(mode="json")
        for each in queries
    ]


def _make_header(
    context: Context,
    predicted: list[NDArray[np.integer]],
    outputs: list[int],
    groups: list[str],
    *,
    held_out: bool,
) -> dict[str, Any]:
    config, model = context.config, context.model
    split = "held-out" if held_out else "training leaves included"
    chance = 1 / model.n_outputs
    accuracy = measure_accuracy(predicted, outputs, groups, chance=chance, split=split) if outputs else None
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
            "signed": model.signed,
            "negative_energy": model.negative_energy,
            "prefix_matters": model.prefix_matters,
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
            **{key: value for key, value in family.items() if key not in FAMILY_OMITS},
            "rest": {**family["rest"], "image_importances": []} if family["rest"] else None,
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
        specimens += [{**each, "heatmaps": []} for each in record["specimens"]]  # too many: family.json has them
    content = {**header, "families": families, "specimens": sorted(specimens, key=lambda each: each["id"])}
    return context.store.write_bytes("atlas.json", encode_json("atlas", content))
