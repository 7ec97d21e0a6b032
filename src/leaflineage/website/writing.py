"""Stage the site's files beside it, and move them into place once all are there."""

from __future__ import annotations

import filecmp
import gzip
import hashlib
import html
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from leaflineage.errors import SiteError
from leaflineage.website import links

CHUNK = 1 << 20  # bytes
Stamp = tuple[int, ...]  # of each folder the device, the inode, and when it last changed, by two clocks, in ns


def read_former(out: Path) -> set[str]:
    """Return the files of a former bake, as its manifest lists them; nothing else in the folder is ours.

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
        return set()
    try:
        files = unfold_files(json.loads(manifest.read_bytes())["files"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SiteError(f"{manifest} is damaged. Empty the folder {out} and bake again.") from error
    return {name for name in files if not name.startswith("/") and ".." not in name.split("/")}


def fold_files(addresses: Iterable[str]) -> dict[str, list[str]]:
    """Return {folder: names} of addresses, as the manifest lists them: a large site has tens of thousands."""
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
        Everything that the site will hold, and its bytes.
    kept : set of str
        What of it lies in the site already.
    pictures : set of str
        Paths, in the run, of the pictures among them.
    hashes : dict
        The sha256 of what was written or linked, by address; not of what was kept without a look into it.
    copied : set of str
        Folders of the run from which a file was copied, since it could not be linked.
    """

    def __init__(self, staging: Path, out: Path, run: Path) -> None:
        self.staging = staging
        self.out = out
        self.run = run
        self.addresses: dict[str, int] = {}
        self.kept: set[str] = set()
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

    def keep_pictures(self, folders: Mapping[str, Mapping[str, int]], stamps: Mapping[str, Stamp]) -> bool:
        """Stage pictures of the run, unless the site has them already, which here most of tens of thousands are.

        Parameters
        ----------
        folders
            The size of each picture, by folder of the run and name.
        stamps
            What `stamp_folder` told of folders when their pictures were links of the run's: the pictures of one of
            which it tells the same are so still, and are not looked at one by one.

        Returns
        -------
        bool
            Whether that was true of all folders.
        """
        media, stat, trusted = links.media("-")[:-1], os.stat, True
        for folder, sizes in folders.items():
            here, there = f"{self.run}/{folder}/", f"{self.out}/{media}{folder}/"
            if folder in stamps and stamp_folder(here, there) == stamps[folder]:
                lead = f"{media}{folder}/"
                found = {lead + name: size for name, size in sizes.items()}
                self.addresses.update(found)
                self.kept.update(found)
                self.pictures.update([f"{folder}/{name}" for name in sizes])
                continue
            trusted = False
            for name in sizes:
                path = f"{folder}/{name}"
                if path in self.pictures:
                    continue
                try:
                    first, second = stat(here + name), stat(there + name)
                except OSError:
                    self.link_picture(path)
                    continue
                if first.st_ino == second.st_ino and first.st_dev == second.st_dev:
                    self.addresses[media + path] = first.st_size
                    self.kept.add(media + path)
                    self.pictures.add(path)
                else:
                    self.link_picture(path)
        return trusted

    def has_pictures(self, folders: Mapping[str, Mapping[str, int]], stamps: Mapping[str, Stamp]) -> bool:
        """Return whether the site has pictures of the run as they are now; the arguments are `keep_pictures`'s."""
        media = links.media("-")[:-1]
        for folder, sizes in folders.items():
            here, there = f"{self.run}/{folder}/", f"{self.out}/{media}{folder}/"
            if folder in stamps and stamp_folder(here, there) == stamps[folder]:
                continue
            try:
                if not all(is_linked(os.stat(here + name), there + name) for name in sizes):  # noqa: PTH116
                    return False
            except OSError:
                return False
        return True

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
        if not self._is_new and is_linked(found, target):
            self.kept.add(address)
        else:
            self.kept.discard(address)
            self._make_folder(address.rpartition("/")[0])
            target = f"{self.staging}/{address}"
            if link_file(source, target):
                self.addresses[address] = found.st_size
                return
        if not os.path.samestat(found, os.stat(target)):  # noqa: PTH116
            self.copied.add(path.rpartition("/")[0])
        self.addresses[address] = found.st_size

    def keep(self, addresses: Iterable[str]) -> bool:
        """Leave files in the site that are there already; return whether all of them are."""
        try:
            sizes = {address: os.stat(f"{self.out}/{address}").st_size for address in addresses}  # noqa: PTH116
        except OSError:
            return False
        self.addresses.update(sizes)
        self.kept.update(sizes)
        return True

    def hash_files(self, known: Mapping[str, str]) -> dict[str, str]:
        """Return the sha256 of every file that the site will hold, by address.

        Parameters
        ----------
        known
            Of files that were there: one that stays as it is is not read again.
        """
        hashes = {}
        for address in sorted(self.addresses):
            kept = address in self.kept
            found = self.hashes.get(address) or (known.get(address) if kept else None)
            if found is not None:
                hashes[address] = found
                continue
            with ((self.out if kept else self.staging) / address).open("rb") as stream:
                hashes[address] = hashlib.file_digest(stream, "sha256").hexdigest()
        return hashes

    def move_into_place(self, former: set[str]) -> int:
        """Move what is staged into the site, remove what a former bake left over; return how many were removed."""
        if not self.kept and not (self.out.is_dir() and any(self.out.iterdir())):
            if self.out.is_dir():
                self.out.rmdir()
            self.out.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.staging, self.out)
            return 0
        made: set[Path] = set()
        for address in [*sorted(self.addresses.keys() - self.kept - {links.MANIFEST}), links.MANIFEST]:
            source, target = self.staging / address, self.out / address
            if target.is_file() and is_same(source, target):
                continue
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            os.replace(source, target)
        stale = sorted(former - self.addresses.keys())
        for address in stale:
            path = self.out / address
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self.out or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()
        return len(stale)


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
