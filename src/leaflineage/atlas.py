"""An atlas as data, for whoever works on with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Self, TypeVar

from leaflineage.errors import ArtifactError, suggest
from leaflineage.records import AtlasConcept, AtlasFamily, AtlasHeader, AtlasRecord, AtlasSpecimen, FamilyRecord, Index
from leaflineage.website.reading import read_family_record, read_record

NAMES = ("atlas.json", "data/atlas.json", "index.json")  # in a run's folder, a site's, a run's that is not whole
N_HELD = 8  # families' records of an index that are held at once

T = TypeVar("T")


class Atlas:
    """Families, their concepts, and the specimens that pages show.

    ``Atlas.load("runs/herbarium").find_family("Fagaceae").concepts[0].importance.share`` is the share of the first
    concept by rank. Records are those of `leaflineage.records`; the site's page of method says what each number is.

    Attributes
    ----------
    folder : Path
        That paths in the records are relative to.
    header : AtlasHeader
        Title, licences, the classifier and its accuracy, the run.
    families : tuple of AtlasFamily
        Every named output, by slug. Of an ``index.json``, without crops: `find_family` has them.
    """

    def __init__(
        self,
        folder: Path,
        header: AtlasHeader,
        families: Iterable[AtlasFamily],
        specimens: Iterable[AtlasSpecimen],
        read: Callable[[str], FamilyRecord] | None,
    ) -> None:
        self.folder, self.header, self.families = folder, header, tuple(families)
        self._by_slug = {each.slug: each for each in self.families}
        self._by_name = self._by_slug | {each.name: each for each in self.families}
        self._specimens = {each.id: each for each in specimens}
        self._read = read

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an atlas; of an ``index.json``, a family is read when it is asked for, so that memory stays small.

        Parameters
        ----------
        path : str or Path
            An ``atlas.json`` or ``index.json``, a run's folder or a site's.

        Raises
        ------
        ArtifactError
            If it is not there, of another schema, or damaged.
        """
        path = Path(path)
        if path.is_dir():
            found = next((path / name for name in NAMES if (path / name).is_file()), None)
            if found is None:
                raise ArtifactError(
                    f"An atlas was wanted in {path}, and there is none: none of {', '.join(NAMES)}. Name the folder of "
                    "a run or of a site, or build the run first."
                )
            path = found
        folder = path.parent
        if path.name == "index.json":
            index = read_record(path, Index, "index")
            read = lru_cache(N_HELD)(lambda slug: read_family_record(folder, slug))
            return cls(folder, index, index.families, index.queries, read)
        record = read_record(path, AtlasRecord, "atlas")
        return cls(folder, record, record.families, record.specimens, None)

    def find_family(self, name: str) -> AtlasFamily:
        """Return a family whole, by its name, or by its slug where no family has that name.

        Raises
        ------
        ArtifactError
            If there is none of that name, or its record is damaged.
        """
        family = _find(self._by_name, name, "family")
        if self._read is None or family.missing is not None:
            return family
        return self._read(family.slug).family

    def find_concept(self, name: str) -> AtlasConcept:
        """Return a concept by its id, as "fagaceae/concept-03".

        Raises
        ------
        ArtifactError
            If there is none, or its family's record is damaged.
        """
        family = self.find_family(_find(self._by_slug, name.partition("/")[0], "family").name)
        return _find({each.id: each for each in family.concepts}, name, "concept")

    def list_specimens(self, family: str) -> list[AtlasSpecimen]:
        """Return the specimens of a family (name or slug) that some page shows, queries aside.

        Raises
        ------
        ArtifactError
            If there is no such family, or its record is damaged.
        """
        known = _find(self._by_name, family, "family")
        if self._read is not None:
            held = [] if known.missing is not None else self._read(known.slug).specimens
        else:
            held = [*self._specimens.values()]
        return [each for each in held if each.family == known.name and each.role == "reference"]

    def list_queries(self) -> list[AtlasSpecimen]:
        """Return the specimens of no family that were asked about."""
        return [each for each in self._specimens.values() if each.role == "query"]

    def locate(self, path: str) -> Path:
        """Return where a picture lies that a record names.

        Raises
        ------
        ArtifactError
            If that is outside the run or the site.
        """
        whole = self.folder.parent if self.folder.name == "data" else self.folder  # of a site, the data name its media
        found = self.folder / PurePosixPath(path)
        if not found.resolve().is_relative_to(whole.resolve()):
            raise ArtifactError(f"A picture in {whole} was wanted, and the atlas names {path!r}. Do not trust it.")
        return found


def _find(known: Mapping[str, T], name: str, kind: str) -> T:
    if name not in known:
        raise ArtifactError(
            f"The {kind} {name!r} was wanted, and the atlas has none of that name.{suggest(name, known)} "
            "Atlas.families lists them all."
        )
    return known[name]
