"""Stage the site's files beside it, and move them into place once all are there."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from xml.sax.saxutils import escape as escape_xml

from leaflineage.errors import ArtifactError, SiteError
from leaflineage.website import links

PICTURE_KEY = re.compile(r'("(?:image|heatmap|attribution)"\s*:\s*")((?:[^"\\]|\\.)*)"')
CHUNK = 1 << 20
LONGEST_PATH = 4096


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
        files = json.loads(manifest.read_bytes())["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(f"{manifest} is damaged. Empty the folder {out} and bake again.") from error
    return {str(name) for name in files if not str(name).startswith("/") and ".." not in str(name).split("/")}


class Writer:
    """Stages files beside the site and moves them into place at the end."""

    def __init__(self, staging: Path, out: Path, run: Path) -> None:
        self.staging = staging
        self.out = out
        self.run = run
        self.addresses: set[str] = set()
        self.pictures: set[str] = set()

    def open(self, address: str) -> Path:
        """Return the staged path of an address, its folder made."""
        path = self.staging / address
        path.parent.mkdir(parents=True, exist_ok=True)
        self.addresses.add(address)
        return path

    def write(self, address: str, data: bytes) -> None:
        """Stage a file; no two files share an address."""
        if address in self.addresses:
            raise SiteError(f"Two files would stand at {address}. This is a defect of the bake: report it.")
        self.open(address).write_bytes(data)

    def link_picture(self, path: str) -> None:
        """Stage a picture of the run as a hard link, as a copy where the file system has none."""
        address = links.media(path)
        if address in self.addresses:
            return
        source = self.run / path
        if not source.is_file():
            raise SiteError(
                f"The picture {path} is named by a record and is not in the run. Run the stages illustrate and "
                "visualize again."
            )
        self.pictures.add(address)
        self.link_file(source, address)

    def link_file(self, source: Path, address: str) -> int:
        """Stage a file as a hard link, as a copy where the file system has none; return its size in bytes."""
        target = self.open(address)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
        return target.stat().st_size

    def move_into_place(self, former: set[str]) -> int:
        """Move what is staged into the site, remove what a former bake left over; return how many were removed."""
        for address in [*sorted(self.addresses - {links.MANIFEST}), links.MANIFEST]:
            source, target = self.staging / address, self.out / address
            if target.is_file() and is_same(source, target):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
        stale = sorted(former - self.addresses)
        for address in stale:
            path = self.out / address
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self.out or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()
        return len(stale)


def is_same(first: Path, second: Path) -> bool:
    """Return whether two files are one, or hold the same bytes."""
    return first.samefile(second) or filecmp.cmp(first, second, shallow=False)


def copy_atlas(source: Path, target: Path) -> tuple[int, str]:
    """Copy atlas.json with the paths of pictures made relative to the copy, in pieces; return its size and sha256.

    A path begins within a piece or at its seam: what may hold the beginning of one is kept for the next piece.
    """
    if not source.is_file():
        raise ArtifactError(f"{source} is needed for the site and is not there. Run the stage collect again.")

    def rewrite(match: re.Match[str]) -> str:
        path = json.loads(f'"{match[2]}"')
        link = links.relative(links.ATLAS_DATA, links.media(path)) if path else path
        return f'{match[1]}{link}"'

    digest, size, held = hashlib.sha256(), 0, ""
    with source.open(encoding="utf-8", newline="") as stream, target.open("wb") as copy:
        while True:
            piece = stream.read(CHUNK)
            held += piece
            end = len(held) if not piece else max(0, len(held) - LONGEST_PATH)
            parts, done = [], 0
            for match in PICTURE_KEY.finditer(held):
                if match.start() >= end:
                    break
                parts += [held[done : match.start()], rewrite(match)]
                done = match.end()
            parts.append(held[done : max(done, end)])
            held = held[max(done, end) :]
            data = "".join(parts).encode("utf-8")
            copy.write(data)
            digest.update(data)
            size += len(data)
            if not piece:
                return size, digest.hexdigest()


def write_sitemap(urls: list[str]) -> str:
    """Return a sitemap of absolute addresses."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">']
    lines += [f"<url><loc>{escape_xml(url)}</loc></url>" for url in urls]
    return "\n".join([*lines, "</urlset>", ""])
