"""Caches in the run's folder: a line of JSON an entry, and last the hash of all lines, so that damage is noticed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def write_cache(path: Path, entries: Iterable[Any]) -> None:
    """Write a cache; where that cannot be, there is none."""
    part = path.with_name(f"{path.name}.part")
    digest = hashlib.sha256()
    with contextlib.suppress(OSError):
        with part.open("wb") as stream:
            for entry in entries:
                line = json.dumps(entry).encode("ascii") + b"\n"
                digest.update(line)
                stream.write(line)
            stream.write(digest.hexdigest().encode("ascii") + b"\n")
        os.replace(part, path)


def read_cache(path: Path) -> Iterator[Any]:
    """Yield the entries of a cache.

    Raises
    ------
    OSError, ValueError
        If it is not there, or is damaged: that is known before the first entry.
    """
    digest, last = hashlib.sha256(), b""
    with path.open("rb") as stream:
        for line in stream:
            digest.update(last)
            last = line
        if last.strip() != digest.hexdigest().encode("ascii"):
            raise ValueError(f"{path.name} is damaged")
        stream.seek(0)
        line = stream.readline()
        while line and line != last:
            yield json.loads(line)
            line = stream.readline()
