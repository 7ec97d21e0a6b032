"""What the bake must know of every family's record before the first page: who is named in it, which specimens it shows.

Of a record that has not changed since it was last looked through, the facts are remembered: see `state`.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from leaflineage.errors import ArtifactError
from leaflineage.records import FamilyRecord
from leaflineage.website.reading import parse_record

TEXT = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"')
LONGEST = 300  # bytes of a text that may name something; longer ones are pictures
WEIGHT_OF_TOP = 4  # of a top crop, beside one that is not
Seen = tuple[str, str | None, str | None, str | None, str | None, str | None]


@dataclass(frozen=True)
class RecordFacts:
    """What is known of a family's record, held packed: with ten thousand families it would fill the memory.

    Attributes
    ----------
    sha256 : str
        Of its bytes.
    packed : bytes
        The rest.
    """

    sha256: str
    packed: bytes

    @classmethod
    def pack(cls, sha256: str, mentions: Iterable[str], specimens: Iterable[Seen], named: Iterable[str]) -> RecordFacts:
        """Return the facts of a record."""
        return cls(sha256, pack_json([sorted(mentions), list(specimens), list(named)]))

    @property
    def mentions(self) -> list[str]:
        """Every text in it that may name a family, a concept or a specimen, sorted."""
        found: list[str] = unpack_json(self.packed)[0]
        return found

    @property
    def specimens(self) -> list[Seen]:
        """Of each specimen that its pages show: id, family, genus, species, catalogue number, licence."""
        return [tuple(each) for each in unpack_json(self.packed)[1]]

    @property
    def named(self) -> list[str]:
        """Ids of those that a page of the family names, those first whose own page tells most.

        That is where it was taken for another family, stands for its own, or was made clearer, or where a crop is cut
        from it, one of a concept inside a concept included.
        """
        found: list[str] = unpack_json(self.packed)[2]
        return found


def pack_json(value: Any) -> bytes:
    """Return plain values as JSON, compressed."""
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode("ascii"), 1)


@lru_cache(maxsize=4)  # one after another, all that is packed together is asked for
def unpack_json(packed: bytes) -> Any:
    """Return what `pack_json` packed, to be read alone."""
    return json.loads(zlib.decompress(packed))


def look_through(run: Path, slug: str, known: RecordFacts | None) -> RecordFacts:
    """Return the facts of a family's record, those known where they are of the same bytes.

    Raises
    ------
    ArtifactError
        If the record is missing or damaged.
    """
    path = run / "families" / slug / "family.json"
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path} is needed for the site and is not there. Build the run first (the stage collect writes it)."
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if known is not None and known.sha256 == sha256:
        return known
    try:
        record = from_json(data)
        specimens = [_see(each) for each in record["specimens"] if not each.get("withheld")]
        named = _list_named(record["family"])
        return RecordFacts.pack(sha256, find_texts(data), specimens, named)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        parse_record(path, data, FamilyRecord)  # says what is wrong
        raise ArtifactError(
            f"{path} should hold a family's record, and is damaged ({str(error)[:200]}). Run the stage collect again."
        ) from error


def find_texts(data: bytes) -> set[str]:
    """Return the texts of a JSON document that are no addresses of pictures."""
    texts = set()
    for text in set(TEXT.findall(data) if b"\\" in data else data.split(b'"')[1::2]):  # far the faster
        if 0 < len(text) <= LONGEST and b".webp" not in text and not text.startswith(b"data:"):
            texts.add(json.loads(b'"' + text + b'"') if b"\\" in text else text.decode("utf-8"))
    return texts


def _see(specimen: dict[str, Any]) -> Seen:
    fields = ("family", "genus", "species", "catalogue_number", "licence")
    family, genus, species, number, licence = (specimen.get(name) for name in fields)
    if not all(each is None or isinstance(each, str) for each in (family, genus, species, number, licence)):
        raise TypeError(f"{specimen['id']}: a label that is no text")
    return specimen["id"], family, genus, species, number, licence


def _list_named(family: dict[str, Any]) -> list[str]:
    """Return the ids of the specimens that a family's pages name.

    Mistakes come first, then the one that stands for the family and those in which a concept was made clearer, then by
    how many crops are cut from each, the strongest of a concept counting most.
    """
    inside = [part for each in family["concepts"] if each.get("recursion") for part in each["recursion"]["subconcepts"]]
    first = [each["specimen"] for each in family.get("mistakes", [])]
    first += [family["representative"]] if family.get("representative") else []
    counts: Counter[str] = Counter()
    for concept in [*family["concepts"], *inside]:
        first += [each["specimen"] for each in concept.get("visualizations", []) if each.get("specimen")]
        for crop in concept.get("crops", []):
            counts[crop["specimen"]] += WEIGHT_OF_TOP if crop.get("kind", "top") == "top" else 1
    return list(dict.fromkeys([*first, *sorted(counts, key=lambda name: (-counts[name], name))]))
