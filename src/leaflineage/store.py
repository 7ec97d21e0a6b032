"""A run's folder: the only module that reads or writes it.

Whole or absent: everything is written to a ``.part`` beside its target and moved into place. A ``.json`` beside
arrays or pictures is their record; it carries the fingerprint and the sha256 of each file it stands for and is
written last, so what was killed leaves nothing that looks finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.arrays import ArraySpool, Declared, MappedArray, map_arrays
from leaflineage.claims import claim
from leaflineage.errors import ArtifactError
from leaflineage.records import SCHEMAS

HASH_CACHE = "run.json"
LOCK = "lock"
WRITER = f"{socket.gethostname()}-{os.getpid()}"
ABOUT = ("fingerprint", "files", "basis", "made_with")  # keys of a record: how it was made, not what was found
SITE_RECORD = "site.json"  # what the last site was baked with


class Store:
    """One run's folder.

    Parameters
    ----------
    folder
        The run folder, ``runs/<name>``; it is made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hashes: dict[str, list[Any]] = {}

    def path(self, *parts: str) -> Path:
        """Return the path of a file of the run."""
        return self.folder.joinpath(*parts)

    def exists(self, *parts: str) -> bool:
        """Tell whether a file of the run is there."""
        return self.path(*parts).is_file()

    @contextlib.contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Hold the run for one build at a time; what ends a process, however, ends its hold.

        Parameters
        ----------
        shared
            Hold it together with others who share it: the parts of one build, which claim each task (`claims.py`).

        Raises
        ------
        ArtifactError
            Where another process holds it, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            stream = self.path(LOCK).open("ab")
        except OSError as error:
            raise self._explain_refusal(LOCK, error) from error
        with stream:
            try:
                fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArtifactError(
                    f"A run folder of its own was wanted, and another build is at work in {self.folder}. Wait until "
                    "it is done, or name another folder with --run."
                ) from None
            except OSError:
                pass  # a file system without locks
            yield

    def claim(self, stage: str, slug: str) -> contextlib.AbstractContextManager[bool]:
        """Hold one task of the run, waiting for whoever holds it; see `claims.claim`."""
        return claim(self.folder, stage, slug)

    # --- bytes, JSON, arrays ---------------------------------------------------------------------------------

    def write_bytes(self, relative: str, content: bytes) -> str:
        """Write a file whole and return its sha256."""
        target = self.path(relative)
        part = target.with_name(f"{target.name}.{WRITER}.part")  # several processes may write one file, alike
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(content)
                os.replace(part, target)
            except OSError:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._explain_refusal(relative, error) from error
        return hashlib.sha256(content).hexdigest()

    def _explain_refusal(self, relative: str, error: OSError) -> ArtifactError:
        return ArtifactError(
            f"{relative} could not be written into {self.folder}: {error.strerror or error}. Free some space, or "
            "name another folder, and run the same command again: what is finished is kept."
        )

    def write_json(self, relative: str, kind: str, payload: Mapping[str, Any]) -> str:
        """Write a record of schema ``kind`` as JSON: schema first, other keys sorted, 6 significant digits."""
        return self.write_bytes(relative, encode_json(kind, payload))

    def read_json(self, relative: str, kind: str, *, stage: str | None = None) -> dict[str, Any]:
        """Read a record, refusing another schema.

        Raises
        ------
        ArtifactError
            Where the file is missing, damaged or of another schema; it names the stage to run again.
        """
        again = f" Run the stage {stage or kind!r} again: `leaflineage build`."
        try:
            record: dict[str, Any] = json.loads(self.path(relative).read_bytes())
        except FileNotFoundError:
            raise ArtifactError(f"{relative} was wanted in {self.folder}, and is not there.{again}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise ArtifactError(f"{relative} in {self.folder} cannot be read ({error}).{again}") from None
        if not isinstance(record, dict) or record.get("schema") != SCHEMAS[kind]:
            came = record.get("schema") if isinstance(record, dict) else type(record).__name__
            raise ArtifactError(
                f"{relative} in {self.folder} should be of schema {SCHEMAS[kind]}, and is {came!r}.{again}"
            )
        return record

    def write_arrays(self, relative: str, arrays: Mapping[str, NDArray[Any]]) -> str:
        """Write arrays as safetensors and return the file's sha256.

        Every array is made contiguous first: safetensors 0.8 stores transposed and strided views scrambled.
        """
        from safetensors.numpy import save

        return self.write_bytes(relative, save({key: np.ascontiguousarray(arrays[key]) for key in sorted(arrays)}))

    def read_arrays(self, relative: str, *, stage: str) -> dict[str, NDArray[Any]]:
        """Read arrays written by `write_arrays`."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        again = f" Run the stage {stage!r} again: `leaflineage build`."
        try:
            return load_file(self.path(relative))
        except FileNotFoundError:
            raise ArtifactError(f"{relative} was wanted in {self.folder}, and is not there.{again}") from None
        except (OSError, SafetensorError) as error:
            raise ArtifactError(f"{relative} in {self.folder} is damaged ({error}).{again}") from None

    @contextlib.contextmanager
    def stream_arrays(self, relative: str, declared: Declared) -> Iterator[ArraySpool]:
        """Write a file of arrays of which some come a few rows at a time; it is there, whole, once they are finished.

        Parameters
        ----------
        declared
            Type and shape of a row of each array that comes in parts.
        """
        spool = ArraySpool(
            self.path(relative), declared, mark=WRITER, explain=lambda error: self._explain_refusal(relative, error)
        )
        try:
            yield spool
        finally:
            spool.remove()

    def map_arrays(self, relative: str, *, stage: str) -> dict[str, MappedArray]:
        """Map arrays of a file, of which parts are read when they are asked for."""
        again = f" Run the stage {stage!r} again: `leaflineage build`."
        try:
            return map_arrays(self.path(relative))
        except FileNotFoundError:
            raise ArtifactError(f"{relative} was wanted in {self.folder}, and is not there.{again}") from None
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{relative} in {self.folder} is damaged ({error}).{again}") from None

    def remove(self, relative: str) -> None:
        """Remove a file of the run where it exists."""
        self.path(relative).unlink(missing_ok=True)

    def remove_strays(self, folder: str, keep: Iterable[str]) -> None:
        """Remove the files below ``folder`` that are not in ``keep`` (paths relative to the run)."""
        kept = set(keep)
        root = self.path(folder)
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if path.is_file() and path.relative_to(self.folder).as_posix() not in kept:
                path.unlink()

    # --- artifacts and freshness -----------------------------------------------------------------------------

    def commit(
        self,
        relative: str,
        kind: str,
        payload: Mapping[str, Any],
        *,
        fingerprint: str,
        files: Mapping[str, str],
        basis: Mapping[str, Any] | None = None,
        made_with: str = "",
    ) -> None:
        """Write an artifact's record, last: its fingerprint, what that is taken of, the sha256 of each of its files.

        ``made_with`` says versions and processor in one line; no reader depends on it.
        """
        about = {"fingerprint": fingerprint, "files": dict(files), "basis": dict(basis or {}), "made_with": made_with}
        self.write_json(relative, kind, {**payload, **about})

    def find_staleness(
        self, relative: str, kind: str, fingerprint: str, *, disposable: Iterable[str] = ()
    ) -> str | None:
        """Say why an artifact must be made again, or None where it is fresh.

        ``disposable`` files may be absent; any other file must be there with the recorded sha256.
        """
        if not self.exists(relative):
            return "not made yet"
        try:
            record = self.read_json(relative, kind)
        except ArtifactError:
            return "its record is damaged or of another version"
        if record.get("fingerprint") != fingerprint:
            return "its settings, inputs or code changed"
        may_miss, files = set(disposable), record.get("files", {})
        if not isinstance(files, dict):
            return "its record is damaged or of another version"
        for name, sha256 in files.items():
            if not self.exists(name):
                if name in may_miss:
                    continue
                return f"{name} is missing"
            if self.hash_file(name) != sha256:
                return f"{name} is damaged"
        return None

    def hash_artifact(self, relative: str) -> dict[str, str]:
        """Return what another stage depends on when it reads an artifact: its files' hashes and its payload's.

        Raises
        ------
        ArtifactError
            Where the record is missing or damaged.
        """
        record = self._read_artifact(relative)
        return {**record.get("files", {}), relative: hash_json(_take_payload(record))}

    def describe_artifact(self, relative: str) -> tuple[str, str]:
        """Return the hash of all that an artifact says and of its files' hashes, and what it was made with.

        Raises
        ------
        ArtifactError
            Where the record is missing or damaged.
        """
        record = self._read_artifact(relative)
        return hash_artifact(record), str(record.get("made_with") or "")

    def _read_artifact(self, relative: str) -> dict[str, Any]:
        try:
            record = json.loads(self.path(relative).read_bytes())
        except (OSError, ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise ArtifactError(
                f"{relative} was wanted in {self.folder}, and is missing or damaged. Run the stage that writes it "
                "again: `leaflineage build`."
            )
        return record

    def hash_file(self, relative: str) -> str:
        """Return a file's sha256, from the cache where size and time of change are as they were."""
        path = self.path(relative)
        stat = path.stat()
        known = self._hashes.get(relative)
        if known and known[:2] == [stat.st_size, stat.st_mtime_ns]:
            return str(known[2])
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        self._hashes[relative] = [stat.st_size, stat.st_mtime_ns, sha256]
        return sha256

    def read_facts(self) -> dict[str, Any]:
        """Return what the last build wrote of itself into the volatile record; empty where there is none."""
        try:
            return self.read_json(HASH_CACHE, "run")
        except ArtifactError:
            return {}

    def read_makers(self) -> dict[str, str]:
        """Return what made the artifacts, versions and processor in one line, by the path of their record."""
        found = self.read_facts().get("made_with")
        entries = found.items() if isinstance(found, dict) else ()
        return {name: maker for name, maker in entries if isinstance(maker, str)}

    def load_hash_cache(self) -> dict[str, list[Any]]:
        """Read the volatile cache of file hashes; return the part that belongs to the specimens."""
        record = self.read_facts()
        self._hashes = _keep_entries(record.get("artifact_hashes"), length=3)
        return _keep_entries(record.get("specimen_hashes"), length=5)

    def save_hash_cache(self, specimen_hashes: Mapping[str, Iterable[Any]], **facts: Any) -> None:
        """Write the volatile cache of file hashes and whatever else is true of this machine only."""
        there = {name: entry for name, entry in self._hashes.items() if self.exists(name)}
        self.write_json(
            HASH_CACHE,
            "run",
            {
                "artifact_hashes": there,
                "specimen_hashes": {key: list(value) for key, value in specimen_hashes.items()},
                **facts,
            },
        )


def encode_json(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Return a record's bytes: schema first, other keys sorted, floats to 6 significant digits, no NaN."""
    rest = {key: value for key, value in payload.items() if key not in ("schema", "schema_")}
    body = json.dumps(
        {"schema": SCHEMAS[kind], **{key: _round(rest[key]) for key in sorted(rest)}},
        ensure_ascii=False,
        allow_nan=False,
        indent=1,
    )
    return (body + "\n").encode("utf-8")


def hash_artifact(record: Mapping[str, Any]) -> str:
    """Return the sha256 of what a record says and of the hashes of its files: the same however it came to be made."""
    return hash_json({"files": record.get("files", {}), "payload": _take_payload(record)})


def _take_payload(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ABOUT}


def _keep_entries(known: Any, *, length: int) -> dict[str, list[Any]]:
    """Return what of a cache is as we wrote it: what is damaged is only forgotten."""
    entries = known.items() if isinstance(known, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, list) and len(entry) == length}


def hash_json(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON."""
    text = json.dumps(_round(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _round(value: Any) -> Any:
    """Bring a value to what JSON holds: sorted keys, lists, floats to 6 significant digits."""
    if isinstance(value, (bool, str, int)) or value is None:
        return value
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if not math.isfinite(number):
            raise ArtifactError(f"A record would hold {number}, and JSON has no such number: a defect of ours.")
        rounded = float(f"{number:.6g}")
        return 0.0 if rounded == 0 else rounded
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _round(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, np.ndarray):
        return _round(value.tolist())
    return [_round(each) for each in value]
