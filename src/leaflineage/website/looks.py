"""What each page of a site is seen to be, by itself or in several processes; of pages that did not change, remembered.

Reading a page takes milliseconds, and a large site has thousands. What a page without a defect was seen to be is kept
by the hash of its bytes. Such a page is not read again: it is as good as it was while every file that it names is there
still, and every page that it leads into still has the place.
"""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path

from leaflineage.website.caches import read_cache, write_cache
from leaflineage.website.facts import pack_json, unpack_json
from leaflineage.website.page_reader import read_page
from leaflineage.website.page_rules import (
    Anchor,
    Place,
    Problem,
    check_anchors,
    check_head,
    check_ids,
    check_images,
    check_links,
    check_loads,
    check_markup,
)
from leaflineage.workers import heed_parent

MEMORY = "check.jsonl"  # in the run
VERSION = 1
LEAST_PAGES = 400  # that are shared out over processes, which take half a second to start
CHUNK = 50  # pages a process reads at a time


@dataclass(frozen=True)
class Look:
    """What a page is seen to be: what is wrong with it alone, and what other pages may ask of it or it of them.

    Attributes
    ----------
    page, sha256, title : str
        Its address, the hash of its bytes, its title.
    packed : bytes
        The rest, packed: a large site has a hundred thousand pages.
    problems : tuple
        What is wrong.
    is_kept : bool
        Whether it is remembered, and was not read now.
    """

    page: str
    sha256: str
    title: str
    packed: bytes
    problems: tuple[Problem, ...] = ()
    is_kept: bool = False

    @property
    def ids(self) -> list[str]:
        """The places in it to which a link may lead."""
        found: list[str] = unpack_json(self.packed)[0]
        return found

    @property
    def targets(self) -> list[str]:
        """The files that it names."""
        found: list[str] = unpack_json(self.packed)[1]
        return found

    @property
    def anchors(self) -> list[Anchor]:
        """The places in other pages to which it leads."""
        return [(address, target) for address, target in unpack_json(self.packed)[2]]


@dataclass
class Looks:
    """What pages were seen to be.

    Attributes
    ----------
    files
        The sha256 of the list of the site's files at that time.
    pages
        The looks, by page.
    """

    files: str = ""
    pages: dict[str, Look] = field(default_factory=dict)


def look_at_all(place: Place, pages: Sequence[str], known: Looks, jobs: int) -> Iterator[Look]:
    """Yield what each page is seen to be, in order; processes read a large site."""
    kept = _find_kept(place, pages, known)
    unknown = [page for page in pages if page not in kept]
    found = _look_anew(place, unknown, jobs)
    for page in pages:
        yield kept[page] if page in kept else next(found)


def _find_kept(place: Place, pages: Sequence[str], known: Looks) -> dict[str, Look]:
    """Return the pages that are as they were, and that name no file which is gone."""
    is_same = bool(known.pages) and hash_files(place.files) == known.files
    kept: dict[str, Look] = {}
    for page in pages:
        look = known.pages.get(page)
        if look is None or look.sha256 != hashlib.sha256((place.site / page).read_bytes()).hexdigest():
            continue
        if is_same or place.files.issuperset(look.targets):
            kept[page] = look
    return kept


def _look_anew(place: Place, pages: Sequence[str], jobs: int) -> Iterator[Look]:
    if jobs == 1 or len(pages) < LEAST_PAGES:
        yield from (_look(place, page) for page in pages)
        return
    chunks = [pages[start : start + CHUNK] for start in range(0, len(pages), CHUNK)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start, initargs=(place,)) as pool:
        for looks in pool.map(_look_at_chunk, chunks):
            yield from looks


_places: list[Place] = []  # of a process that reads pages: the one site


def _start(place: Place) -> None:
    heed_parent()
    _places.append(place)


def _look_at_chunk(pages: Sequence[str]) -> list[Look]:
    return [_look(_places[0], page) for page in pages]


def _look(place: Place, page: str) -> Look:
    data = (place.site / page).read_bytes()
    content = read_page(data)
    ids = frozenset({*content.ids, *content.choices})
    dead, targets, anchors = check_links(place, page, content)
    missing, loaded = check_loads(place, page, content)
    problems = (
        *check_head(page, content),
        *dead,
        *check_anchors(page, [each for each in anchors if each[1] == page], lambda _: ids),
        *missing,
        *check_images(page, content),
        *check_ids(page, content),
        *check_markup(page, content),
    )
    others = [each for each in anchors if each[1] != page]
    packed = pack_json([sorted(ids), sorted({*targets, *loaded}), others])
    return Look(page, hashlib.sha256(data).hexdigest(), content.title, packed, problems)


# --- remembered ----------------------------------------------------------------------------------------------------


def read_looks(memory: Path, base_path: str | None) -> Looks:
    """Return what was remembered, nothing where it is missing, damaged, or of another version of the rules."""
    looks = Looks()
    try:
        entries = read_cache(memory)
        head = next(entries)
        if head["version"] != VERSION or head["made_by"] != _hash_rules() or head["base_path"] != base_path:
            return Looks()
        looks.files = head["files"]
        for page, sha256, title, packed in entries:
            looks.pages[page] = Look(page, sha256, title, base64.b64decode(packed), is_kept=True)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return Looks()
    return looks


def write_looks(memory: Path, place: Place, looks: Mapping[str, Look]) -> None:
    """Remember the looks at pages without a defect; where that cannot be written, all are read each time."""
    head = {"version": VERSION, "made_by": _hash_rules(), "base_path": place.base_path}
    lines = ([page, each.sha256, each.title, base64.b64encode(each.packed).decode()] for page, each in looks.items())
    write_cache(memory, chain([{**head, "files": hash_files(place.files)}], lines))


def hash_files(files: frozenset[str]) -> str:
    """Return the sha256 of a list of files."""
    return hashlib.sha256("\n".join(sorted(files)).encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _hash_rules() -> str:
    """Return the sha256 of the code that looks at pages."""
    here = Path(__file__)
    names = (here.name, "page_rules.py", "page_reader.py", "links.py")
    code = [here.with_name(name).read_bytes() for name in names]
    return hashlib.sha256(b"\0".join([sys.version.encode(), *code])).hexdigest()  # Python's own module reads tags
