"""Specimens from a table: a CSV of one row a picture, ``path,family`` and whatever else is known.

Commas, semicolons or tabs; UTF-8 with or without a byte order mark, UTF-16 as spreadsheets write it, or Windows-1252;
columns in any order. Paths are relative to the root. A row without a family is a query.
"""

from __future__ import annotations

import csv
import io
import math
import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from leaflineage.errors import SpecimenError, suggest
from leaflineage.images import MISSING
from leaflineage.specimens.listing import LEAVES_ROOT, Listing, is_inside
from leaflineage.specimens.names import clean_name, parse_file_name

COLUMNS = (
    "path",
    "family",
    "genus",
    "species",
    "source",
    "split",
    "group",
    "licence",
    "credit",
    "catalogue_number",
    "px_per_mm",
)
_REQUIRED = ("path", "family")
_ALIASES = {
    "file": "path",
    "filename": "path",
    "file_name": "path",
    "split_group": "group",
    "license": "licence",
    "catalog_number": "catalogue_number",
    "source_id": "catalogue_number",
}
_DELIMITERS = (",", ";", "\t")

_ABSOLUTE = "absolute path in the catalogue (give it relative to the root)"
_ABOVE_ROOT = "path that leaves the root"
_UNUSABLE_PATH = "path that no file can have"
_DUPLICATE = "listed twice in the catalogue (the first row counts)"


def read_table(catalogue: Path, *, root: Path, follow_symlinks: bool) -> tuple[list[Listing], list[str]]:
    """List the pictures that a CSV names.

    Returns
    -------
    list of Listing
        In the table's order; a row whose path cannot be used carries a fault.
    list of str
        Notes.

    Raises
    ------
    SpecimenError
        If the table cannot be read, or has no column ``path`` or ``family``.
    """
    text, notes = _read_text(catalogue)
    rows = _split_rows(text, catalogue)
    places, unused = _place_columns(rows[0] if rows else [], catalogue)
    if unused:
        notes.append(f"{catalogue.name}: columns that are not used: {', '.join(unused)}.")
    locate = _Locator(root, follow_symlinks=follow_symlinks)
    listings: list[Listing] = []
    seen: set[str] = set()
    oddities: Counter[str] = Counter()
    for fields in rows[1:]:
        row = {column: fields[place].strip() for column, place in places.items() if place < len(fields)}
        if any(each.strip() for each in fields[len(rows[0]) :]):
            oddities["with more fields than the header (a comma without quotes?)"] += 1
        if not row.get("path"):
            oddities["without a path (left out)"] += 1
            continue
        listing = _make_listing(row, locate, oddities)
        if listing.path is not None and listing.file in seen:
            listing = Listing(file=listing.file, path=None, family=listing.family, fault=_DUPLICATE)
        seen.add(listing.file)
        listings.append(listing)
    notes += [f"{catalogue.name}: {n} {'row' if n == 1 else 'rows'} {what}." for what, n in oddities.items()]
    return listings, notes


def _read_text(catalogue: Path) -> tuple[str, list[str]]:
    try:
        data = catalogue.read_bytes()
    except OSError as error:
        raise SpecimenError(
            f"A catalogue was wanted at {catalogue}, but it cannot be read ({error.strerror}). "
            "Check [specimens] catalogue."
        ) from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), []
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        note = f"{catalogue.name} is not UTF-8: read as Windows-1252. Save it as UTF-8 if names look wrong."
        return data.decode("cp1252", "replace"), [note]


def _split_rows(text: str, catalogue: Path) -> list[list[str]]:
    """Return the fields of every row that is not empty, the header first."""
    first, _, rest = text.partition("\n")
    stated = re.fullmatch(r"sep=(.)\r?", first, re.IGNORECASE)  # as a spreadsheet may open a CSV
    if stated:
        text = rest
        first = rest.partition("\n")[0]
    delimiter = stated.group(1) if stated else max(_DELIMITERS, key=lambda each: _count_known(first, each))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [fields for fields in reader if any(each.strip() for each in fields)]
    except csv.Error as error:
        raise SpecimenError(
            f"{catalogue.name}, line {reader.line_num}: a row of a CSV was wanted, but {error}. "
            "Look for a quote that is never closed."
        ) from error


def _count_known(header: str, delimiter: str) -> int:
    names = {_normalize_column(each) for each in header.split(delimiter)}
    return len(names & {*COLUMNS, *_ALIASES})


def _normalize_column(text: str) -> str:
    return re.sub(r"[\s-]+", "_", text.strip().strip('"').strip().casefold())


def _place_columns(header: list[str], catalogue: Path) -> tuple[dict[str, int], list[str]]:
    """Return {column: place in the row}, and the columns that mean nothing to us."""
    found = [_normalize_column(each) for each in header]
    places = {name: found.index(name) for name in COLUMNS if name in found}
    for alias, name in _ALIASES.items():
        if alias in found and name not in places:
            places[name] = found.index(alias)
    for name in _REQUIRED:
        if name not in places:
            listed = ", ".join(each.strip() for each in header) or "none"
            raise SpecimenError(
                f"{catalogue.name}: a column “{name}” was wanted, found: {listed}.{suggest(name, found)} "
                "The first line names the columns; path and family are needed, an empty family makes a query."
            )
    used = set(places.values())
    return places, [each.strip() for place, each in enumerate(header) if place not in used and each.strip()]


def _make_listing(row: Mapping[str, str], locate: _Locator, oddities: Counter[str]) -> Listing:
    file, path, fault = locate(row["path"])
    family = clean_name(row.get("family", ""))
    told = parse_file_name(file, family=family)  # for what the table has no column

    def read(column: str, otherwise: str | None = None) -> str | None:
        return clean_name(row[column]) or None if column in row else otherwise

    scale = _read_scale(row.get("px_per_mm", ""))
    if scale is None and row.get("px_per_mm"):
        oddities["with a px_per_mm that is no positive number"] += 1
    return Listing(
        file=file,
        path=path,
        family=family or None,
        genus=read("genus", told.genus),
        species=read("species", told.species),
        source=read("source", told.source),
        catalogue_number=read("catalogue_number", told.catalogue_number),
        split=row.get("split", ""),
        group=read("group"),
        licence=read("licence"),
        credit=read("credit"),
        px_per_mm=scale,
        fault=fault,
    )


def _read_scale(text: str) -> float | None:
    try:
        scale = float(text.replace(",", "."))
    except ValueError:
        return None
    return scale if math.isfinite(scale) and scale > 0 else None


class _Locator:
    """Finds the file that a row's path means, inside the root."""

    def __init__(self, root: Path, *, follow_symlinks: bool) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._follow_symlinks = follow_symlinks
        self._inside: dict[Path, bool] = {}

    def __call__(self, text: str) -> tuple[str, Path | None, str | None]:
        """Return (file, path to open, fault)."""
        text = text if os.path.lexists(self._root / text) else text.replace("\\", "/")
        name = text.rstrip("/").rpartition("/")[2].replace("\0", "\N{REPLACEMENT CHARACTER}")
        name = "unnamed" if name in ("", ".", "..") else name
        if "\0" in text:
            return name, None, _UNUSABLE_PATH
        if text.startswith("/") or re.match(r"[A-Za-z]:", text):
            return name, None, _ABSOLUTE
        file = posixpath.normpath(text)
        if file == "." or file.split("/")[0] == "..":
            return name, None, _ABOVE_ROOT
        return self._find(file)

    def _find(self, file: str) -> tuple[str, Path | None, str | None]:
        for form in (file, unicodedata.normalize("NFC", file), unicodedata.normalize("NFD", file)):
            path = self._root / form
            if os.path.lexists(path):
                if not self._follow_symlinks and not self._lies_inside(path):
                    return file, None, LEAVES_ROOT
                return form, path, None
        return file, None, MISSING

    def _lies_inside(self, path: Path) -> bool:
        if path.is_symlink():
            return is_inside(path, real_root=self._real_root)
        if path.parent not in self._inside:
            self._inside[path.parent] = is_inside(path.parent, real_root=self._real_root)
        return self._inside[path.parent]
