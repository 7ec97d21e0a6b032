"""Read a run's records for the site; what may not be shown is left out here, so that no page can show it.

The index is read a family at a time and held slim: with ten thousand families it is what fills the memory.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import pydantic

from leaflineage.errors import ArtifactError
from leaflineage.records import (
    SCHEMAS,
    AtlasConcept,
    AtlasFamily,
    AtlasSpecimen,
    ConceptName,
    FamilyRecord,
    FidelityCurve,
    Importance,
    Index,
    Visualization,
)
from leaflineage.website.context import list_all_crops
from leaflineage.website.rights import EVERYTHING, Rights, hide_specimens

R = TypeVar("R", bound=pydantic.BaseModel)
# Of a family in the index, of its concepts, and of what they hold: the rest stands in its record, for its own pages.
LISTED: Mapping[type, tuple[str, ...]] = {
    AtlasConcept: (
        "id", "uid", "concept_index", "rank", "children", "name", "importance", "n_dominated", "flags", "position",
        "visualizations", "off_leaf_share", "foreign_share", "border_share", "source_auc", "told_source",
    ),
    FidelityCurve: ("order", "deletion_area", "insertion_area"),
    Importance: ("total_sobol_index", "share", "contribution", "interval"),
    Visualization: ("image", "width", "height", "kind", "score", "smaller", "specimen"),
    ConceptName: ("text", "plain", "terms", "source", "confidence", "suggested"),
}  # fmt: skip
# As the store lays out the list of families: before the first, between two, after the last, and the end of each.
OPENING, BETWEEN, CLOSING, END = b' "families": [\n', b"\n  },\n", b"\n  }\n ]", b"\n  }"
CHUNK = 1 << 20  # bytes
NO_FIELDS: set[str] = set()
NOTHING: list[Any] = []  # shared by all records that have nothing there; no record is changed
NO_ENTRIES: dict[str, Any] = {}
PLAIN = frozenset({float, int, bool, type(None)})
SHORT = 40  # characters of texts that stand in many records


def read_record(path: Path, model: type[R], name: str | None) -> R:
    """Return a record of the run; its schema is held against ``name`` where that is given.

    Raises
    ------
    ArtifactError
        If it is missing, of another schema, or damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise _miss(path) from error
    except (OSError, ValueError) as error:  # a folder in its place; a name that no file can have
        raise ArtifactError(
            f"{path} is needed for the site and cannot be read ({error}). Run the stage collect again."
        ) from error
    record = parse_record(path, data, model)
    if name is not None:
        _hold_schema(path, record, name)
    return record


def parse_record(path: Path, data: bytes, model: type[R]) -> R:
    """Return the record, or the part of one, that bytes read from ``path`` hold.

    Raises
    ------
    ArtifactError
        If it is damaged.
    """
    try:
        return model.model_validate_json(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ArtifactError(
            f"{path} should hold a record of the kind {model.__name__}, and {place or 'it'} is wrong: {first['msg']}. "
            "It is damaged or of another version: run the stage collect again."
        ) from error


def _hold_schema(path: Path, record: pydantic.BaseModel, name: str) -> None:
    schema = getattr(record, "schema_", None)
    if schema != SCHEMAS[name]:
        raise ArtifactError(
            f"{path} should be of schema {SCHEMAS[name]} and is of {schema!r}. Run the stage collect again."
        )


def _miss(path: Path) -> ArtifactError:
    return ArtifactError(
        f"{path} is needed for the site and is not there. Build the run first (the stage collect writes it)."
    )


def read_index(run: Path) -> Index:
    """Return the index, held slim.

    Raises
    ------
    ArtifactError
        If it is missing, of another schema or damaged.
    """
    collects = gc.isenabled()
    gc.disable()  # there is no rubbish in so many new records, and a third of the time would go into looking for it
    try:
        return _read_index(run / "index.json")
    finally:
        if collects:
            gc.enable()


def _read_index(path: Path) -> Index:
    families: list[AtlasFamily] = []
    rest: list[bytes] = []
    try:
        with path.open("rb") as stream:
            for data, is_family in _split_index(stream):
                if is_family:
                    families.append(_hold(parse_record(path, data, AtlasFamily)))
                else:
                    rest.append(data)
    except FileNotFoundError as error:
        raise _miss(path) from error
    index = parse_record(path, b"".join(rest), Index)
    _hold_schema(path, index, "index")
    families += [_hold(each) for each in index.families]  # where it is laid out in another way
    return index.model_copy(update={"families": families})


def _hold(family: AtlasFamily) -> AtlasFamily:
    """Return a family slim; whole where it was not built and has no record of its own."""
    return make_slim(family) if family.missing is None else family


def _split_index(stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield the parts of an index that the store laid out, and of each whether it is a family."""
    for line in stream:
        yield line, False
        if line == OPENING:
            break
    held = b""
    while chunk := stream.read(CHUNK):
        *whole, held = (held + chunk).split(BETWEEN)
        for place, data in enumerate(whole):
            if CLOSING in data:  # what is left is no family: queries are laid out alike
                held = BETWEEN.join([*whole[place:], held])
                break
            yield data + END, True
        if CLOSING in held:
            break
    last, closing, tail = held.partition(CLOSING)
    if closing:
        yield last + END, True
        tail = closing.removeprefix(END) + tail
    else:
        tail = held
    yield tail, False
    while chunk := stream.read(CHUNK):
        yield chunk, False


def make_slim(record: R) -> R:
    """Return the same record with shared texts, less memory left by validation, and of concepts what is `LISTED` alone.

    To ask such a concept for more is an AttributeError.
    """
    return cast(R, _slim(record))


def _slim(value: Any) -> Any:
    kind: Any = type(value)
    if kind in PLAIN:
        return value
    if kind is str:
        return sys.intern(value) if len(value) < SHORT else value
    if kind is list:
        return [each if type(each) in PLAIN else _slim(each) for each in value] if value else NOTHING
    if kind is tuple:
        return tuple([each if type(each) in PLAIN else _slim(each) for each in value]) if value else value
    if kind is dict:
        slim = {sys.intern(key): each if type(each) in PLAIN else _slim(each) for key, each in value.items()}
        return slim or NO_ENTRIES
    slim = kind.__new__(kind)
    held = value.__dict__
    for name in LISTED.get(kind, held):  # set one by one, all records of a kind share their names
        each = held[name]
        object.__setattr__(slim, name, each if type(each) in PLAIN else _slim(each))
    for name, shared in (("fields_set", NO_FIELDS), ("extra", None), ("private", None)):
        object.__setattr__(slim, f"__pydantic_{name}__", shared)
    return slim


def read_family(run: Path, slug: str, rights: Rights = EVERYTHING) -> tuple[AtlasFamily, dict[str, AtlasSpecimen]]:
    """Return a family whole and the specimens its pages may show, by id."""
    return hide_specimens(read_family_record(run, slug), rights)


def read_family_record(run: Path, slug: str) -> FamilyRecord:
    """Return a family's record as it was written.

    Raises
    ------
    ArtifactError
        If it is missing or damaged, or contradicts itself.
    """
    record = read_record(run / "families" / slug / "family.json", FamilyRecord, "family")
    specimens = {each.id for each in record.specimens}
    for concept in record.family.concepts:
        for crop in list_all_crops(concept):
            if crop.specimen not in specimens:
                raise ArtifactError(
                    f"families/{slug}/family.json: a crop of {concept.id} is of specimen {crop.specimen!r}, "
                    "which the record does not hold. Run the stage collect again."
                )
    odd = next((name for name, each in record.contributions.items() if len(each) != len(record.compared)), None)
    if odd is not None:
        raise ArtifactError(
            f"families/{slug}/family.json: {odd} needs a contribution to each of {len(record.compared)} families, and "
            f"there are {len(record.contributions[odd])}. Run the stage collect again."
        )
    places, dominants = record.family.layout, record.family.image_dominants
    if places is not None and len(places) != len(dominants):
        raise ArtifactError(
            f"families/{slug}/family.json: each image needs its place and its dominant concept, and there are "
            f"{len(places)} places and {len(dominants)} dominant concepts. Run the stage collect again."
        )
    return record
