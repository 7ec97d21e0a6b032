"""The catalogue: every picture found, read once, and set aside with a reason where it cannot be used."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from leaflineage.errors import SpecimenError
from leaflineage.images import FORBIDDEN, MISSING, NOT_A_FILE, inspect_image
from leaflineage.records import Catalogue, Specimen
from leaflineage.specimens.folders import list_folders
from leaflineage.specimens.listing import Listing
from leaflineage.specimens.names import make_specimen_ids
from leaflineage.specimens.splits import count_shared_leaves, make_split_rule
from leaflineage.specimens.table import read_table

KnownHashes = Mapping[str, tuple[int, int, str, int, int]]


def scan_specimens(
    *,
    root: Path,
    catalogue: Path | None,
    split: str,
    max_pixels: int,
    follow_symlinks: bool,
    known_hashes: KnownHashes | None = None,
    on_scanned: Callable[[int, int], None] | None = None,
) -> tuple[Catalogue, dict[str, tuple[int, int, str, int, int]]]:
    """Find all specimens and look at each picture once.

    Parameters
    ----------
    root : Path
        The folder that files are relative to.
    catalogue : Path or None
        A CSV that lists the pictures; None to take them from folders named after families.
    split : str
        ``"column"``, ``"md5:N"`` or ``"none"``.
    max_pixels : int
        Larger pictures are set aside.
    follow_symlinks : bool
        Whether links may lead out of the root.
    known_hashes : mapping, optional
        {file: (size in bytes, mtime in ns, sha256, width, height)} of an earlier scan: files whose size and time are
        unchanged are not read again.
    on_scanned : callable, optional
        Called with (done, total) after each picture.

    Returns
    -------
    Catalogue
        Specimens in order of id, those set aside included.
    dict
        ``known_hashes`` of this scan.

    Raises
    ------
    SpecimenError
        If the root or the catalogue cannot be read, or no picture at all can be used.
    """
    decide_split = make_split_rule(split)
    _check_root(root)
    if catalogue is None:
        listings, notes = list_folders(root, follow_symlinks=follow_symlinks)
    else:
        listings, notes = read_table(catalogue, root=root, follow_symlinks=follow_symlinks)
    if not listings:
        raise SpecimenError(_say_nothing_found(root, catalogue))

    hashes: dict[str, tuple[int, int, str, int, int]] = {}
    specimens = []
    for n_done, (listing, specimen_id) in enumerate(_name_listings(listings), start=1):
        fault, facts = listing.fault, None
        if listing.path is not None:
            fault, facts = _read_facts(listing, listing.path, known=known_hashes or {}, max_pixels=max_pixels)
        if facts is not None:
            hashes[listing.file] = facts
        decided = decide_split(listing)
        specimens.append(
            Specimen(
                id=specimen_id,
                file=listing.file,
                group=listing.group or specimen_id,
                role="query" if listing.family is None else "reference",
                family=listing.family,
                genus=listing.genus,
                species=listing.species,
                source=listing.source,
                catalogue_number=listing.catalogue_number,
                split=decided,
                in_training={"train": True, "held-out": False}.get(decided),
                licence=listing.licence,
                credit=listing.credit,
                px_per_mm=listing.px_per_mm,
                width=facts[3] if facts else None,
                height=facts[4] if facts else None,
                sha256=facts[2] if facts else None,
                set_aside=fault,
            )
        )
        if on_scanned is not None:
            on_scanned(n_done, len(listings))

    if all(each.set_aside for each in specimens):
        raise SpecimenError(_say_all_set_aside(specimens, root))
    specimens.sort(key=lambda each: each.id)
    used = [each for each in specimens if each.set_aside is None]
    families = sorted({each.family for each in specimens if each.family is not None})
    notes += _note_families(families) + _note_splits(used, listings, split) + _note_copies(used)
    return Catalogue(specimens=specimens, families=families, notes=notes), hashes


def _check_root(root: Path) -> None:
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is none"
        raise SpecimenError(
            f"A folder of specimens was wanted at {root}, but {what}. Check [specimens] root "
            "(paths in a config are relative to the config, on the command line to the working directory)."
        )
    if not os.access(root, os.R_OK | os.X_OK):
        raise SpecimenError(
            f"A folder of specimens was wanted at {root}, but it may not be read. Change its permissions."
        )


def _say_nothing_found(root: Path, catalogue: Path | None) -> str:
    if catalogue is not None:
        return f"Rows of specimens were wanted in {catalogue}, but it has none. Add one row a picture: path,family."
    return (
        f"Pictures of leaves were wanted in {root}, but there are none. Put them into one folder a family "
        "(root/Betulaceae/….jpg), or name a CSV in [specimens] catalogue."
    )


def _say_all_set_aside(specimens: Sequence[Specimen], root: Path) -> str:
    (reason, n), *_ = Counter(each.set_aside for each in specimens).most_common(1)
    first = next(each.file for each in specimens if each.set_aside == reason)
    return (
        f"Pictures of leaves were wanted in {root}, but none of {len(specimens)} can be used; "
        f"{n} for this reason: {reason} (first: {first}). "
        "Check [specimens] root and catalogue: paths are relative to the root."
    )


def _name_listings(listings: Sequence[Listing]) -> list[tuple[Listing, str]]:
    """Give each listing its id; one without a file of its own never takes an id from one that has it."""
    ids = make_specimen_ids(each.file for each in listings if each.path is not None)
    taken = set(ids.values())
    named = []
    for listing in listings:
        if listing.path is not None:
            named.append((listing, ids[listing.file]))
            continue
        base = make_specimen_ids([listing.file])[listing.file]
        unique, n = base, 1
        while unique in taken:
            n += 1
            unique = f"{base}-{n}"
        taken.add(unique)
        named.append((listing, unique))
    return named


def _read_facts(
    listing: Listing, path: Path, *, known: KnownHashes, max_pixels: int
) -> tuple[str | None, tuple[int, int, str, int, int] | None]:
    """Return (fault, None) or (None, (size, mtime, sha256, width, height)) of a file."""
    try:
        status = path.stat()
        if not path.is_file():
            return NOT_A_FILE, None
        earlier = known.get(listing.file)
        if earlier is not None and tuple(earlier[:2]) == (status.st_size, status.st_mtime_ns):
            size, time, sha256, width, height = earlier
            if width * height <= max_pixels:
                return None, (size, time, sha256, width, height)
        with path.open("rb") as file:
            found = inspect_image(file, max_pixels=max_pixels)
            if found.fault is not None or found.width is None or found.height is None:
                return found.fault, None
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError:
        return FORBIDDEN, None
    except OSError:  # a dangling link, a name too long, a disk that fails
        return MISSING, None
    return None, (status.st_size, status.st_mtime_ns, sha256, found.width, found.height)


def _note_families(families: Sequence[str]) -> list[str]:
    by_folded = defaultdict(list)
    for family in families:
        by_folded[family.casefold()].append(family)
    return [
        f"Families whose names differ only in case are kept apart: {', '.join(same)}."
        for same in by_folded.values()
        if len(same) > 1
    ]


def _note_splits(used: Sequence[Specimen], listings: Sequence[Listing], split: str) -> list[str]:
    notes = []
    shared = count_shared_leaves(used)
    if shared:
        what = "specimen shares" if shared == 1 else "specimens share"
        notes.append(f"{shared} held-out {what} a leaf with a training specimen.")
    if split == "column":
        words = {each.split.strip() for each in listings if each.split.strip()}
        strange = sorted(
            each for each in words if make_split_rule("column")(Listing(file="", path=None, split=each)) == "unknown"
        )
        if strange:
            notes.append(f"Words for a split that mean nothing here: {', '.join(strange[:5])}. Use train or held-out.")
    return notes


def _note_copies(used: Sequence[Specimen]) -> list[str]:
    """Say where one file was filed under two families, or listed as several leaves."""
    by_hash: defaultdict[str | None, list[Specimen]] = defaultdict(list)
    for specimen in used:
        by_hash[specimen.sha256].append(specimen)
    copies = [same for same in by_hash.values() if len({each.group for each in same}) > 1]
    notes = []
    if copies:
        n = sum(len(same) for same in copies)
        notes.append(f"{n} pictures are byte-identical to one of another group (first: {copies[0][0].file}).")
    torn = [same for same in copies if len({each.family for each in same if each.family}) > 1]
    if torn:
        notes.append(f"{len(torn)} of these stand under more than one family (first: {torn[0][0].file}).")
    return notes
