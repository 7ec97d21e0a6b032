"""What a bake remembers for the next one, in the run's folder: what it looked through, and what the site holds of it.

It is a cache: where it is missing, damaged, or of another site than the one in place, everything is made anew, and the
result is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leaflineage.errors import ArtifactError
from leaflineage.store import Store
from leaflineage.website import links
from leaflineage.website.facts import RecordFacts

STATE = "bake.json"
VERSION = 1
Span = tuple[int, int]  # where a part of a file begins, and how many bytes it has


@dataclass(frozen=True)
class FamilyState:
    """What the site holds of a family.

    Attributes
    ----------
    fingerprint
        Of what its pages are made from.
    addresses
        Of its pages and files.
    pictures
        Paths, in the run, of the pictures that they show.
    family, specimens
        Where ``data/atlas.json`` holds it, and its specimens; None until that is written.
    """

    fingerprint: str
    addresses: tuple[str, ...]
    pictures: tuple[str, ...]
    family: Span | None = None
    specimens: Span | None = None


@dataclass
class BakeState:
    """What is remembered: the facts of records, and what a site holds."""

    facts: dict[str, RecordFacts] = field(default_factory=dict)
    families: dict[str, FamilyState] = field(default_factory=dict)


def read_state(run: Path, out: Path) -> BakeState:
    """Return what the last bake of a run remembered; of another site than the one in ``out``, the facts alone."""
    try:
        known = json.loads((run / STATE).read_bytes())
        if known["version"] != VERSION:
            return BakeState()
        facts = {slug: _read_facts(entry) for slug, entry in known["facts"].items()}
        families = {slug: _read_family(entry) for slug, entry in known["families"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return BakeState()
    try:
        same = known.get("site") == os.path.relpath(out, run) and known.get("hashes") == _hash_site(out)
    except OSError:  # no site, or not a whole one
        same = False
    return BakeState(facts, families if same else {})


def write_state(run: Path, out: Path, state: BakeState) -> None:
    """Remember a bake; a run that cannot be written is baked whole each time."""
    payload = {
        "version": VERSION,
        "site": os.path.relpath(out, run),
        "hashes": _hash_site(out),
        "facts": {slug: {**asdict(each), "named": sorted(each.named)} for slug, each in sorted(state.facts.items())},
        "families": {slug: asdict(each) for slug, each in sorted(state.families.items())},
    }
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    with contextlib.suppress(ArtifactError):
        Store(run).write_bytes(STATE, text.encode("utf-8"))


def forget_state(run: Path) -> None:
    """Forget what a site holds, before it is changed."""
    with contextlib.suppress(OSError):
        (run / STATE).unlink(missing_ok=True)


def _hash_site(out: Path) -> list[str]:
    """Return the sha256 of the site's manifest and of the data that parts are taken from."""
    hashes = []
    for address in (links.MANIFEST, links.ATLAS_DATA):
        with (out / address).open("rb") as stream:
            hashes.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return hashes


def _read_facts(entry: Mapping[str, Any]) -> RecordFacts:
    specimens = tuple(tuple(each) for each in entry["specimens"])
    return RecordFacts(entry["sha256"], tuple(entry["mentions"]), specimens, frozenset(entry["named"]))


def _read_family(entry: Mapping[str, Any]) -> FamilyState:
    spans = [(int(entry[name][0]), int(entry[name][1])) for name in ("family", "specimens")]
    return FamilyState(entry["fingerprint"], tuple(entry["addresses"]), tuple(entry["pictures"]), *spans)
