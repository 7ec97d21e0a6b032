"""Whether files are there, whole, as they were written: each is held against the hash that is recorded of it.

A run's manifest holds hashes of records, and each record those of its files; a site's holds those of all its files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from leaflineage.errors import LeafLineageError
from leaflineage.records import RunManifest
from leaflineage.stages.table import STAGES
from leaflineage.store import Store, encode_json, hash_artifact
from leaflineage.website import links


def check_files(folder: Path, files: Mapping[str, str], *, may_miss: Collection[str] = ()) -> Iterator[str]:
    """Yield a sentence a file that is missing or not as it was written."""
    for name, sha256 in files.items():
        path = folder / name
        try:
            if not path.is_file():  # nor a pipe, which nobody may ever write to
                found = ""
            else:
                with path.open("rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            yield f"{name} cannot be read ({error})"
            continue
        if not found:
            if name not in may_miss:
                yield f"{name} is missing"
            continue
        if found != sha256:
            yield f"{name} is not as it was written: its sha256 is {found[:12]}…, and {str(sha256)[:12]}… is recorded"


def check_run_files(store: Store, manifest: RunManifest) -> tuple[int, list[str]]:
    """Return how many files were looked at, and what of them is not as it was written.

    The manifest holds hashes of the records, and each record those of its files.
    """
    problems, n = [], 0
    files = {**manifest.files, "catalogue.json": manifest.catalogue_sha256}
    disposable = {
        name for stage in STAGES.values() for record in manifest.artifacts
        if record.startswith("families/") for name in stage.list_disposable(record.split("/")[1])
    }  # fmt: skip
    for name, sha256 in manifest.artifacts.items():
        n += 1
        try:
            if store.path(name).is_fifo():  # which would never end
                raise ValueError("no file")
            content = store.path(name).read_bytes()
            record = json.loads(content)
            kind = str(record["schema"]).removeprefix("leaflineage.").partition("/")[0]
            same = hash_artifact(record) == sha256 and encode_json(kind, record) == content
            listed = {str(key): str(value) for key, value in record["files"].items()}
        except FileNotFoundError:
            problems.append(f"{name} is missing")
            continue
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, LeafLineageError):
            problems.append(f"{name} is damaged")
            continue
        if not same:
            problems.append(f"{name} is not as it was written: what it says has another sha256 than is recorded")
        files.update({key: value for key, value in listed.items() if links.is_inside(key)})
    problems += check_files(store.folder, files, may_miss=disposable)
    problems += _check_drawn(store)
    return n + len(files), problems


def _check_drawn(store: Store) -> Iterator[str]:
    """Yield a sentence a drawn specimen, or map of its zones, that is not as it was drawn."""
    for path in sorted(store.path("specimens").glob("*.json")):
        record = store.read_json(path.relative_to(store.folder).as_posix(), "specimens", stage="draw")
        files = record.get("files")
        inside = (
            {name: sha256 for name, sha256 in files.items() if links.is_inside(name)} if isinstance(files, dict) else {}
        )
        yield from check_files(store.folder, inside)
