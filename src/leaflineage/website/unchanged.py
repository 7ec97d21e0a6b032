"""Whether a bake would make the site that is there: where nothing that it reads has changed, it makes nothing.

What a site was made from is remembered whole, in one record: the settings and our own files, the run's files, and what
was made for all families together, which is held against its hash. What a family's pages are made from, and which
files they are, stands in the family's own record (see `state`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from leaflineage.website import links
from leaflineage.website.manifest import RUN_MANIFEST
from leaflineage.website.rights import WITHDRAWN
from leaflineage.website.state import BakeState
from leaflineage.website.writing import hash_file, is_linked

HEAD = "head.safetensors"
READ = ("index.json", RUN_MANIFEST, WITHDRAWN, "specimens.csv", HEAD)  # beside the families' records
NUMBERS = {links.importances_file: "importances.csv", links.bank_file: "bank.safetensors"}


@dataclass(frozen=True)
class Whole:
    """A whole site: what it was made from, the families' records aside, and what that gave.

    Attributes
    ----------
    made_by
        The sha256 of the settings, and of the templates, words, styles, scripts and code.
    read
        The sha256 of each of the run's files in `READ`; None of one that it has not.
    others
        The sha256 of each file that belongs to no family alone, by address, those aside by which the site is known.
    pictures
        Pictures of the run that queries' pages show.
    told
        What the bake told of the site.
    """

    made_by: str
    read: dict[str, str | None]
    others: dict[str, str]
    pictures: list[str]
    told: dict[str, Any]

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> Whole:
        """Return what `dump` gave."""
        return cls(**{name: plain[name] for name in cls.__dataclass_fields__})

    def dump(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def hash_read(run: Path) -> dict[str, str | None]:
    """Return the sha256 of each of a run's files that all pages together are made from."""
    return {name: hash_file(run / name) for name in READ}


def is_unchanged(run: Path, out: Path, state: BakeState, made_by: str) -> bool:
    """Return whether the site is there, whole, and made from what there is now."""
    if state.whole is None:
        return False
    whole = Whole.parse(state.whole)
    if whole.made_by != made_by or whole.read[WITHDRAWN] is not None:  # what is withdrawn is made sure of each time
        return False
    if any(hash_file(run / name) != sha256 for name, sha256 in whole.read.items()):
        return False
    if any(hash_file(out / address) != sha256 for address, sha256 in whole.others.items()):
        return False
    for slug, known in state.families.items():
        held = {address for folder in known.list_folders() for address in folder.list_addresses()}
        numbers = {name(slug): f"families/{slug}/{file}" for name, file in NUMBERS.items()}
        if any(address not in held and (run / path).is_file() for address, path in numbers.items()):
            return False
        if known.find_kept(run, out, numbers) is None:
            return False
    linked = {path: links.MEDIA + path for path in whole.pictures}
    if whole.read[HEAD] is not None:
        linked[HEAD] = links.HEAD_DATA
    if not _are_linked(run, out, linked.items()):
        return False
    records = ((run / "families" / slug / "family.json", facts.sha256) for slug, facts in state.facts.items())
    return all(hash_file(path) == sha256 for path, sha256 in records)


def _are_linked(run: Path, out: Path, files: Iterable[tuple[str, str]]) -> bool:
    try:
        return all(is_linked((run / path).stat(), f"{out}/{address}") for path, address in files)
    except OSError:
        return False
