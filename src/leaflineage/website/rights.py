"""Which specimens a site may show, and what is left of the records without the others.

A specimen that was withdrawn is in no page, crop or file: neither its picture nor its name, its number or its place.
One whose picture may not be published has none either, by ``[site] images``; what is known of it stays in the table of
specimens. Both are left out where records are read, so that no page can show them. What was computed with them, a
family's numbers, stays.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leaflineage.records import (
    AtlasConcept,
    AtlasFamily,
    AtlasSpecimen,
    Crop,
    FamilyRecord,
    Index,
    Thumbnails,
    Visualization,
)

Images = Literal["all", "licensed", "none"]
WITHDRAWN = "withdrawn.txt"  # in the run
WITHHELD = "withheld"  # stands in arrays and tables for the name of a specimen that was withdrawn


@dataclass(frozen=True)
class Rights:
    """What may be shown.

    Attributes
    ----------
    images : str
        "all" pictures of specimens, the "licensed" ones alone, or "none".
    atlas_licence : bool
        Whether one licence is stated for all of them ([atlas.licences] images).
    withdrawn : frozenset of str
        Ids of the specimens that were withdrawn.
    """

    images: Images = "all"
    atlas_licence: bool = False
    withdrawn: frozenset[str] = frozenset()

    def allows(self, licence: str | None) -> bool:
        """Return whether a picture under a licence, or under none, may be shown."""
        return self.images == "all" or (self.images == "licensed" and (self.atlas_licence or bool(licence)))

    def shows(self, specimen: AtlasSpecimen) -> bool:
        """Return whether pages may show a specimen."""
        return not specimen.withheld and specimen.id not in self.withdrawn and self.allows(specimen.licence)

    def shows_sheet(self, sheet: Thumbnails, names: Iterable[str]) -> bool:
        """Return whether the picture of all specimens of a family may be shown; ``names`` are their ids.

        One made before a specimen was withdrawn still shows it: the next build makes another.
        """
        if not self.withdrawn.isdisjoint(names):
            return False
        return self.images == "all" or (self.images == "licensed" and (self.atlas_licence or sheet.licensed))


EVERYTHING = Rights()


def read_withdrawn(path: Path) -> dict[str, str]:
    """Return {id: reason} of a list of withdrawn specimens: an id a line, what follows it is the reason.

    Empty lines and those that begin with "#" say nothing. A list that is not there is empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    lines = [line.strip() for line in text.splitlines()]
    entries = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return {entry[0]: entry[1] if len(entry) > 1 else "" for entry in entries}


def hide_specimens(record: FamilyRecord, rights: Rights) -> tuple[AtlasFamily, dict[str, AtlasSpecimen]]:
    """Return a family without what shows specimens that may not be shown, and the specimens that may, by id."""
    shown = {each.id: each for each in record.specimens if rights.shows(each)}
    family = hide_pictures(record.family, shown.__contains__)
    sheet = family.thumbnails
    if sheet is not None and not rights.shows_sheet(sheet, family.image_specimens):
        sheet = None
    specimens = {
        name: each.model_copy(update={"neighbours": [n for n in each.neighbours if n.id not in rights.withdrawn]})
        if each.neighbours and rights.withdrawn
        else each
        for name, each in shown.items()
    }
    representative = family.representative if family.representative in shown else next(iter(shown), None)
    return family.model_copy(
        update={
            "thumbnails": sheet,
            "representative": representative,
            "mistakes": [each for each in family.mistakes if each.specimen in shown],
            "image_specimens": [WITHHELD if each in rights.withdrawn else each for each in family.image_specimens],
        }
    ), specimens


def hide_listed(family: AtlasFamily, rights: Rights, allowed: Container[str], names: Iterable[str]) -> AtlasFamily:
    """Return a family of the index without what shows specimens that may not be shown.

    Parameters
    ----------
    allowed
        Ids of the specimens in its record that may be shown: the index names them and tells of none.
    names
        Ids of all its specimens.
    """
    sheet = family.thumbnails
    if sheet is not None and not rights.shows_sheet(sheet, names):
        sheet = None
    concepts = []
    for concept in family.concepts:
        pictures = _list_shown(concept, allowed.__contains__)
        is_whole = len(pictures) == len(concept.visualizations)
        concepts.append(concept if is_whole else concept.model_copy(update={"visualizations": pictures}))
    kept = family.representative if family.representative is not None and family.representative in allowed else None
    mistakes = [each for each in family.mistakes if each.specimen in allowed]
    update = {"thumbnails": sheet, "concepts": concepts, "representative": kept, "mistakes": mistakes}
    return family.model_copy(update={name: new for name, new in update.items() if new != getattr(family, name)})


def hide_pictures(family: AtlasFamily, is_shown: Callable[[str], bool]) -> AtlasFamily:
    """Return the family without what is cut from specimens that are not shown.

    That is their crops, those of concepts inside a concept included, and crops in which a concept was made clearer.
    """
    concepts = [hide_of_concept(concept, is_shown) for concept in family.concepts]
    return family.model_copy(update={"concepts": concepts})


def hide_of_concept(concept: AtlasConcept, is_shown: Callable[[str], bool]) -> AtlasConcept:
    """Return a concept without what is cut from specimens that are not shown."""

    def keep(crops: list[Crop]) -> dict[str, list[Crop]]:
        return {"crops": [crop for crop in crops if is_shown(crop.specimen)]}

    recursion = concept.recursion
    if recursion is not None:
        inside = [each.model_copy(update=keep(each.crops)) for each in recursion.subconcepts]
        recursion = recursion.model_copy(update={"subconcepts": inside})
    pictures = _list_shown(concept, is_shown)
    return concept.model_copy(update={"recursion": recursion, "visualizations": pictures, **keep(concept.crops)})


def _list_shown(concept: AtlasConcept, is_shown: Callable[[str], bool]) -> list[Visualization]:
    """Return a concept's visualizations without crops, made clearer, of specimens that are not shown."""
    return [
        each
        for each in concept.visualizations
        if each.kind != "accentuation" or (each.specimen is not None and is_shown(each.specimen))
    ]


def hide_queries(index: Index, rights: Rights) -> list[AtlasSpecimen]:
    """Return the queries that may be shown, with the neighbours that may be named."""
    return [
        each.model_copy(update={"neighbours": [near for near in each.neighbours if near.id not in rights.withdrawn]})
        for each in index.queries
        if rights.shows(each)
    ]


def redact_importances(data: bytes, withdrawn: frozenset[str]) -> bytes:
    """Return a table of importances in which withdrawn specimens keep their numbers and lose their names."""

    def redact(row: Mapping[str, str]) -> dict[str, str]:
        gone = row["specimen"].lstrip("'") in withdrawn
        return {**row, "specimen": WITHHELD, "group": WITHHELD} if gone else dict(row)

    return _rewrite(data, redact)


def redact_specimens(data: bytes, withdrawn: frozenset[str]) -> bytes:
    """Return a table of specimens without the lines of those that were withdrawn."""
    return _rewrite(data, lambda row: None if row["id"].lstrip("'") in withdrawn else dict(row))


def _rewrite(data: bytes, change: Callable[[Mapping[str, str]], dict[str, str] | None]) -> bytes:
    reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, reader.fieldnames or [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for each in reader if (row := change(each)) is not None)
    return buffer.getvalue().encode("utf-8")
