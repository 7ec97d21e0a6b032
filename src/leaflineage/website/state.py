"""What a bake remembers for the next one, in the run's folder: what it looked through, and what the site holds of it.

A line says of which site, and a line follows for each family. It is a cache: where it is missing, damaged, or of
another site than the one in place, everything is made anew, and the result is the same.
"""

from __future__ import annotations

import base64
import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from leaflineage.website import links
from leaflineage.website.caches import read_cache, write_cache
from leaflineage.website.facts import RecordFacts, pack_json, unpack_json
from leaflineage.website.holdings import Folder, unpack_files
from leaflineage.website.writing import Stamp, hash_file, is_linked, stamp_folder

STATE = "bake.jsonl"
VERSION = 4
Span = tuple[int, int]  # where a part of a file begins, and how many bytes it has
NAILED = (links.MANIFEST, links.HASHES, links.ATLAS_DATA)  # by whose sha256 a site is known for the one that was baked
TICK = 1_100_000_000  # ns; file systems note times in steps of up to a second


@dataclass(frozen=True)
class FamilyState:
    """What the site holds of a family.

    Attributes
    ----------
    fingerprint
        Of what its pages are made from.
    packed
        Its files, as `pack_files` gives them.
    stamped
        Of folders whose pictures are links of the run's, what `stamp_folder` told.
    family, specimens
        Where ``data/atlas.json`` holds it, and its specimens; None until that is written.
    """

    fingerprint: str
    packed: bytes
    stamped: bytes = b""
    family: Span | None = None
    specimens: Span | None = None

    def list_folders(self) -> tuple[Folder, ...]:
        """Return its files by folder."""
        return unpack_files(self.packed)

    @property
    def stamps(self) -> dict[str, Stamp]:
        """Of each folder whose pictures are all links of the run's: which it is, and when it last changed."""
        return {folder: tuple(each) for folder, each in unpack_json(self.stamped).items()} if self.stamped else {}

    def stamp(self, run: Path, out: Path, copied: Set[str], *, began: int) -> FamilyState:
        """Return the same with what is told of its folders now.

        Parameters
        ----------
        copied
            Folders of the run of which not all pictures are linked: there a file may change and its folder not.
        began
            When the bake did, in ns. A folder that changed since, or just before, is left out, since it may change
            once more at the same tick of its clock.
        """
        stamps, just_now = {}, time.time_ns() - TICK
        for folder in find_pictured(self.list_folders()):
            stamp = stamp_folder(f"{run}/{folder}/", f"{out}/{links.MEDIA}{folder}/") if folder not in copied else ()
            if stamp and max(stamp[2:4]) < began - TICK and max(stamp[6:]) < just_now:
                stamps[folder] = stamp
        return replace(self, stamped=pack_json(stamps))

    def find_kept(self, run: Path, out: Path, numbers: Mapping[str, str]) -> Kept | None:
        """Return what a look at its files told; None where one is not there, or is no longer the run's.

        Pictures that are linked are the run's, whatever is in them: no stage writes into a picture that is there.

        Parameters
        ----------
        numbers
            Paths in the run of its files of numbers, by address.
        """
        stamps, kept = self.stamps, Kept()
        for folder in self.list_folders():
            if folder.is_pictured:
                path = folder.pictured
                here, there = f"{run}/{path}/", f"{out}/{folder.name}/"
                if path in stamps and stamp_folder(here, there) == stamps[path]:
                    continue
                kept.is_stamped = False
                if not all(_find_linked(here + name, there + name, path, kept) for name in folder.list_names()):
                    return None
            elif not _has_files(run, out, folder, numbers):
                return None
        return kept


@dataclass
class Kept:
    """What a look at a family's files told.

    Attributes
    ----------
    is_stamped
        Whether no folder of pictures changed since it was stamped.
    copied
        Folders of the run of which a picture is no link.
    """

    is_stamped: bool = True
    copied: set[str] = field(default_factory=set)


def _has_files(run: Path, out: Path, folder: Folder, numbers: Mapping[str, str]) -> bool:
    """Return whether the site holds a family's pages of the size they had, and its data and numbers as they were."""
    n_bytes = 0
    for name, sha256 in folder.list_hashes().items():
        address = f"{folder.name}/{name}"
        path = out / address
        try:
            n_bytes += path.stat().st_size
        except OSError:
            return False
        if not name.endswith(".html") and hash_file(path) != sha256:  # comparisons and other data are made from it
            return False
        if address in numbers and hash_file(run / numbers[address]) != sha256:
            return False
    return n_bytes == folder.n_bytes


def _find_linked(here: str, there: str, folder: str, kept: Kept) -> bool:
    """Return whether a file of the site is the run's as it is now; where it is a copy, note its folder."""
    try:
        found = os.stat(here)  # noqa: PTH116
        if not is_linked(found, there):
            return False
        if not os.path.samestat(found, os.stat(there)):  # noqa: PTH116
            kept.copied.add(folder)
    except OSError:
        return False
    return True


def find_pictured(folders: Iterable[Folder]) -> list[str]:
    """Return the folders of the run whose pictures are among a family's files."""
    return [each.pictured for each in folders if each.is_pictured and each.pictured]


@dataclass
class BakeState:
    """What is remembered: the facts of records, what a site holds of each family, and more of it as a whole.

    ``whole`` is for `unchanged` and ``opening`` for `striking`, which know what is in them. ``compared`` holds the
    fingerprint of what each page that compares two families is made from, by address.
    """

    facts: dict[str, RecordFacts] = field(default_factory=dict)
    families: dict[str, FamilyState] = field(default_factory=dict)
    compared: dict[str, str] = field(default_factory=dict)
    whole: Mapping[str, Any] | None = None
    opening: Mapping[str, Any] | None = None


def read_state(run: Path, out: Path) -> BakeState:
    """Return what the last bake of a run remembered; of another site than the one in ``out``, the facts alone."""
    state = BakeState()
    try:
        entries = read_cache(run / STATE)
        head = next(entries)
        if head["version"] != VERSION or not {"whole", "opening", "compared"} <= head.keys():
            return BakeState()
        for entry in entries:
            slug = entry["slug"]
            state.facts[slug] = RecordFacts(entry["sha256"], base64.b64decode(entry["facts"]))
            spans = [(int(entry[name][0]), int(entry[name][1])) for name in ("family", "specimens")]
            state.families[slug] = FamilyState(
                entry["fingerprint"], base64.b64decode(entry["files"]), base64.b64decode(entry["stamps"]), *spans
            )
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return BakeState()
    try:
        same = head["site"] == os.path.relpath(out, run) and head["hashes"] == [
            hash_file(out / address) for address in NAILED
        ]
    except KeyError:
        return BakeState()
    state.whole, state.opening, state.compared = head["whole"], head["opening"], head["compared"]
    return state if same else BakeState(state.facts, opening=state.opening)


def write_state(run: Path, out: Path, state: BakeState, hashes: Mapping[str, str]) -> None:
    """Remember a bake that gave these ``hashes``; a run that cannot be written is baked whole each time."""
    head = {"version": VERSION, "site": os.path.relpath(out, run), "hashes": [hashes[each] for each in NAILED]}
    head |= {"whole": state.whole, "opening": state.opening, "compared": state.compared}
    families = (_describe(slug, facts, state.families[slug]) for slug, facts in state.facts.items())
    write_cache(run / STATE, chain([head], families))


def _describe(slug: str, facts: RecordFacts, known: FamilyState) -> Mapping[str, Any]:
    return {
        "slug": slug,
        "sha256": facts.sha256,
        "facts": base64.b64encode(facts.packed).decode("ascii"),
        "fingerprint": known.fingerprint,
        "files": base64.b64encode(known.packed).decode("ascii"),
        "stamps": base64.b64encode(known.stamped).decode("ascii"),
        "family": known.family,
        "specimens": known.specimens,
    }


def forget_state(run: Path) -> None:
    """Forget what a site holds, before it is changed."""
    with contextlib.suppress(OSError):
        (run / STATE).unlink(missing_ok=True)
