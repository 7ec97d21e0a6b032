"""Take specimens out of a site: write them down in the run, for every bake and build to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leaflineage.errors import ArtifactError, SiteError, SpecimenError, suggest
from leaflineage.store import Store
from leaflineage.website.rights import WITHDRAWN, read_withdrawn

TEXTS = frozenset({".html", ".js", ".json", ".csv", ".xml", ".txt"})
HEAD = (
    "# Specimens that were withdrawn: an id a line, what follows it is the reason. They are in no page and no file.\n"
)


@dataclass(frozen=True)
class Withdrawal:
    """What was written down.

    Attributes
    ----------
    names : tuple of str
        Ids of the specimens that the list did not hold before.
    families : tuple of str
        Families whose crops the next build makes again, sorted.
    same_leaf : tuple of str
        Ids of other pictures of the same leaves, which stay.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    same_leaf: tuple[str, ...]


def withdraw_specimens(run: Path, names: Sequence[str], *, reason: str) -> Withdrawal:
    """Write specimens into the run's list of those that were withdrawn.

    Parameters
    ----------
    names
        Ids, as the catalogue has them.
    reason
        One line, kept beside each; may be empty.

    Raises
    ------
    ArtifactError
        If the run has no catalogue, or cannot be written.
    SpecimenError
        If the catalogue has no such specimen.
    """
    store = Store(run)
    catalogue = {
        each["id"]: each for each in store.read_json("catalogue.json", "catalogue", stage="inspect")["specimens"]
    }
    unknown = [name for name in names if name not in catalogue]
    if unknown:
        by_number = [each for each, known in catalogue.items() if known.get("catalogue_number") == unknown[0]]
        hint = f" Did you mean {by_number[0]}?" if by_number else suggest(unknown[0], catalogue)
        raise SpecimenError(
            f"The id of a specimen was wanted, and {unknown[0]!r} is none in {run / 'catalogue.json'}.{hint} "
            "Nothing was withdrawn. Ids stand in specimens.csv and in the addresses of specimens' pages."
        )
    path = store.path(WITHDRAWN)
    held = read_withdrawn(path)
    new = [name for name in dict.fromkeys(names) if name not in held]
    if new:
        text = path.read_text(encoding="utf-8") if held else HEAD
        line = " ".join(reason.split())
        lines = [f"{name} {line}".rstrip() for name in new]
        store.write_bytes(WITHDRAWN, ("\n".join([text.rstrip("\n"), *lines]) + "\n").encode("utf-8"))
    gone = {*held, *names}
    groups = {catalogue[name]["group"] for name in names}
    return Withdrawal(
        names=tuple(new),
        families=tuple(sorted({catalogue[name]["family"] for name in names if catalogue[name].get("family")})),
        same_leaf=tuple(name for name, each in catalogue.items() if each["group"] in groups and name not in gone),
    )


def hold_withdrawn(site: Path, names: Sequence[str]) -> None:
    """Hold that no file of a site names a specimen.

    Raises
    ------
    SiteError
        If one does: a defect of the bake.
    """
    marks = [mark.encode() for name in names for mark in (f'"{name}"', f"/{name}.webp", f"/{name}.html", f"\n{name},")]
    for path in sorted(site.rglob("*")):
        found = None
        if path.is_file() and path.suffix in TEXTS:
            data = path.read_bytes()
            found = next((mark for mark in marks if mark in data), None)
        if found is not None or path.name in {f"{name}{end}" for name in names for end in (".webp", ".html")}:
            raise SiteError(
                f"Withdrawn specimens should be in no file of the site, and {path.relative_to(site).as_posix()} still "
                "names one. Take the site offline, and report this defect."
            )


def find_run(folder: Path) -> Path:
    """Return the only run in a folder of runs.

    Raises
    ------
    ArtifactError
        If there is none, or more than one.
    """
    runs = sorted(path.parent for path in folder.glob("*/index.json"))
    if len(runs) != 1:
        came = ", ".join(str(run) for run in runs) or "none is"
        raise ArtifactError(f"One run was looked for in {folder}, and {came} there. Name the run with --run.")
    return runs[0]
