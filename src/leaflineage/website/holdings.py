"""Which files a site holds, and their hashes: packed, since a site of ten thousand families has a million of them.

What is made for one family holds nearly all files of its folders. So the files of each family are packed together by
folder, each as a line of the lists that the site carries (``site.json``, ``data/manifest.json``): to write these, the
lines are copied, and taken apart only where several families' files lie in one folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from leaflineage.errors import SiteError
from leaflineage.website import links

BETWEEN = b"\0"  # folders; no name in JSON has it, nor the ends of a line
HASH = re.compile(rb"\t[0-9a-f]{64}")
MOST_UNPACKED = 256  # packets at once, so that few are unpacked for each of their folders


@dataclass(frozen=True)
class Folder:
    """Files of a folder, the root's is "".

    Attributes
    ----------
    name : str
        Its address.
    n, n_bytes : int
        Its files, and what they weigh.
    lines : bytes
        A line a file, sorted by name: its name as JSON has it, a tabulator, its sha256.
    """

    name: str
    n: int
    n_bytes: int
    lines: bytes

    @property
    def is_pictured(self) -> bool:
        """Whether pictures of the run lie in it."""
        return f"{self.name}/".startswith(links.MEDIA)

    @property
    def pictured(self) -> str:
        """The folder of the run in which these pictures lie."""
        return f"{self.name}/".removeprefix(links.MEDIA).removesuffix("/")

    def list_hashes(self) -> dict[str, str]:
        """Return the sha256 of its files, by name."""
        hashes: dict[str, str] = json.loads(self.dump_hashes())
        return hashes

    def list_names(self) -> list[str]:
        """Return the names of its files, sorted."""
        names: list[str] = json.loads(self.dump_names())
        return names

    def list_addresses(self) -> list[str]:
        """Return the addresses of its files, sorted."""
        lead = f"{self.name}/" if self.name else ""
        return [lead + name for name in self.list_names()]

    def dump_names(self) -> bytes:
        """Return its names as JSON, ``["…"]``."""
        return b'["' + HASH.sub(b"", self.lines).replace(b"\n", b'","') + b'"]'

    def dump_hashes(self) -> bytes:
        """Return its hashes as JSON, ``{"name": "sha256"}``."""
        return b'{"' + self.lines.replace(b"\t", b'":"').replace(b"\n", b'","') + b'"}'


def pack_files(sizes: Mapping[str, int], hashes: Mapping[str, str]) -> bytes:
    """Return files packed, from their bytes and sha256 by address."""
    folders: dict[str, list[tuple[str, str]]] = {}
    for address in sizes:
        folder, _, name = address.rpartition("/")
        folders.setdefault(folder, []).append((name, address))
    head, bodies = [], []
    for folder, files in sorted(folders.items()):
        files.sort()
        head.append([folder, len(files), sum(sizes[address] for _, address in files)])
        bodies.append("\n".join(f"{_escape(name)}\t{hashes[address]}" for name, address in files).encode("utf-8"))
    plain = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return zlib.compress(BETWEEN.join([plain, *bodies]), 1)


@lru_cache(maxsize=MOST_UNPACKED)
def unpack_files(packed: bytes) -> tuple[Folder, ...]:
    """Return what `pack_files` packed, by folder, sorted."""
    head, *bodies = zlib.decompress(packed).split(BETWEEN)
    facts: list[tuple[str, int, int]] = json.loads(head)
    return tuple(Folder(name, n, n_bytes, lines) for (name, n, n_bytes), lines in zip(facts, bodies, strict=True))


def _escape(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)[1:-1]


def merge_files(packets: Sequence[bytes], measure: Callable[[str], int]) -> Iterator[Folder]:
    """Yield the folders of several packets, sorted, the root's last; a file that is in several stands there once.

    Parameters
    ----------
    packets
        What `pack_files` gave.
    measure
        Tells the bytes of a file, by address.

    Raises
    ------
    ChangedError
        If a file is not the same in two packets.
    """
    owners: dict[str, list[int]] = {}
    for place, packed in enumerate(packets):
        for folder in unpack_files(packed):
            owners.setdefault(folder.name, []).append(place)
    for name in sorted(owners, key=lambda each: (not each, each)):
        parts = [_find(packets[place], name) for place in owners.pop(name)]
        yield parts[0] if len(parts) == 1 else _join(parts, measure)


def _find(packed: bytes, name: str) -> Folder:
    folders = unpack_files(packed)
    return folders[bisect_left(folders, name, key=lambda each: each.name)]


def _join(parts: list[Folder], measure: Callable[[str], int]) -> Folder:
    """Return one folder whose files came from several packets."""
    name, found, twice = parts[0].name, dict[bytes, bytes](), 0
    lead = f"{name}/" if name else ""
    for part in parts:
        for line in part.lines.split(b"\n"):
            file, _, sha256 = line.partition(b"\t")
            if file in found:
                address = lead + json.loads(b'"' + file + b'"')
                twice += measure(address)
                if found[file] != sha256:
                    raise ChangedError(
                        f"{address} changed while the site was baked. Let the build end, then bake again."
                    )
            found[file] = sha256
    names = {json.loads(b'"' + file + b'"'): file for file in found} if b"\\" in b"".join(found) else None
    ordered = [names[each] for each in sorted(names)] if names else sorted(found)
    lines = b"\n".join(file + b"\t" + found[file] for file in ordered)
    return Folder(name, len(found), sum(part.n_bytes for part in parts) - twice, lines)


def add_name(folder: Folder, name: str, sha256: str) -> Folder:
    """Return a folder with one more file, whose bytes are not counted; without a ``sha256`` for its names alone."""
    line = f"{_escape(name)}\t{sha256 or '0' * 64}".encode()
    lines = sorted([*folder.lines.split(b"\n"), line], key=lambda each: each.partition(b"\t")[0])
    return replace(folder, n=folder.n + 1, lines=b"\n".join(lines))


class ChangedError(SiteError):
    """A file of the run changed, in its place, after it was looked at."""


class JsonFolders:
    """Writes a JSON object into a file, and in it, as ``files``, one entry a folder.

    Parameters
    ----------
    path
        The file.
    before, after
        What stands before and after ``files``.
    """

    def __init__(self, path: Path, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self._stream: BinaryIO = path.open("wb")
        self._digest = hashlib.sha256()
        self._after = after
        self._is_first = True
        self.n_bytes = 0
        self._write(_dump(before)[:-1] + (b"," if before else b"") + b'"files":{')

    def add(self, folder: str, content: bytes) -> None:
        """Write a folder's entry."""
        self._write((b"" if self._is_first else b",") + _dump(folder) + b":" + content)
        self._is_first = False

    def end(self) -> str:
        """Write the rest; return the sha256 of the whole."""
        rest = _dump(self._after)[1:]
        self._write(b"}" + (b"," if self._after else b"") + rest + b"\n")
        self._stream.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file, whatever is in it."""
        self._stream.close()

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._digest.update(data)
        self.n_bytes += len(data)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
