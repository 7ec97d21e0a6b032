"""Stage the site's files beside it, and move them into place once all are there."""

from __future__ import annotations

import contextlib
import filecmp
import gzip
import hashlib
import html
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from leaflineage.errors import SiteError
from leaflineage.website import links

CHUNK = 1 << 20  # bytes
Stamp = tuple[int, ...]  # of each folder the device, the inode, and when it last changed, by two clocks, in ns


def read_former(out: Path) -> dict[str, list[str]]:
    """Return the files of a former bake by folder, as its manifest lists them; nothing else in the folder is ours.

    Raises
    ------
    SiteError
        If the folder holds files and no manifest of ours.
    """
    manifest = out / links.MANIFEST
    if not manifest.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise SiteError(
                f"The site should go to {out}, which holds files and no {links.MANIFEST} of a former bake. "
                "Choose an empty folder with --out, or empty this one."
            )
        return {}
    try:
        files = json.loads(manifest.read_bytes())["files"]
        folders = files if isinstance(files, dict) else _fold(files)
        return {folder: _hold_names(names) for folder, names in folders.items() if _is_inside(folder)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SiteError(f"{manifest} is damaged. Empty the folder {out} and bake again.") from error


def _is_inside(folder: str) -> bool:
    """Return whether a folder that a manifest lists lies in the site, and is written as we write it."""
    return not folder or links.is_inside(folder)


def _hold_names(names: list[str]) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("no list of names")
    return [name for name in names if "/" not in name and links.is_inside(name)]


def _fold(addresses: Iterable[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for address in sorted(addresses):
        folder, _, name = address.rpartition("/")
        folders.setdefault(folder, []).append(name)
    return folders


def unfold_files(files: Any) -> list[str]:
    """Return the addresses that a manifest lists, by folder or, in a site baked by an older version, one by one."""
    if isinstance(files, list):
        return [str(name) for name in files]
    return [f"{folder}/{name}" if folder else str(name) for folder, names in files.items() for name in names]


class Writer:
    """Stages files beside the site and moves them into place at the end; what the site has already stays where it is.

    Attributes
    ----------
    addresses : dict
        What was written or linked, or lies in the site already as it would be, and its bytes.
    hashes : dict
        The sha256 of each.
    pictures : set of str
        Paths, in the run, of the pictures among them.
    copied : set of str
        Folders of the run from which a file was copied, since it could not be linked.
    """

    def __init__(self, staging: Path, out: Path, run: Path) -> None:
        self.staging = staging
        self.out = out
        self.run = run
        self.addresses: dict[str, int] = {}
        self.pictures: set[str] = set()
        self.hashes: dict[str, str] = {}
        self.copied: set[str] = set()
        self._folders: set[str] = set()
        self._is_new = not out.is_dir()

    def open(self, address: str) -> Path:
        """Return the staged path of an address, its folder made."""
        self._make_folder(address.rpartition("/")[0])
        return self.staging / address

    def _make_folder(self, folder: str) -> None:
        if folder not in self._folders:
            (self.staging / folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)

    def write(self, address: str, data: bytes) -> None:
        """Stage a file; no two files share an address."""
        if address in self.addresses:
            raise SiteError(f"Two files would stand at {address}. This is a defect of the bake: report it.")
        self.open(address).write_bytes(data)
        self.addresses[address] = len(data)
        self.hashes[address] = hashlib.sha256(data).hexdigest()

    def link_picture(self, path: str) -> None:
        """Stage a picture of the run, unless the site has it already."""
        if path in self.pictures:
            return
        try:
            self.link_file(path, links.media(path))
        except FileNotFoundError as error:
            raise SiteError(
                f"The picture {path} is named by a record and is not in the run. Run the stages illustrate and "
                "visualize again."
            ) from error
        self.pictures.add(path)

    def link_file(self, path: str, address: str) -> None:
        """Stage a file of the run, unless the site has it already; ``path`` is relative to the run.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        source = f"{self.run}/{path}"  # there are tens of thousands, and pathlib takes ten times as long
        found, self.hashes[address] = _look_into(source)
        target = f"{self.out}/{address}"
        if self._is_new or not is_linked(found, target):
            self._make_folder(address.rpartition("/")[0])
            target = f"{self.staging}/{address}"
            if link_file(source, target):
                self.addresses[address] = found.st_size
                return
        if not os.path.samestat(found, os.stat(target)):  # noqa: PTH116
            self.copied.add(path.rpartition("/")[0])
        self.addresses[address] = found.st_size

    def keep(self, address: str, sha256: str) -> bool:
        """Leave a file in the site that is there already; return whether it is, and has this sha256."""
        path = self.out / address
        if hash_file(path) != sha256:
            return False
        self.addresses[address], self.hashes[address] = path.stat().st_size, sha256
        return True

    def find(self, address: str) -> Path:
        """Return where a file lies that the site will hold: staged, or in the site already."""
        staged = self.staging / address
        return staged if staged.is_file() else self.out / address

    def move_into_place(self, former: Mapping[str, Sequence[str]], stale: Sequence[str], *, is_same_list: bool) -> None:
        """Move what is staged into the site, remove what a former bake left over, and put the list of files last.

        Meanwhile the list in the site holds what was there and what will be: of a bake that is killed nothing is left
        that the next one does not know.

        Parameters
        ----------
        former, stale
            What the former bake listed; the addresses that this one does not.
        is_same_list
            Whether both list the same files.

        Raises
        ------
        SiteError
            If something foreign is in the way.
        """
        if not (self.out.is_dir() and any(self.out.iterdir())):
            if self.out.is_dir():
                self.out.rmdir()
            self.out.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.staging, self.out)
            return
        if not is_same_list:
            self._list_both(former)
        for folder, files in self._list_staged():
            for name in files:
                self._move(f"{folder}/{name}" if folder else name)
        for address in stale:
            self._remove(address)
        self._move(links.MANIFEST)

    def _list_both(self, former: Mapping[str, Sequence[str]]) -> None:
        manifest = json.loads((self.staging / links.MANIFEST).read_bytes())
        folders = {folder: {*names} for folder, names in manifest["files"].items()}
        for folder, names in former.items():
            folders.setdefault(folder, set()).update(names)
        manifest["files"] = {folder: sorted(names) for folder, names in sorted(folders.items())}
        part = self.staging / f"{links.MANIFEST}.part"
        part.write_text(json.dumps(manifest), encoding="utf-8")
        os.replace(part, self.out / links.MANIFEST)

    def _move(self, address: str) -> None:
        """Move a staged file into the site. One of the run's takes the place of a copy: so it is known for a link."""
        source, target = self.staging / address, self.out / address
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_file():
                is_there = target.samefile(source) if links.is_of_run(address) else is_same(source, target)
                if is_there:
                    return
            os.replace(source, target)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise SiteError(
                f"{target} is wanted for the site, and something that no bake made is in its way. Move it out of the "
                "folder of the site, then bake again."
            ) from error

    def _remove(self, address: str) -> None:
        """Remove a file that a former bake made, and folders that it leaves empty."""
        path = self.out / address
        with contextlib.suppress(OSError, ValueError):  # no file, or a name that none can have
            if path.is_dir() or not path.parent.resolve().is_relative_to(self.out.resolve()):
                return
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self.out or not parent.is_dir() or any(parent.iterdir()):
                    break
                parent.rmdir()

    def _list_staged(self) -> Iterator[tuple[str, list[str]]]:
        """Yield (folder, names) of what is staged, the manifest aside."""
        for folder, folders, files in os.walk(self.staging):
            folders.sort()
            address = os.path.relpath(folder, self.staging)
            named = sorted(files)
            yield (
                "" if address == "." else address,
                [each for each in named if folder != str(self.staging) or each != links.MANIFEST],
            )


def _look_into(path: str) -> tuple[os.stat_result, str]:
    """Return what the system knows of a file, and its sha256: of small files, twice as fast as through a stream."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(file)
        most = max(4096, found.st_size + 1)
        data = os.read(file, most)
        digest = hashlib.sha256(data)
        while len(data) == most:
            data = os.read(file, most)
            digest.update(data)
        return found, digest.hexdigest()
    finally:
        os.close(file)


def link_file(source: str, target: str) -> bool:
    """Make a hard link, or a copy of the same time where the file system has none; return whether a link was made."""
    try:
        os.link(source, target)
    except FileExistsError:  # another family's pages show it too
        return False
    except OSError:
        shutil.copy2(source, target)
        return False
    return True


def stamp_folder(*folders: str) -> Stamp:
    """Return which folders these are and when one of them last got or lost a file; nothing where one is missing."""
    stamp = []
    for folder in folders:
        try:
            found = os.stat(folder)  # noqa: PTH116
        except OSError:
            return ()
        stamp += [found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
    return tuple(stamp)


def is_linked(here: os.stat_result, target: str) -> bool:
    """Return whether a file of the site is the run's own, or a copy of it as it is now."""
    try:
        there = os.stat(target)  # noqa: PTH116
    except OSError:
        return False
    if os.path.samestat(there, here):
        return True
    return there.st_nlink == 1 and (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)


def is_same(first: Path, second: Path) -> bool:
    """Return whether two files are one, or hold the same bytes."""
    return first.samefile(second) or filecmp.cmp(first, second, shallow=False)


def hash_file(path: Path) -> str | None:
    """Return the sha256 of a file, None where it is not there."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def pack(source: Path, target: Path) -> tuple[int, str]:
    """Compress a file, the same bytes each time; return the size and the sha256 of what came out."""
    with (
        source.open("rb") as plain,
        target.open("wb") as packed,
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=4, mtime=0) as stream,
    ):
        shutil.copyfileobj(plain, stream, CHUNK)
    data = target.read_bytes()
    return len(data), hashlib.sha256(data).hexdigest()


def write_robots(sitemap: str | None) -> str:
    """Return what robots may do: read everything; what is not to be found says so on its pages."""
    return "User-agent: *\nDisallow:\n" + (f"Sitemap: {sitemap}\n" if sitemap else "")


def write_sitemap(urls: list[str]) -> str:
    """Return a sitemap of absolute addresses."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">']
    lines += [f"<url><loc>{html.escape(url, quote=False)}</loc></url>" for url in urls]
    return "\n".join([*lines, "</urlset>", ""])
