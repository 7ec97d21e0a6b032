"""Names: what a file's name says of a specimen, and how a specimen is called.

Files of the Extant Leaves set are named ``Family_Genus_species_Collection_Collection_number.jpg``. The stem is split at
"_" four times at most, so that a number may hold underscores; some collections drop the repeated name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from leaflineage.records import make_slug

_LONGEST_PART = 60
_LONGEST_ID = 160  # so that a file named after it has a name that every file system takes
_INVISIBLE = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@dataclass(frozen=True)
class NameParts:
    """What a file's name says; None where it says nothing."""

    genus: str | None = None
    species: str | None = None
    source: str | None = None
    catalogue_number: str | None = None


def clean_name(text: str) -> str:
    """Return a name as it is compared and shown: NFC, one space between words, nothing invisible."""
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    printable = "".join(" " if unicodedata.category(each) == "Cc" else each for each in visible)
    return " ".join(printable.split())


def parse_file_name(name: str, *, family: str) -> NameParts:
    """Read genus, species, source and catalogue number from a file's name.

    Parameters
    ----------
    name : str
        The file's name, with or without folders and extension.
    family : str
        The family the picture is filed under. A name that does not begin with it (in any case) is not of the
        schema, and says nothing.

    Returns
    -------
    NameParts
        A number where a genus or a species should be is taken as the catalogue number.
    """
    stem = clean_name(PurePosixPath(name).stem)
    first, *rest = stem.split("_", 4)
    if not rest or first.casefold() != clean_name(family).casefold():
        return NameParts()
    genus = rest.pop(0) if _is_word(rest[0]) else None
    species = rest.pop(0) if genus and rest and _is_word(rest[0]) else None
    source = rest.pop(0) if species and rest and (len(rest) > 1 or _is_word(rest[0])) else None
    number = "_".join(rest)
    if source and number.casefold().startswith(f"{source.casefold()}_"):
        number = number[len(source) + 1 :]
    return NameParts(genus=genus, species=species, source=source or None, catalogue_number=number or None)


def _is_word(text: str) -> bool:
    return text[:1].isalpha() and not any(each.isdigit() for each in text)


def make_specimen_ids(files: Iterable[str]) -> dict[str, str]:
    """Return {file: id}: the path without its extension, each part slugged, "/" as "--", unique.

    A long one keeps its ends, where the family and the file's own name stand. Of files whose ids collide, the first in
    order of bytes keeps the id and the others get "-2", "-3", ….
    """
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for file in sorted(set(files), key=lambda each: each.encode("utf-8", "surrogatepass")):
        path = PurePosixPath(file)
        base = _shorten("--".join(_slug_part(part) for part in (*path.parts[:-1], path.stem)))
        unique, n = base, 1
        while unique in taken:
            n += 1
            unique = f"{base}-{n}"
        taken.add(unique)
        ids[file] = unique
    return ids


def _slug_part(part: str) -> str:
    slug = make_slug(part)
    return "specimen" if slug == "family" and part.casefold() != "family" else slug[:_LONGEST_PART]


def _shorten(specimen_id: str) -> str:
    """Take the middle out of an id that would be too long a file name."""
    if len(specimen_id) <= _LONGEST_ID:
        return specimen_id
    half = _LONGEST_ID // 2 - 1
    return f"{specimen_id[:half].rstrip('-')}--{specimen_id[-half:].lstrip('-')}"
