"""Read a run's records for the site; what is withheld is left out here, so that no page can show it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pydantic

from leaflineage.errors import ArtifactError
from leaflineage.records import SCHEMAS, AtlasFamily, AtlasSpecimen, FamilyRecord, Index
from leaflineage.website.context import hide_withheld, list_all_crops

R = TypeVar("R", bound=pydantic.BaseModel)


def read_record(path: Path, model: type[R], name: str) -> R:
    """Return a record of the run.

    Raises
    ------
    ArtifactError
        If it is missing, of another schema, or damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path} is needed for the site and is not there. Build the run first (the stage collect writes it)."
        ) from error
    try:
        record = model.model_validate_json(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ArtifactError(
            f"{path} should be a {SCHEMAS[name]} record, and {place or 'it'} is wrong: {first['msg']}. "
            "It is damaged or of another version: run the stage collect again."
        ) from error
    schema = getattr(record, "schema_", None)
    if schema != SCHEMAS[name]:
        raise ArtifactError(
            f"{path} should be of schema {SCHEMAS[name]} and is of {schema!r}. Run the stage collect again."
        )
    return record


def read_index(run: Path) -> Index:
    """Return the index without the accentuated crops of specimens that are withheld: it tells of none itself."""
    index = read_record(run / "index.json", Index, "index")
    families = []
    for family in index.families:
        if any(each.kind == "accentuation" for concept in family.concepts for each in concept.visualizations):
            whole, _ = read_family(run, family.slug)
            shown = {concept.id: concept.visualizations for concept in whole.concepts}
            concepts = [each.model_copy(update={"visualizations": shown.get(each.id, [])}) for each in family.concepts]
            family = family.model_copy(update={"concepts": concepts})
        families.append(family)
    return index.model_copy(update={"families": families})


def read_family(run: Path, slug: str) -> tuple[AtlasFamily, dict[str, AtlasSpecimen]]:
    """Return a family whole and the specimens its pages show, those withheld left out."""
    record = read_record(run / "families" / slug / "family.json", FamilyRecord, "family")
    specimens = {each.id: each for each in record.specimens}
    for concept in record.family.concepts:
        for crop in list_all_crops(concept):
            if crop.specimen not in specimens:
                raise ArtifactError(
                    f"families/{slug}/family.json: a crop of {concept.id} is of specimen {crop.specimen!r}, "
                    "which the record does not hold. Run the stage collect again."
                )
    places, dominants = record.family.layout, record.family.image_dominants
    if places is not None and len(places) != len(dominants):
        raise ArtifactError(
            f"families/{slug}/family.json: each image needs its place and its dominant concept, and there are "
            f"{len(places)} places and {len(dominants)} dominant concepts. Run the stage collect again."
        )
    return hide_withheld(record.family, specimens), specimens
