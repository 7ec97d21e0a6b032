"""What ``data.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Fact, Frame, Link


@dataclass(frozen=True)
class DataFile:
    """A file to download."""

    link: Link
    note: str
    size: str
    sha256: str


@dataclass(frozen=True)
class FamilyFiles:
    """The files of one family: links with their sizes, None where the run has none."""

    family: Link
    importances: tuple[Link, str] | None
    bank: tuple[Link, str] | None


@dataclass(frozen=True)
class DataPage:
    """``data.html``."""

    frame: Frame
    files: tuple[DataFile, ...]
    family_files: tuple[FamilyFiles, ...]
    licences: tuple[Fact, ...]
    fields: tuple[Fact, ...]
    again: str  # what can be computed again from the files, and what cannot
    manifest: Link  # the hashes of all files
