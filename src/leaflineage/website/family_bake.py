"""Make the files of families, in this process or in several: each family from its record and its surroundings alone."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from leaflineage.errors import ArtifactError
from leaflineage.records import AtlasFamily, AtlasSpecimen
from leaflineage.website import links
from leaflineage.website.atlas_data import encode_family, encode_specimens
from leaflineage.website.comparing import dump_compared, make_compared
from leaflineage.website.contents import list_pictures, make_family_pages
from leaflineage.website.context import Site
from leaflineage.website.reading import read_family_record
from leaflineage.website.rendering import make_renderer
from leaflineage.website.rights import hide_specimens, redact_importances
from leaflineage.website.surroundings import Shared, Surroundings
from leaflineage.website.writing import Writer

CHUNK = 6  # families a task: they share much of their surroundings
LEAST_FAMILIES = 18  # below, starting processes takes longer than they save
PARTS = ".parts"  # of the site's data, in the staging folder


@dataclass(frozen=True)
class FamilyFiles:
    """What was made for a family: addresses and their bytes, those that the site had already, pictures, and pages."""

    slug: str
    addresses: dict[str, int]
    kept: frozenset[str]
    pictures: frozenset[str]
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
        return FamilyFiles(slug, writer.addresses, frozenset(writer.kept), frozenset(writer.pictures), tuple(pages))

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


def bake_families(
    tasks: Iterable[Surroundings], n: int, shared: Shared, writer: Writer, *, jobs: int
) -> Iterator[FamilyFiles]:
    """Make the files of ``n`` families and yield what was made, in order; in processes where that pays.

    Parameters
    ----------
    writer
        Whose folders the files are staged in; it is told of none of them.
    jobs
        Processes; 0 for one a core.
    """
    folders = (writer.staging, writer.out, writer.run)
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or n < LEAST_FAMILIES:
        baker = FamilyBaker(shared, *folders)
        yield from map(baker.bake, tasks)
        return
    spawn = multiprocessing.get_context("spawn")
    waiting: deque[Future[list[FamilyFiles]]] = deque()
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start, initargs=(shared, *folders)) as pool:
        try:
            remaining = iter(tasks)
            while chunk := list(islice(remaining, CHUNK)):
                waiting.append(pool.submit(_bake_chunk, chunk))
                if len(waiting) > 2 * jobs:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_bakers: list[FamilyBaker] = []  # the one of a process of the pool


def _start(shared: Shared, staging: Path, out: Path, run: Path) -> None:
    _bakers[:] = [FamilyBaker(shared, staging, out, run)]


def _bake_chunk(chunk: list[Surroundings]) -> list[FamilyFiles]:
    return [_bakers[0].bake(around) for around in chunk]
