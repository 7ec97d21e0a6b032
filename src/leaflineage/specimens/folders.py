"""Specimens from folders: ``root/Family/….jpg``, or ``root/train/Family/….jpg`` beside ``root/val/Family/….jpg``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from leaflineage.specimens.listing import (
    HELD_OUT_WORDS,
    LEAVES_ROOT,
    TRAIN_WORDS,
    Listing,
    is_inside,
    normalize_split_word,
)
from leaflineage.specimens.names import clean_name, parse_file_name

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif")
_ZONE_MAP_ENDING = ".zones.png"
_NOT_UTF8 = "file name is not UTF-8 (rename it)"


@dataclass
class _Walk:
    """One walk through a root: what it may follow, and what it wants to say."""

    real_root: str
    follow_symlinks: bool
    unfollowed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def list_folders(root: Path, *, follow_symlinks: bool) -> tuple[list[Listing], list[str]]:
    """List the pictures under a root.

    The family is the first folder under the root (under ``train``, ``val``, ``test`` … where those stand above the
    families); folders below it are only order. Pictures outside any family are queries. Hidden files, zone maps and
    files without an image's ending are passed over.

    Returns
    -------
    list of Listing
        In order of path.
    list of str
        Notes.
    """
    walk = _Walk(real_root=os.path.realpath(root), follow_symlinks=follow_symlinks)
    splits = _find_split_folders(root)
    listings = [_make_listing(parts, fault, root, splits) for parts, fault in _walk_images(root, (), walk)]
    notes: list[str] = []
    n_loose = sum(each.family is None for each in listings)
    if n_loose:
        notes.append(
            f"{n_loose} {_say(n_loose, 'picture lies', 'pictures lie')} in no family's folder: taken as queries."
        )
    if walk.unfollowed:
        notes.append(
            f"{len(walk.unfollowed)} linked {_say(len(walk.unfollowed), 'folder was', 'folders were')} not followed "
            f"(first: {walk.unfollowed[0]}); [specimens] follow_symlinks allows it."
        )
    if walk.unreadable:
        notes.append(
            f"{len(walk.unreadable)} {_say(len(walk.unreadable), 'folder', 'folders')} could not be read "
            f"(first: {walk.unreadable[0]}): change the permissions."
        )
    return listings, notes


def _say(n: int, one: str, many: str) -> str:
    return one if n == 1 else many


def _find_split_folders(root: Path) -> frozenset[str]:
    """Return the names of the folders that stand for a split; none where they are families."""
    with os.scandir(root) as entries:
        names = [each.name for each in entries if not each.name.startswith(".") and each.is_dir()]
    train = {each for each in names if normalize_split_word(each) in TRAIN_WORDS}
    held_out = {each for each in names if normalize_split_word(each) in HELD_OUT_WORDS}
    if (train and held_out) or (names and len(train | held_out) == len(names)):
        return frozenset(train | held_out)
    return frozenset()


def _walk_images(
    folder: Path, parts: tuple[str, ...], walk: _Walk, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Yield (path's parts below the root, fault) of all files with an image's ending, in order of their bytes."""
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda each: os.fsencode(each.name))
    except OSError:
        walk.unreadable.append(_show("/".join(parts)))
        return
    above = (*above, os.path.realpath(folder))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        here = (*parts, entry.name)
        path = folder / entry.name
        if entry.is_dir():
            if entry.is_symlink() and not walk.follow_symlinks:
                walk.unfollowed.append(_show("/".join(here)))
            elif os.path.realpath(path) not in above:  # a link to a folder above would never end
                yield from _walk_images(path, here, walk, above)
        elif _has_image_ending(entry.name):
            leaves = entry.is_symlink() and not walk.follow_symlinks and not is_inside(path, real_root=walk.real_root)
            yield here, LEAVES_ROOT if leaves else None


def _has_image_ending(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(IMAGE_ENDINGS) and not lower.endswith(_ZONE_MAP_ENDING)


def _make_listing(parts: tuple[str, ...], fault: str | None, root: Path, splits: frozenset[str]) -> Listing:
    split = parts[0] if parts[0] in splits else ""
    below = parts[1:] if split else parts
    family = clean_name(below[0]) if len(below) > 1 else ""
    known = parse_file_name(parts[-1], family=family)
    file = "/".join(parts)
    if file != _show(file):
        fault = _NOT_UTF8
    return Listing(
        file=_show(file),
        path=None if fault else root.joinpath(*parts),
        family=family or None,
        genus=known.genus,
        species=known.species,
        source=known.source,
        catalogue_number=known.catalogue_number,
        split=split,
        fault=fault,
    )


def _show(text: str) -> str:
    """Return a path that may hold undecodable bytes as text that can be written."""
    return os.fsencode(text).decode("utf-8", "replace")
