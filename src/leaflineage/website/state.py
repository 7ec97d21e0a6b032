"""What a bake remembers for the next one, in the run's folder: what it looked through, and what the site holds of it.

A line says of which site, and a line follows for each family. It is a cache: where it is missing, damaged, or of
another site than the one in place, everything is made anew, and the result is the same.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from leaflineage.website import links
from leaflineage.website.facts import RecordFacts, pack_json, unpack_json
from leaflineage.website.writing import Stamp, stamp_folder

STATE = "bake.jsonl"
VERSION = 3
Span = tuple[int, int]  # where a part of a file begins, and how many bytes it has
Folders = dict[str, dict[str, int]]  # the sizes of pictures, by their folder in the run and name
TICK = 1_100_000_000  # ns; file systems note times in steps of up to a second


@dataclass(frozen=True)
class FamilyState:
    """What the site holds of a family.

    Attributes
    ----------
    fingerprint
        Of what its pages are made from.
    packed
        Its files.
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

    @classmethod
    def pack(cls, fingerprint: str, addresses: list[str], folders: Folders) -> FamilyState:
        """Return what the site holds of a family, whose place in the data is not known yet."""
        return cls(fingerprint, pack_json([addresses, folders]))

    def list_files(self) -> tuple[list[str], Folders]:
        """Return the addresses of its pages and files, and the pictures that they show."""
        addresses, folders = unpack_json(self.packed)
        return addresses, folders

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
        media, stamps = links.media("-")[:-1], {}
        just_now = time.time_ns() - TICK
        for folder in self.list_files()[1]:
            stamp = stamp_folder(f"{run}/{folder}/", f"{out}/{media}{folder}/") if folder not in copied else ()
            if stamp and max(stamp[2:4]) < began - TICK and max(stamp[6:]) < just_now:
                stamps[folder] = stamp
        return replace(self, stamped=pack_json(stamps))


def list_folders(pictures: Iterable[str], addresses: Mapping[str, int]) -> Folders:
    """Return the sizes of a run's pictures by folder and name; ``addresses`` hold them by address."""
    folders: Folders = {}
    media = links.media("-")[:-1]
    for path in sorted(pictures):
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, {})[name] = addresses[media + path]
    return folders


@dataclass
class BakeState:
    """What is remembered: the facts of records, what a site holds of each family, and more of it as a whole.

    ``whole`` is for `unchanged` and ``opening`` for `striking`, which know what is in them.
    """

    facts: dict[str, RecordFacts] = field(default_factory=dict)
    families: dict[str, FamilyState] = field(default_factory=dict)
    whole: Mapping[str, Any] | None = None
    opening: Mapping[str, Any] | None = None


def read_state(run: Path, out: Path) -> BakeState:
    """Return what the last bake of a run remembered; of another site than the one in ``out``, the facts alone."""
    state = BakeState()
    try:
        with (run / STATE).open(encoding="utf-8") as stream:
            head = json.loads(stream.readline())
            if head["version"] != VERSION or not {"whole", "opening"} <= head.keys():
                return BakeState()
            for line in stream:
                entry = json.loads(line)
                slug = entry["slug"]
                state.facts[slug] = RecordFacts(entry["sha256"], base64.b64decode(entry["facts"]))
                spans = [(int(entry[name][0]), int(entry[name][1])) for name in ("family", "specimens")]
                state.families[slug] = FamilyState(
                    entry["fingerprint"], base64.b64decode(entry["files"]), base64.b64decode(entry["stamps"]), *spans
                )
    except (OSError, ValueError, KeyError, TypeError):
        return BakeState()
    try:
        same = head["site"] == os.path.relpath(out, run) and head["hashes"] == _hash_site(out)
    except (OSError, KeyError):  # no site, or not a whole one
        same = False
    state.whole, state.opening = head["whole"], head["opening"]
    return state if same else BakeState(state.facts, opening=state.opening)


def write_state(run: Path, out: Path, state: BakeState) -> None:
    """Remember a bake; a run that cannot be written is baked whole each time."""
    part = run / f"{STATE}.part"
    head = {"version": VERSION, "site": os.path.relpath(out, run), "hashes": _hash_site(out)}
    head |= {"whole": state.whole, "opening": state.opening}
    with contextlib.suppress(OSError):
        with part.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(head) + "\n")
            for slug, facts in state.facts.items():
                stream.write(json.dumps(_describe(slug, facts, state.families[slug])) + "\n")
        os.replace(part, run / STATE)


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


def _hash_site(out: Path) -> list[str]:
    """Return the sha256 of the site's manifest and of the data that parts are taken from."""
    hashes = []
    for address in (links.MANIFEST, links.ATLAS_DATA, links.HASHES):
        with (out / address).open("rb") as stream:
            hashes.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return hashes
