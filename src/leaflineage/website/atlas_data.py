"""The site's copy of ``atlas.json``: what its pages show, as data; a line a family, then a line a family's specimens.

It is put together from parts. A family's part is made with its pages; that of a family whose pages stay is taken from
the copy that lies in the site, so that of all families no more than one is held at a time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from leaflineage.errors import ArtifactError
from leaflineage.records import SCHEMAS, AtlasFamily, AtlasHeader, AtlasSpecimen, Index
from leaflineage.website import links
from leaflineage.website.state import Span

PICTURES = re.compile(rb'("(?:image|heatmap|attribution)":)("(?:[^"\\]|\\.)*")')
PLAIN = re.compile(rb'"[A-Za-z0-9][A-Za-z0-9_./-]*"')  # a path that needs no percent in an address
Part = Path | Span  # a file of its own, or where it lies in the copy that is there


def encode_family(family: AtlasFamily) -> bytes:
    """Return a family as its line in the data."""
    return _relocate(family.model_dump_json().encode("utf-8"))


def encode_specimens(specimens: Iterable[AtlasSpecimen], with_page: Container[str]) -> bytes:
    """Return specimens as their line in the data, joined by commas; their heat maps stay with the family's record.

    Of one without a page the data hold neither what is near it nor the numbers that its family's table of importances
    has of every image.
    """
    lines = []
    for each in specimens:
        left_out: dict[str, Any] = {"heatmaps": []}
        if each.id not in with_page:
            left_out |= {"neighbours": [], "importances": {}, "contributions": {}}
        lines.append(each.model_copy(update=left_out).model_dump_json().encode("utf-8"))
    return _relocate(b",".join(lines))


def write_atlas(
    target: Path, former: Path, index: Index, parts: Mapping[str, tuple[Part, Part]]
) -> tuple[int, str, dict[str, tuple[Span, Span]]]:
    """Write the copy; return its size, its sha256, and where each family and its specimens lie in it.

    Parameters
    ----------
    former
        The copy that is there, from which spans are taken.
    parts
        The family's part and its specimens', by slug, in order.
    """
    header = {name: getattr(index, name) for name in AtlasHeader.model_fields}
    plain = AtlasHeader.model_construct(**header).model_dump(mode="json")
    places: dict[str, list[Span]] = {slug: [] for slug in parts}
    digest = hashlib.sha256()
    place = 0
    with target.open("wb") as stream:

        def write(data: bytes) -> None:
            nonlocal place
            stream.write(data)
            digest.update(data)
            place += len(data)

        write(_encode({"schema": SCHEMAS["atlas"], **plain}, sort=False)[:-1])
        for position, name in enumerate(("families", "specimens")):
            write(f',"{name}":[\n'.encode())
            is_first = True
            for slug, data in _read_parts(former, {slug: each[position] for slug, each in parts.items()}):
                if data and not is_first:
                    write(b",\n")
                places[slug].append((place, len(data)))
                write(data)
                is_first = is_first and not data
            if not position:
                write(b"\n]")
        queries = encode_specimens(index.queries, {each.id for each in index.queries})
        write((b"" if is_first or not queries else b",\n") + queries + b"\n]}\n")
    return place, digest.hexdigest(), {slug: (found[0], found[1]) for slug, found in places.items()}


def _read_parts(former: Path, parts: Mapping[str, Part]) -> Iterator[tuple[str, bytes]]:
    """Yield (slug, bytes) of each part."""
    stream: BinaryIO | None = None
    try:
        for slug, part in parts.items():
            if isinstance(part, Path):
                yield slug, part.read_bytes()
                continue
            stream = stream or former.open("rb")
            stream.seek(part[0])
            yield slug, stream.read(part[1])
    finally:
        if stream is not None:
            stream.close()


def _relocate(encoded: bytes) -> bytes:
    """Return JSON with the paths of pictures relative to the data; inside a text each of these quotes is escaped."""
    return PICTURES.sub(_move, encoded)


def _move(found: re.Match[bytes]) -> bytes:
    text = found[2]
    if PLAIN.fullmatch(text) and b".." not in text:
        return b'%b"../media/%b' % (found[1], text[1:])
    path = json.loads(found[2])
    if not path or path.startswith("data:"):
        return found[0]
    return found[1] + _encode(links.relative(links.ATLAS_DATA, links.media(path)))


def _encode(value: Any, *, sort: bool = True) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=sort)
        return text.encode("utf-8")
    except ValueError as error:
        raise ArtifactError(
            f"The atlas was to be written as JSON, and index.json or a family's record holds what JSON has not "
            f"({error}). Run the stage collect again."
        ) from error
