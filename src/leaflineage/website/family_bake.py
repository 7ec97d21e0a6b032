"""Make the files of families, in this process or in several: each family from its record and its surroundings alone."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from leaflineage.errors import ArtifactError
from leaflineage.records import AtlasFamily, AtlasSpecimen
from leaflineage.website import links
from leaflineage.website.atlas_data import encode_family, encode_specimens
from leaflineage.website.comparing import dump_compared, make_compared
from leaflineage.website.contents import list_pictures, make_family_pages
from leaflineage.website.context import Site
from leaflineage.website.facts import RecordFacts, look_through
from leaflineage.website.holdings import pack_files
from leaflineage.website.reading import read_family_record
from leaflineage.website.rendering import make_renderer
from leaflineage.website.rights import hide_specimens, redact_importances
from leaflineage.website.surroundings import Shared, Surroundings
from leaflineage.website.writing import Writer
from leaflineage.workers import heed_parent

CHUNK = 6  # families a task: they share much of their surroundings
CHUNKS_A_COLLECTION = 3  # after so many chunks a process looks for rubbish
LEAST_FAMILIES = 18  # below, starting processes takes longer than they save
PARTS = ".parts"  # of the site's data, in the staging folder


@dataclass(frozen=True)
class FamilyFiles:
    """What was made for a family: its files, packed, its pages, and folders from which a file had to be copied."""

    slug: str
    packed: bytes
    copied: frozenset[str]
    pages: tuple[str, ...]


class FamilyBaker:
    """Makes the files of one family after another."""

    def __init__(self, shared: Shared, staging: Path, out: Path, run: Path) -> None:
        self._shared = shared
        self._staging, self._out, self._run = staging, out, run
        self._render = make_renderer(shared.site.words)

    def bake(self, around: Surroundings) -> FamilyFiles:
        """Make the pages, data and pictures of a family.

        Raises
        ------
        ArtifactError
            If its record is missing or damaged, or contradicts the index.
        SiteError
            If a page would be wrong.
        """
        slug, site = around.slug, around.narrow(self._shared)
        writer = Writer(self._staging, self._out, self._run)
        record = read_family_record(self._run, slug)
        family, specimens = hide_specimens(record, site.rights)
        if [each.id for each in family.concepts] != [each.id for each in around.mentioned[slug].concepts]:
            raise ArtifactError(
                f"index.json and families/{slug}/family.json list different concepts. Run the stage collect again."
            )
        for picture in list_pictures(family, specimens):
            writer.link_picture(picture)
        pages = []
        for address, template, view in make_family_pages(site, family, specimens, around.turn):
            writer.write(address, self._render(template, view).encode("utf-8"))
            pages.append(address)
        if links.compare_file(slug) in site.plan:
            compared = make_compared(site, family, specimens, record)
            writer.write(links.compare_file(slug), dump_compared(compared).encode("utf-8"))
        self._link_numbers(writer, slug, site)
        write_parts(self._staging, site, family, specimens)
        packed = pack_files(writer.addresses, writer.hashes)
        return FamilyFiles(slug, packed, frozenset(writer.copied), tuple(pages))

    def _link_numbers(self, writer: Writer, slug: str, site: Site) -> None:
        """Add the files of numbers that the plan holds."""
        folder = f"families/{slug}"
        table, bank = links.importances_file(slug), links.bank_file(slug)
        if bank in site.plan:
            writer.link_file(f"{folder}/bank.safetensors", bank)
        if table in site.plan:
            data = (self._run / folder / "importances.csv").read_bytes() if site.rights.withdrawn else b""
            redacted = redact_importances(data, site.rights.withdrawn) if data else data
            if redacted == data:
                writer.link_file(f"{folder}/importances.csv", table)
            else:
                writer.write(table, redacted)


def write_parts(staging: Path, site: Site, family: AtlasFamily, specimens: Mapping[str, AtlasSpecimen]) -> None:
    """Write a family's parts of the data; a specimen in several families' records stands in one of them."""
    slug = family.slug
    own = [each for name, each in specimens.items() if name not in site.shown or site.shown[name].slug == slug]
    whole, of_specimens = list_parts(staging, slug)
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_bytes(encode_family(family))
    of_specimens.write_bytes(encode_specimens(own, site.shown))


def list_parts(staging: Path, slug: str) -> tuple[Path, Path]:
    """Return where the parts of the data lie until they are put together: the family's, its specimens'."""
    return staging / PARTS / f"{slug}.family", staging / PARTS / f"{slug}.specimens"


class Workers:
    """Looks through records and makes the files of families: in processes, which are started where they pay.

    Use it in a ``with`` statement: its processes end with it.

    Parameters
    ----------
    staging, out, run
        Folders.
    jobs
        Processes; 0 for one a core.
    """

    def __init__(self, staging: Path, out: Path, run: Path, *, jobs: int) -> None:
        self._folders = staging, out, run
        self._jobs = jobs or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None
        self._shared: Queue[Shared] | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if self._shared is not None:
            self._shared.close()
            self._shared.cancel_join_thread()  # a process that had nothing to do has not taken its copy

    def start(self, n: int) -> None:
        """Start the processes, if ``n`` families are enough for them: they import while this one reads."""
        if self._pool is None and self._jobs > 1 and n >= LEAST_FAMILIES:
            spawn = multiprocessing.get_context("spawn")
            self._shared = spawn.Queue()
            self._pool = ProcessPoolExecutor(
                self._jobs, mp_context=spawn, initializer=_start, initargs=(self._shared, *self._folders)
            )
            for _ in range(self._jobs):
                self._pool.submit(_look_chunk, [])

    def look_through(self, slugs: Iterable[str], known: Mapping[str, RecordFacts]) -> dict[str, RecordFacts]:
        """Return the facts of families' records, those known where they are of the same bytes.

        Raises
        ------
        ArtifactError
            If a record is missing or damaged.
        """
        slugs, run = list(slugs), self._folders[-1]
        unknown = [slug for slug in slugs if slug not in known]
        found: dict[str, RecordFacts] = {}
        self.start(len(unknown))
        if self._pool is not None:
            chunks = [unknown[place : place + CHUNK] for place in range(0, len(unknown), CHUNK)]
            found.update(each for chunk in self._pool.map(_look_chunk, chunks) for each in chunk)
        return {slug: found.get(slug) or look_through(run, slug, known.get(slug)) for slug in slugs}

    def bake(
        self, tasks: Iterable[Surroundings], n: int, shared: Shared, meanwhile: Callable[[], None]
    ) -> Iterator[FamilyFiles]:
        """Make the files of ``n`` families and yield what was made, in order.

        Parameters
        ----------
        meanwhile
            What there is to do beside; it is done once, here.
        """
        self.start(n)
        if self._pool is None or self._shared is None or n < LEAST_FAMILIES:
            meanwhile()
            baker = FamilyBaker(shared, *self._folders) if n else None
            yield from map(baker.bake, tasks) if baker else ()
            return
        for _ in range(self._jobs):
            self._shared.put(shared)
        waiting: deque[Future[list[FamilyFiles]]] = deque()
        remaining, left = iter(tasks), n
        while chunk := list(islice(remaining, max(1, min(CHUNK, left // (2 * self._jobs))))):
            left -= len(chunk)  # the last chunks are small, so that no process waits long for another
            waiting.append(self._pool.submit(_bake_chunk, chunk))
            if len(waiting) > 2 * self._jobs:
                if meanwhile is not _do_nothing:
                    meanwhile()
                    meanwhile = _do_nothing
                yield from waiting.popleft().result()
        meanwhile()
        self._pool.shutdown(wait=False)  # they end while this process makes what is left
        while waiting:
            yield from waiting.popleft().result()


def _do_nothing() -> None:
    pass


_tools: list[Any] = []  # of a process of the pool: where it gets what is shared, and its folders
_chunks = [0]  # that a process of the pool has made
_bakers: list[FamilyBaker] = []  # the one of a process of the pool, once it has any family to make


def _start(shared: Queue[Shared], staging: Path, out: Path, run: Path) -> None:
    heed_parent()
    _tools[:] = [shared, staging, out, run]
    gc.disable()


def _look_chunk(slugs: list[str]) -> list[tuple[str, RecordFacts]]:
    return [(slug, look_through(_tools[-1], slug, None)) for slug in slugs]


def _bake_chunk(chunk: list[Surroundings]) -> list[FamilyFiles]:
    if not _bakers:
        _bakers.append(FamilyBaker(_tools[0].get(), *_tools[1:]))
    _chunks[0] += 1
    if (
        _chunks[0] % CHUNKS_A_COLLECTION == 1
    ):  # and not whenever some hundred more records are there, most of which stay
        gc.collect()
        gc.freeze()
    return [_bakers[0].bake(around) for around in chunk]
